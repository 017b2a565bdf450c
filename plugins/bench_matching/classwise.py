"""The gradient of the sum of all classes' distances, a few classes at a time: what gradient matching shares."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench_matching.gradients import GradientMatching, Gradients
from bench_matching.siamese import Drawings

Shown = Callable[[Tensor, Tensor], Tensor]  # images (G, n, ...) of classes (G,) -> those that networks see, (G, m, ...)
RealImages = Callable[[Sequence[int]], Tensor]  # of these classes, (G, B, C, S, S)


def gradient_of(
    images: Tensor,
    network: nn.Module,
    matching: GradientMatching,
    drawings: Drawings,
    reals: RealImages,
    shown: Shown = lambda images, classes: images,
) -> Tensor:
    """Of images (classes, n, C, S, S): the derivative of every class's distance by its own, of the same shape.

    Args:
        drawings: how each class's real and synthetic images are augmented alike.
        shown: what the network is shown of synthetic images before that; differentiable.
    """
    gradient, labels = torch.empty_like(images), drawings.on(images.device)
    for part in _parts(range(len(images)), matching.synthetic_together):
        mine = labels[part.start : part.stop]
        targets = _targets(network, matching, drawings, reals, part)
        leaf = images[mine].detach().requires_grad_()
        augmented = drawings.apply(shown(leaf, mine), part.start)
        pulled = matching.pull(network, augmented, mine, targets)
        gradient[mine] = torch.autograd.grad(augmented, [leaf], pulled)[0]
    return gradient


def _targets(
    network: nn.Module, matching: GradientMatching, drawings: Drawings, reals: RealImages, classes: range
) -> Gradients:
    """What real images of the classes at these places of the drawings' order give the weights: (G, ...) each."""
    found = []
    for part in _parts(classes, matching.real_together):
        real = reals(drawings.order[part.start : part.stop])
        labels = drawings.on(real.device)[part.start : part.stop]
        found.append(matching.real(network, drawings.apply(real, part.start), labels))
    return [torch.cat(each) for each in zip(*found, strict=True)]


def _parts(places: range, size: int) -> list[range]:
    return [places[start : start + size] for start in range(0, len(places), size)]
