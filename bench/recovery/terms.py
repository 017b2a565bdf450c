"""The terms of a recovery loss, each with its equation.

A loss is a weighted sum of terms. Each is given what a network made of G batches in an iteration and gives one value a
batch, so that batches which are recovered at once stay apart.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn import functional as F

from bench.recovery.layers import ByLayer, Measured
from bench.recovery.recipes import MatchingRecipe


@dataclass(frozen=True)
class Observed:
    """What a network made of G batches of B images in an iteration.

    Attributes:
        targets: int64 (G, B), class indices.
        logits: (G, B, K), in fp32 or better.
        statistics: what was measured of each layer, (G, n) each, smoothed over iterations where the recipe says so.
        goals: what each should be, (n,), by all training data. None stands for 0: a measurement around its goal.
        class_goals: the same by the classes of each batch, (G, n); empty where they do not count.
        kept: (L,), 1 for layers that count in this iteration and 0 for the others; None where all measured ones do.
        average_logits: (G, B, K), of the images' moving average under the same views, without a gradient; or None.
    """

    targets: Tensor
    logits: Tensor
    statistics: ByLayer
    goals: "Goals"
    class_goals: ByLayer
    kept: Tensor | None = None
    average_logits: Tensor | None = None


Goals = dict[int, tuple[Tensor | None, ...]]


class Term(ABC):
    """A term of the loss. You must write `loss`, and set `name`, by which its curve is known."""

    name: ClassVar[str]

    @abstractmethod
    def loss(self, observed: Observed) -> Tensor:
        """(G,): its value for each batch."""


class CrossEntropy(Term):
    """CE = - 1/B sum over i of log softmax(z_i)[y_i]  (SRe2L equation 5)."""

    name = "cross-entropy"

    def loss(self, observed: Observed) -> Tensor:
        classes = observed.targets.flatten()
        each = F.cross_entropy(observed.logits.flatten(0, 1), classes, reduction="none")
        return each.view(observed.targets.shape).sum(1) / observed.targets.shape[1]


class StatisticsMatching(Term):
    """How far the statistics of layers' inputs are from those of training data.

        sum over l of  w_l (alpha D(s_l, t_l) + (1 - alpha) D(s_l, t_l^y)),   D(s, t) = sum over k of ||s_k - t_k||_2

    with s_l what is measured of layer l (mean and variance of channels; of a convolution's input of patches, too),
    t_l its value over the training data and t_l^y that over the batch's classes y. The norms are not squared; w_1 =
    `first` and all other w_l = 1, where the first layer is the first in the order of `network.modules()`.

    SRe2L equation 7 (BatchNorm alone: R_BN), G-VBSM equations 6 and 7 (convolutions, alpha = 1), EDC's soft
    category-aware matching (alpha = 1/2).
    """

    name = "statistics"

    def __init__(self, first: float, share: float) -> None:
        self.first, self.share = first, share

    def loss(self, observed: Observed) -> Tensor:
        """See `Term.loss`. Where chance left every layer out it is 0."""
        if not observed.statistics:
            return observed.logits.new_zeros(len(observed.logits))
        distances = [
            (self.first if place == 0 else 1.0) * self._distance(observed, place) for place in observed.statistics
        ]
        if observed.kept is not None:
            distances = [observed.kept[at] * each for at, each in zip(observed.statistics, distances, strict=True)]
        return torch.stack(distances).sum(0)

    def _distance(self, observed: Observed, place: int) -> Tensor:
        found = observed.statistics[place]
        if self.share == 1:
            return distance(found, observed.goals[place])
        of_classes = (1 - self.share) * distance(found, observed.class_goals[place])
        return of_classes if self.share == 0 else self.share * distance(found, observed.goals[place]) + of_classes


def distance(found: Measured, goals: tuple[Tensor | None, ...]) -> Tensor:
    """(G,): the sum of the Euclidean distances of what was measured, (G, n) each.

    Where a statistic matches exactly, the norm's gradient is taken as 0 (torch's own choice), not NaN.
    """
    total: Tensor | float = 0.0
    for each, goal in zip(found, goals, strict=True):
        norm: Tensor = vector_norm(each if goal is None else each - goal, dim=-1)
        total = norm if isinstance(total, float) else total + norm
    assert isinstance(total, Tensor)
    return total


class Flatness(Term):
    """How far logits are from those of the images' moving average (EDC's flatness regularisation).

        1/B sum over i of KL(softmax(z'_i / tau) || softmax(z_i / tau))

    with z' the logits of the moving average, which has no gradient. The released code takes the mean over classes, too.
    """

    name = "flatness"

    def __init__(self, temperature: float, *, element_mean: bool) -> None:
        self.temperature, self.element_mean = temperature, element_mean

    def loss(self, observed: Observed) -> Tensor:
        assert observed.average_logits is not None
        aim = F.log_softmax(observed.average_logits / self.temperature, -1)
        found = F.log_softmax(observed.logits / self.temperature, -1)
        each = F.kl_div(found, aim, reduction="none", log_target=True).sum(-1).mean(-1)
        return each / observed.logits.shape[-1] if self.element_mean else each


Weighted = list[tuple[float, Term]]


def terms_of(recipe: MatchingRecipe) -> Weighted:
    """The terms of a recipe that look at what a network makes of the images, with their weights."""
    matching = StatisticsMatching(recipe.first_bn_multiplier, recipe.global_share)
    terms: Weighted = [(1.0, CrossEntropy()), (recipe.bn_weight, matching)]
    if recipe.flatness:
        element_mean = "element-mean" in recipe.as_released
        terms.append((recipe.flatness, Flatness(recipe.flatness_temperature, element_mean=element_mean)))
    return terms


def weighed(terms: Weighted, observed: Observed) -> Tensor:
    """(T, G): what each term adds to the loss of each batch."""
    losses = [(weight, term.loss(observed)) for weight, term in terms]
    return torch.stack([loss if weight == 1 else weight * loss for weight, loss in losses])


def of_images(seen: Tensor, targets: Tensor, recipe: MatchingRecipe) -> Tensor | None:
    """The terms that look at the images of a batch alone, weighed: a scalar, or None where a recipe has none.

    Args:
        seen: (B, C, S, S), as the network sees them.
        targets: int64 (B,) on the CPU, their classes.
    """
    terms: list[Tensor] = []
    if recipe.densification:
        terms.append(recipe.densification * densification(seen, targets, recipe.densification_temperature))
    if recipe.tv or recipe.l2:
        terms.append(prior(seen, recipe.tv, recipe.l2))
    return torch.stack(terms).sum() if terms else None


def prior(seen: Tensor, tv: float, l2: float) -> Tensor:
    """The image priors of DeepInversion, which SRe2L's Table 8 tries and its released commands leave out (code).

        tv (||x_r||_2 + ||x_d||_2 + ||x_a||_2 + ||x_b||_2)  +  l2 / B sum over i of ||x_i||_2

    with x_r, x_d, x_a, x_b the differences of the whole batch to the neighbours at the right, below and along the two
    diagonals.

    Args:
        seen: (B, C, S, S), as the network sees them.
    """
    steps = (
        seen[..., :, :-1] - seen[..., :, 1:],
        seen[..., :-1, :] - seen[..., 1:, :],
        seen[..., 1:, :-1] - seen[..., :-1, 1:],
        seen[..., :-1, :-1] - seen[..., 1:, 1:],
    )
    variation = torch.stack([vector_norm(each) for each in steps]).sum()
    length: Tensor = vector_norm(seen.flatten(1), dim=1).mean()
    return tv * variation + l2 * length


def densification(seen: Tensor, targets: Tensor, temperature: float, side: int = 32) -> Tensor:
    """A scalar that spreads the images of a class over their space: G-VBSM's data densification (equation 5, code).

        sum over classes c of  KL(softmax(l_c / tau) || softmax(l_c)),   l_c the eigenvalues of X_c X_c^T

    with X_c (n, C * side^2) the images of class c, averaged down (or up) to `side` pixels a side; the first of the two
    distributions has no gradient. The code takes a general solver of eigenvalues; the matrix is symmetric, and their
    order plays no part.

    Args:
        seen: (B, C, S, S), as the network sees them.
        targets: int64 (B,) on the CPU, their classes.
    """
    rows = F.adaptive_avg_pool2d(seen, side).flatten(1)
    by_class = rows[targets.argsort(stable=True).to(rows.device, non_blocking=True)]
    counts: list[int] = targets.unique(return_counts=True)[1].tolist()
    return torch.stack([_spread(some, temperature) for some in by_class.split(counts)]).sum()


def _spread(rows: Tensor, temperature: float) -> Tensor:
    values = torch.linalg.eigvalsh(rows @ rows.mT)
    aim = F.log_softmax(values.detach() / temperature, 0)
    return F.kl_div(F.log_softmax(values, 0), aim, reduction="sum", log_target=True)
