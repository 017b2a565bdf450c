"""The recovery loss as it stands in the paper, written to be read and to check faster engines against.

SRe2L equation (5), with equation (7) for its regulariser:

    L(x) = CE(network(view(x)), y) + bn_weight * R_BN(view(x))

minimised over the images by Adam (betas 0.5 and 0.9, eps 1e-8; Tables 7c, 7d and 10b), its rate falling along a cosine
to 0 without warm-up, the images clamped to valid pixels after every step (code). The network is frozen in evaluation
mode.

Arithmetic: in fp32 all of it. In bf16 the forward and backward passes run under autocast; the statistics, their
distances, the cross-entropy, the images and Adam stay fp32. That is not neutral: what is measured is the statistics of
activations already rounded to bf16. On a ResNet-18 at 64 pixels the loss moved by 3e-5 to 1.2e-4 of
itself and its gradient kept a cosine of 0.9998 or more, early in a recovery; what it does to scores was not measured.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.condensation import Task
from bench.recovery.engine import Batch, Engine, Gradient
from bench.recovery.statistics import bn_loss, measured
from bench.recovery.views import RecoveryView, draw_view


class ReferenceEngine(Engine):
    """The plain engine: batches one after the other, the loss as it is written."""

    def gradient(self, task: Task, batches: Sequence[Batch]) -> Gradient:
        """See `Engine.gradient`."""
        targets = [batch.targets.to(task.device) for batch in batches]

        def compute(images: Tensor, iteration: int) -> Tensor:
            found: list[Tensor] = []
            for group, batch in enumerate(batches):
                view = draw_view(self.recipe, images.shape[-1], batch.seed, iteration)
                its_images = images[group].detach().requires_grad_()
                with task.autocast():
                    loss = self.loss(its_images, targets[group], view)
                found += torch.autograd.grad(loss, [its_images])
            return torch.stack(found)

        return compute

    def loss(self, images: Tensor, targets: Tensor, view: RecoveryView) -> Tensor:
        """L of images (B, C, H, W) in normalised space and their classes (B,) under a view: a scalar."""
        with measured(self.layers) as found:
            logits = self.network(view.of(images))
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        mismatch = bn_loss(found, self.layers[0], self.recipe.first_bn_multiplier)
        return cross_entropy(precise, targets) + self.recipe.bn_weight * mismatch
