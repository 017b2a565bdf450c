"""Teachers that a manifest names: weights that others saved, by their names, for labels made while training."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from foreign import readers, write_manifest
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.cli.foreign_sets import described
from bench.cli.outcomes import rows_of
from bench.condensation import Task
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.interchange.importing import fingerprint, read_foreign
from bench.interface import sets as loading
from bench.labels import OnlineLabels
from bench.testing import tiny_task
from bench.training.teachers import load_teacher
from bench_imports.method import Imported, ImportedConfig

Weights = dict[str, Tensor]
NAME = "convnet3-w32-bn"
SOURCE = {"file": "set.pt", "range": "0..255"}


class InLists(nn.Module):
    """RDED's layout of a ConvNet: its convolutions in one list, and its norms in another."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(inputs, 32, 3, padding=1) for inputs in (1, 32, 32)]
        norms = [nn.BatchNorm2d(32) for _ in range(3)]
        self.layers = nn.ModuleDict({"conv": nn.ModuleList(convolutions), "norm": nn.ModuleList(norms)})
        self.classifier = nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = images
        lists: Any = self.layers
        for convolution, norm in zip(lists["conv"], lists["norm"], strict=True):
            found = nn.functional.avg_pool2d(norm(convolution(found)).relu(), 2)
        logits: Tensor = self.classifier(found.flatten(1))
        return logits


class InOne(nn.Module):
    """That of the lineage of DC: all of a ConvNet but the classifier in one sequence."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [
            (nn.Conv2d(inputs, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AvgPool2d(2))
            for inputs in (1, 32, 32)
        ]
        self.features = nn.Sequential(*(layer for block in blocks for layer in block))
        self.classifier = nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


def learned(kind: type[nn.Module]) -> nn.Module:
    """With weights and statistics that all differ."""
    draws = torch.Generator().manual_seed(1)
    network = kind().eval()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=draws) + ("var" in name))
    return network


def a_set(folder: Path, digits: Dataset, teacher: Mapping[str, Any], **about: Any) -> Path:  # noqa: ANN401
    chosen = torch.cat([torch.nonzero(digits.train.labels == label).flatten()[:2] for label in range(3)])
    labels = {"teachers": [{"backbone": NAME, **teacher}], "temperature": 4}
    write_manifest(folder, source=SOURCE, labels=labels, **about)
    torch.save({"images": digits.train.take(chosen), "labels": digits.train.labels[chosen]}, folder / "set.pt")
    return folder


def imported(folder: Path, digits: Dataset, place: Path) -> tuple[Task, OnlineLabels]:
    """The labels of a set, as a run makes them."""
    task = replace(tiny_task(place, dataset=digits, backbone=NAME), readers=readers)
    content = fingerprint(folder, read_foreign(folder, digits, readers).files)
    method = Imported(ImportedConfig(path=str(folder), content=content, whole=True))
    method.prepare(task)
    labels = method.label(task, method.synthesize(task, method.units(task)[0]))
    assert isinstance(labels, OnlineLabels)
    return task, labels


def in_a_checkpoint(weights: Weights, path: Path) -> None:
    torch.save({"model": weights, "epoch": 3, "args": {"lr": 0.1}}, path)


def of_data_parallel(weights: Weights, path: Path) -> None:
    torch.save({f"module.{name}": tensor for name, tensor in weights.items()}, path)


@pytest.mark.parametrize(
    ("kind", "name", "save"),
    [
        (InLists, "kept/conv3.pth", in_a_checkpoint),
        (InOne, "a.pt", torch.save),
        (InOne, "a.pth", of_data_parallel),
        (InOne, "a.safetensors", save_file),
    ],
)
@pytest.mark.parametrize("order", [None, ("1", "2", "0")])
def test_a_teacher_says_here_what_it_said_there(
    tmp_path: Path,
    digits: Dataset,
    kind: type[nn.Module],
    name: str,
    save: Callable[[Weights, Path], None],
    order: tuple[str, ...] | None,
) -> None:
    """In the order of the dataset's classes, whatever that of its outputs is."""
    folder = a_set(tmp_path / "set", digits, {"file": name}, **({"classes": order} if order else {}))
    theirs = learned(kind)
    (folder / name).parent.mkdir(exist_ok=True)
    save(dict(theirs.state_dict()), folder / name)
    task, labels = imported(folder, digits, tmp_path)
    ours = load_teacher(task, labels.teacher)
    views = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, found = theirs(views), ours(views)
    columns = [(order or digits.classes).index(each) for each in digits.classes]
    assert torch.allclose(found, expected[:, columns], rtol=1e-4)
    assert (labels.temperature, labels.teacher.backbone, labels.others) == (4, NAME, ())
    assert labels.teacher.top1 is not None


def test_another_file_of_weights_is_another_set(tmp_path: Path, digits: Dataset) -> None:
    folder = a_set(tmp_path / "set", digits, {"file": "a.pt"})
    torch.save(learned(InOne).state_dict(), folder / "a.pt")
    before = fingerprint(folder, read_foreign(folder, digits, readers).files)
    torch.save(InOne().state_dict(), folder / "a.pt")
    assert fingerprint(folder, read_foreign(folder, digits, readers).files) != before


def test_a_row_has_the_labels_of_the_teacher_and_so_has_its_control(tmp_path: Path, digits: Dataset) -> None:
    bench = Bench(tmp_path, (str(Path(__file__).with_name("short_protocols.py")),))
    folder = a_set(tmp_path / "set", digits, {"file": "a.pt"}, classes=list(digits.classes))
    torch.save(learned(InLists).state_dict(), folder / "a.pt")
    found = described(folder, "digits", "3", (), bench.folder / "data", bench.cache, Registry())
    asked: dict[str, Any] = {"ipcs": found.ipcs, "changes": found.changes, "origin": found.origin, "control": True}
    jobs = bench.jobs("imported", protocols=("short-own",), eval_backbones=(NAME,), **asked)
    rows = rows_of(jobs, [bench.run(job) for job in jobs])
    assert [(row["status"], row["label_kind"]) for row in rows] == [("done", "online")] * 2
    assert rows[0]["teacher_top1"] is not None and rows[0]["label_bytes"] > 4 * 3 * 32
    with pytest.raises(UsageError, match="is completed in a run"):
        loading._read(folder, Registry(), lambda: digits)


@pytest.mark.parametrize(
    ("teacher", "content", "said"),
    [
        ({"file": "a.pt"}, {"epoch": 3}, "one table of tensors by name, alone or within another; it has none"),
        ({"file": "a.pt"}, {"a": {"x": torch.ones(1)}, "b": {"x": torch.ones(1)}}, "it has 2, 'a', 'b'"),
        ({"file": "a.pt"}, {"classifier.weight": torch.ones(3, 32)}, f"is no {NAME} for 3 classes of digits: it lacks"),
        ({"file": "b.pt"}, None, "b.pt"),
        ({}, None, "either the 'file' of its weights or the name of published 'weights'"),
        ({"file": "a.pt", "weights": "IMAGENET1K_V1"}, None, "either the 'file' of its weights"),
        ({"weights": "IMAGENET1K_V1"}, None, "torchvision's weights are for RGB images of ImageNet-1K's 1000 classes"),
        ({"file": "../a.pt"}, None, "below the set's folder"),
    ],
)
def test_a_teacher_that_cannot_be_had_is_one_line(
    tmp_path: Path,
    digits: Dataset,
    teacher: dict[str, str],
    content: Any,  # noqa: ANN401 - whatever torch saves
    said: str,
) -> None:
    folder = a_set(tmp_path / "set", digits, teacher)
    torch.save(content, folder / "a.pt")
    with pytest.raises(UsageError) as caught:
        described(folder, "digits", "3", (), tmp_path / "data", tmp_path / "cache", Registry())
    assert said in str(caught.value) and "\n" not in str(caught.value)
