"""One run, from spec to record. It happens in a child process of its own (`bench.running.child`)."""

import logging
from dataclasses import dataclass

from bench import records
from bench.errors import CorruptArtefact
from bench.files import clean_leftovers, set_aside, write_json
from bench.plugins import Registry
from bench.records import Record
from bench.running.configuring import build
from bench.running.environment import describe
from bench.running.failures import is_recordable, reason_of
from bench.running.scoring import Outcome, Scoring
from bench.running.synthesis import Costs, Synthesis
from bench.running.workplace import Place, make_task, open_for
from bench.spec import EvaluationSpec, Job
from bench.stages import owned

log = logging.getLogger(__name__)


@dataclass
class Run:
    """One job at a place. `retry` does again what failed before."""

    job: Job
    registry: Registry
    place: Place
    retry: bool = False

    def complete(self) -> Record:
        """Does what is missing and returns the record, which is also written; failures are part of it.

        Raises:
            Owned: a live process has this run.
            Interrupted: the user asked to stop; the same run continues.
        """
        folder = self.place.runs / self.job.spec.name
        with owned(self.place.runs / f".{folder.name}.lock", self.place.progress, wait=False):
            earlier = self._earlier()
            if earlier and earlier.status == "failed" and not self.retry:
                return self._asked_again(earlier)
            record = self._attempt(earlier)
            keep(record, self.place)
            return record

    def _attempt(self, earlier: Record | None) -> Record:
        try:
            synthesis = self._synthesis()
            costs = synthesis.costs()
        except Exception as error:
            if not is_recordable(error):
                raise
            log.exception("synthesis failed")
            return self._record("failed", reason_of(error), {}, self._unscored(reason_of(error)))
        scoring = Scoring(synthesis.folder, synthesis.task, self.registry, synthesis)
        before = earlier.evaluations if earlier else {}
        outcomes = {key: dict(value) for key, value in before.items()}
        for each in self.job.evaluations:
            outcomes[each.key] = scoring.outcome(each, outcomes.get(each.key), retry=self.retry)
        return self._record("done", None, costs, outcomes)

    def _synthesis(self) -> Synthesis:
        spec, place = self.job.spec, self.place
        folder = place.runs / spec.name
        (folder / "units").mkdir(parents=True, exist_ok=True)
        for each in (folder, *(path for path in folder.iterdir() if path.is_dir())):
            clean_leftovers(each)
        write_json(folder / "spec.json", spec.to_json())
        task = make_task(spec, open_for(spec, self.registry, place), self.registry, place, folder / "units")
        method = build(self.registry, spec.method)
        labeller = build(self.registry, spec.labeller) if spec.labeller else method
        return Synthesis(spec, folder, task, method, labeller)

    def _earlier(self) -> Record | None:
        folder = self.place.runs / self.job.spec.name
        try:
            return records.read(folder)
        except FileNotFoundError:
            return None
        except CorruptArtefact as error:
            self.place.progress.warn(f"record set aside as {set_aside(folder / 'record.json').name}: {error}")
            return None

    def _asked_again(self, earlier: Record) -> Record:
        """A failed run is not retried, but it answers for every evaluation asked of it now."""
        outcomes = {**self._unscored(earlier.reason or "failed"), **earlier.evaluations}
        return Record(**{**vars(earlier), "evaluations": outcomes})

    def _unscored(self, reason: str) -> dict[str, Outcome]:
        return {each.key: unscored(each, reason) for each in self.job.evaluations}

    def _record(self, status: str, reason: str | None, costs: Costs, outcomes: dict[str, Outcome]) -> Record:
        spec = self.job.spec
        environment = describe(self.place.device, spec.precision, spec)
        return Record(spec, status, reason, costs, outcomes, dict(self.job.controls), environment)


def unscored(each: EvaluationSpec, reason: str) -> Outcome:
    """The outcome of an evaluation that never began."""
    return {
        "protocol": each.protocol,
        "protocol_id": each.protocol_id,
        "backbone": each.backbone,
        "asked": [each.asked],
        "label_kind": None,
        "teacher_backbone": None,
        "note": "",
        "status": "failed",
        "reason": reason,
        "scores": [],
    }


def crashed(job: Job, place: Place, reason: str) -> Record:
    """Writes and returns the record of a run whose process died before it could: what was recorded before stays."""
    folder = place.runs / job.spec.name
    outcomes = {each.key: unscored(each, reason) for each in job.evaluations}
    try:
        earlier = records.read(folder)
        record = Record(**{**vars(earlier), "evaluations": {**outcomes, **earlier.evaluations}})
    except (FileNotFoundError, CorruptArtefact):
        environment = describe(place.device, job.spec.precision, job.spec)
        record = Record(job.spec, "failed", reason, {}, outcomes, dict(job.controls), environment)
    keep(record, place)
    return record


def keep(record: Record, place: Place) -> None:
    """Writes the record; where there is no room for even that, the row is still reported."""
    try:
        records.write(place.runs / record.spec.name, record)
    except OSError as error:
        place.progress.warn(f"the record of {record.spec.name} could not be written: {reason_of(error)}")
