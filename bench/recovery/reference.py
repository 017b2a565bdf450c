"""The recovery step as it stands in the paper, written to be read and to check faster engines against.

SRe2L equation (5), with equation (7) for its regulariser:

    L(x) = CE(network(view(x)), y) + bn_weight * R_BN(view(x))

minimised over the images by Adam (betas 0.5 and 0.9, eps 1e-8; Tables 7c, 7d and 10b), its rate falling along a cosine
to 0 without warm-up, the images clamped to valid pixels after every step (code). The network is frozen in evaluation
mode.

Arithmetic: in fp32 all of it. In bf16 the forward and backward passes run under autocast; the statistics, their
distances, the cross-entropy, the images and Adam stay fp32. That is not neutral: what is measured is the statistics of
activations already rounded to bf16 (METHODS section 6). On a ResNet-18 at 64 pixels the loss moved by 3e-5 to 1.2e-4 of
itself and its gradient kept a cosine of 0.9998 or more, early in a recovery; what it does to scores was not measured.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench import seeds
from bench.checkpoints import State
from bench.condensation import Task
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.statistics import batchnorms, bn_loss, measured
from bench.recovery.views import View, draw_view

ADAM_BETAS = (0.5, 0.9)
ADAM_EPS = 1e-8


class ReferenceEngine:
    """The plain engine. See `bench.recovery.engines.Engine`.

    Args:
        network: images (B, C, H, W) -> logits (B, classes). Is put into evaluation mode and frozen.
        recipe: how to recover.

    Raises:
        RunFailure: the network has no BatchNorm.
    """

    def __init__(self, network: nn.Module, recipe: RecoveryRecipe) -> None:
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe
        self.layers = batchnorms(network)

    def recover(self, task: Task, targets: Tensor, seed: int) -> Tensor:
        """One image for each target; see `Engine.recover`."""
        recipe, targets = self.recipe, targets.to(task.device)
        images = initial_images(task, len(targets), seed).requires_grad_()
        lower, upper = task.dataset.normalisation.box(images)
        adam = torch.optim.Adam([images], lr=recipe.lr, betas=ADAM_BETAS, eps=ADAM_EPS)
        state: State = {"images": images, "optimizer": adam}
        for iteration in task.iterations(recipe.iterations, images=len(images), state=state, what="recover"):
            adam.param_groups[0]["lr"] = rate(recipe, iteration)
            view = draw_view(recipe, images.shape[-1], seed, iteration)
            with task.autocast():
                loss = self.loss(images, targets, view)
            (images.grad,) = torch.autograd.grad(loss, [images])
            adam.step()
            with torch.no_grad():
                images.clamp_(lower, upper)
        return images.detach()

    def loss(self, images: Tensor, targets: Tensor, view: View) -> Tensor:
        """L of images (B, C, H, W) in normalised space and their classes (B,) under a view: a scalar."""
        with measured(self.layers) as found:
            logits = self.network(view.of(images))
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        mismatch = bn_loss(found, self.layers[0], self.recipe.first_bn_multiplier)
        return cross_entropy(precise, targets) + self.recipe.bn_weight * mismatch


def initial_images(task: Task, count: int, seed: int) -> Tensor:
    """N(0, 1) in normalised space, float32 (count, C, H, W); drawn on the CPU, so every device starts alike."""
    dataset = task.dataset
    shape = (count, dataset.channels, dataset.resolution, dataset.resolution)
    return torch.randn(shape, generator=seeds.generator("initial images", seed)).to(task.device)


def rate(recipe: RecoveryRecipe, iteration: int) -> float:
    """Adam's rate at an iteration: half a cosine from `lr` to 0 (METHODS 1.7, cos)."""
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * iteration / recipe.iterations))
