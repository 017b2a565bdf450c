"""DREAM's representative images: those nearest to the centres of k-means over a class's features (Lloyd's algorithm).

On the device where the features are: every class is asked for every few updates, and scikit-learn's would wait for all
of them on the processor. The starts are points drawn at random, as in the package that the release uses
(fast_pytorch_kmeans); a centre that no point is nearest to stays where it is, and that package moves it to the origin.
"""

import torch
from torch import Tensor

ROUNDS = 100  # at most (fast_pytorch_kmeans)
STILL = 1e-4  # the sum of squares that centres move by when they are taken to stand (the same)
LOOKS = 10  # rounds between two looks at that, each of which waits for the device


def nearest_to_centres(points: Tensor, first: Tensor) -> Tensor:
    """int64 (k,): for each centre the nearest point; two centres may have the same.

    Args:
        points: float (n, d).
        first: int64 (k,), the points at which the centres start.
    """
    return distances(centres(points, first), points).argmin(1)


def centres(points: Tensor, first: Tensor, rounds: int = ROUNDS) -> Tensor:
    """(k, d): the centres of k-means."""
    found = points[first]
    for number in range(rounds):
        moved = _moved(found, points)
        if number % LOOKS == LOOKS - 1 and bool((moved - found).square().sum() <= STILL):
            return moved
        found = moved
    return found


def distances(some: Tensor, points: Tensor) -> Tensor:
    """(k, n): squared distances of (k, d) from (n, d), less what is the same for all of some: their own squares."""
    return points.square().sum(1) - 2 * some @ points.T


def _moved(found: Tensor, points: Tensor) -> Tensor:
    """Each centre as the mean of the points that are nearest to it."""
    nearest = (distances(found, points) + found.square().sum(1, keepdim=True)).argmin(0)
    belongs = torch.zeros(len(found), len(points), dtype=points.dtype, device=points.device)
    belongs.scatter_(0, nearest[None], 1.0)  # sums by a product are the same on every run, those of index_add_ are not
    counts = belongs.sum(1, keepdim=True)
    return torch.where(counts > 0, belongs @ points / counts.clamp(min=1), found)
