"""How jobs end: each is told as soon as it does, and their rows are those that were asked for."""

from collections.abc import Sequence

from bench.cli.console import Console
from bench.errors import Interrupted
from bench.reporting import Row, primary
from bench.reporting.units import duration, spread
from bench.results import rows as table
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors import Executor, Skipped

UNANSWERED = "its record does not answer for this evaluation"


def carried_out(executor: Executor, jobs: Sequence[Job], console: Console) -> tuple[list[Record | Skipped], bool]:
    """How the jobs ended, as far as they came, and whether the user stopped them.

    A run that another process had is looked at once more at the end: of two commands for the same grid each finds then
    what the other has finished.
    """
    ended: list[Record | Skipped] = []
    try:
        for outcome in executor.run(jobs):
            ended.append(outcome)
            _tell(console, len(ended), jobs, outcome)
        others = [place for place, outcome in enumerate(ended) if isinstance(outcome, Skipped)]
        if others and len(others) < len(jobs):
            for place, outcome in zip(others, executor.run([jobs[place] for place in others]), strict=True):
                ended[place] = outcome
                _tell(console, place + 1, jobs, outcome)
    except Interrupted as stop:
        console.say(f"{stop}; the same command continues")
        return ended, True
    return ended, False


def _tell(console: Console, number: int, jobs: Sequence[Job], outcome: Record | Skipped) -> None:
    """How one of the jobs ended, and what should be doubted of it."""
    job = jobs[number - 1]
    took = console.end(job.spec.name)
    console.say(f"[{number}/{len(jobs)}] {_news(job, outcome)}{_gave(job, outcome, took)}")
    _warn(console, outcome)


def rows_of(jobs: Sequence[Job], ended: Sequence[Record | Skipped]) -> list[Row]:
    """The rows that were asked for, out of all that the records hold: one an evaluation, by a name that was asked."""
    every = table.rows(record for record in ended if isinstance(record, Record))
    known = {(row["run"], row["protocol_id"], row["eval_backbone"]): row for row in every}
    made = []
    for job, outcome in zip(jobs, ended, strict=False):
        for first, *others in job.measurements():
            names = (first.asked, *(each.asked for each in others))
            row = known.get((job.spec.name, first.protocol_id, first.backbone), {})
            if isinstance(outcome, Skipped):
                made.append(table.blank_row(job.spec, first, "skipped", outcome.reason, *names))
            elif not set(names) <= set(row.get("asked", ())):
                made.append(table.blank_row(outcome.spec, first, "failed", UNANSWERED, *names))
            else:
                made.append(row if row["protocol"] in names else {**row, "protocol": first.asked})
    return made


def _warn(console: Console, outcome: Record | Skipped) -> None:
    """What a reader should doubt, as soon as it is known; of a set's labels it is the same in all its runs."""
    if isinstance(outcome, Record):
        of_set, rows = str(outcome.costs.notes.labels_fit), table.rows([outcome])
        for said in dict.fromkeys(each for row in rows for each in row["warnings"]):
            whom = [_evaluated(row) for row in rows if said in row["warnings"]]
            where = f" ({', '.join(whom)})" if len(whom) < len(rows) else ""
            console.warn(said if said == of_set else f"{rows[0]['run']}{where}: {said}")


def _gave(job: Job, outcome: Record | Skipped, took: float | None) -> str:
    """What a run gave by the first of its evaluations, and how long it took; nothing of what is found again or failed.

    Not the best of them: lines of several runs are read beside each other.
    """
    done = [row for row in rows_of([job], [outcome]) if row["status"] == "done"]
    if took is None or not done:
        return ""
    first = done[0]
    found = primary(first)
    said = spread(found.mean, found.std, first["eval_seeds"])
    others = f" and {len(done) - 1} more" if len(done) > 1 else ""
    return f", {found.title} {said} by {_evaluated(first)}{others}, {duration(took)}"


def _evaluated(row: Row) -> str:
    return f"{row['protocol_id']} on {row['eval_backbone']}"


def _news(job: Job, outcome: Record | Skipped) -> str:
    """How a run ended for this command, in the words of its rows: only where all of them are done is it done."""
    rows = rows_of([job], [outcome])
    without = [row for row in rows if row["status"] != "done"]
    said = dict.fromkeys(
        f"{_evaluated(row)} {row['status']}, {row['reason'] or 'no reason was recorded'}" for row in without
    )
    return f"{job.spec.name}: {'; '.join(said) or 'done'}"
