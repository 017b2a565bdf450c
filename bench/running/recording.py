"""What becomes of a run that ends without a result, and what one command's record adds to another's."""

from collections.abc import Mapping
from typing import Any

from bench import records
from bench.errors import CorruptArtefact
from bench.records import Record
from bench.running.environment import describe
from bench.running.failures import reason_of
from bench.running.workplace import Place
from bench.spec import EvaluationSpec, Job

Outcome = dict[str, Any]


def unscored(each: EvaluationSpec, status: str, reason: str) -> Outcome:
    """The outcome of an evaluation that never began."""
    return {
        "protocol": each.protocol,
        "protocol_id": each.protocol_id,
        "backbone": each.backbone,
        "asked": [each.asked],
        "label_kind": None,
        "teacher_backbone": None,
        "note": "",
        "status": status,
        "reason": reason,
        "scores": [],
    }


def answered(each: EvaluationSpec, known: Mapping[str, Any] | None) -> bool:
    """Whether an earlier outcome is all that is asked for now."""
    same = known is not None and known["protocol_id"] == each.protocol_id and known["status"] == "done"
    return same and known is not None and len(known["scores"]) >= each.seeds


def ended(job: Job, earlier: Record | None, status: str, reason: str) -> dict[str, Outcome]:
    """Every outcome after an end without result: what was done before stays, all else that is asked for has failed."""
    before = {key: dict(value) for key, value in earlier.evaluations.items()} if earlier else {}
    for each in job.evaluations:
        known = before.get(each.key)
        fresh = dict(known) if known is not None and answered(each, known) else unscored(each, status, reason)
        fresh["asked"] = sorted({each.asked, *(known["asked"] if known else ())})
        before[each.key] = fresh
    return before


def controls(job: Job, earlier: Record | None) -> dict[str, str]:
    """The links to controls of this command and of those before it."""
    return {**(earlier.controls if earlier else {}), **job.controls}


def crashed(job: Job, place: Place, reason: str) -> Record:
    """The record of a run whose process died before it could write one; it is kept where that is possible."""
    folder = place.runs / job.spec.name
    try:
        earlier: Record | None = records.read(folder)
    except (OSError, CorruptArtefact):
        earlier = None
    outcomes, links = ended(job, earlier, "failed", reason), controls(job, earlier)
    if earlier is not None and earlier.status == "done" and (folder / "costs.json").exists():
        record = Record(job.spec, "done", None, earlier.costs, outcomes, links, earlier.environment)
    else:
        environment = describe(place.device, job.spec.precision, job.spec, place.command)
        record = Record(job.spec, "failed", reason, {}, outcomes, links, environment)
    keep(record, place)
    return record


def keep(record: Record, place: Place) -> None:
    """Writes the record; where there is no room for even that, the row is still reported."""
    try:
        records.write(place.runs / record.spec.name, record)
    except OSError as error:
        place.progress.warn(f"the record of {record.spec.name} could not be written: {reason_of(error)}")
