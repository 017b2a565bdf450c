"""Soft labels made once for every view of every epoch (FKD: Shen and Xing, ECCV 2022; SRe2L's relabel)."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xxhash
from torch import Tensor, nn

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays
from bench.condensation import Images, Task
from bench.data.datasets import TensorSplit
from bench.errors import CorruptArtefact, Interrupted, RunFailure
from bench.labels import StoredLabels, TeacherMode
from bench.loops.checkpoints import CheckpointSchedule
from bench.progress import Throttled
from bench.storage.artefacts import Kind, Part
from bench.storage.files import digest, quarantine
from bench.storage.shapes import Count
from bench.training.feeding import Feed
from bench.training.loop import wants_channels_last
from bench.training.recipes import TrainingRecipe
from bench.training.teachers import Teacher, in_mode, together
from bench.training.views import Views, apply

WHAT = "relabel"


class Position(Part):
    """How many steps of a labelling are done, and a hash of all logits that they gave."""

    done: Count
    logits: str


POSITION_FILE = Kind("how far a labelling came", 2, Position)  # one of version 1 vouches for no logits
SAVED = 0.2  # of a step, by compiling
READ = 1 << 24  # bytes at a time


def store_labels(
    task: Task,
    teacher: Teacher | Sequence[Teacher],
    images: Images,
    recipe: TrainingRecipe,
    *,
    temperature: float,
    view_seed: int,
    mode: TeacherMode = "eval",
) -> StoredLabels:
    """The fp16 logits of all views of all epochs: (epochs, presented images, classes).

    Those of several teachers are averaged. They are written straight into a memory-mapped file in the task's workspace,
    which continues after a kill; the tensor returned is backed by that file.

    Args:
        task: its dataset normalises the images, its arithmetic is the teachers'.
        teacher: who labels, one or several of any backbones.
        images: as stored, with all loss of storage.
        recipe: of the training that will use the labels; it decides the views.
        temperature: kept with the labels; logits are stored undivided.
        view_seed: seed of the views.
        mode: of each teacher (see `bench.training.teachers.in_mode`).

    Raises:
        Interrupted: the user asked to stop; what is done is kept.
        RunFailure: a logit is not finite in fp16.
        OSError: no room for the file (it is reserved in full before the first label).
    """
    teachers = [teacher] if isinstance(teacher, Teacher) else list(teacher)
    relabelling = _Relabelling(task, teachers, images, recipe, view_seed, mode)
    logits = torch.from_numpy(relabelling.run())
    first, *others = [each.ref for each in teachers]
    made = (temperature, view_seed, recipe.model_dump(mode="json"))
    return StoredLabels(first, *made, logits, others=tuple(others))


def pixels_digest(images: Images) -> str:
    """A hash of the pixels and classes, for names of checkpoints that belong to these images alone."""
    state = xxhash.xxh3_128(images.pixels.contiguous().flatten().view(torch.uint8).numpy().data)
    state.update(images.classes.contiguous().view(torch.uint8).numpy().data)
    return state.hexdigest()


class _Relabelling:
    """The state of one relabelling. A step labels one batch."""

    def __init__(
        self,
        task: Task,
        teachers: Sequence[Teacher],
        images: Images,
        recipe: TrainingRecipe,
        view_seed: int,
        mode: TeacherMode,
    ) -> None:
        self.task, self.network = task, together([in_mode(teacher.network, mode) for teacher in teachers])
        self.whole_batches: nn.Module = self.network
        normalisation = task.dataset.normalisation
        split = TensorSplit(images.pixels, images.classes)
        self.feed = Feed(split, normalisation, task.device, channels_last=wants_channels_last(task))
        self.views = Views(recipe, view_seed, len(images), task.dataset.resolution)
        self.blank = normalisation.blank(torch.zeros((), device=task.device))
        self.steps = recipe.epochs * self.views.batches
        who = [teacher.ref.stage for teacher in teachers]
        made_of = [
            who[0] if len(who) == 1 else who,
            recipe.model_dump(mode="json"),
            view_seed,
            pixels_digest(images),
            task.precision,
        ]
        made_of += [] if mode == "eval" else [mode]
        self.path = task.workspace / f"{WHAT}-{digest(made_of)}.fp16"
        self.position = self.path.with_suffix(".json")
        shape = (recipe.epochs, self.views.presented, task.classes)
        self.seen = xxhash.xxh3_128()  # of all logits up to here, which lie in the order in which they are made
        self.first = self._done(2 * math.prod(shape))
        self.logits = reserved(self.path, shape)

    def run(self) -> np.ndarray:
        self._compile()
        progress, rhythm = Throttled(self.task.progress), CheckpointSchedule(self.task.checkpoint_seconds)
        for step in self.task.pace.walk(WHAT, self.first, self.steps):
            self._label(*divmod(step, self.views.batches))
            done = step + 1
            progress.advance(WHAT, done, self.steps)
            stopping = self.task.should_stop() and done < self.steps
            if stopping or done == self.steps or rhythm.due():
                with rhythm.saving():
                    self._save(done)
            if stopping:
                raise Interrupted(f"stopped after {done} of {self.steps} batches of {WHAT}")
        return self.logits

    @torch.no_grad()
    def _compile(self) -> None:
        dataset = self.task.dataset
        shape = (self.views.batch_size, dataset.channels, dataset.resolution, dataset.resolution)
        images = self.feed.formatted(torch.randn(shape, generator=seeds.generator("trial")).to(self.task.device))

        def step(network: nn.Module) -> None:
            with self.task.autocast():
                network(images)

        work = Workload(WHAT, self.network, shape, self.steps, SAVED)
        self.whole_batches = compiled_where_it_pays(self.task, work, self.network, step)

    def _label(self, epoch: int, batch: int) -> None:
        view = self.views.at(epoch, batch)
        seen = apply(view, self.feed.images(view.indices), self.blank, self.feed.normalisation)
        images = self.feed.formatted(seen)
        network = self.whole_batches if len(view) == self.views.batch_size else self.network
        with torch.no_grad(), self.task.autocast():
            answers: Tensor = network(images)
        logits = answers.half().cpu().numpy()
        if not np.isfinite(logits).all():
            raise RunFailure(f"the teacher's logits of epoch {epoch + 1} are not finite in fp16")
        self.logits[epoch, view.start : view.start + len(view)] = logits
        self.seen.update(logits.tobytes())

    def _save(self, done: int) -> None:
        self.logits.flush()
        POSITION_FILE.write(self.position, {"done": done, "logits": self.seen.hexdigest()})

    def _done(self, size: int) -> int:
        """How far an earlier attempt came. A position without its logits is removed: it must not vouch for new ones."""
        if not self.path.is_file() or self.path.stat().st_size != size:
            self.position.unlink(missing_ok=True)
        try:
            position = POSITION_FILE.read(self.position)
            done = self._possible(position.done)
            self._check(done, position.logits)
            return done
        except FileNotFoundError:
            return 0
        except CorruptArtefact as error:
            self.seen.reset()
            self.task.progress.warn(f"labels are made from the first on, {quarantine(self.position).name}: {error}")
            return 0

    def _possible(self, done: int) -> int:
        if done > self.steps:
            raise CorruptArtefact(f"{self.position} says that {done} of {self.steps} batches are done")
        return done

    def _check(self, done: int, expected: str) -> None:
        """Holds the logits of these steps against their hash, which goes on from there."""
        epochs, batches = divmod(done, self.views.batches)
        left = 2 * self.task.classes * (epochs * self.views.presented + batches * self.views.batch_size)
        with self.path.open("rb") as file:
            while left and (content := file.read(min(left, READ))):
                self.seen.update(content)
                left -= len(content)
        if self.seen.hexdigest() != expected:
            raise CorruptArtefact(f"{self.path} does not hold the {done} batches that were labelled")


def reserved(path: Path, shape: Sequence[int]) -> "np.memmap[tuple[int, ...], np.dtype[np.float16]]":
    """A memory-mapped file whose blocks exist: without them a full disk would kill the process at a later write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 2 * math.prod(shape)
    try:
        with path.open("ab") as handle:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(handle.fileno(), 0, size)
            handle.truncate(size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return np.memmap(path, np.float16, "r+", shape=tuple(shape))
