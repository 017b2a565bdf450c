"""Every random view of a training, from a counter-based seed.

What an image looks like in batch b of epoch e depends on the seed, e, b and the recipe alone: not on what was drawn
before, on the device, or on who asks. So a training resumes anywhere, and labels stored for the views of a recipe
(FKD, Shen and Xing 2022) are found again by their position without storing a single crop.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from bench import seeds
from bench.data.datasets import Preprocessing
from bench.training.augmentation import augmax, dsa, erasing, jitter, layered_dsa
from bench.training.augmentation.boxes import cutmix_box as cutmix_box
from bench.training.augmentation.boxes import resized_boxes as resized_boxes
from bench.training.augmentation.boxes import shuffled_lines as shuffled_lines
from bench.training.augmentation.erasing import Erasing
from bench.training.augmentation.jitter import Jitter
from bench.training.augmentation.layered_dsa import Layered
from bench.training.augmentation.resampling import resample
from bench.training.recipes import TrainingRecipe

if TYPE_CHECKING:
    from bench.training.augmentation.randaugment import RandAugment


class _Stream(IntEnum):
    """Each kind of draw has a stream of its own, so that switching one on does not change another."""

    ORDER = 0
    CROP = 1
    FLIP = 2
    DSA = 3
    MIX = 4
    SHUFFLE = 5
    RANDAUGMENT = 6
    ERASING = 7
    JITTER = 8


@dataclass(frozen=True)
class Mix:
    """How a batch is mixed with itself.

    Attributes:
        permutation: int64 (B,), each image's partner.
        share: how much of the mixed image is the image itself: lambda, for CutMix corrected to the box's real area.
        box: top, bottom, left, right of what comes from the partner (CutMix), or None for a blend (Mixup).
    """

    permutation: Tensor
    share: float
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class BatchView:
    """What happens to one batch.

    Attributes:
        epoch, start: its position: the epoch, and the place of its first image in the epoch's order.
        indices: int64 (B,), which images.
        shuffles: int64 (B, 2, S): which row, and which column, of an image each of its rows and columns shows; or None.
        boxes: int64 (B, 4): top, left, height, width of each image's crop, or None.
        padded: the boxes may leave the image (a padded crop); outside it is black.
        flips: bool (B,), or None.
        augmentation: a drawing of DSA or of FRePo's augmentation, or None.
        jitter, randaugment, erasing: drawings of what their modules do, or None.
        mix: or None.
    """

    epoch: int
    start: int
    indices: Tensor
    shuffles: Tensor | None = None
    boxes: Tensor | None = None
    padded: bool = False
    flips: Tensor | None = None
    augmentation: dsa.Augmentation | Layered | None = None
    jitter: Jitter | None = None
    randaugment: "RandAugment | None" = None
    erasing: Erasing | None = None
    mix: Mix | None = None

    def __len__(self) -> int:
        return len(self.indices)


class Presented(Protocol):
    """The views of a training, by epoch and batch: drawn (`Views`), or recorded.

    The latter are in `bench.training.soft_labels.recorded`.
    """

    @property
    def batch_size(self) -> int:
        """Images of every batch but the last."""

    @property
    def batches(self) -> int:
        """Batches of an epoch."""

    def at(self, epoch: int, batch: int) -> BatchView:
        """The view of one batch."""


class Views:
    """All views of a training of `images` images, `resolution` pixels a side.

    A batch larger than the set is as large as the set. A last batch of a single image, of which BatchNorm can take no
    statistics where its map is one pixel, joins the batch before it.
    """

    def __init__(self, recipe: TrainingRecipe, seed: int, images: int, resolution: int) -> None:
        self.recipe, self.seed, self.images, self.resolution = recipe, seed, images, resolution
        self.batch_size = min(recipe.batch_size, images)
        whole, rest = divmod(images, self.batch_size)
        self.batches = whole + (rest > 1 and not recipe.drop_last)
        self.presented = whole * self.batch_size if recipe.drop_last else images
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    def at(self, epoch: int, batch: int) -> BatchView:
        """The view of one batch."""
        start = batch * self.batch_size
        end = self.presented if batch == self.batches - 1 else start + self.batch_size
        count, recipe, size = end - start, self.recipe, self.resolution

        def rng(stream: _Stream) -> np.random.Generator:
            return self._rng(stream, epoch, batch)

        patches = recipe.shuffle_patches
        return BatchView(
            epoch=epoch,
            start=start,
            indices=self.order(epoch)[start:end],
            shuffles=shuffled_lines(rng(_Stream.SHUFFLE), count, size, patches) if patches > 1 else None,
            boxes=self._boxes(count, rng(_Stream.CROP)),
            padded=recipe.crop == "padded",
            flips=torch.from_numpy(rng(_Stream.FLIP).random(count) < 0.5) if recipe.flip else None,
            augmentation=self._augmentation(count, rng(_Stream.DSA)) if recipe.dsa or recipe.augmax else None,
            jitter=self._jitter(count, rng(_Stream.JITTER)) if recipe.jitter or recipe.lighting else None,
            randaugment=self._randaugment(count, rng(_Stream.RANDAUGMENT)),
            erasing=erasing.draw(recipe.erasing, count, size, rng(_Stream.ERASING)) if recipe.erasing else None,
            mix=self._mix(count, rng(_Stream.MIX)),
        )

    def order(self, epoch: int) -> Tensor:
        """int64 (images,): the order in which an epoch presents the images."""
        if self._order[0] != epoch:
            permutation = self._rng(_Stream.ORDER, epoch, 0).permutation(self.images)
            self._order = (epoch, torch.from_numpy(permutation))
        return self._order[1]

    def _rng(self, stream: _Stream, epoch: int, batch: int) -> np.random.Generator:
        return seeds.counter(self.seed, epoch, batch, stream)

    def _boxes(self, count: int, rng: np.random.Generator) -> Tensor | None:
        recipe = self.recipe
        match recipe.crop:
            case "resized":
                return resized_boxes(rng, count, self.resolution, recipe.crop_scale, recipe.crop_ratio)
            case "padded":
                corners = rng.integers(-recipe.pad, recipe.pad + 1, (count, 2))
                return torch.from_numpy(np.concatenate([corners, np.full_like(corners, self.resolution)], axis=1))
            case "none":
                return None

    def _augmentation(self, count: int, rng: np.random.Generator) -> dsa.Augmentation | Layered:
        if self.recipe.augmax:
            return augmax.draw(self.recipe.augmax, count, self.resolution, rng)
        draw = layered_dsa.draw if self.recipe.dsa_reading == "layered" else dsa.draw
        return draw(self.recipe.dsa, count, self.resolution, rng)

    def _jitter(self, count: int, rng: np.random.Generator) -> Jitter:
        return jitter.draw(self.recipe.jitter, self.recipe.lighting, count, rng)

    def _randaugment(self, count: int, rng: np.random.Generator) -> "RandAugment | None":
        if not self.recipe.randaugment:
            return None
        from bench.training.augmentation import plain_randaugment, randaugment

        draw = randaugment.draw if self.recipe.randaugment_policy == "timm" else plain_randaugment.draw
        return draw(self.recipe.randaugment, count, rng)

    def _mix(self, count: int, rng: np.random.Generator) -> Mix | None:
        recipe = self.recipe
        if recipe.mix == "none" or rng.random() >= recipe.mix_probability:
            return None
        permutation = torch.from_numpy(rng.permutation(count))
        if recipe.mix == "switch" and rng.random() < 0.5:
            return Mix(permutation, float(rng.beta(recipe.mixup_alpha, recipe.mixup_alpha)), None)
        share = float(rng.beta(recipe.mix_alpha, recipe.mix_alpha))
        if recipe.mix == "mixup":
            return Mix(permutation, share, None)
        box = cutmix_box(rng, self.resolution, share)
        return Mix(permutation, 1 - (box[1] - box[0]) * (box[3] - box[2]) / self.resolution**2, box)


def apply(
    view: BatchView, images: Tensor, black: Tensor | None = None, preprocessing: Preprocessing | None = None
) -> Tensor:
    """The batch as the network sees it; the input is left as it is.

    Args:
        view: what to do; its `indices` must already have been taken.
        images: float32 (B, C, S, S) in normalised space, on any device.
        black: (C, 1, 1), black in normalised space; what padded crops pad with.
        preprocessing: what took the images to normalised space; jitter and RandAugment act on pixels.

    Raises:
        ValueError: a padded crop without `black`, or jitter or RandAugment without `preprocessing`.
    """
    late = view.randaugment is not None and not view.randaugment.policy.before_crop
    if view.randaugment is not None and not late:
        images = _randaugmented(images, view.randaugment, preprocessing)
    if view.shuffles is not None:
        images = _shuffled(images, view.shuffles)
    if view.boxes is not None:
        images = _cropped(view, images, black)
    if view.flips is not None:
        flips = view.flips.to(images.device, non_blocking=True).view(-1, 1, 1, 1)
        images = torch.where(flips, images.flip(3), images)
    if view.augmentation is not None:
        images = view.augmentation.apply(images)
    if view.jitter is not None:
        images = view.jitter.apply(images, _known(preprocessing))
    if view.randaugment is not None and late:
        images = _randaugmented(images, view.randaugment, preprocessing)
    if view.erasing is not None:
        images = view.erasing.apply(images)
    return _mixed(view.mix, images) if view.mix is not None else images


def _randaugmented(images: Tensor, drawn: "RandAugment", preprocessing: Preprocessing | None) -> Tensor:
    return drawn.apply(images, _known(preprocessing))


def _known(preprocessing: Preprocessing | None) -> Preprocessing:
    if preprocessing is None:
        raise ValueError("jitter and RandAugment need to know how pixels became what they are given")
    return preprocessing


def _shuffled(images: Tensor, shuffles: Tensor) -> Tensor:
    rows, columns = shuffles.to(images.device, non_blocking=True).unbind(1)
    which = torch.arange(len(images), device=images.device)[:, None, None]
    return images.movedim(1, 3)[which, rows[:, :, None], columns[:, None, :]].movedim(3, 1)


def _cropped(view: BatchView, images: Tensor, black: Tensor | None) -> Tensor:
    assert view.boxes is not None
    if not view.padded:
        return resample(images, view.boxes)
    if black is None:
        raise ValueError("a padded crop needs to know what black is in normalised space")
    return resample(images - black, view.boxes) + black


def _mixed(mix: Mix, images: Tensor) -> Tensor:
    partners = images[mix.permutation.to(images.device, non_blocking=True)]
    if mix.box is None:
        return torch.lerp(partners, images, mix.share)
    top, bottom, left, right = mix.box
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return mixed
