"""Where a run works: folders, device, who watches; and the task it gives to methods and protocols."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.condensation import Task
from bench.condensation.notes import Findings, Notes
from bench.data.datasets import Dataset
from bench.data.opening import open_dataset
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.progress import Progress
from bench.results.rows import reserved
from bench.results.spec import RunSpec
from bench.storage.shared.stages import StageStore


@dataclass(frozen=True)
class RunContext:
    """Where a run finds and leaves things, and who watches it. Checkpoints are at least `checkpoint_seconds` apart.

    `looks` is how often a training tests on the way (see `bench.training.curves`).
    `company` is the file by which this machine knows that the run is under way (`bench.storage.shared.company`): what
    is measured is disturbed by others that are. `command` is what the user typed, for the record. `anew` says that a
    process which made what its synthesis needs ends there (`bench.running.failures.Prepared`), and another goes on;
    `found` is what one before this found out.
    """

    runs: Path
    cache: Path
    data_root: Path
    device: torch.device
    progress: Progress
    should_stop: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 30.0
    looks: int = 0
    company: str = ""
    command: str = ""
    anew: bool = False
    found: Mapping[str, Any] = field(default_factory=dict)


def open_for(spec: RunSpec, registry: Registry, place: RunContext) -> Dataset:
    """The spec's dataset with its classes.

    Raises:
        RunFailure: the card changed since the spec was made.
    """
    dataset = open_dataset(registry, spec.card, place.data_root, place.cache, place.progress, told=True)
    if dataset.card_hash != spec.card_hash:
        raise RunFailure(f"the card of {spec.dataset} is not the one this run was planned with")
    return dataset if dataset.classes == spec.classes else dataset.only(spec.classes)


def make_task(spec: RunSpec, dataset: Dataset, registry: Registry, place: RunContext, workspace: Path) -> Task:
    """What the spec's method is given to make images with; labels and evaluations have the spec's own `precision`."""
    measured = Findings()
    measured.take(place.found)
    return Task(
        dataset=dataset,
        ipc=spec.ipc,
        backbone=spec.backbone,
        device=place.device,
        precision=spec.made_in,
        compile=spec.compile,
        seed=spec.seed,
        budget=spec.budget,
        networks=lambda name: registry.load("backbone", name),
        network_version=lambda name: registry.find("backbone", name).offer.version,
        network_code=lambda name: registry.find("backbone", name).code,
        readers=lambda name: registry.load("reader", name),
        facts=Notes(reserved()),
        measured=measured,
        stages=StageStore(place.cache, place.progress, place.company),
        workspace=workspace,
        progress=place.progress,
        should_stop=place.should_stop,
        checkpoint_seconds=place.checkpoint_seconds,
        looks=place.looks,
    )
