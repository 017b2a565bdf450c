"""Which views get stored labels, and how a student draws from those alone.

LPLD (Xiao and He, NeurIPS 2024) keeps the labels of a part of all batches, and in each epoch a student draws as many
batches as an epoch has from this pool, with replacement. In its code the pool is the first batches of the training that
would have been: every batch has images and views of its own, so the first are as random as any. Batches that are not
whole are not kept (the code draws the one before in their place).
"""

from dataclasses import replace
from typing import Protocol

from bench import seeds
from bench.training.recipes import TrainingRecipe
from bench.training.views import BatchView, Views


class Labelled(Protocol):
    """The views of a training that are labelled, one batch a step.

    Attributes:
        rows: the first two dimensions of what is stored.
        steps: how many batches there are.
    """

    rows: tuple[int, int]
    steps: int

    def at(self, step: int) -> BatchView:
        """The view of a step; its `epoch` and `start` say where its labels are stored."""


class AllBatches:
    """Every batch of every epoch: (epochs, images presented in one)."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self.rows = (views.recipe.epochs, views.presented)
        self.steps = views.recipe.epochs * views.batches

    def at(self, step: int) -> BatchView:
        return self._views.at(*divmod(step, self._views.batches))


class Pool:
    """The first whole batches that make up a share of all, at least one: (batches, images of each).

    Args:
        keep: the share, in (0, 1).
    """

    def __init__(self, views: Views, keep: float) -> None:
        self._views = views
        self._whole = _whole_batches(views)
        wanted = int(keep * views.recipe.epochs * views.batches)
        self.steps = max(1, min(wanted, views.recipe.epochs * self._whole))
        self.rows = (self.steps, len(views.at(0, 0)))

    def at(self, step: int) -> BatchView:
        return replace(self._views.at(*divmod(step, self._whole)), epoch=step, start=0)


def _whole_batches(views: Views) -> int:
    """Those of an epoch, which come first in it, that have as many images as its first."""
    return views.batches if len(views.at(0, views.batches - 1)) == len(views.at(0, 0)) else views.batches - 1


def labelled(recipe: TrainingRecipe, view_seed: int, images: int, resolution: int, keep: float) -> Labelled:
    """What is labelled of a training, for a share of batches that is kept."""
    views = Views(recipe, view_seed, images, resolution)
    return AllBatches(views) if keep == 1 else Pool(views, keep)


class DrawnFromPool:
    """The views of a student: in each epoch as many batches as one has, drawn from the pool with replacement.

    Args:
        seed: the student's own; with epoch and batch it decides each draw.
    """

    def __init__(self, views: Views, keep: float, seed: int) -> None:
        self.batch_size, self.batches = views.batch_size, views.batches
        self._pool, self._seed = Pool(views, keep), seed

    def at(self, epoch: int, batch: int) -> BatchView:
        """The view of one batch, which says where in the pool it was found."""
        return self._pool.at(int(seeds.counter(self._seed, epoch, batch).integers(self._pool.steps)))
