"""The file beside the scores of a training that keeps its curves and its confusion (see `bench.evaluation.Curves`)."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import CorruptArtefact, RunFailure
from bench.evaluation import Curves
from bench.storage.artefacts import Kind, Part
from bench.storage.tensor_files import read_tensors, write_tensors


class About(Part):
    """Beside the tensors: which training it is."""

    made_under: str


CURVE_FILE = Kind("curves of a training", 1, About)
NAMES = tuple(each.name for each in fields(Curves))


def path_of(run: Path, key: str, seed: int) -> Path:
    """Where a run folder keeps them, for the evaluation of that key ("soft-resnet18") and the number of its seed."""
    return run / "evaluations" / f"{key}-{seed}.curves.safetensors"


def write(path: Path, curves: Curves, made_under: str) -> None:
    """Writes them, whole or not at all.

    Raises:
        RunFailure: they do not have the shapes that they should.
    """
    if wrong := _misshapen(curves):
        raise RunFailure(f"the curves of this training are none: {wrong}")
    tensors = {name: getattr(curves, name) for name in NAMES}
    write_tensors(path, tensors, CURVE_FILE.stamped({"made_under": made_under}))


def read(path: Path) -> Curves:
    """What `write` wrote.

    Raises:
        FileNotFoundError: there is none; runs from before they were kept have none.
        CorruptArtefact: altered, or of another kind.
        UnreadableArtefact: the system does not let it be read.
    """
    tensors, content = read_tensors(path)
    CURVE_FILE.checked(content, path)
    if missing := [name for name in NAMES if name not in tensors]:
        raise CorruptArtefact(f"{path} lacks {missing[0]}")
    curves = Curves(**{name: tensors[name] for name in NAMES})
    if wrong := _misshapen(curves):
        raise CorruptArtefact(f"{path}: {wrong}")
    return curves


def class_accuracies(trainings: Sequence[Curves]) -> Tensor:
    """Percent of each class's test images that were right, the mean over trainings: float64 (K,)."""
    each = [100 * found.confusion.diagonal().double() / found.confusion.sum(dim=1) for found in trainings]
    return torch.stack(each).mean(dim=0)


def _misshapen(curves: Curves) -> str | None:
    """What is wrong with them, in words."""
    if curves.confusion.dim() != 2 or curves.confusion.shape[0] != curves.confusion.shape[1]:
        return f"a confusion is square, not of shape {tuple(curves.confusion.shape)}"
    for one, other in (("train_loss", "train_top1"), ("test_epochs", "test_top1")):
        shapes = getattr(curves, one).shape, getattr(curves, other).shape
        if len(shapes[0]) != 1 or shapes[0] != shapes[1]:
            return f"{one} and {other} are lists of one length, not of shapes {tuple(shapes[0])} and {tuple(shapes[1])}"
    return None
