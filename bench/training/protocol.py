"""Protocols that train a network from scratch on the condensed set: `hard`, `soft`, and most papers' own."""

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.data.datasets import TensorSplit
from bench.errors import RunFailure
from bench.evaluation import LabelSource as LabelSource
from bench.evaluation import Protocol, Scores
from bench.labels import HardLabels, Labels
from bench.loops.checkpoints import SUFFIX as CHECKPOINT
from bench.recipes import Recipe, RecipeBook, Setting, Values
from bench.sets.condensed import CondensedSet, check_fits
from bench.storage.files import digest
from bench.storage.names import VARIANT
from bench.training import loop
from bench.training.curves import Curve
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.stored import pixels_digest
from bench.training.soft_labels.targets import VIEW_FIELDS as VIEW_FIELDS
from bench.training.soft_labels.targets import Targets, soft_loss, targets_of
from bench.training.supervision import Supervision, TeacherSupervision
from bench.training.teachers import Teacher, pretrained, squeeze
from bench.training.testing import Assessment, assess
from bench.training.variants import AUGMENTATION, LENGTH, SOFTNESS, VariedBook, epochs_of, temperature_of

Reported = Literal["last", "best"]


@dataclass(frozen=True)
class Plan:
    """A recipe at a budget.

    Attributes:
        training: of the student.
        test_resize: see `bench.training.testing.assess`.
        temperature: of labels "teacher"; of a set's own where it is to be another than theirs.
        teacher: the table of the one of labels "teacher".
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
        self.variants = {**AUGMENTATION, **LENGTH, **({} if labels == "hard" else SOFTNESS)}

    def variant(self, name: str) -> "TrainingProtocol":
        """The same without augmentation, for other epochs or at another temperature (`bench.training.variants`)."""
        softens = self.labels != "hard" and temperature_of(name)
        if not (name in AUGMENTATION or epochs_of(name) or softens):
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

    def teacher_backbone(self, setting: Setting) -> str:
        """The network that the recipe's table of the teacher names, or the run's own."""
        return (self.plan(setting).teacher or {}).get("backbone") or setting.backbone

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
        teacher = self._teacher(task) if self.labels == "teacher" else None
        supervision = self._supervision(condensed, task, replace(plan, training=recipe), teacher)
        test = partial(_tested, task=task, resize=plan.test_resize)
        start = time.perf_counter()
        network = task.network(seeds.derive("init", seed), backbone)
        curve = Curve(recipe.epochs, task.looks, lambda network: test(network).top1, task.device)
        split = TensorSplit(_pixels(condensed), condensed.images.classes)
        job = TrainingJob(
            recipe=recipe,
            feed=Feed.of(task, split),
            supervision=supervision,
            view_seed=self._targets(condensed).view_seed(seed),
            views=self._targets(condensed).presented(task, recipe, len(split), seed),
            checkpoint=task.workspace / f"{self._identity(condensed, recipe, backbone, seed)}{CHECKPOINT}",
            what="evaluate",
            curve=curve,
        )
        network = loop.train(task, network, job)
        found = test(network)
        seconds = time.perf_counter() - start
        return Scores(
            top1=found.top1,
            top5=found.top5,
            epochs=recipe.epochs,
            seconds=seconds,
            most_predicted=found.most_predicted,
            teacher_top1=teacher.ref.top1 if teacher else None,
            curves=curve.ended(found.confusion),
        )

    def _identity(self, condensed: CondensedSet, recipe: TrainingRecipe, backbone: str, seed: int) -> str:
        """Tells the checkpoint of this training from that of any other."""
        images = [pixels_digest(condensed.images), condensed.preprocessing.digest]
        trained = [recipe.model_dump(mode="json"), *images, *targets_of(condensed.labels).identity]
        return f"evaluation-{digest([self.name, self.version, backbone, seed, *trained])}"

    def _targets(self, condensed: CondensedSet) -> Targets[Any]:
        """How the student is trained on the labels that this protocol takes of a set."""
        return targets_of(condensed.labels if self.labels == "own" else HardLabels())

    def _fitted(self, recipe: TrainingRecipe, condensed: CondensedSet) -> TrainingRecipe:
        """The recipe with what a set brings: a learned step size to its own protocol, stored views to a shared one."""
        if condensed.learned_lr is not None and not self.shared:
            return recipe.model_copy(update={"lr": condensed.learned_lr})
        return self._targets(condensed).in_views(recipe) if self.shared else recipe

    def _supervision(self, condensed: CondensedSet, task: Task, plan: Plan, teacher: Teacher | None) -> Supervision:
        recipe, targets = plan.training, self._targets(condensed)
        if teacher is not None:
            assert plan.temperature is not None
            return TeacherSupervision(teacher.network, soft_loss(recipe, plan.temperature))
        if plan.temperature is not None:
            targets = targets_of(_softened(condensed.labels, plan.temperature))
        elif VARIANT in self.name and condensed.labels.of_views:
            raise RunFailure(f"the set's labels are stored for the views of its protocol; {self.name} shows others")
        return targets.supervision(task, recipe, len(condensed.images))

    def _teacher(self, task: Task) -> Teacher:
        """The run's own network, by the recipe for that. Its seed is the protocol's: all methods and seeds share it."""
        table = dict(self.plan(task.setting).teacher or {})
        backbone = table.pop("backbone", None)
        if "weights" in table:
            return pretrained(task, table["weights"], backbone=backbone)
        shared_name = self.name.partition(VARIANT)[0]  # variants that leave the teacher's recipe alone share it
        seed = seeds.derive("teacher", shared_name, self.version)
        return squeeze(task, TrainingRecipe(**table), seed=seed, backbone=backbone)


def _tested(network: nn.Module, task: Task, resize: int | None) -> Assessment:
    return assess(network, task.dataset.test, task.dataset.normalisation, task, resize=resize)


def _softened(labels: Labels, temperature: float) -> Labels:
    """A set's own labels at another temperature. Raises RunFailure: they have none."""
    try:
        return labels.softened(temperature)
    except ValueError as error:
        raise RunFailure(str(error)) from None


def _pixels(condensed: CondensedSet) -> Tensor:
    """As stored, or as networks see them where that is too much for every step: whitened by a large matrix."""
    return condensed.normalised() if condensed.preprocessing.costly else condensed.images.pixels
