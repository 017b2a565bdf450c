"""Making the units of a synthesis: read where they are whole, else synthesised by one process alone, and written."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.condensation import Images, Task, Unit
from bench.errors import CorruptArtefact, Interrupted, RunFailure
from bench.hardware.meters import IterationTimes
from bench.loops.losses import Losses
from bench.progress import DOUBT
from bench.running.procedure import Procedure
from bench.running.units import KeptUnit, UnitCost, check_images, doubtful, kept_images, read_unit, write_unit
from bench.storage import run_folder
from bench.storage.artefacts import whole_or_aside
from bench.storage.files import clean_leftovers_of
from bench.storage.shared.elapsed import Lasting, Others, beside_others, lasting
from bench.storage.shared.leases import locked


@dataclass(frozen=True)
class UnitMaker:
    """The units of one run.

    Attributes:
        folder: where their files lie.
        procedure: the method at work. What is noted and found out about a unit is that of its given task, too.
        company: as of `RunContext`.
    """

    folder: Path
    procedure: Procedure
    company: str

    @property
    def task(self) -> Task:
        """Of the run."""
        return self.procedure.given

    def get(self, unit: Unit, *, wait: bool) -> KeptUnit:
        """One unit.

        Raises:
            LockHeld: another live process makes it, and `wait` is False.
        """
        path = self.folder / f"{unit.name}.safetensors"
        workspace = path.with_name(f"{unit.name}{run_folder.WORK}")
        if (whole := self._whole(path, unit.name)) is not None:
            shutil.rmtree(workspace, ignore_errors=True)  # of one that was killed at its very end
            return self._with_findings_merged(whole)
        with locked(path.with_name(f".{unit.name}.lock"), self.task.progress, wait=wait):
            clean_leftovers_of(path)
            return self._found(path, unit.name) or self._made(unit, path, workspace)

    def _made(self, unit: Unit, path: Path, workspace: Path) -> KeptUnit:
        if self.task.should_stop():  # a method without loops asks nobody
            raise Interrupted("stopped")
        workspace.mkdir(parents=True, exist_ok=True)
        stages = self.task.stages
        with beside_others(workspace, self.company, self.task.progress, lambda: stages.spent_cores) as others:
            kept = self._measured(unit, workspace, others)
        write_unit(path, kept)
        shutil.rmtree(workspace, ignore_errors=True)
        return replace(kept, images=kept_images(kept.images))

    def _measured(self, unit: Unit, workspace: Path, others: Others) -> KeptUnit:
        """A unit that was made now, with what it took; `others` tells who was at work beside it."""
        warm_up_s = self._warm_up(workspace)
        times, loops = IterationTimes(warm_up_s=warm_up_s), list[Losses]()

        def timer(work: Callable[[], Images]) -> tuple[Images, float]:
            watch = Lasting(warm_up_s, self._stages_s)
            images = work()
            return images, watch.total() + times.carried_s

        made = self.procedure.measured(unit, timer, workspace=workspace, times=times, losses=loops)
        self._check(made.images, unit.name)
        self._note_doubts(made.images)
        cost = UnitCost(made.seconds, times, made.memory, others.workers(), others.waited())
        return KeptUnit(made.images, cost, dict(self.task.facts), self.task.measured.to_json(), Losses.mean(loops))

    def _note_doubts(self, images: Images) -> None:
        """For the row, and for whoever watches, once a run; of a method that doubts its images itself nothing more."""
        said = doubtful(images, self.procedure.task, self.procedure.method)
        if said and DOUBT not in self.task.facts:
            self.task.facts[DOUBT] = said
            self.task.progress.warn(said)

    def _warm_up(self, workspace: Path) -> float:
        """Seconds of compiling, before the first unit that this process makes, earlier attempts at it included."""
        path = workspace / "warm-up.json"
        if self.procedure.warm and not path.exists():
            return 0.0
        with lasting(path, progress=self.task.progress) as watch:
            self.procedure.warm_up()
            return watch.total()

    def _stages_s(self) -> float:
        return self.task.stages.spent_s

    def _whole(self, path: Path, name: str) -> KeptUnit | None:
        """A finished unit. A damaged one is left as it lies: only the holder of its lock may set it aside."""
        try:
            return self._read(path, name)
        except (FileNotFoundError, CorruptArtefact):
            return None

    def _found(self, path: Path, name: str) -> KeptUnit | None:
        """A finished unit, for the holder of its lock."""
        read = partial(self._read, path, name)
        unit = whole_or_aside(read, path, self.task.progress, "unit set aside as {} and made again")
        return None if unit is None else self._with_findings_merged(unit)

    def _read(self, path: Path, name: str) -> KeptUnit:
        unit = read_unit(path)
        try:
            self._check(unit.images, name)
        except RunFailure as error:
            raise CorruptArtefact(str(error)) from error
        return unit

    def _with_findings_merged(self, unit: KeptUnit) -> KeptUnit:
        """A unit that was made before: what was noted and measured of it holds for the set."""
        self.task.facts |= unit.notes
        self.task.measured.take(unit.measured)
        return unit

    def _check(self, images: Images, unit: str) -> None:
        check_images(images, self.procedure.task, self.procedure.method, unit)
