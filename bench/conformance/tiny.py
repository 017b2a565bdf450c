"""A dataset and tasks small enough for tests: seconds on one core, nothing downloaded, made from seeds."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Task
from bench.condensation.notes import Notes
from bench.data.datasets import Dataset, Normalisation, TensorSplit
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.recipes import Budget
from bench.results.rows import reserved
from bench.storage.files import digest
from bench.storage.shared.stages import StageStore

_MEAN, _STD = (0.48, 0.45, 0.40), (0.25, 0.24, 0.26)
_COARSE = 4  # pixels a side of the pattern that makes a class
_NOISE = 24.0  # standard deviation of the noise over it, in levels of 255


def tiny_dataset(
    *, classes: int = 3, per_class: int = 12, resolution: int = 16, channels: int = 3, seed: int = 0
) -> Dataset:
    """A dataset that a small network learns in a few epochs: a random coarse pattern a class, with noise over it.

    Args:
        per_class: training images per class; the test split holds half as many, at least one.

    Returns:
        Splits of uint8 images (classes * per_class, channels, resolution, resolution) in shuffled order.
    """
    coarse = torch.rand(classes, channels, _COARSE, _COARSE, generator=seeds.generator("tiny", "patterns", seed))
    patterns = F.interpolate(coarse, size=(resolution, resolution), mode="nearest") * 255
    card = {"tiny": [classes, per_class, resolution, channels, seed]}
    ids = tuple(f"class-{index:03}" for index in range(classes))
    return Dataset(
        name="tiny",
        card_hash=digest(card),
        resolution=resolution,
        channels=channels,
        classes=ids,
        class_names=ids,
        normalisation=Normalisation(_repeated(_MEAN, channels), _repeated(_STD, channels)),
        train=_split(patterns, per_class, seed, "train"),
        test=_split(patterns, max(1, per_class // 2), seed, "test"),
    )


def _repeated(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return tuple(values[index % len(values)] for index in range(channels))


def _split(patterns: Tensor, per_class: int, seed: int, name: str) -> TensorSplit:
    draws = seeds.generator("tiny", name, seed)
    labels = torch.arange(len(patterns)).repeat_interleave(per_class)
    labels = labels[torch.randperm(len(labels), generator=draws)]
    noise = torch.randn(len(labels), *patterns.shape[1:], generator=draws) * _NOISE
    return TensorSplit((patterns[labels] + noise).clamp(0, 255).to(torch.uint8), labels)


def tiny_task(
    folder: Path,
    *,
    dataset: Dataset | None = None,
    ipc: int = 2,
    backbone: str = "convnet3-bn",
    seed: int = 0,
    budget: Budget = "quick",
    precision: Precision = "fp32",
    plugins: Sequence[str] = (),
    workspace: str = "work",
) -> Task:
    """A task on the CPU over a tiny dataset, with its stages below `folder`.

    Args:
        folder: where stages and checkpoints are kept; tasks with one folder share their stages.
        plugins: modules or files to load besides what is installed, for their backbones.
        workspace: name of the folder for checkpoints; a task continues what another one left in the same.
    """
    registry = Registry(plugins)
    work = folder / workspace
    work.mkdir(parents=True, exist_ok=True)
    return Task(
        dataset=dataset or tiny_dataset(),
        ipc=ipc,
        backbone=backbone,
        device=torch.device("cpu"),
        precision=precision,
        compile="never",
        seed=seed,
        budget=budget,
        networks=lambda name: registry.load("backbone", name),
        network_version=lambda name: registry.find("backbone", name).offer.version,
        facts=Notes(reserved()),
        stages=StageStore(folder / "cache"),
        workspace=work,
    )
