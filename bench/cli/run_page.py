"""The page of `bench show` of a run. Needs no torch: all of it stands in files of JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.errors import CorruptArtefact, UnreadableArtefact, UsageError
from bench.reporting import Row, rankings
from bench.reporting.facts import flat as flat
from bench.reporting.one_run import (
    COSTS,
    DIFFERENCE,
    Standing,
    about,
    by_training,
    costs,
    doubts,
    standings,
    where,
    without_result,
)
from bench.reporting.units import UNKNOWN, moment, size
from bench.results import records
from bench.results.records import Record
from bench.results.rows import bare_row
from bench.results.rows import rows as rows_of
from bench.storage import run_folder
from bench.storage.streams import one_line

Facts = Iterable[tuple[str, object]]

OF_EVALUATION = (
    "asked",
    "label_kind",
    "teacher_backbone",
    "paper_reports",
    "note",
    "plugins",
    "code",
)  # of its outcome
IN_RECIPE = ("config", "recipe", "source", "quick", "changed")  # of a spec's method
# Of a record's costs, what the table of costs shows in units.
IN_COSTS = (
    *("synthesis_s", "seconds_per_image", "ms_per_image_iteration", "iterations", "warm_up_s", "peak_memory_bytes"),
    *(
        "prepare_s",
        "label_s",
        "set_bytes",
        "label_bytes",
        "stages",
        "environment",
        "prepare_peak_memory_bytes",
        "waited",
    ),
)


def run(folder: Path) -> str:
    """What a run is and gave, what that cost, how it is made again; then all else that it left, and its files."""
    try:
        record = records.read(folder)
    except FileNotFoundError:
        return _begun(folder)
    except (CorruptArtefact, UnreadableArtefact) as error:
        raise UsageError(f"the record of this run cannot be read: {error}") from error
    rows = _rows(folder, record)
    own = [row for row in rows if row["run"] == record.spec.name]
    stand = standings(rankings(rows)).get(record.spec.name, [])
    return joined(
        [
            f"run {folder.name}",
            _summary(record, own),
            _results(own, stand),
            _costs(own, record),
            *_left(record),
            _files(folder),
        ]
    )


def _rows(folder: Path, record: Record) -> list[Row]:
    """The run's, and those of its controls, which lie beside it; one that cannot be read is none."""
    beside = []
    for name in dict.fromkeys(record.controls.values()):
        with suppress(OSError, CorruptArtefact, UnreadableArtefact):
            beside.append(records.read(folder.parent / name))
    return rows_of([*beside, record])


def _summary(record: Record, own: Sequence[Row]) -> str:
    """State, what it is, and what is to be doubted."""
    made = record.environment.made
    state = [("status", record.status), *([("reason", record.reason)] if record.reason else [])]
    what = about(own[0] if own else bare_row(record.spec, record.status))
    when = (
        [("made", f"{moment(made.date) or 'at an unknown time'} (UTC), version {made.version or 'unknown'}")]
        if made
        else []
    )
    said = [("warning", each) for each in doubts(own)]
    return tabulate([*state, *what, *when, *said], tablefmt="plain", disable_numparse=True)


def _results(own: Sequence[Row], stand: Sequence[Standing]) -> str:
    """A line an evaluation, the control's result beside it where both may be ranked together."""
    lines = [
        (where(each.row), each.result, each.beside, each.difference, each.row.get("label_kind") or UNKNOWN)
        for each in stand
    ]
    told = [f"{state}: {said}" for state, said in without_result(own)]
    drawn = _drawn(("evaluation", "result (trainings)", "control", DIFFERENCE, "labels"), lines) if lines else ""
    return "\n".join(filter(None, ["results", drawn, *told])) if lines or told else ""


def _costs(own: Sequence[Row], record: Record) -> str:
    lines = costs(own, record.to_json()) if own else []
    return f"costs\n{_drawn(COSTS, lines)}" if lines else ""


def _left(record: Record) -> Iterator[str]:
    """All else, what is empty left out: trainings, recipe, spec, what was noted, machine and versions."""
    method, made = record.spec.method, record.environment.to_json()
    for each in record.evaluations.values():
        yield _trainings(each.to_json())
    yield section("made again by", [("", made["made"]["command"])] if (made.get("made") or {}).get("command") else [])
    yield section("recipe", _known({"name": method.recipe, "source": method.source}))
    yield section("hyper-parameters", _known(method.config))
    yield section("spec", _known(_without_recipe(record.spec.to_json())))
    noted = {name: value for name, value in record.costs.to_json().items() if name not in IN_COSTS}
    yield section("notes", _known(noted))
    yield section("controls", record.controls.items())
    yield section("made with", _known({**made, "made": {}, "commit": (made.get("made") or {}).get("commit")}))


def _without_recipe(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec, of its method what no other section has."""
    return {**spec, "method": {name: value for name, value in spec["method"].items() if name not in IN_RECIPE}}


def _trainings(outcome: Mapping[str, Any]) -> str:
    """What is said of a score in more than one value lies in its own file, which the list of files names."""
    titles, lines = by_training(outcome)
    heading = f"evaluation {outcome['protocol_id']} on {outcome['backbone']}"
    about = section(heading, _known({name: outcome.get(name) for name in OF_EVALUATION}))
    return joined([about or heading, _drawn(titles, lines) if lines else ""])


def _known(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested values by dotted names, without what is empty; numbers with no more digits than say something."""
    return [(name, _text(value)) for name, value in flat(values) if value not in (None, "", ())]


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else one_line(value)


def _drawn(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return tabulate(lines, titles, disable_numparse=True)


def _begun(folder: Path) -> str:
    """What a run without a record is."""
    try:
        spec = section("spec", _known(records.read_spec(folder).to_json()))
    except (FileNotFoundError, CorruptArtefact, UnreadableArtefact) as error:
        raise UsageError(f"what this run is cannot be read: {error}") from error
    return joined([f"run {folder.name}", "incomplete: the same command continues it", spec, _files(folder)])


def joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def section(title: str, facts: Facts) -> str:
    body = tabulate(facts, tablefmt="plain", disable_numparse=True)
    return f"{title}\n{body}" if body else ""


def _files(folder: Path) -> str:
    sizes = [
        (str(path.relative_to(folder)), size(path.stat().st_size))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != run_folder.UNITS
    ]
    return section("files", sizes)
