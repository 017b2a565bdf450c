"""A task on a tiny synthetic dataset, with networks small enough to train in a test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.condensation import Task
from bench.data.datasets import Dataset, Normalisation, TensorSplit
from bench.storage.shared.stages import StageStore
from bench.training import loop

SIDE, CLASSES = 8, 3
MakeTask = Callable[..., Task]


class Small(nn.Module):
    """A convolution with BatchNorm, so that buffers matter, and a linear layer."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8 * 4, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(nn.functional.adaptive_avg_pool2d(self.features(images), 2).flatten(1))
        return logits


def build_small(classes: int, resolution: int, channels: int) -> nn.Module:
    return Small(classes, channels)


def split(count: int, seed: int, side: int = SIDE, classes: int = CLASSES) -> TensorSplit:
    """Images whose mean colour gives their class away, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    colours = torch.linspace(50, 200, classes)[labels].view(-1, 1, 1, 1)
    noise = 60 * torch.rand((count, 3, side, side), generator=generator) - 30
    return TensorSplit((colours + noise).to(torch.uint8), labels)


def dataset(side: int = SIDE, classes: int = CLASSES) -> Dataset:
    names = tuple(f"n{index:04d}" for index in range(classes))
    return Dataset(
        name="colours",
        card_hash="card",
        resolution=side,
        channels=3,
        classes=names,
        class_names=names,
        normalisation=Normalisation((0.5, 0.4, 0.3), (0.25, 0.2, 0.3)),
        train=split(46, 0, side, classes),
        test=split(30, 1, side, classes),
    )


@pytest.fixture
def make_task(tmp_path: Path) -> Iterator[MakeTask]:
    """Makes tasks that share one cache; keywords replace the task's fields."""
    torch.set_num_threads(1)

    def make(**changes: Any) -> Task:  # noqa: ANN401 - any field of a task
        workspace = tmp_path / "work"
        workspace.mkdir(exist_ok=True)
        fields: dict[str, Any] = {
            "dataset": dataset(),
            "ipc": 4,
            "backbone": "small",
            "device": torch.device("cpu"),
            "precision": "fp32",
            "seed": 0,
            "budget": "paper",
            "compile": "never",
            "networks": {"small": build_small}.__getitem__,
            "stages": StageStore(tmp_path / "cache"),
            "workspace": workspace,
        }
        return Task(**{**fields, **changes})

    yield make


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[loop.TrainingJob]:
    """The lessons that were taught."""
    taught: list[loop.TrainingJob] = []
    teach = loop.train

    def watched(task: Task, network: torch.nn.Module, job: loop.TrainingJob) -> torch.nn.Module:
        taught.append(job)
        return teach(task, network, job)

    monkeypatch.setattr(loop, "train", watched)
    return taught
