"""How a student is trained on the labels of a set, a class for each kind of labels."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from bench import seeds
from bench.condensation import Images, Task
from bench.errors import RunFailure
from bench.labels import HardLabels, Labels, OnlineLabels, RegressionLabels, SoftLabels, StoredLabels
from bench.storage.tensor_files import tensor_digest
from bench.training.losses import SoftLoss
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.pools import DrawnFromPool, labelled
from bench.training.soft_labels.recorded import RecordedViews
from bench.training.soft_labels.stored import label_views
from bench.training.supervision import (
    HardSupervision,
    RegressionSupervision,
    SoftSupervision,
    StoredSupervision,
    Supervision,
    TeacherSupervision,
)
from bench.training.teachers import Teacher, load_teacher, load_teachers
from bench.training.views import Presented, Views

L = TypeVar("L", bound=Labels)
VIEW_FIELDS = (
    *("epochs", "batch_size", "drop_last", "crop", "crop_scale", "crop_ratio", "pad"),
    *("shuffle_patches", "flip", "dsa", "dsa_reading", "augmax", "jitter", "lighting"),
    *("randaugment", "randaugment_policy", "erasing"),
    *("mix", "mix_alpha", "mixup_alpha", "mix_probability"),
)


class Targets(ABC, Generic[L]):
    """Labels as a training takes them. A kind must write `supervision` and `of_images`.

    Attributes:
        labels: of all images of a set.
    """

    def __init__(self, labels: L) -> None:
        self.labels = labels

    @property
    def identity(self) -> list[Any]:
        """What tells these labels from others of the same images, as JSON: a part of a checkpoint's name."""
        stages = [teacher.stage for teacher in self.labels.teachers]
        return [self.labels.kind, *(stages or (None,))]

    def presented(self, task: Task, recipe: TrainingRecipe, images: int, seed: int) -> Presented | None:
        """The views that the student of a seed must see, where recipe and `view_seed` alone do not say them."""
        return None

    def view_seed(self, seed: int) -> int:
        """What the views of a training are drawn from, of which `seed` is the own."""
        return seeds.derive("views", seed)

    def in_views(self, recipe: TrainingRecipe) -> TrainingRecipe:
        """A recipe that shows what the labels were made for, and is as it was in all else."""
        return recipe

    @abstractmethod
    def supervision(self, task: Task, recipe: TrainingRecipe, images: int) -> Supervision:
        """What the student of a recipe learns from, of a set of so many images.

        Raises:
            RunFailure: the labels are for other views than the recipe's, or a teacher is missing.
        """

    @abstractmethod
    def of_images(self, task: Task, images: Images, *, own: bool) -> Labels:
        """Labels of this kind for a set of images, or hard ones where there can be none.

        Args:
            own: whether they are those that the labels were made for; the order of the classes may be another.

        Raises:
            RunFailure: a teacher is missing.
        """


class HardTargets(Targets[HardLabels]):
    """The classes."""

    def supervision(self, task: Task, recipe: TrainingRecipe, images: int) -> Supervision:
        """Cross-entropy."""
        return HardSupervision(recipe.label_smoothing)

    def of_images(self, task: Task, images: Images, *, own: bool) -> Labels:
        """Every image has a class."""
        return self.labels


class SoftTargets(Targets[SoftLabels]):
    """A distribution an image."""

    @property
    def identity(self) -> list[Any]:
        """With the distributions."""
        return [*super().identity, tensor_digest(self.labels.probabilities)]

    def supervision(self, task: Task, recipe: TrainingRecipe, images: int) -> Supervision:
        """Cross-entropy with it."""
        return SoftSupervision(self.labels.probabilities.to(task.device))

    def of_images(self, task: Task, images: Images, *, own: bool) -> Labels:
        """They go where their images go; others have none."""
        return HardLabels() if images.soft is None else SoftLabels(images.soft)


class RegressionTargets(Targets[RegressionLabels]):
    """Outputs that an image asks for."""

    @property
    def identity(self) -> list[Any]:
        """With the targets."""
        return [*super().identity, tensor_digest(self.labels.targets)]

    def supervision(self, task: Task, recipe: TrainingRecipe, images: int) -> Supervision:
        """The squared error, whatever the recipe says of soft labels."""
        return RegressionSupervision(self.labels.targets.to(task.device))

    def of_images(self, task: Task, images: Images, *, own: bool) -> Labels:
        """They go where their images go; others have none."""
        return HardLabels() if images.targets is None else RegressionLabels(images.targets)


class OnlineTargets(Targets[OnlineLabels]):
    """Teachers that see every view."""

    @property
    def identity(self) -> list[Any]:
        """With the mode and how several are combined, where they are not the usual ones."""
        return [*super().identity, *_unusual(self.labels)]

    def supervision(self, task: Task, recipe: TrainingRecipe, images: int) -> Supervision:
        """Distillation from what their logits are combined to."""
        network = load_teachers(task, self.labels.teachers, self.labels.mode, self.labels.combine, self.labels.shares)
        return TeacherSupervision(network, soft_loss(recipe, self.labels.temperature))

    def of_images(self, task: Task, images: Images, *, own: bool) -> Labels:
        """The teachers look at whatever they are shown."""
        return self.labels


class StoredTargets(Targets[StoredLabels]):
    """Logits of certain views."""

    @property
    def identity(self) -> list[Any]:
        """With what is not the usual of how they were made and are kept."""
        return [*super().identity, *_unusual(self.labels), *([self.labels.budget] if self.labels.budget else [])]

    @property
    def recorded(self) -> RecordedViews | None:
        """The views of labels from elsewhere."""
        return None if self.labels.views is None else RecordedViews(self.labels.views)

    def presented(self, task: Task, recipe: TrainingRecipe, images: int, seed: int) -> Presented | None:
        """Recorded ones; or draws from the batches that are kept, where those are a part."""
        if self.labels.keep == 1:
            return self.recorded
        views = Views(recipe, self.labels.view_seed, images, task.dataset.resolution)
        return DrawnFromPool(views, self.labels.keep, seeds.derive("pool", seed))

    def view_seed(self, seed: int) -> int:
        """The labels' own: the student sees what was labelled."""
        return self.labels.view_seed

    def in_views(self, recipe: TrainingRecipe) -> TrainingRecipe:
        """A recipe with the labels' views and as many epochs as there are labels for."""
        if self.recorded is None:
            ours = _recipe_of(self.labels)
            shown = {name: getattr(ours, name) for name in VIEW_FIELDS}
        else:
            shown = {**self.recorded.fields, "epochs": min(recipe.epochs, self.recorded.epochs)}
        shown["warmup_epochs"] = min(recipe.warmup_epochs, shown["epochs"] - 1)
        return recipe.model_copy(update=shown)

    def supervision(self, task: Task, recipe: TrainingRecipe, images: int) -> Supervision:
        """Distillation from the logits of the very views."""
        check_views(self.labels, recipe, images=images, classes=task.classes)
        return StoredSupervision(self.labels, soft_loss(recipe, self.labels.temperature))

    def of_images(self, task: Task, images: Images, *, own: bool) -> Labels:
        """For other images the teachers label again; hard ones where others wrote the views down."""
        labels = self.labels
        if own:
            return labels
        if labels.views is not None:
            return HardLabels()
        teachers = [Teacher(load_teacher(task, ref), ref) for ref in labels.teachers]
        return label_views(task, teachers, images, labels)


TARGETS: Mapping[type[Labels], type[Targets[Any]]] = {
    HardLabels: HardTargets,
    SoftLabels: SoftTargets,
    RegressionLabels: RegressionTargets,
    OnlineLabels: OnlineTargets,
    StoredLabels: StoredTargets,
}


def targets_of(labels: Labels) -> Targets[Any]:
    """How a student is trained on them."""
    return TARGETS[type(labels)](labels)


def soft_loss(recipe: TrainingRecipe, temperature: float) -> SoftLoss:
    """What a recipe makes of soft labels of this temperature."""
    return SoftLoss(temperature, recipe.t_squared, recipe.soft_loss, recipe.hard_weight)


def check_views(labels: StoredLabels, recipe: TrainingRecipe, *, images: int, classes: int) -> None:
    """Refuses stored labels that belong to other views than the recipe's.

    Raises:
        RunFailure: with the fields that differ, or the shape that does.
    """
    if labels.views is not None:
        views = RecordedViews(labels.views)
        differing, rows = views.differing(recipe), (views.epochs, images)
    else:
        ours = _recipe_of(labels)
        pairs = {name: (getattr(ours, name), getattr(recipe, name)) for name in VIEW_FIELDS}
        differing = [f"{name} {had} not {wanted}" for name, (had, wanted) in pairs.items() if had != wanted]
        rows = labelled(recipe, 0, images, 1, labels.keep).rows
    if differing:
        raise RunFailure(f"the stored labels are for other views than the protocol's: {', '.join(differing)}")
    held = tuple(labels.logits.shape)
    if held[:2] != rows:
        raise RunFailure(f"the stored labels have shape {held}, not {(*rows, *held[2:])}")
    if wrong := labels.unfit(rows[1], classes):
        raise RunFailure(wrong)


def _unusual(labels: OnlineLabels | StoredLabels) -> list[Any]:
    """What of the making of labels is not as it was when there was one way: so older trainings go by their names."""
    mode, combine = [labels.mode] if labels.mode != "eval" else [], [labels.combine] if labels.combine != "mean" else []
    return [*mode, *combine, *([list(labels.shares)] if labels.shares else [])]


def _recipe_of(labels: StoredLabels) -> TrainingRecipe:
    try:
        return TrainingRecipe.model_validate(labels.recipe)
    except ValidationError as error:
        raise RunFailure(f"the recipe kept with the stored labels is not valid: {error.errors()[0]['msg']}") from error
