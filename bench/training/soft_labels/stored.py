"""Soft labels made once for every view of every epoch (FKD: Shen and Xing, ECCV 2022; SRe2L's relabel)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor, nn

from bench.compiling import Workload, compiled_where_it_pays, example_images
from bench.condensation import Images, Task
from bench.data.datasets import TensorSplit
from bench.errors import CorruptArtefact, RunFailure
from bench.labels import Combine, StoredLabels, TeacherMode
from bench.labels.forms import FLOAT16, LOGITS, LogitForm
from bench.loops.passes import saved_loop
from bench.storage.artefacts import Kind, Part
from bench.storage.files import digest, quarantine
from bench.storage.paging import passed
from bench.storage.shapes import Count
from bench.training.feeding import Feed
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.label_files import LabelFiles
from bench.training.soft_labels.pools import labelled
from bench.training.teachers import Teacher, in_mode, together
from bench.training.views import BatchView

WHAT = "relabel"
SAVED = 0.2  # of a step, by compiling


class Position(Part):
    """How many steps of a labelling are done, and a hash of what they gave, of each tensor that it is kept in."""

    done: Count
    logits: str


POSITION_FILE = Kind("how far a labelling came", 2, Position)  # one of version 1 vouches for no logits


def store_labels(
    task: Task,
    teacher: Teacher | Sequence[Teacher],
    images: Images,
    recipe: TrainingRecipe,
    *,
    temperature: float,
    view_seed: int,
    mode: TeacherMode = "eval",
    combine: Combine = "mean",
    shares: Sequence[float] = (),
    form: LogitForm = FLOAT16,
    keep: float = 1.0,
) -> StoredLabels:
    """The logits of all views of all epochs, in fp16 (epochs, presented images, classes), or of fewer in fewer bytes.

    They are written straight into memory-mapped files in the task's workspace, which continue after a kill; the tensors
    returned are backed by these files.

    Args:
        task: its dataset normalises the images, its arithmetic is the teachers'.
        teacher: who labels, one or several of any backbones.
        images: as stored, with all loss of storage.
        recipe: of the training that will use the labels; it decides the views.
        temperature: kept with the labels; logits are stored undivided.
        view_seed: seed of the views.
        mode: of each teacher (see `bench.training.teachers.in_mode`).
        combine, shares: what is made of the logits of several (see `bench.training.teachers.together`).
        form: in which logits are kept, from their fp16 numbers on.
        keep: the share of all batches that is labelled, in (0, 1] (see `bench.training.soft_labels.pools`).

    Raises:
        Interrupted: the user asked to stop; what is done is kept.
        RunFailure: a logit is not finite in fp16.
        OSError: no room for the file (it is reserved in full before the first label).
    """
    teachers = [teacher] if isinstance(teacher, Teacher) else list(teacher)
    first, *others = [each.ref for each in teachers]
    plan = StoredLabels(
        first,
        temperature,
        view_seed,
        recipe.model_dump(mode="json"),
        torch.empty(0),
        others=tuple(others),
        combine=combine,
        shares=tuple(shares),
        mode=mode,
        form=form,
        keep=keep,
    )
    return label_views(task, teachers, images, plan)


def label_views(task: Task, teachers: Sequence[Teacher], images: Images, plan: StoredLabels) -> StoredLabels:
    """The same for labels of which all is known but what they say; `plan.logits` and `plan.beside` are not read."""
    kept = {name: torch.from_numpy(array) for name, array in _Relabelling(task, teachers, images, plan).run()}
    return replace(plan, logits=kept.pop(LOGITS), beside=kept)


def pixels_digest(images: Images) -> str:
    """A hash of the pixels and classes, for names of checkpoints that belong to these images alone."""
    state = xxhash.xxh3_128()
    for piece in chain(passed(images.pixels.contiguous(), unchanged=True), passed(images.classes.contiguous())):
        state.update(piece)
    return state.hexdigest()


class _Relabelling:
    """The state of one relabelling. A step labels one batch.

    Args:
        plan: the labels as they will be, without their logits.
    """

    def __init__(self, task: Task, teachers: Sequence[Teacher], images: Images, plan: StoredLabels) -> None:
        self.task, self.plan, recipe = task, plan, TrainingRecipe.model_validate(plan.recipe)
        networks = [in_mode(teacher.network, plan.mode) for teacher in teachers]
        self.network = together(networks, plan.combine, plan.shares)
        self.whole_batches: nn.Module = self.network
        self.feed = Feed.of(task, TensorSplit(images.pixels, images.classes))
        self.views = labelled(recipe, plan.view_seed, len(images), task.dataset.resolution, plan.keep)
        self.batch_size = min(recipe.batch_size, len(images))
        self.stem = task.workspace / f"{WHAT}-{digest(_made_of(plan, images, task.precision))}"
        self.position = self.stem.with_suffix(".json")
        self.files = LabelFiles(self.stem, plan.form, self.views.rows, task.classes)
        self.first = self._done()
        self.files.reserve()

    def run(self) -> Iterable[tuple[str, np.ndarray]]:
        self._compile()
        steps = self.views.steps
        for step in saved_loop(self.task, WHAT, steps, self._save, steps="batches").walk(self.first):
            self._label(self.views.at(step))
            if step + 1 == steps:
                self._save(steps)
        return self.files.arrays.items()

    @torch.no_grad()
    def _compile(self) -> None:
        images = example_images(self.task, self.batch_size)

        def step(network: nn.Module) -> None:
            with self.task.autocast():
                network(images)

        work = Workload(WHAT, self.network, tuple(images.shape), self.views.steps, SAVED)
        self.whole_batches = compiled_where_it_pays(self.task, work, self.network, step)

    def _label(self, view: BatchView) -> None:
        images = self.feed.seen(view)
        network = self.whole_batches if len(view) == self.batch_size else self.network
        with torch.no_grad(), self.task.autocast():
            answers: Tensor = network(images)
        logits = answers.half().cpu().numpy()
        if not np.isfinite(logits).all():
            raise RunFailure(f"the teacher's logits of epoch {view.epoch + 1} are not finite in fp16")
        self.files.write(view.epoch, view.start, self.plan.form.encode(logits, self.plan.temperature))

    def _save(self, done: int) -> None:
        POSITION_FILE.write(self.position, {"done": done, "logits": self.files.flush()})

    def _done(self) -> int:
        """How far an earlier attempt came. A position without its logits is removed: it must not vouch for new ones."""
        if not self.files.are_there():
            self.position.unlink(missing_ok=True)
        try:
            return self._vouched_for(POSITION_FILE.read(self.position))
        except FileNotFoundError:
            return 0
        except CorruptArtefact as error:
            self.task.progress.warn(f"labels are made from the first on, {quarantine(self.position).name}: {error}")
            return 0

    def _vouched_for(self, position: Position) -> int:
        done, steps = position.done, self.views.steps
        if done > steps:
            raise CorruptArtefact(f"{self.position} says that {done} of {steps} batches are done")
        if not self.files.hold(self._views_of(done), position.logits):
            raise CorruptArtefact(f"{self.stem.name} does not hold the {done} batches that were labelled")
        return done

    def _views_of(self, steps: int) -> int:
        """How many views the first so many steps label."""
        if steps == self.views.steps:
            return math.prod(self.views.rows)
        view = self.views.at(steps)
        return view.epoch * self.views.rows[1] + view.start


def _made_of(plan: StoredLabels, images: Images, precision: str) -> list[Any]:
    """What tells a relabelling from others. What is usual is not said: so older ones go by their names."""
    who = [teacher.stage for teacher in plan.teachers]
    made_of = [who if plan.others else who[0], plan.recipe, plan.view_seed, pixels_digest(images), precision]
    unusual = [plan.mode if plan.mode != "eval" else "", plan.combine if plan.combine != "mean" else "", plan.budget]
    shares = [list(plan.shares)] if plan.shares else []
    smoothed = [plan.temperature] if plan.form.store == "top-k" else []
    return [*made_of, *filter(None, unusual), *smoothed, *shares]
