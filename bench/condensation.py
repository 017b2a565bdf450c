"""What a condensation method is (`Condenser`) and what it is given (`Task`)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from bench import seeds
from bench.data.datasets import Dataset, Preprocessing, Reader
from bench.errors import RunFailure
from bench.hardware.choices import Compile, Precision
from bench.hardware.devices import device_name
from bench.hardware.meters import IterationTimes
from bench.labels import HardLabels, Labels
from bench.loops.checkpoints import State
from bench.loops.iterations import Iterations
from bench.loops.pace import Pace
from bench.progress import Progress, Silent
from bench.recipes import NOT_KNOWN, Budget, Recipe, Setting
from bench.results.notes import Findings
from bench.storage.growing import GrowingModel
from bench.storage.names import check_file_name
from bench.storage.stages import Maker, StageKey, StageResult, StageStore

PixelFormat = Literal["uint8", "jpeg", "float32"]
Builder = Callable[..., nn.Module]  # build(classes, resolution, channels)


class MethodConfig(GrowingModel):
    """Base of a method's hyper-parameters. Unknown keys and wrong types are refused with the valid ones named.

    Attributes:
        aside: names of fields that decide no result, such as where something lies; they are in no run's name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    aside: ClassVar[frozenset[str]] = frozenset()


C = TypeVar("C", bound=MethodConfig)


@dataclass(frozen=True)
class Unit:
    """An independent piece of synthesis: what resumes and what spreads over machines.

    `name` is unique in its set and names the unit's file: letters, digits, "-", "_" and ".", at most 50. `classes` are
    the class indices it makes images of. For methods that make their images one of each class at a time, `index` is
    which image of the class it is (0-based), and `count` how many of each it makes, from `index` on. What else one
    method alone needs is carried by a subclass, a frozen dataclass too: `synthesize` is given what `units` returned.
    """

    name: str
    classes: tuple[int, ...]
    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Raises RunFailure for a name that is none of a file."""
        check_file_name("a unit", self.name)


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        pixels: uint8 (N, C, H, W), or float as `Condenser.preprocessing` gives it (the dataset's normalised space).
        classes: int64 (N,), class indices.
        soft: float32 (N, K), probabilities learned or made with the images, or None. They are kept with the images, and
            `label` may return them as `SoftLabels`.
        learned_lr: a step size, above 0, that was learned with the images, or None. It goes into the set's manifest,
            and the method's own protocol trains with it.
    """

    pixels: Tensor
    classes: Tensor
    soft: Tensor | None = None
    learned_lr: float | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def at(self, chosen: Tensor) -> "Images":
        """Some of the images, in the order asked for."""
        soft = None if self.soft is None else self.soft[chosen]
        return Images(self.pixels[chosen], self.classes[chosen], soft, self.learned_lr)

    @classmethod
    def joined(cls, parts: Sequence["Images"]) -> "Images":
        """All images of the parts, in order.

        Raises:
            RunFailure: some parts have soft labels and others none, or they learned different step sizes.
        """
        soft = [part.soft for part in parts if part.soft is not None]
        if len(soft) not in (0, len(parts)):
            raise RunFailure(f"{len(soft)} of {len(parts)} units have soft labels; all or none must have them")
        learned = {part.learned_lr for part in parts}
        if len(learned) > 1:
            raise RunFailure(f"units learned different step sizes ({', '.join(map(str, learned))}); a set has one")
        pixels, classes = torch.cat([part.pixels for part in parts]), torch.cat([part.classes for part in parts])
        return cls(pixels, classes, torch.cat(soft) if soft else None, learned.pop())


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
        readers: finds a dataset reader's class by name.
        stages: costly results, kept by content hash; use `stage`.
        workspace: a folder for checkpoints of the piece of work under way.
        facts: what a method wants to be recorded of itself (JSON values, under `notes`), by names that no field has.
        measured: what the harness found out; methods do not write it.
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
    compile: Compile = "auto"
    progress: Progress = field(default_factory=Silent)
    should_stop: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 30.0
    pace: Pace = field(default_factory=Pace)
    facts: dict[str, Any] = field(default_factory=dict)
    measured: Findings = field(default_factory=Findings)
    used_stages: dict[str, StageResult] = field(default_factory=dict)
    times: IterationTimes = field(default_factory=IterationTimes)

    @property
    def classes(self) -> int:
        """How many classes are in use."""
        return len(self.dataset.classes)

    @property
    def setting(self) -> Setting:
        """What recipes depend on."""
        dataset = self.dataset
        name, shape = dataset.known_as or NOT_KNOWN, (dataset.resolution, dataset.channels, self.classes)
        return Setting(name, *shape, self.ipc, self.backbone, self.budget)

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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(self.classes, self.dataset.resolution, self.dataset.channels)
        if facts := getattr(network, "facts", None):
            self.measured.networks[name] = facts
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
            Owned: another live process makes it now, and `wait` is False.
        """
        dataset = {
            "card": self.dataset.card_hash,
            "classes": self.dataset.class_order_hash,
            **self.dataset.preprocessing_key,
        }
        made_on = {"device": device_name(self.device), "precision": self.precision}
        if self.compile != "auto":
            made_on["compile"] = self.compile
        key = StageKey(kind, version, {**parameters, "dataset": dataset, "made_on": made_on})
        result = self.stages.get_or_make(key, make, self.device, wait=wait)
        self.used_stages[result.hash] = replace(result, tensors={})
        return result

    def iterations(
        self, count: int, *, images: int, state: State | None = None, what: str = "synthesis"
    ) -> Iterator[int]:
        """Yields 0..count-1: the loop of a synthesis, metered, shown, guarded and stoppable.

        Args:
            count: iterations to make.
            images: how many images one iteration updates.
            state: what the loop changes (the images, the optimiser). Given it, the loop is checkpointed and a continued
                run starts at the iteration it had reached; its floating tensors are watched for NaN.
            what: the name shown beside the progress.

        Raises:
            RunFailure: a watched tensor is not finite, or `what` is no name of a file, as the checkpoint's.
            Interrupted: the user asked to stop; the checkpoint is written first.
        """
        check_file_name("a loop", what)
        return iter(
            Iterations(
                count=count,
                images=images,
                state=state,
                what=what,
                device=self.device,
                checkpoint=self.workspace / f"{what}.checkpoint.safetensors",
                checkpoint_seconds=self.checkpoint_seconds,
                progress=self.progress,
                should_stop=self.should_stop,
                times=self.times,
                pace=self.pace,
            )
        )


class Condenser(ABC, Generic[C]):
    """A condensation method.

    You must write:
        synthesize(task, unit): the unit's images and classes.

    You may write:
        Config: a `MethodConfig` with the hyper-parameters; users set them with --set KEY=VALUE.
        recipe(setting): a paper's values for them, and what the quick budget takes (default: Config's own defaults).
        check(setting): refuse, before any work, what can never be made.
        real_images(setting): how many training images every class must have (default: one for each image to make).
        backbones(setting): further networks that the configuration names, as teachers beside the task's own.
        prepare(task): stages (a squeezed teacher, experts); keep what you need on self. It may return the task that the
            method works in from then on, such as one seen through a whitening.
        prepare_labels(task): the part of that which labels of other images need (default: all of it).
        warm_up(task): compile what `synthesize` will run; timed apart.
        units(task): independent pieces (default: one unit with all classes).
        label(task, images): the labels (default: hard); `images` are the stored ones, with all loss of storage.
        preprocessing(task): what the images' floats belong to (default: the dataset's normalisation), e.g. a whitening;
            it is saved with the set, and every protocol puts test images through it.
        protocol(setting): the name of the protocol that the method's paper uses (default: "hard").
        differs(setting): what stays different from the paper with these hyper-parameters (default: nothing more than
            the recipe says).
        pixel_format: how the images are stored: "uint8" (default), "jpeg" (quality 75, as most releases) or "float32".
        stores_labels: whether `label` returns `StoredLabels`, which belong to the views of its protocol (default: no).

    Attributes:
        made_here: False for a method that reads sets made elsewhere: what they cost is not known, and stays null.
        plain_arithmetic: True where bf16 changes what a step does: then the images are made in the arithmetic that
            papers' code computes in (fp32; on NVIDIA GPUs from Ampere on tf32), unless the user names a --precision.
        knobs: the keys of Config that `bench speed` sets, by option: "batch_size" (images that a step updates) and
            "engine" (a Literal of the ways to compute the same step; the one written to be read is "reference").
        version: raise it when the same config would give other images; cached results of older versions are not reused.
        config: the resolved hyper-parameters.
    """

    made_here: ClassVar[bool] = True
    plain_arithmetic: ClassVar[bool] = False
    knobs: ClassVar[Mapping[str, str]] = {}
    version: ClassVar[int] = 1
    Config: ClassVar[type[MethodConfig]] = MethodConfig

    def __init__(self, config: C) -> None:
        self.config = config

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for a setting."""
        return Recipe(name="defaults", source="the method's own defaults", values={})

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The name of the protocol that the method's paper evaluates with."""
        return "hard"

    def check(self, setting: Setting) -> None:
        """Called while a run is planned, before any work.

        Raises:
            UsageError: with these hyper-parameters the method cannot work in this setting; one line that says why.
        """

    def real_images(self, setting: Setting) -> int:
        """How many training images every class must have, asked while a run is planned.

        By default as many as images are made of it, which a method needs that picks images, or starts from some.
        """
        return setting.ipc if self.made_here else 0

    def backbones(self, setting: Setting) -> Sequence[str]:
        """The networks that these hyper-parameters name, beside the one that the run condenses with.

        While a run is planned each must exist, have what the method needs and fit the dataset.
        """
        return ()

    def differs(self, setting: Setting) -> Sequence[str]:
        """What stays different from the paper with these hyper-parameters: a few words each, beside published numbers.

        It is said besides what the recipe's own `differs` says, which holds whatever a user sets.
        """
        return ()

    @property
    def pixel_format(self) -> PixelFormat:
        """How the images are stored."""
        return "uint8"

    @property
    def stores_labels(self) -> bool:
        """Whether its labels are stored for the views of its protocol, so that variants of that cannot have them."""
        return False

    def prepare(self, task: Task) -> Task | None:
        """Makes or finds what synthesis and labels need.

        Returns:
            The task that every later call is given, such as `task.seen_through(whitening)`; None for the same one.
        """
        return None

    def prepare_labels(self, task: Task) -> Task | None:
        """Makes or finds what `label` and `preprocessing` need: for a control, whose images the method does not make.

        Write it where that is less than `prepare` makes: its time is counted as the control's. Returns as `prepare`.
        """
        return self.prepare(task)

    def units(self, task: Task) -> Sequence[Unit]:
        """The independent pieces of the synthesis."""
        return [Unit("all", tuple(range(task.classes)))]

    def warm_up(self, task: Task) -> None:
        """Called once in a process, before the first unit that is not there yet: compiles what `synthesize` will run.

        Its time is reported as `warm_up_s`; what it allocates and gives back is in no peak.
        """

    @abstractmethod
    def synthesize(self, task: Task, unit: Unit) -> Images:
        """The images of one unit."""

    def label(self, task: Task, images: Images) -> Labels:
        """The labels of the whole set."""
        return HardLabels()

    def preprocessing(self, task: Task) -> Preprocessing:
        """What turns pixels into what the method's networks see, and what its float images belong to.

        Asked for after `prepare` or `prepare_labels`, with the task that the method works in: one whose `prepare`
        returned `task.seen_through(bench.whitening.fit(task))` need not write this.
        """
        return task.dataset.normalisation
