"""Where recovery starts from: noise, training images, or patches of those tiled."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Task
from bench.drawing import draw, members
from bench.errors import UsageError
from bench.training.feeding import Feed
from bench.training.loop import wants_channels_last
from bench.training.resampling import resample
from bench.training.views import resized_boxes

Members = tuple[tuple[int, int], ...]  # class and number of each image
Start = Callable[[int], Tensor]  # of a class: float32 (ipc, C, S, S) in normalised space, on the CPU

CANDIDATES = 300  # images of a class of which patches are taken: those with the least loss
ALIKE = 64  # images that share a crop
CROPS = 4  # of each
ACROSS = 2  # patches across an image, and down
CROP_SCALE, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def real_images(task: Task) -> Start:
    """Training images drawn at random.

    The i-th image of a class starts from the i-th of a draw without replacement, whatever batch it is in. The releases
    draw each image anew, so that now and then two images of a class start alike.
    """

    def of_class(label: int) -> Tensor:
        places = draw(task.dataset, label, task.ipc, task.seed_for("start"))
        return task.dataset.normalisation.apply(task.dataset.train.take(places))

    return of_class


def tiles(task: Task, observer: nn.Module) -> Start:
    """Patches of training images that networks find easy, 2 x 2 to an image, by the code of EDC.

    Of each class: the 300 images with the least cross-entropy; of them in groups of 64 four random crops, which a group
    shares, enlarged and mirrored by chance; of those crops the 4 x IPC with the least cross-entropy, shrunk to half the
    resolution. A class of fewer than 64 images is one group, and a last group of fewer is left out as in the code.

    Args:
        observer: images (B, C, S, S) -> logits; of several networks the mean.
    """
    dataset = task.dataset
    feed = Feed(dataset.train, dataset.normalisation, task.device, channels_last=wants_channels_last(task))

    def losses(images: Tensor, label: int) -> Tensor:
        parts = [observer(feed.formatted(part)) for part in images.split(CROPS * ALIKE)]
        logits = torch.cat(parts).float()
        return F.cross_entropy(logits, torch.full((len(logits),), label, device=logits.device), reduction="none")

    @torch.no_grad()
    def of_class(label: int) -> Tensor:
        places = members(dataset, label)
        parts = [losses(feed.images(some), label) for some in places.split(CROPS * ALIKE)]
        easiest = places[torch.cat(parts).cpu().argsort(stable=True)[:CANDIDATES]]
        whole = [some for some in easiest.split(ALIKE) if len(some) == min(ALIKE, len(easiest))]
        crops = torch.cat([_crops(task, feed.images(some), label, number) for number, some in enumerate(whole)])
        wanted = task.ipc * ACROSS**2
        if len(crops) < wanted:
            name = dataset.classes[label]
            raise UsageError(f"class {name!r} gives {len(crops)} patches, fewer than the {wanted} that are tiled")
        return _tiled(crops[losses(crops, label).argsort(stable=True)[:wanted]]).cpu()

    return of_class


def _crops(task: Task, images: Tensor, label: int, group: int) -> Tensor:
    """(4 * B, C, S, S): random crops that all images of a group share, mirrored or not, at full resolution."""
    draws = seeds.counter(task.seed_for("tiles", task.dataset.classes[label]), group)
    boxes = resized_boxes(draws, CROPS, images.shape[-1], CROP_SCALE, CROP_RATIO)
    mirrored = draws.random(CROPS) < 0.5
    crops = [resample(images, box.expand(len(images), 4)) for box in boxes]
    return torch.cat([crop.flip(-1) if flip else crop for crop, flip in zip(crops, mirrored, strict=True)])


def _tiled(patches: Tensor) -> Tensor:
    """(4 * n, C, S, S) -> (n, C, S, S): each image of four patches in a row, shrunk to half."""
    half = patches.shape[-1] // ACROSS
    small = F.interpolate(patches, size=(half, half), mode="bilinear", align_corners=False, antialias=True)
    grid = small.unflatten(0, (-1, ACROSS, ACROSS))
    images: Tensor = grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return images


def mirrored_by_chance(task: Task, images: Tensor, places: Members) -> Tensor:
    """Each image as it is, or mirrored with p = 0.5."""
    flips = torch.tensor([_mirrored(task, label, number) for label, number in places])
    return torch.where(flips[:, None, None, None], images.flip(-1), images)


def _mirrored(task: Task, label: int, number: int) -> bool:
    seed = task.seed_for("start mirrored", task.dataset.classes[label])
    return bool(seeds.counter(seed, number).random() < 0.5)
