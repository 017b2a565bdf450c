"""FRePo as a condenser. What is followed where paper and code differ: see the package."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.drawing import draw
from bench.errors import UsageError
from bench.labels import Labels, RegressionLabels
from bench.loops.checkpoints import State
from bench.recipes import Recipe, RecipeBook, Setting
from bench.recovery.curves import LossCurve
from bench.training.feeding import Feed
from bench.training.optimizers import set_rate
from bench.whitening import check_whitening, fit
from bench_frepo.engines import ENGINES, Engine
from bench_frepo.pool import Pool
from bench_frepo.regression import centred, first_targets

RECIPES = RecipeBook.load(Path(__file__).with_name("recipes.toml"))
EPS = 1e-6  # of LAMB, as optax has it
Positive = Annotated[float, Field(gt=0)]


class FRePoConfig(MethodConfig):
    """How to regress.

    Attributes:
        iterations: updates of the images.
        lr: of LAMB, on the images and on their targets, which falls along a cosine
        final_lr: to this share of it.
        batch_real: real images of an update, or all there are.
        flip: the regression is fitted to mirror images as well.
        learn_targets: targets are learned; False leaves them as they start.
        margin: with the term of the margins, which the code has and the paper has not.
        regulariser: of the kernel, in units of its mean diagonal.
        networks: of the pool.
        most_steps: a network that was trained more often than this is replaced.
        network_lr: of Adam, on networks.
        network_batch: the most synthetic images of a training step.
        zca: images, networks and students live in ZCA-whitened space.
        zca_eps: what is added to the variances, in units of their mean.
        engine: "reference" computes as the release does, "fast" the same arranged for the hardware.
    """

    iterations: int = Field(ge=1)
    lr: Positive = 3e-4
    final_lr: float = Field(default=0.1, ge=0, le=1)
    batch_real: int = Field(default=1024, ge=1)
    flip: bool = True
    learn_targets: bool = True
    margin: bool = True
    regulariser: Positive = 1e-6
    networks: int = Field(default=10, ge=1)
    most_steps: int = Field(default=100, ge=0)
    network_lr: Positive = 3e-4
    network_batch: int = Field(default=1000, ge=2)
    zca: bool = True
    zca_eps: Positive = 0.1
    engine: Literal["fast", "reference"] = "fast"


class FRePo(Condenser[FRePoConfig]):
    """Images and targets from whose features ridge regression predicts real images.

    One iteration is one update of all images and targets, and one training step of a network of the pool.
    """

    Config: ClassVar[type[MethodConfig]] = FRePoConfig
    plain_arithmetic: ClassVar[bool] = True
    knobs: ClassVar[Mapping[str, str]] = {"engine": "engine"}
    _engine: Engine

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The release's hyper-parameters for the dataset, or ours where it has none (the source says which)."""
        return RECIPES.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The squared error to the learned targets, on a network without norm."""
        return "frepo"

    def check(self, setting: Setting) -> None:
        """Refuses one class, and whitening of large images."""
        if setting.classes < 2:
            raise UsageError("a regression on centred classes needs two of them at least")
        if self.config.zca:
            check_whitening(setting)

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """Synthetic images go once forward and back, real ones forward, those of a training step through three passes.

        Two of these are what a pass forward and back costs.
        """
        config, images = self.config, setting.classes * setting.ipc
        trained = min(images, config.network_batch)
        return {setting.backbone: 1.0 + config.flip + (config.batch_real / 2 + 1.5 * trained) / images}

    @property
    def pixel_format(self) -> PixelFormat:
        """Nothing holds the images in the box of valid pixels."""
        return "float32"

    def prepare(self, task: Task) -> Task:
        """Fits the whitening, if it is asked for."""
        config, seen = self.config, self.prepare_labels(task)
        kind = ENGINES[config.engine]
        self._engine = kind(seen, regulariser=config.regulariser, flip=config.flip, margin=config.margin)
        return seen

    def prepare_labels(self, task: Task) -> Task:
        """The whitening alone."""
        if not self.config.zca:
            return task
        return task.seen_through(fit(task, self.config.zca_eps, standardised=True))

    def warm_up(self, task: Task) -> None:
        """Compiles the forward passes."""
        self._engine.ready(self.config.iterations, task.classes * task.ipc, self._batch(task))

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """All images, class by class, with their targets."""
        config, classes = self.config, torch.arange(task.classes).repeat_interleave(task.ipc)
        images, targets = start(task), first_targets(classes, task.classes).to(task.device)
        learned = [images, targets] if config.learn_targets else [images]
        lamb = lamb_of(learned, config.lr)
        pool = Pool(
            task, size=config.networks, most=config.most_steps, rate=config.network_lr, batch=config.network_batch
        )
        curve = LossCurve(["regression", "margin"], config.iterations, task.device)
        reals = Reals(task, self._batch(task))
        state: State = {
            **{"images": images, "targets": targets, "optimizer": lamb, "pool": pool, "losses": curve.values},
        }
        for iteration in task.iterations(config.iterations, images=len(images), state=state, what="regress"):
            network = pool.drawn(iteration).network
            found = self._engine.gradients(network, images, targets, *reals.batch(iteration))
            images.grad, targets.grad = found.by_images, found.by_targets
            set_rate(lamb, rate(config, iteration))
            lamb.step()
            curve.keep(iteration, found)
            pool.advance(iteration, images, targets)
        task.losses.append(curve.ended())
        return Images(images.cpu(), classes, targets=targets.cpu())

    @property
    def label_kind(self) -> str:
        """Learned targets."""
        return RegressionLabels.kind

    def label(self, task: Task, images: Images) -> Labels:
        """The learned targets; images of others have those that learning starts from."""
        targets = first_targets(images.classes, task.classes) if images.targets is None else images.targets
        return RegressionLabels(targets)

    def _batch(self, task: Task) -> int:
        return min(self.config.batch_real, len(task.dataset.train))


def lamb_of(learned: list[Tensor], lr: float) -> Optimizer:
    """optax's LAMB with its defaults, which the release takes."""
    from timm.optim.lamb import Lamb  # slow to import

    return Lamb(learned, lr=lr, eps=EPS, weight_decay=0.0, max_grad_norm=None, always_adapt=True)


class Reals:
    """Batches of real images with their centred classes: parts of a permutation of all, and then of a new one."""

    def __init__(self, task: Task, size: int) -> None:
        self._feed, self._size, self._classes = Feed.of(task), size, task.classes
        self._seed, self._device = task.seed_for("reals"), task.device
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """float32 (m, C, S, S) as networks see them, and (m, K)."""
        turn, place = divmod(iteration, len(self._feed) // self._size)
        if self._order[0] != turn:
            self._order = turn, torch.from_numpy(seeds.counter(self._seed, turn).permutation(len(self._feed)))
        chosen = self._order[1][place * self._size : (place + 1) * self._size]
        return self._feed.images(chosen), centred(self._feed.labels(chosen), self._classes)


def start(task: Task) -> Tensor:
    """float32 (N, C, S, S) as networks see them, on the task's device: real images, class by class."""
    drawn = torch.cat([draw(task.dataset, label, task.ipc, task.seed_for("start")) for label in range(task.classes)])
    pixels: Tensor = task.dataset.normalisation.apply(task.dataset.train.take(drawn))
    return pixels.to(task.device)


def rate(config: FRePoConfig, iteration: int) -> float:
    """LAMB's rate: optax's `cosine_decay_schedule`."""
    cosine = (1 + math.cos(math.pi * iteration / config.iterations)) / 2
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)
