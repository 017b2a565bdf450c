"""Costly results kept by content hash and reused: a squeezed teacher, expert trajectories.

A stage lives in `<cache>/stages/<kind>-<hash>/`: `result.safetensors` (tensors and facts, verified when read),
`stage.json` (its key in full and what it cost) and, while it is being made, `work/` with checkpoints that a continued
run starts from.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import CorruptArtefact
from bench.hardware.meters import PeakMemory, own_peak, synchronize
from bench.hardware.waiting import CoreTime, CoreWatch
from bench.progress import Progress, Silent
from bench.storage.artefacts import UNSTAMPED, Kind, Part, unchanged, whole_or_aside
from bench.storage.files import check_finite, clean_leftovers, digest
from bench.storage.names import check_file_name
from bench.storage.shapes import StagePart
from bench.storage.shared.elapsed import beside_others, lasting
from bench.storage.shared.leases import LockHeld as LockHeld  # a path that plugins keep to
from bench.storage.shared.leases import forget_dead, locked
from bench.storage.shared.mirrors import at_hand
from bench.storage.tensor_files import read_tensors, write_tensors

SCHEMA = 1
RESULT = "result.safetensors"
WORK = "work"  # a stage's folder for checkpoints while it is made
CHOICES = "choices"  # a folder of what was chosen for this machine (`bench.compiling`)


class StageAbout(Part):
    """What lies beside a stage's result."""

    cost: StagePart
    tensors: list[str] | None = None
    facts: list[str] | None = None


STAGE_FILE = Kind("a stage", 1, StageAbout, {UNSTAMPED: unchanged})


@dataclass(frozen=True)
class StageKey:
    """What a stage is: its kind, its version, and everything its result depends on (JSON values)."""

    kind: str
    version: int
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raises RunFailure for a kind that is no name of a folder."""
        check_file_name("a kind of stages", self.kind)

    @property
    def hash(self) -> str:
        """32 hex digits over kind, version, parameters and the schema of this store."""
        return digest(
            {"kind": self.kind, "version": self.version, "parameters": dict(self.parameters), "schema": SCHEMA}
        )


@dataclass(frozen=True)
class StageCost:
    """What making the stage took; reported by every run that reuses it.

    `workers` and `waited` are as of `bench.storage.shared.elapsed.Others`.
    """

    seconds: float
    memory: PeakMemory
    workers: int = 1
    waited: float | None = None


@dataclass(frozen=True)
class StageResult:
    """A finished stage. `facts` are small JSON values (accuracy, sizes); `cached` says it was not made just now.

    `bytes` are those of its result on the disk.
    """

    hash: str
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    cost: StageCost
    cached: bool
    kind: str = ""
    bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As records say what it is and what it cost."""
        return {"kind": self.kind, "bytes": self.bytes, **asdict(self.cost)}


@dataclass(frozen=True)
class Made:
    """What a maker returns: tensors to keep and small facts about them."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


Maker = Callable[[Path], Made]


@dataclass
class _Call:
    """A stage that is asked for: since when, what stages within its making took, and the maker's folder."""

    began: float
    cores: CoreWatch = field(default_factory=CoreWatch)
    within: float = 0.0
    cores_within: CoreTime = field(default_factory=CoreTime)
    work: Path | None = None


class StageStore:
    """All stages below one cache folder.

    It promises, and another store must as `tests/helpers/store_conformance.py` says:
        Once: a stage is made by one caller, whoever else asks, from this process or another, waits for that one or is
            told of it (`LockHeld`); a dead maker holds nobody up.
        Whole: a result is found whole and as it was made, or not at all. One that is corrupt is set aside with a
            warning and made again, by whoever may make it; `read` alone changes nothing.
        Kept: what a maker put into its folder is there for the next one when it was stopped, and gone once the stage
            is finished; nothing of a maker that failed is found as a result.
        Cost: a stage costs what all attempts at it took, without the stages that were made within it; every later
            caller is told the same, and `cached`. `spent_s` grows by what callers waited for stages, each second once,
            and so does `spent_cores` by what their process had of cores, and waited for them, meanwhile.
        Key: kind, version and every parameter tell stages apart; nothing else does.

    Attributes:
        made: whether a caller of this one had to make a stage.
    """

    def __init__(self, cache: Path, progress: Progress | None = None, company: str = "") -> None:
        self.root = cache / "stages"
        self._spent, self._cores, self._under_way, self.made = 0.0, CoreTime(), list[_Call](), False
        self._progress, self._company = progress or Silent(), company

    def folder(self, kind: str, stage_hash: str) -> Path:
        """Where a stage of that kind and hash lies, made or not."""
        return self.root / f"{kind}-{stage_hash}"

    def file(self, kind: str, stage_hash: str) -> Path:
        """Where a finished stage's tensors lie, of which `bench.storage.tensor_files.read_rows` reads some rows."""
        return self.folder(kind, stage_hash) / RESULT

    @property
    def choices(self) -> Path:
        """The folder beside the stages of what was chosen for all work on this machine."""
        return self.root.parent / CHOICES

    def choice(self, name: str) -> Path:
        """Where one of them lies, made or not."""
        return self.choices / name

    @property
    def spent_s(self) -> float:
        """Seconds that went into stages until now: finding, awaiting and making them."""
        return self._spent + sum(time.perf_counter() - call.began for call in self._under_way[:1])

    @property
    def spent_cores(self) -> CoreTime:
        """The core time of the same."""
        return sum((call.cores.until_now() for call in self._under_way[:1]), self._cores)

    @property
    def making(self) -> bool:
        """Whether a stage is being asked for or made."""
        return bool(self._under_way)

    @property
    def work(self) -> Path | None:
        """The folder for checkpoints of the stage that is being made, the innermost; None where none is."""
        return self._under_way[-1].work if self._under_way else None

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Counts a call, and takes what a stage within the making of another took off the cost of that one."""
        self._under_way.append(_Call(time.perf_counter()))
        try:
            yield
        finally:
            call = self._under_way.pop()
            seconds, cores = time.perf_counter() - call.began, call.cores.until_now()
            if self._under_way:
                self._under_way[-1].within += seconds
                self._under_way[-1].cores_within += cores
            else:
                self._spent += seconds
                self._cores += cores

    def read(self, kind: str, stage_hash: str) -> StageResult | None:
        """A finished stage, or None where there is none that is whole.

        A corrupt one is left as it lies: only whoever holds its lock may set it aside, for another process may be
        making it again in the same folder.
        """
        try:
            if not (folder := self.folder(kind, stage_hash) / "stage.json").exists():
                at_hand(folder.parent, seal=folder.name)
            return self._load(kind, stage_hash)
        except (FileNotFoundError, CorruptArtefact):
            return None

    def _cleared(self, key: StageKey) -> StageResult | None:
        """For the lock's holder: a stage that was finished meanwhile; a corrupt one is set aside."""
        read, folder = partial(self._load, key.kind, key.hash), self.folder(key.kind, key.hash)
        return whole_or_aside(read, folder, self._progress, "stage set aside as {} and made again")

    def _load(self, kind: str, stage_hash: str) -> StageResult:
        folder = self.folder(kind, stage_hash)
        about = STAGE_FILE.read(folder / "stage.json")
        tensors, facts = read_tensors(folder / RESULT)
        for what, found, made in (("tensors", tensors, about.tensors), ("facts", facts, about.facts)):
            if made not in (None, sorted(found)):
                raise CorruptArtefact(f"{folder / RESULT} does not hold the {what} that were made")
        told, size = about.cost, (folder / RESULT).stat().st_size
        cost = StageCost(told.seconds, PeakMemory(**told.memory.to_json()), told.workers, told.waited)
        return StageResult(stage_hash, tensors, facts, cost, cached=True, kind=kind, bytes=size)

    def find(self, key: StageKey) -> StageResult | None:
        """The stage's result where it lies there finished and whole, read once; None where it would have to be made."""
        with self._call():
            return self._found(key)

    def _found(self, key: StageKey) -> StageResult | None:
        """What a finished one has no more use for is thrown away."""
        if (found := self.read(key.kind, key.hash)) is not None:
            folder = self.folder(key.kind, key.hash)
            shutil.rmtree(folder / WORK, ignore_errors=True)  # where its maker was killed at the very end
            forget_dead(self._lock(folder))
        return found

    def get_or_make(self, key: StageKey, make: Maker, device: torch.device, *, wait: bool = True) -> StageResult:
        """The stage's result, made now if nobody has; while another live process makes it, waits for that one.

        `make` is given a folder in which to keep checkpoints. What they saved of the making survives a kill; the cost
        adds up over continued attempts.

        Raises:
            LockHeld: another live process makes it, and `wait` is False.
        """
        with self._call():
            return self._get_or_make(key, make, device, wait=wait)

    def _get_or_make(self, key: StageKey, make: Maker, device: torch.device, *, wait: bool) -> StageResult:
        if (found := self._found(key)) is not None:
            return found
        folder = self.folder(key.kind, key.hash)
        with self._owned(folder, wait=wait):
            if (found := self._cleared(key)) is not None:
                return found
            clean_leftovers(folder) if folder.exists() else None
            return self._make(key, folder, make, device)

    def _make(self, key: StageKey, folder: Path, make: Maker, device: torch.device) -> StageResult:
        work = folder / WORK
        work.mkdir(parents=True, exist_ok=True)
        self._under_way[-1].work = work
        with (
            own_peak(device) as peak,
            lasting(work / "elapsed.json", progress=self._progress) as watch,
            beside_others(work, self._company, self._progress, lambda: self._under_way[-1].cores_within) as others,
        ):
            made = make(work)
            synchronize(device)
            seconds = watch.total() - self._under_way[-1].within
            cost = StageCost(seconds, peak.read(), others.workers(), others.waited())
        check_finite(dict(made.facts), key.kind)
        write_tensors(folder / RESULT, made.tensors, made.facts)
        holds = {"tensors": sorted(made.tensors), "facts": sorted(made.facts)}
        about = {"kind": key.kind, "version": key.version, "parameters": dict(key.parameters), "cost": asdict(cost)}
        STAGE_FILE.write(folder / "stage.json", {**about, **holds})
        shutil.rmtree(work, ignore_errors=True)  # another process that finds the stage may be quicker
        self.made = True
        found, size = (dict(made.tensors), dict(made.facts)), (folder / RESULT).stat().st_size
        return StageResult(key.hash, *found, cost, cached=False, kind=key.kind, bytes=size)

    def _owned(self, folder: Path, *, wait: bool) -> AbstractContextManager[None]:
        return locked(self._lock(folder), self._progress, wait=wait)

    @staticmethod
    def _lock(folder: Path) -> Path:
        return folder.with_name(folder.name + ".lock")
