"""What a method is given, and all that it may use."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench import seeds
from bench.condensation.notes import Findings
from bench.data.datasets import Dataset, Preprocessing, Reader
from bench.errors import RunFailure
from bench.hardware.choices import Compile, Precision
from bench.hardware.devices import device_name
from bench.hardware.meters import IterationTimes
from bench.loops.checkpoints import State
from bench.loops.iterations import Iterations
from bench.loops.losses import Losses
from bench.loops.pace import Pace
from bench.progress import Progress, Silent
from bench.recipes import Budget, Setting
from bench.storage.names import check_file_name
from bench.storage.shared.stages import Maker, StageKey, StageResult, StageStore

Builder = Callable[..., nn.Module]  # build(classes, resolution, channels)


def unreadable(name: str) -> type[Reader]:
    """The finder of a task that was given none."""
    raise RunFailure(f"this task cannot read the layout {name!r}")


@dataclass
class Task:
    """What a method is given, and all that it may use.

    Attributes:
        dataset: the source dataset, restricted to the classes in use.
        ipc: images per class to make.
        backbone: name of the network to condense with.
        device, precision: where and in which arithmetic (statistics and losses stay fp32).
        compile: whether loops compile their steps: "auto" where it pays (see `bench.compiling`).
        seed: the run's seed; draw from `seed_for(...)`, never from torch's global generator.
        budget: "paper" or "quick" (recipes are already scaled; for information).
        networks: finds a backbone's builder by name.
        network_version: finds the version that its offer has.
        network_code: finds what the code of a stranger's network is known by; "" of the suite's own.
        readers: finds a dataset reader's class by name.
        stages: costly results, kept by content hash; use `stage`.
        looks: how often a training tests on the way (see `bench.training.curves`).
        workspace: a folder for checkpoints of the piece of work under way.
        facts: what a method wants to be recorded of itself (JSON values, under `notes`), by names that no field has;
            what is noted as `DOUBT`, in words, is shown with the row as a warning.
        measured: what the harness found out; methods do not write it.
        losses: what the loss of each loop of a unit was, by term, which a loop appends at its end.
        used_stages: the stages this task took, made now or cached, without their tensors.
        pace: how far loops go; a loop of your own that is not `iterations` walks `pace.walk(what, start, stop)`, and a
            long step that consists of pieces alike makes `pace.part(count)` of them.
    """

    dataset: Dataset
    ipc: int
    backbone: str
    device: torch.device
    precision: Precision
    seed: int
    budget: Budget
    networks: Callable[[str], Builder]
    stages: StageStore
    workspace: Path
    readers: Callable[[str], type[Reader]] = unreadable
    network_version: Callable[[str], int] = lambda _: 1
    network_code: Callable[[str], str] = lambda _: ""
    compile: Compile = "auto"
    progress: Progress = field(default_factory=Silent)
    should_stop: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 30.0
    looks: int = 0
    pace: Pace = field(default_factory=Pace)
    facts: dict[str, Any] = field(default_factory=dict)
    measured: Findings = field(default_factory=Findings)
    used_stages: dict[str, StageResult] = field(default_factory=dict)
    times: IterationTimes = field(default_factory=IterationTimes)
    losses: list[Losses] = field(default_factory=list)

    @property
    def classes(self) -> int:
        """How many classes are in use."""
        return len(self.dataset.classes)

    @property
    def setting(self) -> Setting:
        """What recipes depend on."""
        return self.dataset.setting(self.ipc, self.backbone, self.budget)

    def seen_through(self, preprocessing: Preprocessing) -> "Task":
        """The same task, in which networks see images through another preprocessing, such as a whitening."""
        return replace(self, dataset=replace(self.dataset, normalisation=preprocessing))

    def seed_for(self, *names: str | int) -> int:
        """A seed from the run's seed and names of your choice."""
        return seeds.derive(self.seed, *names)

    def network(self, seed: int, backbone: str | None = None) -> nn.Module:
        """A freshly initialised network for the dataset's shape, on the task's device, in training mode.

        Initialisation is drawn on the CPU from `seed`, so every device starts from the same weights. What the network
        says of itself (an attribute `facts`, a dict of JSON values) is recorded.
        """
        name = backbone or self.backbone
        build = self.networks(name)
        with seeds.cpu_draws(seed):
            network = build(self.classes, self.dataset.resolution, self.dataset.channels)
        if facts := getattr(network, "facts", None):
            self.measured.networks[name] = facts
        if self.device.type == "cuda":
            _lock_pages(network)
        return network.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager[Any]:
        """The arithmetic of forward passes: bf16 autocast, or nothing in fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def stage(
        self, kind: str, version: int, parameters: Mapping[str, Any], make: Maker, *, wait: bool = True
    ) -> StageResult:
        """A costly result: found by its key, or made by `make(folder_for_checkpoints)` and kept.

        The key covers `version`, `parameters` (JSON values; put the seeds you use in), the dataset's card,
        the classes in use, the preprocessing where it is not the card's own, and the device and precision that made it,
        because its cost is part of it.

        Raises:
            LockHeld: another live process makes it now, and `wait` is False.
        """
        key = self._stage_key(kind, version, parameters)
        return self._used(self.stages.get_or_make(key, make, self.device, wait=wait))

    def found_stage(self, kind: str, version: int, parameters: Mapping[str, Any]) -> StageResult | None:
        """What `stage` of that key would find, taken; None where it would have to be made."""
        found = self.stages.find(self._stage_key(kind, version, parameters))
        return found and self._used(found)

    def _used(self, result: StageResult) -> StageResult:
        self.used_stages[result.hash] = replace(result, tensors={})
        return result

    def _stage_key(self, kind: str, version: int, parameters: Mapping[str, Any]) -> StageKey:
        dataset = {
            "card": self.dataset.card_hash,
            "classes": self.dataset.class_order_hash,
            **self.dataset.preprocessing_key,
        }
        made_on = {"device": device_name(self.device), "precision": self.precision}
        if self.compile != "auto":
            made_on["compile"] = self.compile
        return StageKey(kind, version, {**parameters, "dataset": dataset, "made_on": made_on})

    def iterations(
        self, count: int, *, images: int, state: State | None = None, what: str = "synthesis", cycle: int = 1
    ) -> Iterator[int]:
        """Yields 0..count-1: the loop of a synthesis, metered, shown, guarded and stoppable.

        A method may `break` out of it: then the iterations are those begun until there.

        Args:
            count: iterations to make.
            images: how many images one iteration updates.
            state: what the loop changes (the images, the optimiser). Given it, the loop is checkpointed and a continued
                run starts at the iteration it had reached; its floating tensors are watched for NaN. Change them in
                place: one that is bound anew is saved as it was. Values are tensors, or have `state_dict` and
                `load_state_dict`.
            what: the name shown beside the progress.
            cycle: after how many iterations what one costs repeats itself, where they differ (networks that take
                turns); so many are timed together.

        Raises:
            RunFailure: a watched tensor is not finite, a value of the state is nothing that a checkpoint can hold, or
                `what` is no name of a file, as the checkpoint's.
            Interrupted: the user asked to stop; the checkpoint is written first.
        """
        check_file_name("a loop", what)
        return iter(Iterations(self, count, images, state, what, cycle))


def _lock_pages(network: nn.Module) -> None:
    """Has weights lie in locked pages, from which a GPU fetches them while nothing waits.

    Tied ones stay one. What is no plain tensor of this machine's memory, or none yet, moves as it can.
    """
    for each in filter(_is_plain, (*network.parameters(), *network.buffers())):
        pages = torch.empty_like(each.data, pin_memory=True)  # of its own, where it was expanded
        each.data = pages.copy_(each.data)


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_cpu and tensor.layout == torch.strided and not is_lazy(tensor)
