"""SRe2L as a condenser. What is followed where paper and code differ: see the package's docstring."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch

from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.labels import Labels
from bench.recipes import Recipe, RecipeBook, Setting
from bench.recovery.engine import Batch, Engine
from bench.recovery.engines import engine_for
from bench.recovery.health import record_health
from bench.recovery.recipes import RecoveryRecipe, StoredAs
from bench.training.recipes import TeacherRecipe
from bench.training.soft_labels.relabelling import Relabel as Relabel
from bench.training.soft_labels.relabelling import check_relabel, relabel_images
from bench.training.teachers import RECIPES as TEACHERS
from bench.training.teachers import Teacher, check_weights, obtain
from bench_sre2l.protocols import PROTOCOLS

FILE = Path(__file__).with_name("recipes.toml")
RECIPES = RecipeBook.load(FILE)


class Recover(RecoveryRecipe):
    """How to recover images, and how to store them.

    Attributes:
        images: "jpeg" (the releases' round trip through JPEG of quality 75) or "uint8", also called "lossless".
    """

    images: StoredAs = "jpeg"


class SRe2LConfig(MethodConfig):
    """The three stages."""

    squeeze: TeacherRecipe
    recover: Recover
    relabel: Relabel = Relabel()


class SRe2L(Condenser[SRe2LConfig]):
    """Squeeze the dataset into a network, recover images from its BatchNorm statistics, relabel them with it.

    A batch is a chunk of at most `recover.batch_size` consecutive classes at one image index: one image of each,
    recovered together from a fresh start (code: image index outside, class blocks inside, a new Adam a block). A unit
    is one batch, or those of `recover.groups` image indices.
    """

    Config: ClassVar[type[MethodConfig]] = SRe2LConfig
    version: ClassVar[int] = 2
    knobs: ClassVar[Mapping[str, str]] = {"batch_size": "recover.batch_size", "engine": "recover.engine"}
    book: ClassVar[RecipeBook] = RECIPES
    _teacher: Teacher
    _engine: Engine

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for the dataset, or ours where it has none (the recipe's source says which)."""
        return cls.book.pick(setting).over(TEACHERS.pick(setting).under("squeeze"))

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The paper's protocol for the dataset, or for one of its resolution."""
        if setting.resolution <= 32:
            return "sre2l-c100"
        return "sre2l-tiny" if setting.resolution <= 64 else "sre2l-in1k"

    @property
    def pixel_format(self) -> PixelFormat:
        """How the images are stored."""
        return self.config.recover.images

    @property
    def label_kind(self) -> str:
        """As relabel.labels says."""
        return self.config.relabel.labels

    def differs(self, setting: Setting) -> Sequence[str]:
        """On CIFAR the teacher labels in evaluation mode, unless the user asks for the code's."""
        other = setting.resolution <= 32 and self.config.relabel.teacher_mode == "eval"
        return ["a teacher that labels in evaluation mode, in the code in training mode"] if other else []

    def check(self, setting: Setting) -> None:
        """The teacher's weights must be published, where they are not trained; labels must be fewer than classes.

        Raises:
            UsageError: they are not.
        """
        check_weights(setting, self.config.squeeze, "squeeze")
        check_relabel(setting, self.config.relabel)

    def real_images(self, setting: Setting) -> int:
        """None: images start from noise."""
        return 0

    def prepare(self, task: Task) -> None:
        """Squeezes the dataset into the backbone, or finds it squeezed."""
        self._teacher = obtain(task, self.config.squeeze, seed=task.seed_for("squeeze"))
        record_health(task, self._teacher.network, self._teacher.ref.stage)
        self._engine = engine_for(self._teacher.network, self.config.recover)

    def units(self, task: Task) -> Sequence[Unit]:
        """Chunks of classes at each image index, or at several."""
        recover = self.config.recover
        chunks = [tuple(chunk.tolist()) for chunk in torch.arange(task.classes).split(recover.batch_size)]
        starts = [(start, min(recover.groups, task.ipc - start)) for start in range(0, task.ipc, recover.groups)]
        return [Unit(_name(chunk, start, count), chunk, start, count) for start, count in starts for chunk in chunks]

    def warm_up(self, task: Task) -> None:
        """Compiles the recovery step."""
        self._engine.ready(task, [(unit.count, len(unit.classes)) for unit in self.units(task)])

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """One image of each of the unit's classes, or `unit.count` of each. A batch's seed does not depend on units."""
        targets = torch.tensor(unit.classes)
        indices = range(unit.index, unit.index + unit.count)
        batches = [Batch(targets, task.seed_for("recover", _name(unit.classes, index))) for index in indices]
        pixels = self._engine.recover(task, batches)
        return Images(pixels.flatten(0, 1).cpu(), targets.repeat(unit.count))

    def label(self, task: Task, images: Images) -> Labels:
        """Soft labels by the squeezed network, made while training or stored for every view of the paper's protocol."""
        student = PROTOCOLS[self.protocol(task.setting)].plan(task.setting).training
        return relabel_images(task, [self._teacher], images, self.config.relabel, student)


def _name(classes: tuple[int, ...], index: int, count: int = 1) -> str:
    images = f"image{index:03d}" if count == 1 else f"image{index:03d}-{index + count - 1:03d}"
    return f"{images}-classes{classes[0]:03d}-{classes[-1]:03d}"
