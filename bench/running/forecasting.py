"""What a run would take: a few real iterations of each of its loops, and the rest foretold from them.

Stages that are in the cache cost nothing and are used; the others are tried in a temporary folder that is thrown away,
so a trial leaves nothing behind but what it compiled, which the run then need not. It happens in a child process of its
own, whose peak memory is the forecast's.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench import condensed as sets
from bench.allocator import release_memory
from bench.condensation import Condenser, Images, Task
from bench.condensed import CondensedSet
from bench.evaluation import Protocol
from bench.hardware import computing_in
from bench.labels import HardLabels, Labels, OnlineLabels, SoftLabels, StoredLabels
from bench.metering import peak_memory, reset_peak_memory
from bench.notes import Findings
from bench.pacing import Sample, Trial
from bench.plugins import Registry
from bench.running.configuring import build
from bench.running.synthesis import images_of, tensors_of
from bench.running.workplace import Place, make_task, open_for
from bench.spec import EvaluationSpec, Job
from bench.stages import StageResult, StageStore
from bench.whitening import Whitening

T = TypeVar("T")


@dataclass(frozen=True)
class Forecast:
    """Seconds by stage, the peak memory of the synthesis in bytes (`allocated` on CUDA, `rss`), bytes on disk."""

    run: str
    prepare_s: float
    synthesis_s: float
    label_s: float
    evaluation_s: float
    peak_memory_bytes: dict[str, int | None]
    disk_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As a flat object, with the total."""
        total = self.prepare_s + self.synthesis_s + self.label_s + self.evaluation_s
        return {**asdict(self), "total_s": total}


class TrialStore(StageStore):
    """Finds finished stages where they are kept and makes missing ones in a temporary folder."""

    def __init__(self, kept: StageStore, scratch: Path) -> None:
        super().__init__(scratch)
        self._kept = kept

    def read(self, kind: str, stage_hash: str) -> StageResult | None:
        """A stage that is kept, or one that this trial made."""
        return self._kept.read(kind, stage_hash) or super().read(kind, stage_hash)

    def file(self, kind: str, stage_hash: str) -> Path:
        """The same, of its tensors."""
        kept = self._kept.file(kind, stage_hash)
        return kept if kept.exists() else super().file(kind, stage_hash)


def foresee(job: Job, registry: Registry, place: Place) -> Forecast:
    """Tries every stage of a job and says what the whole would take.

    Raises:
        Exception: whatever the run itself would raise.
    """
    place.cache.mkdir(parents=True, exist_ok=True)  # not /tmp, which may be memory: stored labels are large
    with tempfile.TemporaryDirectory(prefix="trial-", dir=place.cache) as scratch:
        return _Rehearsal(job, registry, place, Path(scratch)).forecast()


class _Rehearsal:
    """One trial: the run's own steps in its own order, each cut short."""

    def __init__(self, job: Job, registry: Registry, place: Place, scratch: Path) -> None:
        self.job, self.registry, self.scratch = job, registry, scratch
        self.pace = Trial(place.device)
        dataset = open_for(job.spec, registry, place)
        task = make_task(job.spec, dataset, registry, place, scratch / "work")
        task.workspace.mkdir()
        self.task = replace(task, pace=self.pace, stages=TrialStore(task.stages, scratch / "cache"))
        self.judging = replace(self.task, precision=job.spec.precision)  # labels and scores: see `RunSpec.precision`

    def forecast(self) -> Forecast:
        spec, task = self.job.spec, self.task
        method = build(self.registry, spec.method)
        labeller = build(self.registry, spec.labeller) if spec.labeller else method
        self._ready(method)
        with computing_in(task.precision):
            _, prepare_s = self._whole(lambda: _prepare(task, method, labeller))
            _, warm_up_s = self._whole(lambda: method.warm_up(task))
            (images, peak), unit_s = self._whole(lambda: self._unit(method))
        whole = self._padded(images)
        stored = sets.to_stored(whole, method.pixel_format, method.preprocessing(task))
        preprocessing = labeller.preprocessing(task)
        labels, label_s = self._whole(lambda: labeller.label(self.judging.seen_through(preprocessing), stored))
        condensed = CondensedSet(stored, labels, task.dataset.classes, preprocessing)
        return Forecast(
            run=spec.name,
            prepare_s=prepare_s,
            synthesis_s=warm_up_s + unit_s * len(whole) / len(images),
            label_s=label_s,
            evaluation_s=sum(self._evaluation(each, condensed) for each in self.job.evaluations),
            peak_memory_bytes=peak,
            disk_bytes=_disk(images, condensed),
        )

    def _ready(self, method: Condenser[Any]) -> None:
        """What is decoded now will lie in the cache: no part of a run is predicted to take as long."""
        if method.made_here:
            self.task.dataset.train.ready()
        self.task.dataset.test.ready()

    def _unit(self, method: Condenser[Any]) -> tuple[Images, dict[str, int | None]]:
        """The first unit, and the peak of making it."""
        release_memory()
        reset_peak_memory(self.task.device)
        images = method.synthesize(self.task, method.units(self.task)[0])
        memory = peak_memory(self.task.device)
        return images_of(tensors_of(images)), asdict(memory)

    def _padded(self, images: Images) -> Images:
        """As many images as the whole set has, repeated from those tried, every class as often as it should be."""
        spec = self.job.spec
        classes = torch.arange(self.task.classes).repeat_interleave(spec.ipc)
        chosen = torch.arange(len(classes)) % len(images)
        return replace(images.at(chosen), classes=classes)

    def _evaluation(self, each: EvaluationSpec, condensed: CondensedSet) -> float:
        protocol: Protocol = self.registry.load("protocol", each.protocol)
        workspace = self.scratch / each.key
        workspace.mkdir(exist_ok=True)
        task = replace(self.judging, workspace=workspace, facts={}, measured=Findings())
        one_off = len(self.pace.samples)
        _, seconds = self._whole(lambda: protocol.evaluate(condensed, task, each.backbone, seed=0))
        shared: float = sum(
            sample.whole_s for sample in self.pace.samples[one_off:-1]
        )  # a teacher made once for all seeds
        shared += sum(loop["seconds"] for loop in task.measured.compiled.values())  # as is what was compiled
        return shared + (seconds - shared) * each.seeds

    def _whole(self, work: Callable[[], T]) -> tuple[T, float]:
        """The work's result and the seconds it would take with its loops walked to their ends."""
        seen, began = len(self.pace.samples), time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - began
        samples: list[Sample] = self.pace.samples[seen:]
        return result, elapsed + sum(sample.whole_s - sample.spent_s for sample in samples)


def _prepare(task: Task, method: Condenser[Any], labeller: Condenser[Any]) -> None:
    method.prepare(task)
    if labeller is not method:
        labeller.prepare_labels(task)


def _disk(unit: Images, condensed: CondensedSet) -> int:
    """Bytes of units, set and labels (and of the teacher that online labels need)."""
    stored, preprocessing = condensed.images, condensed.preprocessing
    matrix = preprocessing.matrix.nbytes if isinstance(preprocessing, Whitening) else 0
    return unit.pixels[0].nbytes * len(stored) + stored.pixels.nbytes + matrix + _label_bytes(condensed.labels)


def _label_bytes(labels: Labels) -> int:
    match labels:
        case HardLabels():
            return 0
        case SoftLabels(probabilities):
            return probabilities.nbytes
        case OnlineLabels():
            return labels.teacher.bytes
        case StoredLabels():
            return labels.logits.nbytes
