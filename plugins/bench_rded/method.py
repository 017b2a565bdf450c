"""RDED as a condenser. What is followed where paper and code differ: see the package's docstring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.drawing import draw, members
from bench.errors import UsageError
from bench.labels import Labels, OnlineLabels
from bench.loops.passes import walk
from bench.recipes import Recipe, RecipeBook, Setting
from bench.training.augmentation.resampling import resized_crops
from bench.training.feeding import Feed
from bench.training.recipes import TeacherRecipe
from bench.training.teachers import RECIPES as TEACHERS
from bench.training.teachers import Teacher, check_weights, obtain
from bench.training.views import resized_boxes
from bench_rded.patches import centred, easiest, square_boxes, tiled

RECIPES = RecipeBook.load(Path(__file__).with_name("recipes.toml"))
SQUARE = (1.0, 1.0)
Share = Annotated[float, Field(gt=0, le=1)]


class RDEDConfig(MethodConfig):
    """RDED's hyper-parameters.

    Attributes:
        observer: how the network is trained that scores crops and labels images, or where it is taken from.
        images_per_class: real images whose crops are scored, or as many as the class has (the code's mipc).
        crops_per_image: random crops of each, of which the best is kept (the code's num_crop).
        crop_scale: range of a crop's share of the image's area.
        crop_from: "files" (images as large as their files have them, as in the code) or "dataset" (as all methods see
            them, resized and cut to the dataset's resolution).
        factor: an image is factor x factor patches; it divides the resolution.
        batch_size: crops that the observer scores at once.
        temperature: divides the logits of observer and student.
        pixel_format: how images are stored: "jpeg" (the code's round trip through JPEG of quality 75) or "uint8".
    """

    observer: TeacherRecipe
    images_per_class: int = Field(default=300, ge=1)
    crops_per_image: int = Field(default=5, ge=1)
    crop_scale: tuple[Share, Share] = (0.08, 1.0)
    crop_from: Literal["files", "dataset"] = "dataset"
    factor: int = Field(default=1, ge=1)
    batch_size: int = Field(default=100, ge=1)
    temperature: float = Field(default=20.0, gt=0)
    pixel_format: Literal["jpeg", "uint8"] = "jpeg"

    @field_validator("crop_scale")
    @classmethod
    def _ascending(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] > scale[1]:
            raise ValueError("its first number must not be above its second")
        return scale


class RDED(Condenser[RDEDConfig]):
    """The patches of real images that an observer finds easiest, tiled, and labelled by it. A unit is a class."""

    Config: ClassVar[type[MethodConfig]] = RDEDConfig
    version: ClassVar[int] = 3
    _observer: Teacher
    _feed: Feed | None

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The release's hyper-parameters for the dataset, or ours where it has none; the recipe's source says which."""
        return RECIPES.pick(setting).over(TEACHERS.pick(setting).under("observer"))

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The release's training of students."""
        return "rded"

    @property
    def pixel_format(self) -> PixelFormat:
        """How the images are stored."""
        return self.config.pixel_format

    def check(self, setting: Setting) -> None:
        """Patches must fill an image, the pool must have one for each place, and the observer's weights be published.

        Raises:
            UsageError: they cannot.
        """
        factor, pool = self.config.factor, self.config.images_per_class
        check_weights(setting, self.config.observer, "observer")
        if setting.resolution % factor:
            raise UsageError(
                f"rded: factor {factor} does not divide the {setting.resolution} pixels of {setting.dataset}; "
                f"--set factor={_nearest_divisor(setting.resolution, factor)} does"
            )
        if (wanted := setting.ipc * factor**2) > pool:
            raise UsageError(
                f"rded takes one patch of an image: {setting.ipc} images of {factor} x {factor} patches need a pool of "
                f"{wanted} real images a class, and images_per_class is {pool}; --set images_per_class={wanted}"
            )

    def real_images(self, setting: Setting) -> int:
        """A patch is the best of its image."""
        return setting.ipc * self.config.factor**2

    def prepare(self, task: Task) -> None:
        """Squeezes the observer, or finds it squeezed.

        Raises:
            UsageError: a class has fewer real images than patches are wanted of it.
        """
        pools = [len(self._pool(task, label)) for label in range(task.classes)]
        self.prepare_labels(task)
        task.facts["scored_images"] = sum(pools)
        self._feed = Feed.of(task) if self.config.crop_from == "dataset" else None

    def prepare_labels(self, task: Task) -> None:
        """The observer."""
        self._observer = obtain(task, self.config.observer, seed=task.seed_for("squeeze"))

    def units(self, task: Task) -> Sequence[Unit]:
        """One a class."""
        return [Unit(f"class{label:04}", (label,)) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """`task.ipc` images of the unit's class."""
        config, (label,) = self.config, unit.classes
        pool = self._pool(task, label)
        images, crops = easiest(self._losses(task, label, pool), task.ipc * config.factor**2)
        patches = self._crops(task, label, pool, images)[torch.arange(len(images)), crops]
        return Images(tiled(patches, config.factor).cpu(), torch.full((task.ipc,), label))

    @property
    def label_kind(self) -> str:
        """The observer labels while students train."""
        return OnlineLabels.kind

    def label(self, task: Task, images: Images) -> Labels:
        """The observer labels each view while a student trains."""
        return OnlineLabels(self._observer.ref, self.config.temperature)

    def _pool(self, task: Task, label: int) -> Tensor:
        """int64 (n,): the real images of a class whose crops are scored."""
        found = len(members(task.dataset, label, task.ipc * self.config.factor**2))
        return draw(task.dataset, label, min(found, self.config.images_per_class), task.seed_for("pool"))

    def _boxes(self, task: Task, label: int, images: int) -> Tensor:
        """int64 (images, K, 4): the crops of a class's pool."""
        rng, crops = seeds.counter(task.seed_for("crops", task.dataset.classes[label])), self.config.crops_per_image
        boxes = resized_boxes(rng, images * crops, task.dataset.resolution, self.config.crop_scale, SQUARE)
        return boxes.view(images, crops, 4)

    def _crops(self, task: Task, label: int, pool: Tensor, places: Tensor) -> Tensor:
        """float32 (n, K, C, s, s), in normalised space: the crops of the images at some places of the pool."""
        side = task.dataset.resolution // self.config.factor
        if self.config.crop_from == "files":
            return self._crops_of_files(task, label, pool, places, side)
        boxes = self._boxes(task, label, len(pool))[places]
        assert self._feed is not None
        return resized_crops(self._feed.images(pool[places]), boxes, side)

    def _crops_of_files(self, task: Task, label: int, pool: Tensor, places: Tensor, side: int) -> Tensor:
        dataset, crops = task.dataset, []
        seed = task.seed_for("crops", dataset.classes[label])
        originals = dataset.train.originals(pool[places])
        for place, original in zip(places.tolist(), originals, strict=True):
            rng, (_, height, width) = seeds.counter(seed, place), original.shape
            boxes = square_boxes(rng, self.config.crops_per_image, height, width, self.config.crop_scale)
            image = dataset.normalisation.apply(original[None].to(task.device))
            crops.append(resized_crops(image, boxes[None], side))
        return torch.cat(crops)

    @torch.no_grad()
    def _losses(self, task: Task, label: int, pool: Tensor) -> Tensor:
        """float32 (n, K), on the CPU: the observer's cross-entropy of each crop to the class; infinite if untried."""
        images = max(1, self.config.batch_size // self.config.crops_per_image)
        losses = torch.full((len(pool), self.config.crops_per_image), torch.inf, device=task.device)
        for step in walk(task, "score", -(-len(pool) // images)):
            batch = torch.arange(step * images, min((step + 1) * images, len(pool)))
            crops = centred(self._crops(task, label, pool, batch).flatten(0, 1), task.dataset.resolution)
            losses[batch] = self._scored(crops, label).view(-1, self.config.crops_per_image)
        return losses.cpu()

    def _scored(self, crops: Tensor, label: int) -> Tensor:
        """In fp32, as in the release: of easy crops bf16 tells few apart, and a rank is all that is wanted."""
        logits = self._observer.network(crops)
        classes = torch.full((len(crops),), label, device=crops.device)
        return F.cross_entropy(logits, classes, reduction="none")


def _nearest_divisor(number: int, wanted: int) -> int:
    divisors = [each for each in range(1, number + 1) if number % each == 0]
    return min(divisors, key=lambda each: abs(each - wanted))
