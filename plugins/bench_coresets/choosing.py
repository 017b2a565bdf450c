"""Choosing a few of many points. Points are float64 (n, d) on the CPU; choices int64 (count,), all different.

Of points that are equally good the first is taken.
"""

import warnings

import torch
from torch import Tensor
from torch.linalg import vector_norm


def herding(points: Tensor, count: int) -> Tensor:
    """Points in the order in which the sum of the chosen follows the mean best (Welling, ICML 2009)."""
    mean, total = points.mean(0), torch.zeros_like(points[0])
    chosen, free = torch.empty(count, dtype=torch.int64), torch.ones(len(points), dtype=torch.bool)
    for step in range(count):
        wanted = (step + 1) * mean - total
        best = _first_least(vector_norm(points - wanted, dim=1), free)
        chosen[step], free[best] = best, False
        total += points[best]
    return chosen


def nearest_to_mean(points: Tensor, count: int) -> Tensor:
    """The points nearest to the mean of all, the nearest first."""
    nearest: Tensor = vector_norm(points - points.mean(0), dim=1).argsort(stable=True)
    return nearest[:count]


def k_center(points: Tensor, count: int, first: int) -> Tensor:
    """`first`, and then always the point that is farthest from its nearest chosen one (Gonzalez, 1985)."""
    chosen, free = torch.full((count,), first), torch.ones(len(points), dtype=torch.bool)
    reach = torch.full((len(points),), torch.inf, dtype=points.dtype)
    free[first] = False
    for step in range(1, count):
        reach = torch.minimum(reach, vector_norm(points - points[chosen[step - 1]], dim=1))
        best = _first_least(-reach, free)
        chosen[step], free[best] = best, False
    return chosen


def k_means(points: Tensor, count: int, *, restarts: int, seed: int) -> Tensor:
    """For each centre of k-means the nearest point that is not taken yet.

    Args:
        restarts: from so many starts by k-means++; the centres with the least inertia are taken.
        seed: in [0, 2**32).
    """
    centres = _centres(points, count, restarts, seed)
    chosen, free = torch.empty(count, dtype=torch.int64), torch.ones(len(points), dtype=torch.bool)
    for index, centre in enumerate(centres):
        best = _first_least(vector_norm(points - centre, dim=1), free)
        chosen[index], free[best] = best, False
    return chosen


def _centres(points: Tensor, count: int, restarts: int, seed: int) -> Tensor:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    kmeans = KMeans(count, init="k-means++", n_init=restarts, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():  # threads add their sums in any order
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than centres
        kmeans.fit(points.numpy())
    return torch.from_numpy(kmeans.cluster_centers_)


def _first_least(values: Tensor, free: Tensor) -> Tensor:
    return torch.where(free, values, torch.inf).argmin()
