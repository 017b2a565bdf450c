"""The file beside the scores of a training that keeps its curves and its confusion (see `bench.evaluation.Curves`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import CorruptArtefact, RunFailure
from bench.results.scores import Curves
from bench.storage import run_folder
from bench.storage.array_files import Array, read_arrays
from bench.storage.artefacts import Kind, Part


class About(Part):
    """Beside the tensors: which training it is."""

    made_under: str


CURVE_FILE = Kind("curves of a training", 1, About)
NAMES = tuple(each.name for each in fields(Curves))


@dataclass(frozen=True, eq=False)
class CurveArrays:
    """`bench.evaluation.Curves` as arrays, for who only looks at them.

    Attributes:
        made_under: that of the score that they are beside (`bench.results.outcomes.Score`). A run that has another
            score of the training by now has made it under other conditions, and these are of none of its scores.
    """

    train_loss: Array
    train_top1: Array
    test_epochs: Array
    test_top1: Array
    confusion: Array
    made_under: str


def path_of(run: Path, key: str, seed: int) -> Path:
    """Where a run folder keeps them, for the evaluation of that key ("soft-resnet18") and the number of its seed."""
    return run / run_folder.EVALUATIONS / f"{key}-{seed}{run_folder.CURVES}"


def write(path: Path, curves: Curves, made_under: str) -> None:
    """Writes them, whole or not at all.

    Raises:
        RunFailure: they do not have the shapes that they should.
    """
    from bench.storage.tensor_files import write_tensors

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
    from bench.storage.tensor_files import read_tensors

    tensors, content = read_tensors(path)
    curves = Curves(**_named(tensors, content, path))
    _check(curves, path)
    return curves


def look(path: Path) -> CurveArrays:
    """As `read`, without torch."""
    arrays, content = read_arrays(path)
    curves = CurveArrays(**_named(arrays, content, path), made_under=content["made_under"])
    _check(curves, path)
    return curves


def _named(values: Mapping[str, Any], content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    CURVE_FILE.checked(content, path)
    if missing := [name for name in NAMES if name not in values]:
        raise CorruptArtefact(f"{path} lacks {missing[0]}")
    return {name: values[name] for name in NAMES}


def _check(curves: Curves | CurveArrays, path: Path) -> None:
    if wrong := _misshapen(curves):
        raise CorruptArtefact(f"{path}: {wrong}")


def class_accuracies(trainings: Sequence[Curves | CurveArrays]) -> Array:
    """Percent of each class's test images that were right, the mean over trainings: float64 (K,)."""
    counts = [np.asarray(found.confusion) for found in trainings]
    with np.errstate(invalid="ignore"):  # of a class without images nothing is known
        means: Array = np.stack([100 * count.diagonal() / count.sum(axis=1) for count in counts]).mean(axis=0)
    return means


def _misshapen(curves: Curves | CurveArrays) -> str | None:
    """What is wrong with them, in words."""
    if len(curves.confusion.shape) != 2 or curves.confusion.shape[0] != curves.confusion.shape[1]:
        return f"a confusion is square, not of shape {tuple(curves.confusion.shape)}"
    for one, other in (("train_loss", "train_top1"), ("test_epochs", "test_top1")):
        shapes = getattr(curves, one).shape, getattr(curves, other).shape
        if len(shapes[0]) != 1 or shapes[0] != shapes[1]:
            return f"{one} and {other} are lists of one length, not of shapes {tuple(shapes[0])} and {tuple(shapes[1])}"
    return None
