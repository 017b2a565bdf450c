"""Statistics of training data in the measured layers of a network: the targets of recovered images.

One pass over the training set, whose images are seen as the network was trained on them (the releases: one random crop
and flip each). Per image the mean and the variance over its pixels are taken; sums of those give the statistics of all
data and of each class:

    mean = E[mu_i],    variance = E[var_i + mu_i^2] - E[mu_i]^2

which is the variance over all pixels of all images. The released code of G-VBSM and EDC averages the variances of
batches of 64 instead; they differ by the variance of the batches' means, a part in several thousands. Of classes EDC's
code takes E[var_i], the mean of the variances within images ("within-image-variance" in `as_released`). LPLD's takes a
moving average over the batches of one epoch ("moving-classes"): of what the class's images in a batch have together,

    s_c <- 0.9 s_c + 0.1 s_batch,    from mean 0 and variance 1

which the last ten or twenty images of a class decide where a batch has one of each.

What is kept has D numbers for all data and K x D for the classes, in fp32: with 1,000 classes about 100 MB for a
ResNet-18, where convolutions are measured. `statistics_bytes` in the run's notes says how many.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.condensation import Task
from bench.loops.passes import continued
from bench.recovery.batches import Batch
from bench.recovery.layers import (
    ByLayer,
    Layer,
    Measured,
    by_layer,
    in_patches,
    inputs_given,
    laid_out,
    layers_of,
    sizes_of,
)
from bench.recovery.pool import Member, RealStatistics
from bench.recovery.recipes import MatchingRecipe
from bench.storage.shared.stages import Made
from bench.training.feeding import Feed
from bench.training.recipes import TrainingRecipe
from bench.training.teachers import Teacher
from bench.training.views import Views

KIND, VERSION = "statistics", 1
BATCH = 128  # images that the network sees at once; changes nothing but costs, where nothing moves from batch to batch
KEPT = 0.9  # of a class's moving statistics, in a batch that it is met in
ALONE = ("crop", "crop_scale", "crop_ratio", "pad", "flip")  # what of a training's views concerns an image alone


def real_statistics(task: Task, teacher: Teacher, recipe: MatchingRecipe, trained: TrainingRecipe) -> RealStatistics:
    """Measures them, or finds them measured. Those of classes lie on the CPU, the others on the task's device.

    Args:
        task: its training images are seen.
        teacher: the network.
        recipe: which layers are measured, and whether classes are.
        trained: how the network was trained: images are cropped and flipped likewise. Statistics of classes that move
            from batch to batch have its batches, too.
    """
    seed, of_classes = task.seed_for("statistics"), _of_classes(recipe)
    shown = {name: getattr(trained, name) for name in ALONE}
    asked = {"match": list(recipe.match), "patch": recipe.patch, "of_classes": of_classes}
    batch = trained.batch_size if of_classes == "moving" else BATCH
    asked |= {"batch": batch} if of_classes == "moving" else {}
    parameters = {"teacher": teacher.ref.stage, "views": shown, "seed": seed, **asked}

    def make(folder: Path) -> Made:
        views = TrainingRecipe(epochs=1, batch_size=batch, lr=1.0, weight_decay=0.0, **shown)
        drawn = Views(views, seed, len(task.dataset.train), task.dataset.resolution)
        return _Pass(task, teacher.network, recipe, drawn).run(folder)

    stage = task.stage(KIND, VERSION, parameters, make)
    sizes = {int(place): tuple(lengths) for place, lengths in stage.facts["sizes"].items()}
    by_class = by_layer(stage.tensors["by_class"], sizes) if of_classes else {}
    return RealStatistics(by_layer(stage.tensors["overall"].to(task.device), sizes), by_class)


def class_goals(task: Task, member: Member, batches: Sequence[Batch], recipe: MatchingRecipe) -> dict[int, Measured]:
    """Of each layer, what its statistics should be in these batches, (G, n) each, by their classes or real images.

    Raises:
        ValueError: real images are what counts, and a batch has none.
    """
    if not recipe.meets_real_images:
        return member.class_goals(torch.stack([batch.targets for batch in batches]).to(task.device), recipe)
    found = [_together(task, member, batch, recipe) for batch in batches]
    return {place: tuple(map(torch.stack, zip(*(each[place] for each in found), strict=True))) for place in found[0]}


@torch.no_grad()
def _together(task: Task, member: Member, batch: Batch, recipe: MatchingRecipe) -> ByLayer:
    """Of all real images of a batch together, seen some at a time."""
    if batch.real is None:
        raise ValueError("the statistics of a batch of real images are matched, and the batch comes with none")
    sums: dict[int, Measured] = {}
    for some in batch.real.split(BATCH):
        for place, measured in _of_each(task, member.network, recipe, some.to(task.device)).items():
            added = tuple(each.sum(0) for each in _squared(measured))
            sums[place] = tuple(map(torch.add, sums[place], added)) if place in sums else added
    return {place: _centred(tuple(each / len(batch.real) for each in sums[place])) for place in sums}


@torch.no_grad()
def _of_each(task: Task, network: nn.Module, recipe: MatchingRecipe, images: Tensor) -> ByLayer:
    """Of each image (B, n): mean and variance over its pixels, in every layer."""
    layers, found = layers_of(network, recipe.match), dict[int, Measured]()

    def take(place: int, inputs: Tensor) -> None:
        found[place] = _of_images(layers[place], _by_image(inputs, len(images)), recipe.patch)

    with inputs_given(layers, take), task.autocast():
        network(images)
    return found


def _of_classes(recipe: MatchingRecipe) -> str | None:
    """Whether classes are measured, and which variance of theirs."""
    if recipe.global_share == 1 or recipe.meets_real_images:
        return None
    if "moving-classes" in recipe.as_released:
        return "moving"
    return "within images" if "within-image-variance" in recipe.as_released else "total"


class _Pass:
    """The pass over the training set. A step is a batch; `sums` is all that it changes."""

    def __init__(self, task: Task, network: nn.Module, recipe: MatchingRecipe, views: Views) -> None:
        self.task, self.network, self.recipe, self.views = task, network, recipe, views
        self.feed, dataset = Feed.of(task), task.dataset
        self.of_classes = _of_classes(recipe)
        example = torch.zeros(1, dataset.channels, dataset.resolution, dataset.resolution, device=task.device)
        self.sizes = sizes_of(_of_each(task, network, recipe, example))
        width, device = sum(map(sum, self.sizes.values())), task.device
        self.overall = torch.zeros(width, dtype=torch.float64, device=device)
        self.by_class = torch.zeros(task.classes if self.of_classes else 0, width, device=device)
        self.counts = torch.zeros(task.classes, dtype=torch.int64, device=device)
        if self.of_classes == "moving":
            self.by_class += laid_out({place: _unmoved(sizes) for place, sizes in self.sizes.items()}).to(device)

    @property
    def sums(self) -> dict[str, Tensor]:
        """What a checkpoint holds."""
        return {"overall": self.overall, "by class": self.by_class, "counts": self.counts}

    def run(self, folder: Path) -> Made:
        """The statistics, continued from a checkpoint in the folder."""
        checkpoint = folder / "statistics.checkpoint.safetensors"
        for step in continued(self.task, "statistics", self.views.batches, checkpoint, self.sums):
            self._add(step)
        return Made(self._kept(), {"sizes": {str(place): list(sizes) for place, sizes in self.sizes.items()}})

    def _add(self, step: int) -> None:
        view = self.views.at(0, step)
        labels = self.feed.labels(view.indices)
        found = _of_each(self.task, self.network, self.recipe, self.feed.seen(view))
        raw = laid_out({place: _squared(each) for place, each in found.items()})
        self.overall += raw.double().sum(0)
        self.counts.index_add_(0, labels, torch.ones_like(labels))  # a bincount would wait for the device
        if self.of_classes == "moving":
            self._move(raw, view.indices)
        elif self.of_classes:
            self.by_class.index_add_(0, labels, raw if self.of_classes == "total" else laid_out(found))

    def _move(self, raw: Tensor, indices: Tensor) -> None:
        """Moves the statistics of the classes that a batch has. Which these are is known on the CPU."""
        met, which, counts = self.task.dataset.train.labels[indices].unique(return_inverse=True, return_counts=True)
        places, which, counts = (each.to(raw.device, non_blocking=True) for each in (met, which, counts))
        sums = raw.new_zeros(len(met), raw.shape[1]).index_add_(0, which, raw)
        fresh = self._central(sums / counts[:, None])
        self.by_class[places] = torch.lerp(fresh, self.by_class[places], KEPT)

    def _kept(self) -> dict[str, Tensor]:
        everything = self.overall / self.counts.sum().clamp(min=1)
        kept = {"overall": self._central(everything).float().cpu()}
        if self.of_classes:
            kept["by_class"] = self._classes().cpu()
        return kept

    def _classes(self) -> Tensor:
        if self.of_classes == "moving":
            return self.by_class
        means = self.by_class / self.counts.clamp(min=1)[:, None]
        return self._central(means) if self.of_classes == "total" else means

    def _central(self, raw: Tensor) -> Tensor:
        """(..., D) of means and means of squares -> means and variances."""
        layers = by_layer(raw, self.sizes)
        return laid_out({place: _centred(each) for place, each in layers.items()})


def _by_image(inputs: Tensor, images: int) -> Tensor:
    """A layer's inputs with one row an image: BatchNorm between tokens is given (B * N, D), which become (B, D, N)."""
    return inputs if len(inputs) == images else inputs.unflatten(0, (images, -1)).movedim(1, 2)


def _of_images(layer: Layer, inputs: Tensor, patch: int) -> Measured:
    precise = inputs.float().flatten(2) if inputs.ndim > 2 else inputs.float()[..., None]
    variance, mean = torch.var_mean(precise, 2, correction=0)
    if layer.kind == "batchnorm":
        return mean, variance
    patch_variance, patch_mean = torch.var_mean(in_patches(inputs, patch), (1, 3, 5), correction=0)
    return mean, variance, patch_mean.flatten(1), patch_variance.flatten(1)


def _unmoved(sizes: Sequence[int]) -> Measured:
    """Means of 0 and variances of 1."""
    return tuple(torch.full((size,), float(at % 2)) for at, size in enumerate(sizes))


def _squared(measured: Measured) -> Measured:
    """Means and variances -> means and means of squares."""
    means, variances = measured[::2], measured[1::2]
    pairs = zip(means, variances, strict=True)
    return tuple(each for mean, variance in pairs for each in (mean, variance + mean.square()))


def _centred(raw: Measured) -> Measured:
    """The inverse of `_squared`."""
    pairs = zip(raw[::2], raw[1::2], strict=True)
    return tuple(each for mean, second in pairs for each in (mean, (second - mean.square()).clamp(min=0)))
