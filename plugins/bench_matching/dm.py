"""DM, distribution matching (Zhao and Bilen, WACV 2023), as a condenser. What is followed: the package's docstring."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field

from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.loops.checkpoints import State
from bench.recipes import Recipe, RecipeBook, Setting
from bench.training.recipes import DsaStrategy
from bench_matching.features import FastMatching, FeatureMatching, ReferenceMatching
from bench_matching.passes import FORWARD
from bench_matching.reals import Init, Reals, start

RECIPES = RecipeBook.load(Path(__file__).with_name("dm.toml"))
ENGINES: Mapping[str, type[FeatureMatching]] = {"fast": FastMatching, "reference": ReferenceMatching}


class DMConfig(MethodConfig):
    """How to match features.

    Attributes:
        iterations: image updates, each with a new network.
        batch_real: real images of each class in an update, or as many as the smallest class has.
        lr, momentum: of SGD on the images.
        init: what the images start from.
        dsa: strategy of siamese augmentation, as "color_crop_cutout"; "" for none.
        engine: "fast", or "reference" as the release computes: the classes one by one, nothing compiled.
    """

    iterations: int = Field(ge=1)
    batch_real: int = Field(default=256, ge=1)
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.5, ge=0, lt=1)
    init: Init = "real"
    dsa: DsaStrategy = ""
    engine: Literal["fast", "reference"] = "fast"


class DM(Condenser[DMConfig]):
    """Images whose mean features, in networks that were never trained, are those of real images of their class.

    One iteration is one update of all images: every class is matched in one fresh network.
    """

    Config: ClassVar[type[MethodConfig]] = DMConfig
    plain_arithmetic: ClassVar[bool] = True
    knobs: ClassVar[Mapping[str, str]] = {"engine": "engine"}
    _matching: FeatureMatching

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for the dataset, or ours where it has none (the recipe's source says which)."""
        return RECIPES.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """DM evaluates as DSA does."""
        return "dsa"

    def real_images(self, setting: Setting) -> int:
        """What images start from, or one to match where they start from noise."""
        return setting.ipc if self.config.init == "real" else 1

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """Images go forward and back, the real ones that they are matched with forward."""
        return {setting.backbone: 1.0 + FORWARD * self.config.batch_real / setting.ipc}

    @property
    def pixel_format(self) -> PixelFormat:
        """Nothing holds the images in the box of valid pixels."""
        return "float32"

    def prepare(self, task: Task) -> None:
        """Finds the real images of each class."""
        config = self.config
        self._matching = ENGINES[config.engine](task, Reals(task), config.batch_real, config.dsa)

    def warm_up(self, task: Task) -> None:
        """Compiles the forward passes."""
        self._matching.ready(self.config.iterations)

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """All images together: the classes share the network of an iteration."""
        config = self.config
        images = start(task, config.init)
        optimizer = torch.optim.SGD([images], lr=config.lr, momentum=config.momentum)
        state: State = {"images": images, "optimizer": optimizer}
        count = task.classes * task.ipc
        for iteration in task.iterations(config.iterations, images=count, state=state):
            images.grad = self._matching.gradient(images, iteration)
            optimizer.step()
        classes = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(images.detach().flatten(0, 1).cpu(), classes)
