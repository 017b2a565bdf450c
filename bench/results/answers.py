"""Whether what is on record answers what is asked for now."""

from pathlib import Path

from bench.errors import CorruptArtefact, UnreadableArtefact
from bench.results import records
from bench.results.outcomes import Evaluation
from bench.results.spec import EvaluationSpec, Job


def is_done(each: EvaluationSpec, known: Evaluation) -> bool:
    """Whether an earlier evaluation is a result of this protocol, with however many seeds."""
    return known.protocol_id == each.protocol_id and known.done


def answered(each: EvaluationSpec, known: Evaluation | None) -> bool:
    """Whether an earlier evaluation is all that is asked for now."""
    return known is not None and is_done(each, known) and len(known.scores) >= each.seeds


def has_answers(runs: Path, job: Job) -> bool:
    """Whether the record of a job's run, in this folder of runs, is all that is asked for now; nothing is touched."""
    try:
        record = records.read(runs / job.spec.name)
    except (OSError, CorruptArtefact, UnreadableArtefact):
        return False
    made = record.status == "done" and record.spec.hash == job.spec.hash
    return made and all(answered(each, record.evaluations.get(each.key)) for each in job.evaluations)
