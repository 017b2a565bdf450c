"""Making the condensed set of a run: prepare, units, labels, storage, and what each cost.

What is finished is on disk and verified when read: `units/` one file a unit, then `condensed/`, then `costs.json`.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.condensation import Condenser, Images, Task, Unit
from bench.errors import CorruptArtefact, Interrupted, RunFailure
from bench.hardware.devices import computing_in
from bench.hardware.meters import IterationTimes
from bench.labels import Labels, TeacherRef
from bench.loops import losses
from bench.loops.losses import LOSSES_FILE, Losses
from bench.progress import noted
from bench.results.outcomes import SetCosts
from bench.results.records import COSTS_FILE
from bench.results.spec import RunSpec
from bench.running.environment import describe
from bench.running.failures import WorkToDo
from bench.running.procedure import Procedure, timed
from bench.running.units import UNITS, KeptUnit, UnitCost, check_images, kept_images, read_unit, unit_costs, write_unit
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.sets.contact_sheet import PREVIEW, write_preview
from bench.storage.artefacts import whole_or_aside
from bench.storage.elapsed import Lasting, lasting, most_busy
from bench.storage.files import clean_leftovers_of, quarantine
from bench.storage.leases import LockHeld, locked
from bench.training.recognition import recognition
from bench.training.teachers import KIND, load_teachers
from bench.training.testing import accuracy


@dataclass
class Synthesis:
    """The synthesis of one run.

    Attributes:
        labeller: the method that labels: the run's own, or for a control another.
        protocol: what the set's manifest says of the protocol that it is made for.
        command: what the user typed.
        looking: nothing is to be made.
        company: as of `RunContext`.

    The task computes as the spec's images are `made_in`; labels are made in its `precision`.
    """

    spec: RunSpec
    folder: Path
    task: Task
    method: Condenser[Any]
    labeller: Condenser[Any]
    protocol: Mapping[str, Any]
    command: str
    looking: bool = False
    company: int = 1
    _procedure: Procedure = field(init=False)

    def __post_init__(self) -> None:
        """The method is asked for nothing yet."""
        self._procedure = Procedure(self.method, self.task, self.labeller)

    def costs(self) -> SetCosts:
        """What the set cost. The set is made if it is not there, and made again if it is corrupt.

        Raises:
            WorkToDo: it would have to be made, while the run is only looked at.
        """
        if (found := self._finished()) is not None:
            return found
        if self.looking:
            raise WorkToDo
        with computing_in(self.task.precision):
            return self._make()

    @cached_property
    def units(self) -> dict[str, Unit]:
        """What the synthesis consists of, once all is prepared that it needs; nothing where the set is there."""
        if self._finished() is not None:
            return {}
        with computing_in(self.task.precision):
            return {unit.name: unit for unit in self._begun()[0]}

    def make(self, names: Iterable[str]) -> list[str]:
        """Makes units that are not there yet; those that another process is at are left, and named."""
        if self.units and (strange := [name for name in names if name not in self.units]):
            raise RunFailure(f"the method has no unit {strange[0]!r} here; its units must be the same in each process")
        with computing_in(self.task.precision):
            return [name for name in names if self.units and not self._is_made(self.units[name])]

    def _is_made(self, unit: Unit) -> bool:
        try:
            self._unit(unit, wait=False)
        except LockHeld:
            return False
        return True

    def prepare(self) -> None:
        """The stages of the method and of the labeller, found or made."""
        with computing_in(self.task.precision):
            self._procedure.prepare()
            self._procedure.prepare_labels()

    def _finished(self) -> SetCosts | None:
        try:
            costs = COSTS_FILE.read(self.folder / "costs.json")
            sets.verified(self.folder / "condensed")
        except FileNotFoundError:
            return None
        except CorruptArtefact as error:
            self.task.progress.warn(f"made again: {error}")
            for path in (self.folder / "costs.json", self.folder / "condensed"):
                if os.path.lexists(path):
                    quarantine(path)
            return None
        shutil.rmtree(self._label_workspace, ignore_errors=True)  # where its maker was killed at the very end
        return costs

    def _begun(self) -> tuple[Sequence[Unit], float]:
        """The units, once they are prepared, and the seconds that this took beside its stages."""
        if self.method.made_here:
            self.task.dataset.train.ready()
        prepare_s = self._beside_stages(self._procedure.prepare)
        return self._procedure.units(), prepare_s

    def _make(self) -> SetCosts:
        procedure = self._procedure
        units, prepare_s = self._begun()
        made = []
        for number, unit in enumerate(units, 1):
            noted(self.task.progress, "unit", f"{unit.name} {number}/{len(units)}" if len(units) > 1 else "")
            made.append(self._stored(self._unit(unit, wait=True)))
        noted(self.task.progress, "unit", "")
        images = self._joined([unit.images for unit in made])
        measured = unit_costs([unit.cost for unit in made], len(images)) if self.method.made_here else {}
        prepare_s += self._beside_stages(procedure.prepare_labels)  # not before: nothing else is alive while measuring
        preprocessing = procedure.preprocessing()
        labels, label_s, company = self._labels(images)
        stages = [stage.cost for stage in self.task.used_stages.values()]
        prepare_s += sum(stage.seconds for stage in stages)
        dataset = self.task.dataset
        condensed = CondensedSet(images, labels, dataset.classes, preprocessing, procedure.learned_lr(images))
        self._save(condensed, measured.get("iterations"))
        if (loss := Losses.mean([unit.losses for unit in made if unit.losses])) is not None:
            LOSSES_FILE.write(self.folder / losses.FILE, loss.to_json())
        set_bytes, label_bytes = sets.sizes(self.folder / "condensed")
        costs = {
            **measured,
            "workers": max(company, *(unit.cost.workers for unit in made), *(stage.workers for stage in stages)),
            **self.task.measured.to_json(),
            "teacher_top1": self._teacher_top1(condensed),
            "teacher_on_set": self._recognised(condensed),
            "prepare_s": prepare_s if self._prepared_here(labels) else None,
            "label_s": None if labels.plain else label_s,
            "label_kind": labels.kind,
            "preprocessing": preprocessing.kind,
            "set_bytes": set_bytes,
            "label_bytes": label_bytes,
            "class_order_hash": dataset.class_order_hash,
            "environment": describe(self.task.device, self.spec.precision, self.spec, self.command).to_json(),
            "stages": {name: asdict(stage.cost) for name, stage in self.task.used_stages.items()},
            "notes": dict(self.task.facts),
        }
        kept = COSTS_FILE.write(self.folder / "costs.json", costs)
        shutil.rmtree(self._label_workspace, ignore_errors=True)
        return kept

    def _prepared_here(self, labels: Labels) -> bool:
        """Whether all that comes before the images was made here; a set from elsewhere brings its teacher with it."""
        return self.method.made_here and (self.labeller.made_here or labels.plain)

    @property
    def _label_workspace(self) -> Path:
        return self.folder / "labels.work"

    def _labels(self, images: Images) -> tuple[Labels, float, int]:
        """The labels of the images, the seconds that all attempts took, and the most workers that were busy."""
        workspace, precision = self._label_workspace, self.spec.precision
        workspace.mkdir(exist_ok=True)
        workers = most_busy(workspace, self.company, self.task.progress)
        with lasting(workspace / "elapsed.json", self._stages_s, self.task.progress) as watch, computing_in(precision):
            labels = self._procedure.label(images, workspace=workspace, precision=precision)
            return labels, watch.total(), workers

    def _recognised(self, condensed: CondensedSet) -> dict[str, float] | None:
        """What the labels' teachers make of the set, where they are here: stored labels may be another machine's."""
        task, labels = self.task.seen_through(condensed.preprocessing), condensed.labels
        return recognition(_together(task, labels), condensed, task) if self._at_hand(labels.teachers) else None

    def _teacher_top1(self, condensed: CondensedSet) -> float | None:
        """Test accuracy in percent of who labels: one teacher's is kept with it, that of several together is tried."""
        task, teachers = self.task.seen_through(condensed.preprocessing), condensed.labels.teachers
        if len(teachers) < 2:
            return teachers[0].top1 if teachers else None
        if not len(task.dataset.test) or not self._at_hand(teachers):
            return None
        network = _together(task, condensed.labels)
        return accuracy(network, task.dataset.test, task.dataset.normalisation, task)[0]

    def _at_hand(self, teachers: Sequence[TeacherRef]) -> bool:
        """Whether there are teachers, and the weights of all are here."""
        stages = self.task.stages
        here = [teacher.file is not None or stages.read(KIND, teacher.stage) is not None for teacher in teachers]
        return bool(here) and all(here)

    def _stages_s(self) -> float:
        return self.task.stages.spent_s

    def _beside_stages(self, work: Callable[[], None]) -> float:
        """How long the work takes beside its stages: those count with what they cost when they were made."""
        before = self._stages_s()
        return timed(work)[1] - (self._stages_s() - before)

    def _unit(self, unit: Unit, *, wait: bool) -> KeptUnit:
        """One unit: read where it is whole, synthesised otherwise by one process alone.

        Raises:
            Owned: another live process makes it, and `wait` is False.
        """
        path = self.folder / UNITS / f"{unit.name}.safetensors"
        workspace = path.with_name(f"{unit.name}.work")
        if (whole := self._whole_unit(path, unit.name)) is not None:
            shutil.rmtree(workspace, ignore_errors=True)  # of one that was killed at its very end
            return self._taken(whole)
        with locked(path.with_name(f".{unit.name}.lock"), self.task.progress, wait=wait):
            clean_leftovers_of(path)
            return self._read_unit(path, unit.name) or self._made(unit, path, workspace)

    def _made(self, unit: Unit, path: Path, workspace: Path) -> KeptUnit:
        if self.task.should_stop():  # a method without loops asks nobody
            raise Interrupted("stopped")
        workspace.mkdir(parents=True, exist_ok=True)
        workers = most_busy(workspace, self.company, self.task.progress)
        warm_up_s = self._warm_up(workspace)
        times, loops = IterationTimes(warm_up_s=warm_up_s), list[Losses]()

        def timer(work: Callable[[], Images]) -> tuple[Images, float]:
            watch = Lasting(warm_up_s, self._stages_s)
            images = work()
            return images, watch.total() + times.carried_s

        made = self._procedure.measured(unit, timer, workspace=workspace, times=times, losses=loops)
        self._check(made.images, unit.name)
        cost = UnitCost(made.seconds, times, made.memory, workers)
        measured = self.task.measured.to_json()
        kept = KeptUnit(made.images, cost, dict(self.task.facts), measured, Losses.mean(loops))
        write_unit(path, kept)
        shutil.rmtree(workspace, ignore_errors=True)
        return replace(kept, images=kept_images(made.images))

    def _check(self, images: Images, unit: str) -> None:
        check_images(images, self._procedure.task, self.method, unit)

    def _warm_up(self, workspace: Path) -> float:
        """Seconds of compiling, before the first unit that this process makes, earlier attempts at it included."""
        path = workspace / "warm-up.json"
        if self._procedure.warm and not path.exists():
            return 0.0
        with lasting(path, progress=self.task.progress) as watch:
            self._procedure.warm_up()
            return watch.total()

    def _read_unit(self, path: Path, name: str) -> KeptUnit | None:
        read = partial(self._checked_unit, path, name)
        unit = whole_or_aside(read, path, self.task.progress, "unit set aside as {} and made again")
        return None if unit is None else self._taken(unit)

    def _whole_unit(self, path: Path, name: str) -> KeptUnit | None:
        """A finished unit. A damaged one is left as it lies: only who holds its lock may set it aside."""
        try:
            return self._checked_unit(path, name)
        except (FileNotFoundError, CorruptArtefact):
            return None

    def _taken(self, unit: KeptUnit) -> KeptUnit:
        """A unit that was made before; what was said of it is said of the set."""
        self.task.facts |= unit.notes
        self.task.measured.take(unit.measured)
        return unit

    def _checked_unit(self, path: Path, name: str) -> KeptUnit:
        unit = read_unit(path)
        try:
            self._check(unit.images, name)
        except RunFailure as error:
            raise CorruptArtefact(str(error)) from error
        return unit

    def _stored(self, unit: KeptUnit) -> KeptUnit:
        """A unit with its images as they are after storage: all classes in floats would be four times the set."""
        return replace(unit, images=self._procedure.stored(unit.images))

    def _joined(self, parts: Sequence[Images]) -> Images:
        """All units as one set, class by class."""
        images = Images.joined(parts)
        counts = torch.bincount(images.classes, minlength=self.task.classes)
        if self.method.made_here and counts.tolist() != [self.spec.ipc] * self.task.classes:
            raise RunFailure(f"the method made {sorted(set(counts.tolist()))} images a class, not {self.spec.ipc}")
        return images.at(images.classes.argsort(stable=True))

    def _save(self, condensed: CondensedSet, iterations: int | None) -> None:
        """The set with a manifest that says all a user needs, and a picture of it."""
        spec, dataset = self.spec, self.task.dataset
        method, backbone = spec.maker
        about = {
            "run": spec.name,
            "name": spec.brought.name if spec.brought else spec.name,
            "method": method,
            "backbone": backbone,
            "iterations": spec.brought.iterations if spec.brought else iterations,
            "budget": spec.brought.budget if spec.brought else spec.budget,
            "seed": None if spec.brought else spec.seed,
            "labelled_by": spec.labeller.name if spec.labeller else method,
            "dataset": spec.dataset,
            "card_hash": spec.card_hash,
            "dataset_source": spec.dataset_source,
            "source_differs": spec.source_differs,
            "class_order_hash": dataset.class_order_hash,
            "ipc": spec.ipc,
            **self.protocol,
        }
        weights = self._weights(condensed.labels)
        sets.save(self.folder / "condensed", condensed, self.method.pixel_format, about, weights)
        pixels, classes = condensed.images.pixels, condensed.images.classes
        as_networks_see = {} if pixels.dtype == torch.uint8 else {"invert": condensed.preprocessing.invert}
        write_preview(self.folder / PREVIEW, pixels, classes, dataset.class_names, **as_networks_see)

    def _weights(self, labels: Labels) -> list[Path]:
        """The files of the teachers that labels need: of a set from elsewhere its own, or else the stages'.

        None for an old set from elsewhere whose teachers are not here; under hard labels it can still be evaluated.
        """
        needed = labels.teachers if labels.needs_teachers else ()
        files = [teacher.file or self.task.stages.file(KIND, teacher.stage) for teacher in needed]
        return files if all(file.exists() for file in files) else []


def _together(task: Task, labels: Labels) -> nn.Module:
    """Their teachers as one network, which answers as they do while they label."""
    return load_teachers(task, labels.teachers, combine=labels.combination, shares=labels.votes)
