"""Momentum contrast: a network that is squeezed without labels (MoCo v2), as a stage.

He et al. (CVPR 2020, arXiv 1911.05722) and Chen et al. (arXiv 2003.04297); facebookresearch/moco and its CIFAR-10 demo.
For each of two views of B images, q = the query network's answer and k = that of the key network, each of length 1:

    L = - 1/B sum over i of log ( exp(q_i k_i / tau) / (exp(q_i k_i / tau) + sum over n of exp(q_i n / tau)) )

with n the keys of the last batches (the queue), which the batch's own join after the step. The key network's weights
follow, w_k <- m w_k + (1 - m) w_q, before each step. BatchNorm would give away which key belongs to which query, so
both networks see a batch in parts, as on several GPUs, and the keys' images are shuffled before they are cut.

Why by no library: of what `lightly` (1.6) has, this needs the loss, the queue and a loop over weights. Its queue is in
no state dict, draws its start from the global generator and reads its position from the device in each step; and it
brings Lightning, Hydra, aiohttp and more. `solo-learn` was last published in 2021.
"""

import copy
import math
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Task
from bench.errors import RunFailure
from bench.loops.checkpoints import State
from bench.loops.passes import continued
from bench.storage.shared.stages import Made, StageResult
from bench.training import optimizers, schedules
from bench.training.features import classifier_of
from bench.training.feeding import Feed
from bench.training.loop import check_finite, move_as_often, place
from bench.training.recipes import TrainingRecipe
from bench.training.students import StudentWithTeacher
from bench.training.views import Views, apply
from bench_statistics import colours
from bench_statistics.colours import ColourRecipe, Fraction

KIND, VERSION = "self-supervised", 1
WIDTH = 128  # numbers in a query or key
Positive = Annotated[float, Field(gt=0)]


class ContrastiveRecipe(ColourRecipe):
    """How a network is trained without labels: SGD, its rate falling along a cosine, a step an epoch.

    Attributes:
        batch_size: whole batches alone; what is left of an epoch is not shown in it.
        hidden: whether the head has a hidden layer (MoCo v2) or is linear.
        queue: so many keys of earlier images; a batch may not be larger.
        key_momentum: m, what stays of the key network's weights in a step.
        temperature: tau.
        parts: how many parts of a batch BatchNorm normalises apart.
        crop_scale: range of the share of the area that a view shows.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    lr: Positive
    momentum: Fraction = 0.9
    weight_decay: float = Field(ge=0)
    hidden: bool = True
    queue: int = Field(default=4096, ge=2)
    key_momentum: Fraction = 0.99
    temperature: Positive = 0.1
    parts: int = Field(default=8, ge=1)
    crop_scale: tuple[Positive, Positive] = (0.2, 1.0)
    flip: bool = True

    def views(self) -> TrainingRecipe:
        """Order, crops and flips."""
        shown = {"crop": "resized", "crop_scale": self.crop_scale, "flip": self.flip, "drop_last": True}
        asked = {"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr, "momentum": self.momentum}
        return TrainingRecipe.model_validate({**asked, "weight_decay": self.weight_decay, **shown})


def self_supervised(task: Task, recipe: ContrastiveRecipe, *, seed: int, backbone: str) -> StageResult:
    """The weights of a network trained on the training images without their labels, or found trained: all but its
    classifier's (see `classifier_of`).

    Raises:
        RunFailure: the training diverged, or the queue is shorter than a batch.
    """
    parameters = {"recipe": recipe.model_dump(mode="json"), "backbone": backbone, "seed": seed}

    def make(folder: Path) -> Made:
        network = task.network(seeds.derive("init", seed), backbone)
        body = _Contrast(task, network, recipe, seed, folder / "pretrain.checkpoint.safetensors").run()
        name, _ = classifier_of(body)
        tensors = {key: tensor for key, tensor in body.state_dict().items() if not key.startswith(f"{name}.")}
        return Made(tensors, {"backbone": backbone})

    return task.stage(KIND, VERSION, parameters, make)


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """The loss above, a scalar: of queries and keys (B, d) and a queue (K, d), all of length 1."""
    own = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([own, queries @ queue.mT], 1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


class _Contrast:
    """The state of one training without labels."""

    def __init__(self, task: Task, network: nn.Module, recipe: ContrastiveRecipe, seed: int, checkpoint: Path) -> None:
        self.task, self.recipe, self.seed, self.checkpoint = task, recipe, seed, checkpoint
        self.feed = Feed.of(task)
        shown = (len(self.feed), task.dataset.resolution)
        self.views = [Views(recipe.views(), seeds.derive(name, seed), *shown) for name in ("queries", "keys")]
        if self.views[0].batch_size > recipe.queue:
            raise RunFailure(f"a queue of {recipe.queue} keys cannot hold a batch of {self.views[0].batch_size}")
        self.query = place(_with_head(network, recipe, seed), task).train()
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        part = -(-self.views[0].batch_size // recipe.parts)
        self.query_parts, self.key_parts = (StudentWithTeacher(each, None, part) for each in (self.query, self.key))
        self.optimizer = optimizers.build(recipe.views(), self.query)
        self.queue = F.normalize(torch.randn(recipe.queue, WIDTH, generator=seeds.generator("queue", seed)))
        self.queue = self.queue.to(task.device)
        self.losses = torch.zeros((), device=task.device)

    @property
    def state(self) -> State:
        """What a checkpoint holds."""
        networks = {"query": self.query, "key": self.key}
        return {**networks, "optimizer": self.optimizer, "queue": self.queue, "losses": self.losses}

    def run(self) -> nn.Module:
        count = self.recipe.epochs * self.views[0].batches
        steps = continued(self.task, "pretrain", count, self.checkpoint, self.state)
        optimizers.match_layout(self.optimizer)
        for step in steps:
            self._step(*divmod(step, self.views[0].batches))
        check_finite(self.query, "pretrain")
        self.checkpoint.unlink(missing_ok=True)
        return self.query

    def _step(self, epoch: int, batch: int) -> None:
        optimizers.set_rate(self.optimizer, self.recipe.lr * schedules.multiplier(self.recipe.views(), epoch))
        with seeds.layers_draw(self.task.device, "layers", self.seed, epoch, batch):
            self._update(epoch, batch)
        if batch == self.views[0].batches - 1:
            self._look(epoch)

    def _update(self, epoch: int, batch: int) -> None:
        follow(self.key, self.query, self.recipe.key_momentum)
        with self.task.autocast():
            queries = _unit(self.query_parts(self._seen(0, epoch, batch))[0])
            keys = self._keys(epoch, batch)
        loss = info_nce(queries, keys, self.queue, self.recipe.temperature)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.losses += loss.detach()
        enqueue(self.queue, keys, (epoch * self.views[0].batches + batch) * len(keys))

    def _seen(self, which: int, epoch: int, batch: int) -> Tensor:
        """The batch's images in one of their two views; both show the images in the order of the queries."""
        view = self.views[which].at(epoch, batch)
        indices = self.views[0].order(epoch)[view.start : view.start + len(view)]
        rng = seeds.counter(seeds.derive("colours", self.seed), epoch, batch, which)
        drawn = colours.draw(self.recipe, len(view), rng)
        seen = apply(view, self.feed.images(indices))
        return drawn.apply(seen, self.feed.normalisation)

    @torch.no_grad()
    def _keys(self, epoch: int, batch: int) -> Tensor:
        images = self._seen(1, epoch, batch)
        rng = seeds.counter(seeds.derive("shuffle", self.seed), epoch, batch)
        order = torch.from_numpy(rng.permutation(len(images))).to(images.device, non_blocking=True)
        shuffled = _unit(self.key_parts(images[order])[0])
        return torch.empty_like(shuffled).index_copy_(0, order, shuffled)

    def _look(self, epoch: int) -> None:
        """Once an epoch, because reading the loss waits for the device."""
        if not math.isfinite(float(self.losses)):
            raise RunFailure(f"the loss of pretrain is not finite in epoch {epoch + 1}; a smaller lr may help")
        self.losses.zero_()


@torch.no_grad()
def follow(key: nn.Module, query: nn.Module, stays: float) -> None:
    """w_k <- m w_k + (1 - m) w_q for all weights; statistics of BatchNorm are the key network's own."""
    for old, new in zip(key.parameters(), query.parameters(), strict=True):
        old.lerp_(new, 1 - stays)


def enqueue(queue: Tensor, keys: Tensor, seen: int) -> None:
    """Puts keys (B, d) in the place of the oldest of the queue (K, d), in place; `seen` keys were put there before."""
    places = (seen + torch.arange(len(keys))) % len(queue)
    queue.index_copy_(0, places.to(queue.device, non_blocking=True), keys.to(queue.dtype))


def _unit(answers: Tensor) -> Tensor:
    return F.normalize(answers.float(), dim=1)


def _with_head(network: nn.Module, recipe: ContrastiveRecipe, seed: int) -> nn.Module:
    """The network with a projection in place of its classifier, drawn from the seed.

    BatchNorm's running statistics move over the parts of a batch as they would over the whole.
    """
    name, classifier = classifier_of(network)
    width = classifier.in_features
    with seeds.cpu_draws(seeds.derive("head", seed)):
        last = nn.Linear(width, WIDTH)
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), last) if recipe.hidden else last
    network.set_submodule(name, head)
    move_as_often(network, 1 / recipe.parts)
    return network
