"""Sharpness-aware steps: SAM, its adaptive form, and GSAM, which steps towards flat minima.

SAM (Foret et al., ICLR 2021, arXiv 2010.01412) steps by the gradient h at weights that were moved uphill from w, where
the gradient is g; ASAM (Kwon et al., ICML 2021, arXiv 2102.11600) measures by each weight's own size how far:

    w + e,    e = rho g / ||g||,    adaptive: e = rho w² g / || |w| g ||

GSAM (Zhuang et al., ICLR 2022, arXiv 2203.08065, algorithm 1) leaves out of the step what of g is vertical to h:

    h - alpha (g - (g . h) / (||g|| ||h||) ||g|| h / ||h||)

Norms and products are over all weights together, and in the last line plain ones in the adaptive form as well
(juntang-zhuang/GSAM). Both gradients are of one batch, augmented once. As there, BatchNorm's running statistics move by
the pass at w alone. What layers draw, such as dropout, is the same in both passes (there it is drawn anew), and the
weights come back bit for bit (there by subtraction).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.training.recipes import TrainingRecipe

EPS = 1e-12  # added to norms, as in GSAM's code


@dataclass(frozen=True)
class Sharpness:
    """How a gradient is changed before the step.

    Attributes:
        rho: how far uphill, above 0.
        alpha: weight of what GSAM leaves out; 0 is SAM.
        adaptive: whether each weight moves in proportion to its size.
    """

    rho: float
    alpha: float = 0.0
    adaptive: bool = False

    @classmethod
    def of(cls, recipe: TrainingRecipe) -> "Sharpness | None":
        """What a recipe asks for; None for plain steps."""
        return cls(recipe.sam_rho, recipe.gsam_alpha, recipe.sam_adaptive) if recipe.sam_rho else None

    @torch.no_grad()
    def uphill(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """e, a tensor for each weight."""
        if not self.adaptive:
            scale = self.rho / (_norm(gradients) + EPS)
            return [gradient * scale for gradient in gradients]
        pairs = list(zip(weights, gradients, strict=True))
        scale = self.rho / (_norm([weight.abs() * gradient for weight, gradient in pairs]) + EPS)
        return [gradient * scale * weight.square() for weight, gradient in pairs]

    @torch.no_grad()
    def direction(self, here: Sequence[Tensor], above: Sequence[Tensor]) -> list[Tensor]:
        """What the optimiser is given, of the gradients at w (`here`) and at w + e (`above`)."""
        if not self.alpha:
            return list(above)
        sizes = _norm(here), _norm(above)
        products = [(one * other).sum() for one, other in zip(here, above, strict=True)]
        cosine = torch.stack(products).sum() / (sizes[0] * sizes[1] + EPS)
        along = cosine * sizes[0] / (sizes[1] + EPS)
        return [new - self.alpha * (old - along * new) for old, new in zip(here, above, strict=True)]

    def redirect(self, network: nn.Module, loss: Callable[[], Tensor]) -> None:
        """Turns the gradients that a network holds, those at its weights, into those to step by.

        Weights and buffers are afterwards what they were; nothing waits for the device.

        Args:
            loss: of the batch that the gradients are of, computed anew.
        """
        weights = [weight for weight in network.parameters() if weight.grad is not None]
        here, kept = _gradients(weights), [*weights, *network.buffers()]
        before = [tensor.detach().clone() for tensor in kept]
        with torch.no_grad():
            for weight, shift in zip(weights, self.uphill(weights, here), strict=True):
                weight.add_(shift)
        network.zero_grad(set_to_none=True)
        torch.autograd.backward(loss())
        for weight, gradient in zip(weights, self.direction(here, _gradients(weights)), strict=True):
            weight.grad = gradient
        with torch.no_grad():
            for tensor, value in zip(kept, before, strict=True):
                tensor.copy_(value)


def _gradients(weights: Sequence[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Of all numbers together, a scalar."""
    sizes = [torch.linalg.vector_norm(tensor) for tensor in tensors]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(sizes))
    return norm
