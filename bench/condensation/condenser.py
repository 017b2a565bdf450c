"""The contract of a condensation method."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import ConfigDict

from bench.condensation.decoders import Grid
from bench.condensation.pieces import ImageFiles, Images, Unit
from bench.condensation.task import Task
from bench.data.datasets import Preprocessing
from bench.labels import HardLabels, Labels
from bench.recipes import Recipe, Setting
from bench.storage.growing import GrowingModel

PixelFormat = Literal["uint8", "jpeg", "float32"]


class MethodConfig(GrowingModel):
    """Base of a method's hyper-parameters. Unknown keys and wrong types are refused with the valid ones named.

    Attributes:
        aside: names of fields that decide no result, such as where something lies; they are in no run's name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    aside: ClassVar[frozenset[str]] = frozenset()


C = TypeVar("C", bound=MethodConfig)


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
        passes(setting): how often a step goes through each network (default: once through the task's own).
        prepare(task): stages (a squeezed teacher, experts); keep what you need on self. It may return the task that the
            method works in from then on, such as one seen through a whitening.
        prepare_labels(task): the part of that which labels of other images need (default: all of it).
        warm_up(task): compile what `synthesize` will run; timed apart.
        units(task): independent pieces (default: one unit with all classes).
        label(task, images): the labels (default: hard); `images` are the stored ones, with all loss of storage, or what
            they decode into.
        preprocessing(task): what the images' floats belong to (default: the dataset's normalisation), e.g. a whitening;
            it is saved with the set, and every protocol puts test images through it.
        protocol(setting): the name of the protocol that the method's paper uses (default: "hard").
        differs(setting): what stays different from the paper with these hyper-parameters (default: nothing more than
            the recipe says).
        pixel_format: how the images are stored: "uint8" (default), "jpeg" (quality 75, as most releases) or "float32".
        decoder: what each stored image decodes into before anything is trained (default: it is one image).
        label_kind: the kind of labels that `label` returns, as `bench.labels.KINDS` has them (default: "hard" without a
            `label` of its own, else None: it is known only then).

    Attributes:
        made_here: False for a method that reads sets made elsewhere: what they cost is not known, and stays null. It
            says in which files their images were published (`image_files`), and these are counted.
        takes_all: True where the set is all training images as they are, however many each class has: it has one run,
            whatever --ipc and --seed say, and no control, and --method all leaves it out.
        learns_lr: True where a step size is learned with the images, which its own protocol trains at: a set of it from
            elsewhere that brings none is told so.
        plain_arithmetic: True where bf16 changes what a step does: then the images are made in the arithmetic that
            papers' code computes in (fp32; on NVIDIA GPUs from Ampere on tf32), unless the user names a --precision.
        knobs: the keys of Config that `bench speed` sets, by option: "batch_size" (images that a step updates) and
            "engine" (a Literal of the ways to compute the same step; the one written to be read is "reference").
        version: raise it when the same config would give other images; cached results of older versions are not reused.
        config: the resolved hyper-parameters.
    """

    made_here: ClassVar[bool] = True
    takes_all: ClassVar[bool] = False
    learns_lr: ClassVar[bool] = False
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
        return setting.ipc if self.made_here and not self.takes_all else 0

    def backbones(self, setting: Setting) -> Sequence[str]:
        """The networks that these hyper-parameters name, beside the one that the run condenses with.

        While a run is planned each must exist, have what the method needs and fit the dataset.
        """
        return ()

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """How often an image goes forward and back through each network in one step: the floor of `bench speed`.

        By default once through the network that is condensed with; a method that takes one of n networks in turn says
        1 / n of each.
        """
        return {setting.backbone: 1.0}

    def differs(self, setting: Setting) -> Sequence[str]:
        """What stays different from the paper with these hyper-parameters: a few words each, beside published numbers.

        It is said besides what the recipe's own `differs` says, which holds whatever a user sets.
        """
        return ()

    @property
    def pixel_format(self) -> PixelFormat:
        """How the images are stored."""
        return "uint8"

    def image_files(self, task: Task) -> ImageFiles | None:
        """Of a set that was made elsewhere, the files that its images were published in.

        By default, and where they were published as tensors, None: their bytes are those of the form stored here.
        """
        return None

    @property
    def decoder(self) -> Grid | None:
        """What each stored image decodes into: `ipc` and all that is counted are of stored images."""
        return None

    @property
    def label_kind(self) -> str | None:
        """What its labels will be, so that a protocol in a variant that they cannot have is refused before any work."""
        return HardLabels.kind if type(self).label is Condenser.label else None

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
