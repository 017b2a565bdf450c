"""Whether the labels of a set fit the dataset's classes better than chance would; seconds, and nothing is trained.

Small versions of real test images give each class a mean, in the space where the spread within classes is the same in
all directions (linear discriminant analysis). The mean image of each class of the set is held against these means.

- How well the labels fit as given: the sum of the products of class and like-named class, in standard deviations over
  that of all permutations of the classes, whose mean and variance are known in closed form (Hoeffding 1951).
- Whether the set shows the dataset's classes at all, in whatever order: the best assignment of its classes to the
  dataset's, in standard deviations over that of the same images turned at random against the class means. Images that
  have structure of their own, but not that of these classes, are no better than turned ones.

- How well they would fit if the images were stored in another way, by a convention that others have: transposed, upside
  down, blue first, inverted.

Labels are doubted where the second is clear and the first is not: abstract images, noise, few classes and single images
a class mostly leave both near 0. Or where the third is clear and the first far less; of photographs transposition often
changes too little to be seen. The test images serve as the dataset's picture of its classes; they decide nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench import seeds
from bench.data.datasets import Split, TensorSplit
from bench.results.label_fit import CLEAR, LabelFit
from bench.sets.condensed import first_of_each

SIDE = 8  # pixels of the small versions
REAL_IMAGES = 2000  # at most, and of a class at most
REAL_PER_CLASS = 100
SET_PER_CLASS = 20
FEWEST_CLASSES = 4  # among three, no order is surprising
DIRECTIONS = 8  # in which classes are told apart, at most
SHRINKAGE = 0.05  # of the spread within classes towards a ball: corners of images may be always black
TURNS = 32
APART = 2.0  # standard deviations by which other images fit better; right ones of any class order stay below 0.5
CHUNK = 256
UNDO: dict[str, Callable[[Tensor], Tensor]] = {  # of what images may be: each is its own inverse, and linear
    "transposed (height and width swapped)": lambda images: images.transpose(2, 3),
    "upside down": lambda images: images.flip(2),
    "blue first (BGR)": lambda images: images.flip(1),
    "inverted (black for white)": lambda images: 1 - images,
}


def fit_of_labels(
    pixels: Tensor, classes: Tensor, real: Split, count: int, shown: Callable[[Tensor], Tensor] = Tensor.float
) -> LabelFit | None:
    """How well labels fit, or None where there are too few classes or directions to tell.

    Args:
        pixels: (N, C, H, W).
        classes: int64 (N,), each of the `count` classes at least once.
        shown: makes some of the pixels float (n, C, H, W), in [0, 1] for images that pixels can show.
        real: images of the same classes and shape.
    """
    if count < FEWEST_CLASSES:
        return None
    chosen = first_of_each(real.labels, min(REAL_PER_CLASS, max(2, REAL_IMAGES // count)))
    space = _Space(_small(real, chosen, lambda pixels: pixels.float() / 255), real.labels[chosen], count)
    kept, own = first_of_each(classes, SET_PER_CLASS), TensorSplit(pixels, classes)
    centres = _class_means(_small(own, kept, shown), classes[kept], count)
    if space.directions.shape[1] < 2:
        return None
    means = space.whitened(centres)
    given = _over_permutations(means @ space.means.T)
    in_some_order = _over_turns(space.even(means), space.even(space.means))
    turned = _turned(centres.unflatten(1, _small_shape(pixels)), space, given)
    return LabelFit(given=round(given, 2), in_some_order=round(in_some_order, 2), **turned)


def _turned(centres: Tensor, space: "_Space", given: float) -> dict[str, Any]:
    """What the images seem to be, by the means of their classes (K, C, h, w), and how well they fit without it."""
    fits = {
        name: _over_permutations(space.whitened(undo(centres).flatten(1)) @ space.means.T)
        for name, undo in UNDO.items()
    }
    best = max(fits, key=fits.__getitem__)
    return {"turned": best, "undone": round(fits[best], 2)} if fits[best] > max(CLEAR, given + APART) else {}


def _small_shape(pixels: Tensor) -> tuple[int, int, int]:
    side = min(SIDE, pixels.shape[-1])
    return pixels.shape[1], side, side


class _Space:
    """Where the spread within classes is the same in all directions, with the directions that tell classes apart."""

    def __init__(self, images: Tensor, classes: Tensor, count: int) -> None:
        centres = _class_means(images, classes, count)
        self._origin = centres.mean(0)
        within = images - centres[classes]
        spread = within.T @ within / max(1, len(images) - count)
        ball = SHRINKAGE * spread.diagonal().mean() + torch.finfo(spread.dtype).eps
        self._root = torch.linalg.cholesky(spread + ball * torch.eye(len(spread), dtype=spread.dtype))
        self.means = self.whitened(centres)
        _, sizes, directions = torch.linalg.svd(self.means, full_matrices=False)
        beyond_noise = int((sizes.square() / count > 2 * count / len(images)).sum())
        kept = min(beyond_noise, count - 1, DIRECTIONS)
        self.directions, self._sizes = directions[:kept].T, sizes[:kept] / count**0.5

    def whitened(self, images: Tensor) -> Tensor:
        """(N, D), seen from the mean of the classes."""
        solved: Tensor = torch.linalg.solve_triangular(self._root, (images - self._origin).T, upper=False)
        return solved.T

    def even(self, means: Tensor) -> Tensor:
        """Means in the directions that tell classes apart, in which the real ones spread evenly; their mean is 0."""
        seen: Tensor = means @ self.directions / self._sizes
        return seen - seen.mean(0)


def _over_permutations(products: Tensor) -> float:
    """How far the diagonal's sum lies over that of permuted rows, in standard deviations."""
    centred = products - products.mean(0) - products.mean(1, keepdim=True) + products.mean()
    deviation = (centred.square().sum() / (len(products) - 1)).sqrt()
    return float(centred.diagonal().sum() / deviation.clamp_min(torch.finfo(products.dtype).tiny))


def _over_turns(means: Tensor, real: Tensor) -> float:
    """How far the best assignment lies over those of turned means, in standard deviations."""
    found = _best_assignment(means @ real.T)
    turned = torch.tensor([_best_assignment(means @ turn @ real.T) for turn in _turns(means.shape[1])])
    return float((found - turned.mean()) / turned.std().clamp_min(1e-6 * abs(found) + 1e-12))


def _turns(size: int) -> Iterator[Tensor]:
    draws = seeds.generator("label fit")
    for _ in range(TURNS):
        yield torch.linalg.qr(torch.randn(size, size, generator=draws, dtype=torch.float64))[0]


def _best_assignment(products: Tensor) -> float:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(products.numpy(), maximize=True)
    return float(products[rows, columns].sum())


def _small(split: Split, chosen: Tensor, shown: Callable[[Tensor], Tensor]) -> Tensor:
    """float64 (len(chosen), D): at most 8 pixels a side."""
    return torch.cat([_pooled(shown(split.take(some))) for some in chosen.split(CHUNK)])


def _pooled(images: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(images, min(SIDE, images.shape[-1])).flatten(1).double()


def _class_means(images: Tensor, classes: Tensor, count: int) -> Tensor:
    sizes = torch.bincount(classes, minlength=count).clamp_min(1)
    sums = torch.zeros(count, images.shape[1], dtype=images.dtype).index_add_(0, classes, images)
    return sums / sizes[:, None]
