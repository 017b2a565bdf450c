"""What the trials of one dry run share: the stages that were tried, and the costs found of units and evaluations.

Runs of a table have much in common: a teacher, a protocol, another seed of the same method. Each such piece is tried
once and kept in a scratch folder until the dry run ends.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.condensation import Images
from bench.loops.checkpoints import SUFFIX as CHECKPOINT
from bench.loops.pace import Sample, Trial
from bench.running.units import images_of, tensors_of
from bench.storage.files import digest, link_or_copy, read_json, write_json
from bench.storage.shared.stages import STAGE_FILE, WORK, Maker, StageKey, StageResult, StageStore
from bench.storage.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True)
class TriedStage:
    """A stage that a run would make, and the seconds that this would take.

    `peak_bytes` is its peak of memory: allocated on CUDA, otherwise resident.
    """

    kind: str
    hash: str
    seconds: float
    peak_bytes: int = 0


def greatest_peak(stages: Iterable[TriedStage]) -> int:
    """Of the peaks of stages; 0 of none."""
    return max((stage.peak_bytes for stage in stages), default=0)


class TrialStore(StageStore):
    """Finds finished stages where they are kept, and makes missing ones, cut short, in the scratch folder.

    A stage that was tried is not tried again, nor is one that differs from it by its seed alone: it costs the same. One
    that was begun goes on from its checkpoints, and costs what is left of it.

    Args:
        kept: the run's own store.
        scratch: of the dry run.
        pace: of the trial. What a stage's loops would take is the stage's cost and nobody else's.
    """

    def __init__(self, kept: StageStore, scratch: Path, pace: Trial) -> None:
        super().__init__(scratch)
        self._kept, self._pace, self._alike = kept, pace, scratch / "alike"
        self._claimed: set[int] = set()  # samples of stages
        self._ends: dict[str, int] = {}  # of each tried stage, the index after its samples
        self._tried: dict[str, TriedStage] = {}

    def read(self, kind: str, stage_hash: str) -> StageResult | None:
        """A stage that is kept, or one that was tried."""
        return self._kept.read(kind, stage_hash) or super().read(kind, stage_hash)

    def file(self, kind: str, stage_hash: str) -> Path:
        """The same, of its tensors."""
        kept = self._kept.file(kind, stage_hash)
        return kept if kept.exists() else super().file(kind, stage_hash)

    def choice(self, name: str) -> Path:
        """The same, of a choice."""
        kept = self._kept.choice(name)
        return kept if kept.exists() else super().choice(name)

    def tried(self) -> list[TriedStage]:
        """The stages that this trial came to, with what each stands for: the first of many experts for all."""
        samples = self._pace.samples
        rest = {name: samples[end].whole_s for name, end in self._ends.items() if self._is_rest(end)}
        return [replace(stage, seconds=stage.seconds + rest.get(name, 0.0)) for name, stage in self._tried.items()]

    def adopt(self, stage: TriedStage) -> None:
        """Counts a stage that another trial came to in this one's place."""
        self._tried.setdefault(stage.hash, stage)

    def outstanding(self, first: int) -> float:
        """Seconds that the loops from a sample on would take beyond what they took, those of stages left out."""
        return sum(sample.whole_s - sample.spent_s for sample in self._own(first))

    def once(self, first: int) -> float:
        """What of that a process does once for all loops alike."""
        return sum(sample.whole_s for sample in self._own(first) if sample.once)

    def _own(self, first: int) -> list[Sample]:
        samples = enumerate(self._pace.samples[first:], first)
        return [each for index, each in samples if index not in self._claimed and not self._is_rest(index)]

    def _is_rest(self, index: int) -> bool:
        """Whether a sample speaks for pieces like the stage right before it."""
        samples = self._pace.samples
        return index < len(samples) and samples[index].rest and index in self._ends.values()

    def _found(self, key: StageKey) -> StageResult | None:
        """One that is kept costs nothing; one that another run tried counts as tried by this one."""
        if (kept := self._kept.read(key.kind, key.hash)) is not None:
            return kept
        first, tried = len(self._pace.samples), super()._found(key)
        if tried is not None and key.hash not in self._tried:
            self._note(key, tried, first)
        return tried

    def _get_or_make(self, key: StageKey, make: Maker, device: torch.device, *, wait: bool) -> StageResult:
        if (kept := self._kept.read(key.kind, key.hash)) is not None:
            return kept
        first = len(self._pace.samples)
        self._take_alike(key)
        result = super()._get_or_make(key, make, device, wait=wait)
        if key.hash not in self._tried:
            self._note(key, result, first)
        return result

    def _note(self, key: StageKey, result: StageResult, first: int) -> None:
        samples, seconds = self._pace.samples, result.cost.seconds
        if result.cached:  # tried by another run: its loops count as walked
            notes = tuple(read_json(self.folder(key.kind, key.hash) / "stage.json")["notes"])
            samples.append(Sample(key.kind, 1, seconds, warm_up_s=0.0, spent_s=0.0, notes=notes))
        self._claimed |= set(range(first, len(samples)))
        self._ends[key.hash] = len(samples)
        self._tried[key.hash] = TriedStage(key.kind, key.hash, seconds, result.cost.memory.held)

    def _make(self, key: StageKey, folder: Path, make: Maker, device: torch.device) -> StageResult:
        first, begun = len(self._pace.samples), self._go_on_from(key, folder / WORK)
        made = super()._make(key, folder, make, device)
        cost = replace(made.cost, seconds=made.cost.seconds + self.outstanding(first))
        about = STAGE_FILE.read(folder / "stage.json")
        STAGE_FILE.write(
            folder / "stage.json", {**about.to_json(), "cost": asdict(cost), "notes": self._pace.notes(first)}
        )
        if not begun:
            write_json(self._like(key), {"hash": key.hash})
        return replace(made, cost=cost)

    def _go_on_from(self, key: StageKey, work: Path) -> bool:
        """Puts what was saved of a stage where its maker will find it; whether anything was."""
        work.mkdir(parents=True, exist_ok=True)
        saved = self._saved(key)
        for path in saved:
            with suppress(FileNotFoundError):  # another process has just finished it
                link_or_copy(path, work / path.name)
        return bool(saved)

    def _saved(self, key: StageKey) -> list[Path]:
        """The checkpoints of a stage that was begun."""
        return sorted((self._kept.folder(key.kind, key.hash) / WORK).glob(f"*{CHECKPOINT}"))

    def _take_alike(self, key: StageKey) -> None:
        """Puts what was tried with another seed where this one will be found."""
        folder, like = self.folder(key.kind, key.hash), self._like(key)
        if like.exists() and not folder.exists() and not self._saved(key):
            shutil.copytree(self.folder(key.kind, read_json(like)["hash"]), folder, copy_function=os.link)

    def _like(self, key: StageKey) -> Path:
        parameters = {name: value for name, value in key.parameters.items() if name != "seed"}
        return self._alike / f"{digest([key.kind, key.version, parameters])}.json"


@dataclass(frozen=True)
class TrialMemory:
    """What was found out once, by all that it depends on (JSON values)."""

    folder: Path

    def number(self, what: Mapping[str, Any], find: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Small facts, found out now if nobody has."""
        path = self.folder / f"{digest(dict(what))}.json"
        if not path.exists():
            write_json(path, find())
        return read_json(path)

    def images(
        self, what: Mapping[str, Any], make: Callable[[], tuple[Images, Mapping[str, Any]]]
    ) -> tuple[Images, dict[str, Any]]:
        """Images and facts about them, made now if nobody has."""
        path = self.folder / f"{digest(dict(what))}.safetensors"
        if not path.exists():
            images, facts = make()
            write_tensors(path, tensors_of(images), facts)
        tensors, facts = read_tensors(path)
        return images_of(tensors), dict(facts)
