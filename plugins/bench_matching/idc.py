"""IDC and IDC-I, efficient synthetic-data parameterization (Kim et al., ICML 2022), as condensers.

What is followed where paper and code differ: see the package's docstring.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Condenser, Grid, Images, MethodConfig, PixelFormat, Task, Unit
from bench.errors import UsageError
from bench.loops.checkpoints import State
from bench.recipes import Recipe, RecipeBook, Setting
from bench.training.committees import without_running_statistics
from bench.training.loop import place
from bench.training.recipes import DsaStrategy, Fraction, TrainingRecipe
from bench.training.teachers import squeeze
from bench_matching import formation, siamese
from bench_matching.classwise import gradient_of
from bench_matching.formation import Formation
from bench_matching.gradients import FastMatching, GradientMatching, Gradients, Measure, ReferenceMatching
from bench_matching.learning import Learning
from bench_matching.networks import check_classes
from bench_matching.passes import BY_IMAGES, GRADIENT
from bench_matching.reals import Init, Reals
from bench_matching.turns import Turns

_HERE = Path(__file__).parent
BASE_IPC = 10  # of the rates in the recipes (release)


def squared(real: Gradients, synthetic: Gradients) -> Tensor:
    """Scalar: the sum of all squared differences."""
    pairs = zip(real, synthetic, strict=True)
    return torch.stack([(first - second).square().sum() for first, second in pairs]).sum()


def absolute(real: Gradients, synthetic: Gradients) -> Tensor:
    """Scalar: the sum of all absolute differences."""
    pairs = zip(real, synthetic, strict=True)
    return torch.stack([(first - second).abs().sum() for first, second in pairs]).sum()


MEASURES = {"mse": Measure(4, squared), "l1": Measure(4, absolute)}  # of the weights of convolutions


class IDCConfig(MethodConfig):
    """How to match gradients of decoded images.

    Attributes:
        factor: each stored image holds factor x factor; 1 for IDC-I.
        networks: how many are initialised, one after the other.
        steps: image updates with each; between two of them the network learns real images.
        batch_real: real images of each class in an update, or as many as the smallest class has.
        batch_synthetic: at most so many decoded images of a class, drawn from all.
        decode: "whole" decodes all by `factor`; "bounded" decodes so few that no more than `batch_synthetic` are made.
        distance: of gradients: "mse", squared differences, or "l1", absolute ones; both are sums.
        lr: of SGD on pixels in [0, 1] at ten images a class; it grows with their number.
        momentum: of the same.
        init: what the images start from.
        dsa: strategy of siamese augmentation in IDC's reading (`bench.training.augmentation.layered_dsa`); "" for none.
        learn_images: so many real images the network learns between two updates, in whole batches.
        learn_batch, learn_lr, learn_momentum, learn_weight_decay: of SGD on the network.
        learn_dsa, learn_mix: its augmentation, drawn for each image, and the probability of CutMix.
        learn_epochs: it first learns all real images so often.
        pool: networks are taken at random from so many, which learned that once for all; 0: each is new.
        engine: "fast", or "reference" as the release computes: plain double backward passes, nothing compiled.
    """

    factor: int = Field(ge=1, le=16)
    networks: int = Field(ge=1)
    steps: int = Field(default=100, ge=1)
    batch_real: int = Field(default=64, ge=1)
    batch_synthetic: int = Field(default=128, ge=1)
    decode: Literal["whole", "bounded"] = "whole"
    distance: Literal["mse", "l1"] = "mse"
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.5, ge=0, lt=1)
    init: Init = "real"
    dsa: DsaStrategy = "color_crop_cutout"
    learn_images: int = Field(ge=1)
    learn_batch: int = Field(default=64, ge=1)
    learn_lr: float = Field(default=0.01, gt=0)
    learn_momentum: float = Field(default=0.9, ge=0, lt=1)
    learn_weight_decay: float = Field(default=5e-4, ge=0)
    learn_dsa: DsaStrategy = "color_crop"
    learn_mix: Fraction = 0.5
    learn_epochs: int = Field(default=0, ge=0)
    pool: int = Field(default=0, ge=0)
    engine: Literal["fast", "reference"] = "fast"


class IDC(Condenser[IDCConfig]):
    """Stored images of several small ones, which give networks that learn real images the gradients of those.

    One iteration is one update of all images: every class is matched, then the network learns real images.
    """

    Config: ClassVar[type[MethodConfig]] = IDCConfig
    plain_arithmetic: ClassVar[bool] = True
    knobs: ClassVar[Mapping[str, str]] = {"engine": "engine"}
    recipes: ClassVar[RecipeBook] = RecipeBook.load(_HERE / "idc.toml")
    _reals: Reals
    _matching: GradientMatching
    _learning: Learning
    _pool: list[nn.Module]

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for the dataset, or ours where it has none (the recipe's source says which)."""
        return cls.recipes.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The paper's own."""
        return "idc"

    def check(self, setting: Setting) -> None:
        """A classifier of one class has no gradients to match, and a cell has at least one pixel."""
        check_classes(setting)
        if self.decoder and (wrong := self.decoder.unfit(setting.resolution)):
            raise UsageError(f"factor={self.config.factor}: {wrong}")

    def real_images(self, setting: Setting) -> int:
        """What images start from, or one to match where they start from noise."""
        return setting.ipc * self.config.factor**2 if self.config.init == "real" else 1

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """Gradients of real and decoded images, the derivative of these, and what the network learns between."""
        config, decoded = self.config, self.formation.count(setting.ipc) / setting.ipc
        learned = config.learn_images * (config.steps - 1) / config.steps / (setting.classes * setting.ipc)
        gradients = decoded + learned + config.batch_real / setting.ipc
        return {setting.backbone: GRADIENT * gradients + BY_IMAGES * decoded}

    @property
    def pixel_format(self) -> PixelFormat:
        """Between two networks nothing holds the images in the box of valid pixels."""
        return "float32"

    @property
    def decoder(self) -> Grid | None:
        """Of the set: a grid of so many cells."""
        return Grid(self.config.factor) if self.config.factor > 1 else None

    @property
    def formation(self) -> Formation:
        """What a class is matched by."""
        config = self.config
        return Formation(config.factor, config.batch_synthetic, config.decode == "bounded")

    def prepare(self, task: Task) -> None:
        """Finds the real images of each class."""
        config, measure, template = self.config, MEASURES[self.config.distance], self._network(task, 0)
        self._reals = Reals(task)
        fast = config.engine == "fast"
        self._matching = FastMatching(task, template, measure) if fast else ReferenceMatching(task, measure)
        self._learning = Learning(task, self._network(task, 0), self._reals.feed, _recipe(config))
        self._pool = [self._learned_before(task, number) for number in range(config.pool)]

    def warm_up(self, task: Task) -> None:
        """Compiles the gradients of real and of synthetic images, and the learning."""
        config = self.config
        if config.engine == "reference":
            return
        real, synthetic = self._reals.batch_size(config.batch_real), self.formation.count(task.ipc)
        self._matching.ready(real, synthetic, config.networks * config.steps)
        if batches := config.networks * self._batches():
            self._learning.ready(batches)

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """All images together: the classes share the network."""
        config = self.config
        images = self._start(task)
        network = self._network(task, 0)
        optimizer = self._learning.optimizer(network)
        turns = Turns(images, config.lr * task.ipc / BASE_IPC, config.momentum)
        state: State = {"images": images, "velocity": turns.velocity, "network": network, "optimizer": optimizer}
        count = task.classes * task.ipc
        updates = config.networks * config.steps
        kept = {**state, **self._kept}
        for update in task.iterations(updates, images=count, state=kept, cycle=self._cycle):
            index, step = divmod(update, config.steps)
            if step == 0:
                images.clamp_(0, 1)
                self._begin(task, network, index)
                optimizer.state.clear()
                self._learn(network, optimizer, index, 0, self._learned(0))
            turns.to_turns()
            turns.step(self._gradient(task, network, images, update))
            if step < config.steps - 1:
                self._learn(network, optimizer, index, self._learned(step), self._learned(step + 1))
        classes = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(_seen(task, images).flatten(0, 1).cpu(), classes)

    def _start(self, task: Task) -> Tensor:
        """Pixels in [0, 1], (classes, ipc, C, S, S)."""
        return formation.start(task, self.config.factor, real=self.config.init == "real")

    @property
    def _kept(self) -> State:
        """What else the loop changes."""
        return {}

    @property
    def _cycle(self) -> int:
        """After how many updates with one network what an update costs repeats itself."""
        return 1

    def _network(self, task: Task, index: int) -> nn.Module:
        """A newly initialised network, the same whenever it is asked for; BatchNorm normalises by the batch."""
        return place(without_running_statistics(task.network(seeds.derive(task.seed_for("network"), index))), task)

    def _begin(self, task: Task, network: nn.Module, index: int) -> None:
        """Gives the network the first weights of the one of this number."""
        start = self._network(task, index)
        if self._pool:
            start = self._pool[int(seeds.counter(task.seed_for("pool"), index).integers(len(self._pool)))]
        kept = network.state_dict()
        network.load_state_dict({name: value for name, value in start.state_dict().items() if name in kept})

    def _learned_before(self, task: Task, number: int) -> nn.Module:
        """A network of the pool, found or made."""
        recipe = _recipe(self.config).model_copy(update={"epochs": max(1, self.config.learn_epochs)})
        return squeeze(task, recipe, seed=seeds.derive(task.seed_for("pool"), number)).network

    def _learned(self, step: int) -> int:
        """How many batches a network has learned here before its update of this number."""
        config = self.config
        first = 0 if config.pool else config.learn_epochs * self._learning.batches
        return first + step * -(-config.learn_images // config.learn_batch)

    def _batches(self) -> int:
        """That a network learns in all."""
        return self._learned(self.config.steps - 1)

    def _learn(self, network: nn.Module, optimizer: torch.optim.Optimizer, index: int, first: int, last: int) -> None:
        """The network of this number learns batches first to last - 1 of its own."""
        self._learning.learn(network, optimizer, index * self._batches() + first, last - first)

    def _gradient(self, task: Task, network: nn.Module, images: Tensor, update: int) -> Tensor:
        """The gradient of each class's distance with respect to its images."""
        seed, size, form = task.seed_for("drawings"), task.dataset.resolution, self.formation
        drawings = siamese.draw_layered(self.config.dsa, task.classes, size, seed, update)
        chosen = form.chosen(task.classes, task.ipc, task.seed_for("synthetic"), update)
        if chosen is not None:
            chosen = chosen.to(task.device, non_blocking=True)

        def shown(images: Tensor, classes: Tensor) -> Tensor:
            decoded = form.decode(images)
            if chosen is not None:
                decoded = decoded[torch.arange(len(classes), device=decoded.device)[:, None], chosen[classes]]
            return _seen(task, decoded)

        def reals(classes: Sequence[int]) -> Tensor:
            return self._real_images(task, network, classes, update)

        return gradient_of(images, network, self._matching, drawings, reals, shown)

    def _real_images(self, task: Task, network: nn.Module, classes: Sequence[int], update: int) -> Tensor:
        """(G, B, C, S, S): those that the classes are matched with in an update."""
        return self._reals.batch(classes, self.config.batch_real, task.seed_for("reals"), update)


class IDCI(IDC):
    """IDC without multi-formation: each stored image is one."""

    recipes: ClassVar[RecipeBook] = RecipeBook.load(_HERE / "idc.toml", _HERE / "idc-i.toml")


def _seen(task: Task, pixels: Tensor) -> Tensor:
    """Pixels in [0, 1] as networks see them."""
    return task.dataset.normalisation.apply(255 * pixels)


def _recipe(config: IDCConfig) -> TrainingRecipe:
    return TrainingRecipe(
        epochs=1,
        batch_size=config.learn_batch,
        optimizer="sgd",
        schedule="constant",
        lr=config.learn_lr,
        momentum=config.learn_momentum,
        weight_decay=config.learn_weight_decay,
        dsa=config.learn_dsa,
        dsa_reading="layered",
        mix="cutmix" if config.learn_mix else "none",
        mix_probability=config.learn_mix,
    )
