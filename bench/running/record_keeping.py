"""Records of runs that end without a result, and of runs that several commands add to."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.errors import UnreadableArtefact
from bench.extensions.registry import Registry
from bench.results import records
from bench.results.answers import answered, is_done
from bench.results.outcomes import Costs, Evaluation, Status
from bench.results.records import Record
from bench.results.spec import EvaluationSpec, Job
from bench.running.context import RunContext
from bench.running.edits import of_all
from bench.running.environment import describe
from bench.running.failures import reason_of
from bench.storage import run_folder
from bench.storage.artefacts import whole_or_aside
from bench.storage.shared.leases import LockHeld, locked


def unscored(each: EvaluationSpec, status: Status, reason: str) -> Evaluation:
    """An evaluation that never began."""
    return Evaluation(
        protocol=each.protocol,
        protocol_id=each.protocol_id,
        backbone=each.backbone,
        asked=[each.asked],
        label_kind=None,
        teacher_backbone=None,
        note="",
        status=status,
        reason=reason,
        scores=[],
    )


def ended(job: Job, earlier: Record | None, status: Status, reason: str) -> dict[str, Evaluation]:
    """All evaluations after an end without result: what was done before stays, all else that is asked for failed."""
    before = dict(earlier.evaluations) if earlier else {}
    for each in job.evaluations:
        known = before.get(each.key)
        fresh = known if known is not None and answered(each, known) else unscored(each, status, reason)
        before[each.key] = fresh.asked_as(each.asked, *(known.asked if known else ()))
    return before


def standing(job: Job, earlier: Record) -> dict[str, Evaluation]:
    """Of what is asked for, what is done with however many seeds: a record keeps it, whatever became of others."""
    before = ((each, earlier.evaluations.get(each.key)) for each in job.evaluations)
    return {each.key: known for each, known in before if known is not None and is_done(each, known)}


def controls(job: Job, earlier: Record | None) -> dict[str, str]:
    """The links to controls of this command and of those before it."""
    return {**(earlier.controls if earlier else {}), **job.controls}


def earlier_record(folder: Path, place: RunContext) -> Record | None:
    """The record of a run folder, or None; a corrupt one is set aside with a warning.

    Raises:
        UnreadableArtefact: there is one, and the system does not let it be read or set aside.
    """
    read = partial(records.read, folder)
    return whole_or_aside(read, folder / run_folder.RECORD, place.progress, "record set aside as {}")


def unread(job: Job, place: RunContext, reason: str) -> Record:
    """The record to show where the run's own cannot be read; it is not written."""
    environment = describe(place.device, job.spec.precision, job.spec, place.command)
    outcomes = ended(job, None, "failed", reason)
    return Record(job.spec, "failed", reason, Costs(), outcomes, controls(job, None), environment)


def crashed(job: Job, place: RunContext, reason: str, registry: Registry) -> Record:
    """The record of a run whose process died before it could write one; it is kept where that is possible.

    It replaces none that cannot be read, and none of a run that somebody else has by now.
    """
    try:
        with locked(run_folder.lock_of(place.runs / job.spec.name), place.progress, wait=False):
            return _crashed(job, place, reason, registry)
    except LockHeld as error:
        return unread(job, place, f"{reason}; {error}")
    except (OSError, UnreadableArtefact):  # a lease cannot be had where nothing can be written
        return _crashed(job, place, reason, registry)


def _crashed(job: Job, place: RunContext, reason: str, registry: Registry) -> Record:
    folder = place.runs / job.spec.name
    try:
        earlier = earlier_record(folder, place)
    except UnreadableArtefact as error:
        return unread(job, place, f"{reason}; {error}")
    outcomes, links = ended(job, earlier, "failed", reason), controls(job, earlier)
    if earlier is not None and earlier.status == "done" and (folder / run_folder.COSTS).exists():
        shown = Record(job.spec, "done", None, earlier.costs, outcomes, links, earlier.environment)
        kept = replace(shown, evaluations={**outcomes, **standing(job, earlier)})
    else:
        offers = of_all(job.spec, job.evaluations, registry)
        environment = describe(place.device, job.spec.precision, job.spec, place.command, offers)
        shown = kept = Record(job.spec, "failed", reason, Costs(), outcomes, links, environment)
    keep(kept, place)
    return shown


def keep(record: Record, place: RunContext) -> None:
    """Writes the record; where there is no room for even that, the row is still reported."""
    try:
        records.write(place.runs / record.spec.name, record)
    except OSError as error:
        place.progress.warn(f"the record of {record.spec.name} could not be written: {reason_of(error)}")
