"""Where recovery starts from: noise, training images, or crops of them, by chance or by how hard networks find them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Task
from bench.drawing import draw, members
from bench.errors import UsageError
from bench.training.augmentation.resampling import resample
from bench.training.feeding import Feed
from bench.training.views import resized_boxes

Members = tuple[tuple[int, int], ...]  # class and number of each image
Start = Callable[[Members], Tensor]  # of these images: float32 (n, C, S, S) in normalised space, on the CPU
StartName = Literal["noise", "real", "medium", "tiles", "patches"]
Ranking = Callable[[Tensor], Tensor]  # cross-entropies (n,) of one class -> their places, those wanted first

CANDIDATES = 300  # images of a class of which crops are taken: the first by the ranking
ALIKE = 64  # images that share a crop
CROPS = 4  # of each
ACROSS = 2  # tiles across an image, and down
CROP_SCALE, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def easiest(losses: Tensor) -> Tensor:
    """Those of the least cross-entropy first."""
    return losses.argsort(stable=True)


def medium(losses: Tensor) -> Tensor:
    """From the median outwards, by DELT's code: with n of them, hardest first, n/2, n/2 + 1, n/2 - 1, n/2 + 2, ..."""
    hardest = losses.argsort(descending=True, stable=True)
    middle = min(math.ceil(len(losses) / 2), len(losses) - 1)
    outwards = sorted(range(len(losses)), key=lambda place: (abs(place - middle), place < middle))
    return hardest[torch.tensor(outwards, device=losses.device)]


def start_from(name: StartName, task: Task, observer: nn.Module) -> Start | None:
    """What gives images to start from, of which it reads no others than it is asked for; None for noise.

    Args:
        observer: images (B, C, S, S) -> logits, which says how hard images are; of several networks the mean.
    """
    match name:
        case "noise":
            return None
        case "real":
            return real_images(task)
        case "medium":
            return medium_images(task, observer)
        case "tiles":
            return tiles(task, observer)
        case "patches":
            return patches(task, observer)


def real_images(task: Task) -> Start:
    """Training images drawn at random.

    The i-th image of a class starts from the i-th of a draw without replacement, whatever batch it is in. The releases
    draw each image anew, so that now and then two images of a class start alike.
    """

    @cache
    def chosen(label: int) -> Tensor:
        return draw(task.dataset, label, task.ipc, task.seed_for("start"))

    return lambda images: _taken(task, [chosen(label)[number] for label, number in images])


def medium_images(task: Task, observer: nn.Module) -> Start:
    """Training images of medium difficulty: of each class those nearest to the median of the cross-entropy (DELT)."""
    scored = _Scored(task, observer)

    @cache
    def chosen(label: int) -> Tensor:
        return scored.ranked(members(task.dataset, label, task.ipc), label, medium)[: task.ipc]

    return lambda images: _taken(task, [chosen(label)[number] for label, number in images])


def _taken(task: Task, places: Sequence[Tensor]) -> Tensor:
    """The training images at places, as networks see them."""
    return task.dataset.normalisation.apply(task.dataset.train.take(torch.stack(list(places))))


def tiles(task: Task, observer: nn.Module) -> Start:
    """Crops of training images that networks find easy, 2 x 2 to an image, by the code of EDC.

    Of each class: the 300 images with the least cross-entropy; of them in groups of 64 four random crops, which a group
    shares, enlarged and mirrored by chance; of those crops the 4 x IPC with the least cross-entropy, shrunk to half the
    resolution. A class of fewer than 64 images is one group, and a last group of fewer is left out as in the code.

    The i-th image of a class starts from its i-th tile. EDC's recovery draws one of the tiles for each image anew, on
    ImageNet-10 those that were drawn less with a higher probability, so that some tiles start two images and some none.
    There crops and tiles are JPEG files between the steps; here they are never stored.
    """
    return _of_crops(task, observer, easiest, across=ACROSS)


def patches(task: Task, observer: nn.Module) -> Start:
    """Crops of training images of medium difficulty, one to an image.

    CV-DD's and FADRM's are files to download, one an image, called "medium" among "easy" and "hard", and how they were
    made is not released. Here they are made as `tiles` are, but of the images and the crops that are nearest to the
    median, as DELT's code (of the same group) selects its "medium" images.
    """
    return _of_crops(task, observer, medium, across=1)


@dataclass(frozen=True)
class _Crops:
    """Crops of n training images: where these are (n,), boxes (n, 4), and which crops are mirrored (n,)."""

    places: Tensor
    boxes: Tensor
    mirrored: Tensor

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def joined(cls, parts: Sequence["_Crops"]) -> "_Crops":
        each = ((part.places, part.boxes, part.mirrored) for part in parts)
        return cls(*map(torch.cat, zip(*each, strict=True)))

    def at(self, chosen: Tensor | slice) -> "_Crops":
        return _Crops(self.places[chosen], self.boxes[chosen], self.mirrored[chosen])

    def of(self, feed: Feed) -> Tensor:
        """(n, C, S, S): the crops at full resolution."""
        seen = resample(feed.images(self.places), self.boxes)
        return torch.where(self.mirrored.to(seen.device)[:, None, None, None], seen.flip(-1), seen)


class _Scored:
    """How hard a network finds training images and crops of them."""

    def __init__(self, task: Task, observer: nn.Module) -> None:
        self.observer, self.feed = observer, Feed.of(task)

    def ranked(self, places: Tensor, label: int, ranking: Ranking) -> Tensor:
        """The places of images of a class, by the ranking."""
        parts = [self.losses(self.feed.images(some), label) for some in places.split(CROPS * ALIKE)]
        return places[ranking(torch.cat(parts)).cpu()]

    def ranked_crops(self, crops: _Crops, label: int, ranking: Ranking) -> _Crops:
        """Crops of images of a class, by the ranking."""
        starts = range(0, len(crops), CROPS * ALIKE)
        parts = [self.losses(crops.at(slice(start, start + CROPS * ALIKE)).of(self.feed), label) for start in starts]
        return crops.at(ranking(torch.cat(parts)).cpu())

    @torch.no_grad()
    def losses(self, images: Tensor, label: int) -> Tensor:
        """(n,): cross-entropies to the class."""
        logits = self.observer(images).float()
        return F.cross_entropy(logits, torch.full((len(logits),), label, device=logits.device), reduction="none")


def _of_crops(task: Task, observer: nn.Module, ranking: Ranking, *, across: int) -> Start:
    """Images of across x across crops. Which crops they are is found once for a class."""
    scored, each = _Scored(task, observer), across**2  # crops to an image
    wanted = task.ipc * each

    @cache
    def chosen(label: int) -> _Crops:
        candidates = scored.ranked(members(task.dataset, label), label, ranking)[:CANDIDATES]
        crops = scored.ranked_crops(_drawn(task, candidates, label), label, ranking)
        if len(crops) < wanted:
            name = task.dataset.classes[label]
            raise UsageError(f"class {name!r} gives {len(crops)} patches, fewer than the {wanted} that are needed")
        return crops.at(slice(wanted))

    def made(images: Members) -> Tensor:
        crops = [chosen(label).at(slice(number * each, (number + 1) * each)) for label, number in images]
        return _tiled(_Crops.joined(crops).of(scored.feed), across).cpu()

    return made


def images_needed(name: StartName, ipc: int) -> int:
    """How many training images a class must have, at the least, for so many images to start from.

    Raises:
        UsageError: no number is enough.
    """
    if name in ("noise", "real", "medium"):
        return 0 if name == "noise" else ipc
    each = ACROSS**2 if name == "tiles" else 1
    found = next((images for images in range(CANDIDATES + 1) if _crops_of(images) >= ipc * each), None)
    if found is None:
        most = _crops_of(CANDIDATES) // each
        raise UsageError(
            f"{name} start at most {most} images of a class, and --ipc is {ipc}; --set recover.start=medium starts any"
        )
    return found


def _crops_of(images: int) -> int:
    """How many crops a class of so many images gives (see `_drawn`)."""
    candidates = min(images, CANDIDATES)
    return CROPS * (candidates if candidates < ALIKE else candidates // ALIKE * ALIKE)


def _drawn(task: Task, places: Tensor, label: int) -> _Crops:
    """Four random crops of each image, shared by the images of a group: a crop of all of a group, then the next."""
    groups = [some for some in places.split(ALIKE) if len(some) == min(ALIKE, len(places))]
    return _Crops.joined([_of_group(task, some, label, number) for number, some in enumerate(groups)])


def _of_group(task: Task, places: Tensor, label: int, number: int) -> _Crops:
    draws = seeds.counter(task.seed_for("tiles", task.dataset.classes[label]), number)
    boxes = resized_boxes(draws, CROPS, task.dataset.resolution, CROP_SCALE, CROP_RATIO)
    mirrored = torch.from_numpy(draws.random(CROPS) < 0.5)
    each = len(places)
    return _Crops(places.repeat(CROPS), boxes.repeat_interleave(each, 0), mirrored.repeat_interleave(each))


def _tiled(crops: Tensor, across: int) -> Tensor:
    """(across^2 * n, C, S, S) -> (n, C, S, S): each image of the crops in a row, shrunk to fit."""
    if across == 1:
        return crops
    side = crops.shape[-1] // across
    small = F.interpolate(crops, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
    grid = small.unflatten(0, (-1, across, across))
    images: Tensor = grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return images


def met_images(task: Task, targets: Tensor, each: int, seed: int) -> Tensor:
    """Real images whose statistics a batch is to have: for each of its images `each` of the class, mirrored by chance.

    Each is drawn anew, so that one may come twice, as in EDC's code (category-aware "local").

    Returns:
        float32 (len(targets) * each, C, S, S) in normalised space, on the CPU.
    """
    draws = seeds.counter(seeds.derive("met", seed))
    of_class = {label: members(task.dataset, label) for label in targets.unique().tolist()}
    own = [of_class[label] for label in targets.tolist() * each]
    images = _taken(task, [some[int(draws.integers(len(some)))] for some in own]).cpu()
    flips = torch.from_numpy(draws.random(len(images)) < 0.5)
    return torch.where(flips[:, None, None, None], images.flip(-1), images)


def mirrored_by_chance(task: Task, images: Tensor, places: Members) -> Tensor:
    """Each image as it is, or mirrored with p = 0.5."""
    flips = torch.tensor([_mirrored(task, label, number) for label, number in places])
    return torch.where(flips[:, None, None, None], images.flip(-1), images)


def _mirrored(task: Task, label: int, number: int) -> bool:
    seed = task.seed_for("start mirrored", task.dataset.classes[label])
    return bool(seeds.counter(seed, number).random() < 0.5)
