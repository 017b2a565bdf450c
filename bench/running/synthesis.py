"""Making the condensed set of a run: prepare, units, labels, storage, and what each cost.

What is finished is on disk and verified when read: `units/` one file a unit, then `condensed/`, then `costs.json`.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import torch

from bench.condensation import Condenser, Images, Task, Unit
from bench.condensation.sizes import class_sizes
from bench.errors import CorruptArtefact, RunFailure
from bench.hardware.devices import computing_in
from bench.hardware.meters import PeakMemory, own_peak
from bench.hardware.waiting import share_of_all
from bench.labels import Labels
from bench.loops.losses import LOSSES_FILE, Losses
from bench.progress import noted
from bench.results.outcomes import SetCosts
from bench.results.records import COSTS_FILE
from bench.results.spec import RunSpec
from bench.running.edits import Offers
from bench.running.environment import describe
from bench.running.failures import Prepared, WorkToDo
from bench.running.joining import check_counts, of_one_type
from bench.running.procedure import Procedure, timed
from bench.running.set_teachers import recognised, teacher_top1, weights_of
from bench.running.suspicions import note_suspicions
from bench.running.unit_making import UnitMaker
from bench.running.units import KeptUnit, UnitCost, unit_costs, without_pixels
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.sets.contact_sheet import write_preview
from bench.sets.pixel_formats import StoredPixels
from bench.storage import run_folder
from bench.storage.files import quarantine
from bench.storage.paging import assembled
from bench.storage.shared.elapsed import beside_others, lasting
from bench.storage.shared.leases import LockHeld


@dataclass
class Synthesis:
    """The synthesis of one run.

    Attributes:
        labeller: the method that labels: the run's own, or for a control another.
        protocol: what the set's manifest says of the protocol that it is made for.
        command: what the user typed.
        offers: what makes the set, for the record.
        looking: nothing is to be made.
        company, anew: as of `RunContext`.

    The task computes as the spec's images are `made_in`; labels are made in its `precision`.
    """

    spec: RunSpec
    folder: Path
    task: Task
    method: Condenser[Any]
    labeller: Condenser[Any]
    protocol: Mapping[str, Any]
    command: str
    offers: Offers
    looking: bool = False
    company: str = ""
    anew: bool = False
    _procedure: Procedure = field(init=False)
    _maker: UnitMaker = field(init=False)
    _peaks: list[PeakMemory] = field(default_factory=list, init=False)  # of what comes before the images

    def __post_init__(self) -> None:
        """The method is asked for nothing yet."""
        self._procedure = Procedure(self.method, self.task, self.labeller)
        self._maker = UnitMaker(self.folder / run_folder.UNITS, self._procedure, self.company)

    def costs(self) -> SetCosts:
        """What the set cost. The set is made if it is not there, and made again if it is corrupt.

        Raises:
            WorkToDo: it would have to be made, while the run is only looked at.
            Prepared: what it needs was made now, and the images are to be made anew.
        """
        if (found := self._finished()) is not None:
            return found
        if self.looking:
            raise WorkToDo
        with computing_in(self.task.precision):
            return self._make()

    @cached_property
    def units(self) -> dict[str, Unit]:
        """What the synthesis consists of, once all is prepared that it needs; nothing where the set is there.

        Raises Prepared: as `costs`.
        """
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
            self._maker.get(unit, wait=False)
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
            costs = COSTS_FILE.read(self.folder / run_folder.COSTS)
            sets.verified(self.folder / run_folder.CONDENSED)
        except FileNotFoundError:
            return None
        except CorruptArtefact as error:
            self.task.progress.warn(f"made again: {error}")
            for path in (self.folder / run_folder.COSTS, self.folder / run_folder.CONDENSED):
                if os.path.lexists(path):
                    quarantine(path)
            return None
        shutil.rmtree(self._label_workspace, ignore_errors=True)  # where its maker was killed at the very end
        return costs

    def _begun(self) -> tuple[Sequence[Unit], float]:
        """The units, once they are prepared, and the seconds that this took beside its stages."""
        decoded = self.method.made_here and self.task.dataset.ready()
        prepare_s = self._beside_stages(self._procedure.prepare)
        units = self._procedure.units()
        if self.anew and (decoded or self.task.stages.made):
            raise Prepared(self.task.measured.to_json())
        return units, prepare_s

    def _make(self) -> SetCosts:
        procedure, stages = self._procedure, self.task.used_stages
        units, prepare_s = self._begun()
        made = self._made(units)
        images, stored = self._joined(units, [unit.images for unit in made])
        prepare_s += self._beside_stages(procedure.prepare_labels)  # not before: nothing else is alive while measuring
        preprocessing = procedure.preprocessing()
        labels, label_s, company, waited = self._labels(images)
        learned_lr, decoder = procedure.learned_lr(images), self.method.decoder
        condensed = CondensedSet(images, labels, self.task.dataset.classes, preprocessing, learned_lr, decoder)
        measured = unit_costs([unit.cost for unit in made], len(images)) if self.method.made_here else {}
        self._save(condensed, stored, measured.get("iterations"))
        maker = self.offers.get(f"method {self.spec.method.name}")
        if self.method.made_here and maker is not None and maker.foreign:
            note_suspicions(condensed, self.task)
        if (loss := Losses.mean([unit.losses for unit in made if unit.losses])) is not None:
            LOSSES_FILE.write(self.folder / run_folder.LOSSES, loss.to_json())
        prepare_s += sum(stage.cost.seconds for stage in stages.values())
        busy = [*(unit.cost.workers for unit in made), *(stage.cost.workers for stage in stages.values())]
        published = None if self.method.made_here else self.method.image_files(self.task)
        set_bytes, label_bytes = sets.sizes(self.folder / run_folder.CONDENSED, published)
        environment = describe(self.task.device, self.spec.precision, self.spec, self.command, self.offers)
        costs = {
            **measured,
            **({"decoded_images": len(images) * decoder.count} if decoder else {}),
            "workers": max(company, *busy),
            "waited": {"synthesis": self._waited([unit.cost for unit in made]), "labels": waited},
            **self.task.measured.to_json(),
            "teacher_top1": teacher_top1(self.task, condensed),
            "teacher_on_set": recognised(self.task, condensed),
            "prepare_s": prepare_s if self._prepared_here(labels) else None,
            "prepare_peak_memory_bytes": self._peak_before() if self._prepared_here(labels) else None,
            "label_s": None if labels.plain else label_s,
            "label_kind": labels.kind,
            "preprocessing": preprocessing.kind,
            "set_bytes": set_bytes,
            "image_format": published.form if published else self.method.pixel_format,
            "label_bytes": label_bytes,
            "class_order_hash": self.task.dataset.class_order_hash,
            "environment": environment.to_json(),
            "stages": {name: stage.to_json() for name, stage in stages.items()},
            "notes": dict(self.task.facts),
        }
        kept = COSTS_FILE.write(self.folder / run_folder.COSTS, costs)
        shutil.rmtree(self._label_workspace, ignore_errors=True)
        return kept

    def _made(self, units: Sequence[Unit]) -> list[KeptUnit]:
        """All units, without their pixels: all together may be more than the memory holds."""
        made = []
        for number, unit in enumerate(units, 1):
            noted(self.task.progress, "unit", f"{unit.name} {number}/{len(units)}" if len(units) > 1 else "")
            made.append(without_pixels(self._maker.get(unit, wait=True)))
        noted(self.task.progress, "unit", "")
        return made

    @property
    def _label_workspace(self) -> Path:
        return self.folder / f"labels{run_folder.WORK}"

    def _labels(self, images: Images) -> tuple[Labels, float, int, float | None]:
        """The labels of the images, the seconds that all attempts took, and who else was at work (`Others`)."""
        workspace, precision = self._label_workspace, self.spec.precision
        workspace.mkdir(exist_ok=True)
        watched = lasting(workspace / "elapsed.json", self._stages_s, self.task.progress)
        beside = beside_others(workspace, self.company, self.task.progress, lambda: self.task.stages.spent_cores)
        with watched as watch, beside as others, computing_in(precision):
            labels = self._procedure.label(images, workspace=workspace, precision=precision)
            return labels, watch.total(), others.workers(), others.waited()

    def _waited(self, units: Sequence[UnitCost]) -> float | None:
        if not self.method.made_here:
            return None
        return share_of_all((unit.seconds, unit.waited) for unit in units)

    def _peak_before(self) -> dict[str, int | None]:
        """The peak of what comes before the images: of its stages, when they were made, and of what is beside them."""
        stages = (stage.cost.memory for stage in self.task.used_stages.values())
        return asdict(reduce(PeakMemory.joined, stages, reduce(PeakMemory.joined, self._peaks)))

    def _stages_s(self) -> float:
        return self.task.stages.spent_s

    def _prepared_here(self, labels: Labels) -> bool:
        """Whether all that comes before the images was made here; a set from elsewhere brings its teacher with it."""
        return self.method.made_here and (self.labeller.made_here or labels.plain)

    def _beside_stages(self, work: Callable[[], None]) -> float:
        """How long the work takes beside its stages: those count with what they cost when they were made."""
        before = self._stages_s()
        with own_peak(self.task.device) as peak:
            seconds = timed(work)[1]
            self._peaks.append(peak.read())
        return seconds - (self._stages_s() - before)

    def _joined(self, units: Sequence[Unit], parts: Sequence[Images]) -> tuple[Images, StoredPixels]:
        """All units as one set, class by class, as they are once stored, and their pixels as they are stored.

        `parts` are theirs without their pixels, which are read a unit at a time.
        """
        images = Images.joined(parts)
        if self.method.made_here:
            check_counts(images, class_sizes(self.method, self.task), self.task.dataset.classes)
        order = images.classes.argsort(stable=True)
        places = order.argsort().split([len(part) for part in parts])
        values = (self._procedure.valued(self._maker.get(unit, wait=True).images).pixels for unit in units)
        pixels = assembled(zip(places, of_one_type(values), strict=True), len(order))
        stored = StoredPixels.of(pixels, self.method.pixel_format)
        soft, targets = (None if each is None else each[order] for each in (images.soft, images.targets))
        return Images(stored.read(), images.classes[order], soft, images.learned_lr, targets), stored

    def _save(self, condensed: CondensedSet, stored: StoredPixels, iterations: int | None) -> None:
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
        weights = weights_of(self.task, condensed.labels)
        sets.save(self.folder / run_folder.CONDENSED, condensed, stored, about, weights)
        pixels, classes = condensed.images.pixels, condensed.images.classes
        as_networks_see = {} if pixels.dtype == torch.uint8 else {"invert": condensed.preprocessing.invert}
        write_preview(self.folder / run_folder.PREVIEW, pixels, classes, dataset.class_names, **as_networks_see)
