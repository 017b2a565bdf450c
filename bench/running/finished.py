"""What a dry run sees of a run without touching it: nothing is written, set aside or locked."""

from bench.condensation import Task
from bench.errors import CorruptArtefact, RunFailure, UnreadableArtefact, UsageError
from bench.evaluation import Protocol
from bench.extensions.registry import Registry
from bench.planning.configuring import build
from bench.results import records
from bench.results.answers import has_answers
from bench.results.records import Record
from bench.results.spec import EvaluationSpec, Job
from bench.running.context import RunContext, make_task, open_for
from bench.running.scoring import conditions_of, judged_by, scored
from bench.sets import condensed as sets
from bench.storage import run_folder
from bench.storage.files import read_json
from bench.storage.shared.mirrors import at_hand


def is_done(job: Job, registry: Registry, place: RunContext) -> bool:
    """Whether nothing is left to do of a job. What failed is left, as --retry-failed would do it again."""
    if not has_answers(place.runs, job):
        return False
    try:
        folder = at_hand(place.runs / job.spec.name)
        record = records.read(folder)
        read_json(folder / run_folder.COSTS)
        sets.verified(folder / run_folder.CONDENSED)
        task = make_task(job.spec, open_for(job.spec, registry, place), registry, place, folder)
    except (OSError, CorruptArtefact, UnreadableArtefact, RunFailure, UsageError):  # the last: its dataset is elsewhere
        return False
    judged = judged_by(task, build(registry, job.spec.method))
    return all(_is_scored(each, record, registry, judged, place) for each in job.evaluations)


def _is_scored(each: EvaluationSpec, record: Record, registry: Registry, task: Task, place: RunContext) -> bool:
    protocol: Protocol = registry.load("protocol", each.protocol)
    return scored(place.runs / record.spec.name, each, conditions_of(each, protocol, task), registry) == each.seeds
