"""Protocols that train a network from scratch on the condensed set: `hard`, `soft`, and most papers' own."""

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError
from torch import Tensor

from bench import seeds
from bench.condensation import Task
from bench.data.datasets import TensorSplit
from bench.errors import RunFailure
from bench.evaluation import Protocol, Scores
from bench.labels import HardLabels, Labels, OnlineLabels, SoftLabels, StoredLabels, teacher_of
from bench.recipes import Recipe, RecipeBook, Setting, Values
from bench.sets.condensed import CondensedSet, check_fits
from bench.storage.files import digest
from bench.storage.names import VARIANT
from bench.storage.tensor_files import tensor_digest
from bench.training import loop
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TrainingRecipe
from bench.training.recorded import RecordedViews
from bench.training.stored import pixels_digest
from bench.training.supervision import (
    HardSupervision,
    SoftSupervision,
    StoredSupervision,
    Supervision,
    TeacherSupervision,
)
from bench.training.teachers import Teacher, in_mode, load_teacher, pretrained, squeeze
from bench.training.testing import assess
from bench.training.variants import VARIANTS, VariedBook
from bench.training.views import Views
from bench.whitening import Whitening

LabelSource = Literal["own", "hard", "teacher"]
Reported = Literal["last", "best"]
VIEW_FIELDS = (
    *("epochs", "batch_size", "drop_last", "crop", "crop_scale", "crop_ratio", "pad"),
    *("shuffle_patches", "flip", "dsa", "randaugment", "erasing", "mix", "mix_alpha", "mixup_alpha", "mix_probability"),
)


@dataclass(frozen=True)
class Plan:
    """A recipe at a budget.

    Attributes:
        training: of the student.
        test_resize: see `bench.training.testing.assess`.
        temperature, teacher: for labels "teacher", and the table of that teacher.
    """

    training: TrainingRecipe
    test_resize: int | None
    temperature: float | None
    teacher: Values | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Plan":
        """From the values of a recipe book's table. Raises pydantic's ValidationError for fields nobody knows."""
        fields = dict(values)
        temperature, teacher, resize = (fields.pop(name, None) for name in ("temperature", "teacher", "test_resize"))
        return cls(TrainingRecipe(**fields), resize, temperature, teacher)


class TrainingProtocol(Protocol):
    """Trains from scratch by a recipe and tests the last epoch.

    Args:
        name: what users type. A new version of a protocol is a new name.
        labels: "own" (the set's own labels, and a step size it learned), "hard" (its classes), or "teacher" (a
            network squeezed by this protocol's own recipe looks at every view; one for all methods, and for whitened
            sets one that was squeezed on whitened images).
        book: a table per dataset with the fields of `TrainingRecipe`, and `test_resize`. For labels "teacher" also
            `temperature` and a table `teacher`: a `TrainingRecipe` too, or `weights` of torchvision; `backbone` names
            its network where it is not the run's own.
        paper_reports: see `bench.evaluation.Protocol`.
        shared: one recipe for the sets of all methods, though their labels are their own: stored labels bring the views
            that they were made for, and a learned step size, which belongs to the method's own protocol, is left.
    """

    variants = VARIANTS

    def __init__(
        self,
        name: str,
        labels: LabelSource,
        book: RecipeBook,
        *,
        version: int = 1,
        paper_reports: Reported = "last",
        shared: bool = False,
    ) -> None:
        self.name, self.labels, self.version, self.book = name, labels, version, book
        self.paper_reports, self.shared = paper_reports, shared or labels != "own"

    def variant(self, name: str) -> "TrainingProtocol":
        """The same with some of the recipe's augmentation off (see `bench.training.variants`)."""
        if name not in self.variants:
            super().variant(name)
        varied = copy(self)
        varied.name, varied.book, varied.variants = f"{self.name}{VARIANT}{name}", VariedBook(self.book, name), {}
        return varied

    def recipe(self, setting: Setting) -> Recipe:
        """The recipe for a setting; `setting.backbone` is the network that is trained."""
        return self.book.pick(setting)

    def plan(self, setting: Setting) -> Plan:
        """The recipe at the setting's budget, validated."""
        return Plan.of(self.recipe(setting).at(setting.budget))

    def conditions(self, setting: Setting) -> Mapping[str, Any]:
        """The recipe at its budget and the version of the loop: changed, they give other scores."""
        return {**self.recipe(setting).at(setting.budget), "loop": loop.VERSION}

    def note(self, setting: Setting) -> str:
        """What the quick budget takes of the recipe: "epochs 100 -> 50"."""
        return "; ".join(self.recipe(setting).taken()) if setting.budget == "quick" else ""

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        """Trains one network of `backbone` from scratch on the set and tests it on `task.dataset.test`.

        Whatever sees an image sees it through the set's own preprocessing: a whitened set is tested on whitened images,
        and the teacher of labels "teacher" is squeezed on them.

        Raises:
            RunFailure: the set's classes, normalisation or stored views are not what is evaluated on, the teacher is
                missing, or the training diverges.
        """
        check_fits(condensed, task.dataset)
        task = task.seen_through(condensed.preprocessing)
        plan = self.plan(replace(task.setting, backbone=backbone))
        recipe = self._fitted(plan.training, condensed)
        supervision = self._supervision(condensed, task, replace(plan, training=recipe))
        start = time.perf_counter()
        network = task.network(seeds.derive("init", seed), backbone)
        split = TensorSplit(_pixels(condensed), condensed.images.classes)
        job = TrainingJob(
            recipe=recipe,
            feed=Feed(split, condensed.preprocessing, task.device, channels_last=loop.wants_channels_last(task)),
            supervision=supervision,
            view_seed=self._view_seed(condensed.labels, seed),
            views=self._recorded(condensed.labels),
            checkpoint=task.workspace / f"{self._identity(condensed, recipe, backbone, seed)}.checkpoint.safetensors",
            what="evaluate",
        )
        network = loop.train(task, network, job)
        found = assess(network, task.dataset.test, task.dataset.normalisation, task, resize=plan.test_resize)
        seconds = time.perf_counter() - start
        return Scores(found.top1, found.top5, recipe.epochs, seconds, most_predicted=found.most_predicted)

    def _identity(self, condensed: CondensedSet, recipe: TrainingRecipe, backbone: str, seed: int) -> str:
        """Tells the checkpoint of this training from that of any other."""
        labels, teacher = condensed.labels, teacher_of(condensed.labels)
        labelled = [labels.kind, teacher.stage if teacher else None]
        images = [pixels_digest(condensed.images), condensed.preprocessing.digest]
        if isinstance(labels, SoftLabels):
            labelled.append(tensor_digest(labels.probabilities))
        if isinstance(labels, OnlineLabels) and labels.mode != "eval":
            labelled.append(labels.mode)
        trained = [recipe.model_dump(mode="json"), *images, *labelled]
        return f"evaluation-{digest([self.name, self.version, backbone, seed, *trained])}"

    def _view_seed(self, labels: Labels, seed: int) -> int:
        if self.labels == "own" and isinstance(labels, StoredLabels):
            return labels.view_seed
        return seeds.derive("views", seed)

    def _recorded(self, labels: Labels) -> RecordedViews | None:
        """The views that came with the labels, where the training follows them."""
        if self.labels != "own" or not isinstance(labels, StoredLabels) or labels.views is None:
            return None
        return RecordedViews(labels.views)

    def _fitted(self, recipe: TrainingRecipe, condensed: CondensedSet) -> TrainingRecipe:
        """The recipe with what a set brings: a learned step size to its own protocol, stored views to a shared one."""
        if condensed.learned_lr is not None and not self.shared:
            return recipe.model_copy(update={"lr": condensed.learned_lr})
        if self.labels == "own" and self.shared and isinstance(condensed.labels, StoredLabels):
            return in_views_of(condensed.labels, recipe)
        return recipe

    def _supervision(self, condensed: CondensedSet, task: Task, plan: Plan) -> Supervision:
        recipe, labels = plan.training, condensed.labels
        if self.labels == "teacher":
            network, temperature = self._teacher(task).network, plan.temperature
            assert temperature is not None
            return TeacherSupervision(network, temperature, t_squared=recipe.t_squared)
        if self.labels == "hard" or isinstance(labels, HardLabels):
            return HardSupervision(recipe.label_smoothing)
        if isinstance(labels, SoftLabels):
            return SoftSupervision(labels.probabilities.to(task.device))
        if isinstance(labels, OnlineLabels):
            network = in_mode(load_teacher(task, labels.teacher), labels.mode)
            return TeacherSupervision(network, labels.temperature, t_squared=recipe.t_squared)
        if VARIANT in self.name:
            raise RunFailure(f"the set's labels are stored for the views of its protocol; {self.name} shows others")
        check_views(labels, recipe, images=len(condensed.images), classes=task.classes)
        return StoredSupervision(labels.logits, labels.temperature, t_squared=recipe.t_squared)

    def _teacher(self, task: Task) -> Teacher:
        """The run's own network, by the recipe for that. Its seed is the protocol's: all methods and seeds share it."""
        table = dict(self.plan(task.setting).teacher or {})
        backbone = table.pop("backbone", None)
        if "weights" in table:
            return pretrained(task, table["weights"], backbone=backbone)
        shared_name = self.name.partition(VARIANT)[0]  # variants that leave the teacher's recipe alone share it
        seed = seeds.derive("teacher", shared_name, self.version)
        return squeeze(task, TrainingRecipe(**table), seed=seed, backbone=backbone)


def _pixels(condensed: CondensedSet) -> Tensor:
    """As stored, or whitened once: a product with a large matrix is too much for every step."""
    whitened = isinstance(condensed.preprocessing, Whitening)
    return condensed.normalised() if whitened else condensed.images.pixels


def in_views_of(labels: StoredLabels, recipe: TrainingRecipe) -> TrainingRecipe:
    """A recipe that shows what stored labels were made for, and is as it was in all else."""
    if labels.views is None:
        labelled = _recipe_of(labels)
        shown = {name: getattr(labelled, name) for name in VIEW_FIELDS}
    else:
        views = RecordedViews(labels.views)
        shown = {**views.fields, "epochs": min(recipe.epochs, views.epochs)}
    shown["warmup_epochs"] = min(recipe.warmup_epochs, shown["epochs"] - 1)
    return recipe.model_copy(update=shown)


def check_views(labels: StoredLabels, recipe: TrainingRecipe, *, images: int, classes: int) -> None:
    """Refuses stored labels that belong to other views than the recipe's.

    Raises:
        RunFailure: with the fields that differ, or the shape that does.
    """
    if labels.views is not None:
        check_recorded(labels, RecordedViews(labels.views), recipe, images=images, classes=classes)
        return
    labelled = _recipe_of(labels)
    differing = [name for name in VIEW_FIELDS if getattr(labelled, name) != getattr(recipe, name)]
    if differing:
        what = ", ".join(f"{name} {getattr(labelled, name)} not {getattr(recipe, name)}" for name in differing)
        raise RunFailure(f"the stored labels are for other views than the protocol's: {what}")
    _check_logits(labels, (recipe.epochs, Views(recipe, 0, images, 1).presented, classes))


def _recipe_of(labels: StoredLabels) -> TrainingRecipe:
    try:
        return TrainingRecipe.model_validate(labels.recipe)
    except ValidationError as error:
        raise RunFailure(f"the recipe kept with the stored labels is not valid: {error.errors()[0]['msg']}") from error


def check_recorded(
    labels: StoredLabels, views: RecordedViews, recipe: TrainingRecipe, *, images: int, classes: int
) -> None:
    """Refuses labels whose recorded views a recipe cannot follow, or that are not of these images. As `check_views`."""
    if differing := views.differing(recipe):
        raise RunFailure(f"the stored labels are for other views than the protocol's: {', '.join(differing)}")
    _check_logits(labels, (views.epochs, images, classes))


def _check_logits(labels: StoredLabels, expected: tuple[int, int, int]) -> None:
    if tuple(labels.logits.shape) != expected:
        raise RunFailure(f"the stored labels have shape {tuple(labels.logits.shape)}, not {expected}")
