"""DC and DSA, gradient matching (Zhao, Mopuri and Bilen, ICLR 2021; Zhao and Bilen, ICML 2021), as condensers.

What is followed where papers and code differ: see the package's docstring.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.loops.checkpoints import State
from bench.recipes import Recipe, RecipeBook, Setting
from bench.training.loop import place
from bench.training.recipes import DsaStrategy
from bench_matching import siamese
from bench_matching.classwise import gradient_of
from bench_matching.fitting import Fitting, InnerTraining
from bench_matching.gradients import FastMatching, GradientMatching, ReferenceMatching
from bench_matching.networks import check_classes, normalises_by_batch
from bench_matching.passes import BY_IMAGES, GRADIENT
from bench_matching.reals import Init, Reals, start

_HERE = Path(__file__).parent
STATISTICS = 16  # real images of each class that BatchNorm's statistics are taken from (release)


class DCConfig(MethodConfig):
    """How to match gradients. K, T and S are the papers' letters.

    Attributes:
        networks: K, how many are initialised, one after the other.
        outer_steps: T, image updates with each; between two of them the network is trained.
        inner_epochs: S, of that training on the synthetic images.
        batch_real: real images of each class in an update, or as many as the smallest class has.
        lr, momentum: of SGD on the images.
        network_lr, network_batch: of SGD on the network, which has no momentum.
        init: what the images start from.
        dsa: strategy of augmentation, as "color_crop_cutout": siamese in matching, of each image in the inner training;
            "" for none.
        engine: "fast", or "reference" as the release computes: plain double backward passes, nothing compiled.
    """

    networks: int = Field(ge=1)
    outer_steps: int = Field(ge=1)
    inner_epochs: int = Field(ge=1)
    batch_real: int = Field(default=256, ge=1)
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.5, ge=0, lt=1)
    network_lr: float = Field(default=0.01, gt=0)
    network_batch: int = Field(default=256, ge=1)
    init: Init = "noise"
    dsa: DsaStrategy = ""
    engine: Literal["fast", "reference"] = "fast"


class DC(Condenser[DCConfig]):
    """Images that give networks the gradients which real images of their class give, while these learn the images.

    One iteration is one update of all images: every class is matched, then the network is trained.
    """

    Config: ClassVar[type[MethodConfig]] = DCConfig
    plain_arithmetic: ClassVar[bool] = True
    knobs: ClassVar[Mapping[str, str]] = {"engine": "engine"}
    recipes: ClassVar[RecipeBook] = RecipeBook.load(_HERE / "dc.toml")
    evaluated_by: ClassVar[str] = "dc"
    _reals: Reals
    _matching: GradientMatching
    _fitting: Fitting

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for the dataset, or ours where it has none (the recipe's source says which)."""
        return cls.recipes.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The paper's own."""
        return cls.evaluated_by

    def check(self, setting: Setting) -> None:
        """A classifier of one class has no gradients to match."""
        check_classes(setting)

    def real_images(self, setting: Setting) -> int:
        """What images start from, or one to match where they start from noise."""
        return setting.ipc if self.config.init == "real" else 1

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """Gradients of real and synthetic images, the derivative of these, and the inner training."""
        config = self.config
        trained = config.inner_epochs * (config.outer_steps - 1) / config.outer_steps
        gradients = 1.0 + trained + config.batch_real / setting.ipc
        return {setting.backbone: GRADIENT * gradients + BY_IMAGES}

    @property
    def pixel_format(self) -> PixelFormat:
        """Nothing holds the images in the box of valid pixels."""
        return "float32"

    def prepare(self, task: Task) -> None:
        """Finds the real images of each class."""
        config = self.config
        self._reals = Reals(task)
        fast = config.engine == "fast"
        self._matching = FastMatching(task, self._network(task, 0)) if fast else ReferenceMatching(task)
        recipe = InnerTraining(config.inner_epochs, config.network_batch, config.network_lr, config.dsa)
        self._fitting = Fitting(task, self._network(task, 0), recipe)

    def warm_up(self, task: Task) -> None:
        """Compiles the gradients of real and of synthetic images, and the inner training."""
        config = self.config
        if config.engine == "reference":
            return
        updates = config.networks * config.outer_steps
        self._matching.ready(self._reals.batch_size(config.batch_real), task.ipc, updates)
        if between := config.networks * (config.outer_steps - 1):
            self._fitting.ready(start(task, "noise").flatten(0, 1), between)

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """All images together: the classes share the network."""
        config = self.config
        images, network = start(task, config.init), self._network(task, 0)
        classes = torch.arange(task.classes, device=task.device).repeat_interleave(task.ipc)
        optimizer = torch.optim.SGD([images], lr=config.lr, momentum=config.momentum)
        state: State = {"images": images, "optimizer": optimizer, "network": network}
        updates = config.networks * config.outer_steps
        for update in task.iterations(updates, images=len(classes), state=state):
            index, outer = divmod(update, config.outer_steps)
            if outer == 0:
                network.load_state_dict(self._network(task, index).state_dict())
            images.grad = self._gradient(task, network, images, update)
            optimizer.step()
            if outer < config.outer_steps - 1:
                self._fitting.fit(network, images.flatten(0, 1), classes, update)
        return Images(images.detach().flatten(0, 1).cpu(), classes.cpu())

    def _network(self, task: Task, index: int) -> nn.Module:
        """A newly initialised network, the same whenever it is asked for."""
        return place(task.network(seeds.derive(task.seed_for("network"), index)), task)

    def _gradient(self, task: Task, network: nn.Module, images: Tensor, update: int) -> Tensor:
        """The gradient of the sum of all classes' distances with respect to the images."""
        if normalises_by_batch(network):
            self._take_statistics(task, network, update)
        size, seed = task.dataset.resolution, task.seed_for("drawings")
        drawings = siamese.draw(self.config.dsa, task.classes, size, seed, update)

        def reals(classes: Sequence[int]) -> Tensor:
            return self._reals.batch(classes, self.config.batch_real, task.seed_for("reals"), update)

        return gradient_of(images, network, self._matching, drawings, reals)

    @torch.no_grad()
    def _take_statistics(self, task: Task, network: nn.Module, update: int) -> None:
        """One forward pass of a few real images of every class moves BatchNorm's running statistics."""
        real = self._reals.batch(range(task.classes), STATISTICS, task.seed_for("statistics"), update)
        with task.autocast():
            network.train()(real.flatten(0, 1))


class DSA(DC):
    """DC with siamese augmentation: each class's real and synthetic images are augmented alike before they match."""

    recipes: ClassVar[RecipeBook] = RecipeBook.load(_HERE / "dc.toml", _HERE / "dsa.toml")
    evaluated_by: ClassVar[str] = "dsa"
