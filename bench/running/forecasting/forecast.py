"""What a run would take: a few real iterations of each of its loops, and the rest foretold from them.

What is done costs nothing and is used: stages in the cache, a set that is whole, scores. The rest is tried in a scratch
folder that is thrown away, so a trial leaves nothing behind but what it compiled, which the run then need not. It
happens in a child process of its own, whose peak memory is the forecast's: in one that tried no stage, as a run's
images are made in one that made none. What it shares with other trials is tried once
(`bench.running.forecasting.trials`).
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench.condensation import Condenser, Images
from bench.condensation.notes import Findings
from bench.condensation.sizes import class_sizes
from bench.errors import CorruptArtefact, UnreadableArtefact
from bench.evaluation import Protocol
from bench.extensions.registry import Registry
from bench.hardware.devices import computing_in
from bench.loops.pace import Trial
from bench.planning.configuring import build
from bench.progress import Progress
from bench.results.records import COSTS_FILE
from bench.results.spec import EvaluationSpec, Job, RunSpec
from bench.running.context import RunContext, make_task, open_for
from bench.running.failures import Prepared
from bench.running.forecasting.trials import TrialMemory, TrialStore, TriedStage
from bench.running.procedure import Procedure
from bench.running.scoring import conditions_of, judged_by, scored
from bench.running.units import read_unit
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.storage import run_folder
from bench.storage.shared.mirrors import at_hand
from bench.storage.shared.scratch import TRIAL, scratch_folder
from bench.training.teachers import KIND

T = TypeVar("T")


@dataclass(frozen=True)
class Forecast:
    """What is left to do of a run.

    Attributes:
        status: "to do", "done" (then nothing is left), or "failed" (then nothing is known, and `reason` says why).
        prepare_s: the stages of its synthesis and labels, and what prepares them.
        evaluation_prepare_s: the stages that evaluations share, such as the teacher of `soft`.
        stages: what both have of stages; one that several runs have is made once.
        notes: what of it was not measured, or on few steps, each in a line.
        peak_memory_bytes: of the synthesis: `allocated` on CUDA, `rss`.
        disk_bytes: of units, set and labels.
    """

    run: str
    status: str = "to do"
    reason: str | None = None
    prepare_s: float | None = None
    synthesis_s: float | None = None
    label_s: float | None = None
    evaluation_prepare_s: float | None = None
    evaluation_s: float | None = None
    peak_memory_bytes: Mapping[str, int | None] | None = None
    disk_bytes: int | None = None
    stages: tuple[TriedStage, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total_s(self) -> float:
        """All that is left, stages included."""
        parts = (self.prepare_s, self.synthesis_s, self.label_s, self.evaluation_prepare_s, self.evaluation_s)
        return sum(part or 0.0 for part in parts)

    def to_json(self) -> dict[str, Any]:
        """As an object, with the total; null where nothing is known."""
        return {**asdict(self), "total_s": None if self.status == "failed" else self.total_s}


@dataclass(frozen=True)
class _Set:
    """A condensed set of the right size, and what is left to do for it beside stages."""

    condensed: CondensedSet
    prepare_s: float
    synthesis_s: float
    label_s: float
    memory: Mapping[str, int | None]
    disk_bytes: int


def foresee(job: Job, registry: Registry, place: RunContext, scratch: Path | None = None) -> Forecast:
    """Tries every part of a job that is not done and says what the whole would take.

    Args:
        scratch: what this trial shares with others; a folder of its own where there is none.

    Raises:
        Exception: whatever the run itself would raise.
    """
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        return _TrialRun(job, registry, place, scratch).forecast()
    with scratch_folder(place.cache, TRIAL, place.progress) as own:
        return _TrialRun(job, registry, place, own).forecast()


class _TrialRun:
    """One trial: the run's own steps in its own order, each cut short."""

    def __init__(self, job: Job, registry: Registry, place: RunContext, scratch: Path) -> None:
        self.job, self.registry, self.folder = job, registry, at_hand(place.runs / job.spec.name)
        self.progress, self.anew, self.decoded = place.progress, place.anew, False
        self.scratch, self.work = scratch, Path(tempfile.mkdtemp(prefix="work-", dir=scratch))
        self.pace, self.heard = Trial(place.device), list[str]()  # what other trials noted of what this one shares
        dataset = open_for(job.spec, registry, place)
        task = make_task(job.spec, dataset, registry, place, self.work)
        self.store = TrialStore(task.stages, scratch / "cache", self.pace)
        self.task = replace(task, pace=self.pace, stages=self.store, progress=_WithoutWarnings(place.progress))
        judging = replace(self.task, precision=job.spec.precision)  # labels and scores: see `RunSpec.precision`
        self.judging = judged_by(judging, build(registry, job.spec.method))

    def forecast(self) -> Forecast:
        made = self._found() or self._made()
        prepared = {stage.hash for stage in self.store.tried()}
        trained_on = made.condensed.decoded()
        evaluation_s = sum(self._evaluation(each, trained_on) for each, *_ in self.job.measurements())
        stages = self.store.tried()
        return Forecast(
            run=self.job.spec.name,
            prepare_s=made.prepare_s + sum(stage.seconds for stage in stages if stage.hash in prepared),
            synthesis_s=made.synthesis_s,
            label_s=made.label_s,
            evaluation_prepare_s=sum(stage.seconds for stage in stages if stage.hash not in prepared),
            evaluation_s=evaluation_s,
            peak_memory_bytes=made.memory,
            disk_bytes=made.disk_bytes,
            stages=tuple(stages),
            notes=tuple(dict.fromkeys([*self.pace.notes(), *self.heard])),
        )

    def _found(self) -> _Set | None:
        """The set, where the run has made it, and what its labels need is there."""
        try:
            costs = COSTS_FILE.read(self.folder / run_folder.COSTS)
            condensed = sets.load(self.folder / run_folder.CONDENSED)
        except (FileNotFoundError, CorruptArtefact):
            return None
        if not all(self.store.read(KIND, teacher.stage) for teacher in condensed.labels.teachers_in_cache):
            return None
        self.task.dataset.test.ready()
        fit = costs.notes.labels_fit if self.job.spec.brought else None
        if fit and fit.doubtful:
            self.progress.warn(str(fit))
        peak = costs.peak_memory_bytes
        memory = peak.to_json() if peak else dict.fromkeys(("allocated", "reserved", "rss"))
        return _Set(condensed, 0.0, 0.0, 0.0, memory, 0)

    def _made(self) -> _Set:
        spec, method = self.job.spec, build(self.registry, self.job.spec.method)
        task = (
            self.task if method.made_here else replace(self.task, progress=self.progress)
        )  # a set that is there is no trial
        procedure = Procedure(method, task, build(self.registry, spec.labeller) if spec.labeller else method)
        self._ready(method)
        with computing_in(task.precision):
            _, prepare_s = self._whole(lambda: _prepare(procedure))
            memory = TrialMemory(self.scratch / "units")
            images, about = memory.images(_synthesised(spec), lambda: self._unit(procedure))
        self.heard += about["notes"]
        tried = procedure.stored(images)
        stored = self._padded(tried) if method.made_here else tried.at(tried.classes.argsort(stable=True))
        labels, label_s = self._whole(lambda: procedure.label(stored, precision=spec.precision))
        preprocessing, decoder = procedure.preprocessing(), method.decoder
        condensed = CondensedSet(stored, labels, task.dataset.classes, preprocessing, decoder=decoder)
        missing = len(stored) - self._images_of_units()
        synthesis_s = about["warm_up_s"] + about["unit_s"] * missing / len(images) if missing else 0.0
        return _Set(condensed, prepare_s, synthesis_s, label_s, about["memory"], _disk(images, condensed))

    def _images_of_units(self) -> int:
        """How many images are there in units that the run has finished."""
        found = 0
        for path in (self.folder / run_folder.UNITS).glob("*.safetensors"):
            with suppress(FileNotFoundError, CorruptArtefact, UnreadableArtefact):
                found += len(read_unit(path).images)
        return found

    def _ready(self, method: Condenser[Any]) -> None:
        """What is decoded now will lie in the cache: no part of a run is predicted to take as long."""
        dataset = self.task.dataset
        self.decoded = dataset.ready() if method.made_here else dataset.test.ready()

    def _unit(self, procedure: Procedure) -> tuple[Images, dict[str, Any]]:
        """The first unit, seconds of warming up and of making it, and the peak of that.

        Raises:
            Prepared: what it needs was tried now, and it is to be made anew: the peak is the run's.
        """
        if self.anew and (self.decoded or self.store.made):
            raise Prepared(self.task.measured.to_json())
        first = len(self.pace.samples)
        _, warm_up_s = self._whole(procedure.warm_up)
        made = procedure.measured(procedure.units()[0], self._whole)
        once_s = self.store.once(first)
        about = {"warm_up_s": warm_up_s + once_s, "unit_s": made.seconds - once_s, "memory": asdict(made.memory)}
        return made.images, {**about, "notes": self.pace.notes(first)}

    def _padded(self, images: Images) -> Images:
        """As many images as the whole set has, repeated from those tried, every class as often as it should be."""
        sizes = torch.tensor(class_sizes(build(self.registry, self.job.spec.method), self.task))
        classes = torch.arange(self.task.classes).repeat_interleave(sizes)
        chosen = torch.arange(len(classes)) % len(images)
        return replace(images.at(chosen), classes=classes)

    def _evaluation(self, each: EvaluationSpec, condensed: CondensedSet) -> float:
        """Seconds of the trainings that are not done, the stages that they share left out."""
        protocol: Protocol = self.registry.load("protocol", each.protocol)
        conditions = conditions_of(each, protocol, self.judging)
        missing = each.seeds - scored(self.folder, each, conditions, self.registry)
        if not missing:
            return 0.0
        what = {"made under": conditions, "backbone": each.backbone, **_evaluated(self.job.spec, condensed)}
        found = TrialMemory(self.scratch / "evaluations").number(
            what, lambda: self._training(protocol, each, condensed)
        )
        self.heard += found["notes"]
        for stage in found["stages"]:
            self.store.adopt(TriedStage(**stage))
        return float(found["once_s"] + found["seed_s"] * missing)

    def _training(self, protocol: Protocol, each: EvaluationSpec, condensed: CondensedSet) -> dict[str, Any]:
        """Seconds that one training takes, what of it all seeds share, and the stages it came to."""
        workspace = self.work / each.key
        workspace.mkdir()
        before, first = self.store.tried(), len(self.pace.samples)
        task = replace(self.judging, workspace=workspace, facts={}, measured=Findings())
        _, seconds = self._whole(lambda: protocol.evaluate(condensed, task, each.backbone, seed=0))
        once_s = min(seconds, task.measured.compiling_s + self.store.once(first))
        stages = [asdict(stage) for stage in self.store.tried() if stage not in before]
        return {"once_s": once_s, "seed_s": seconds - once_s, "stages": stages, "notes": self.pace.notes(first)}

    def _whole(self, work: Callable[[], T]) -> tuple[T, float]:
        """The work's result and the seconds it would take with its loops walked to their ends, stages left out."""
        first, in_stages, began = len(self.pace.samples), self.store.spent_s, time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - began - (self.store.spent_s - in_stages)
        return result, elapsed + self.store.outstanding(first)


@dataclass(frozen=True)
class _WithoutWarnings:
    """Progress without warnings: what a few steps make is poor, and what else there is to say the run says itself."""

    watcher: Progress

    def advance(self, what: str, done: int, total: int) -> None:
        self.watcher.advance(what, done, total)

    def warn(self, message: str) -> None:
        """Says nothing."""


def _synthesised(spec: RunSpec) -> dict[str, Any]:
    """All that decides what a unit costs: not the seed."""
    return {
        "method": spec.method.identity(),
        "dataset": [spec.card_hash, list(spec.classes)],
        "ipc": spec.ipc,
        "backbone": spec.backbone,
        "made in": [spec.made_in, spec.compile],
    }


def _evaluated(spec: RunSpec, condensed: CondensedSet) -> dict[str, Any]:
    """All of a set that decides what a training on it costs: not what its images show."""
    labels, pixels = condensed.labels, condensed.images.pixels
    return {
        "dataset": [spec.card_hash, list(spec.classes)],
        "images": [str(pixels.dtype), *pixels.shape],
        "labels": [labels.kind, labels.teacher_backbone, spec.backbone],
        "preprocessing": condensed.preprocessing.digest,
        "made in": [spec.precision, spec.compile],
    }


def _prepare(procedure: Procedure) -> None:
    procedure.prepare()
    procedure.prepare_labels()


def _disk(unit: Images, condensed: CondensedSet) -> int:
    """Bytes of units, set and labels (and of the teachers that online labels need)."""
    stored, kept = condensed.images, condensed.preprocessing.tensors
    whitening = sum(tensor.nbytes for tensor in kept.values())
    return unit.pixels[0].nbytes * len(stored) + stored.pixels.nbytes + whitening + condensed.labels.bytes
