"""The page of a run: what it was, what it gave, what it cost, and how it is made again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bench.errors import CorruptArtefact, UnreadableArtefact, why
from bench.reporting import Row, rankings
from bench.reporting.facts import flat
from bench.reporting.folders import File, RunFolder
from bench.reporting.one_run import COSTS, Standing, about, costs, doubts, standings, without_result
from bench.storage import run_folder
from bench.storage.streams import one_line
from bench_reports.site.rendering import page
from bench_reports.site.scores import published, results, trainings_of
from bench_reports.site.tables import Table, plain
from bench_reports.site.training import ClassesOf, Where, control_classes, recovery, trainings

PNG = b"\x89PNG\r\n\x1a\n"
UP = "../"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """What is known of a run.

    Attributes:
        rows: of its evaluations, at least one.
        standing: where those stand that are done.
        record: as it was left; None where it cannot be read any more, for `lost`.
        preview: the sheet of its images, where there is one.
        folder: where it lies, if that is known.
        controls: the folders of the controls that stand beside it, by where.
    """

    rows: Sequence[Row]
    standing: Sequence[Standing]
    record: Json | None
    lost: str
    preview: Path | None
    folder: Path | None = None
    controls: Mapping[Where, Path] = field(default_factory=dict)


def run_pages(
    rows: Sequence[Row], runs: Mapping[str, RunFolder], names: Mapping[str, str], *, claims: bool
) -> Iterator[File]:
    """A page for every run of the rows, and the sheet of its images beside it."""
    ours: dict[str, list[Row]] = {}
    for row in rows:
        ours.setdefault(row["run"], []).append(row if claims else {**row, "claim": None})
    stand = standings(rankings(row for each in ours.values() for row in each))
    above, classes_of = {run: UP + name for run, name in names.items()}, cache(control_classes)
    for run, each in ours.items():
        source = _source(each, stand.get(run, []), runs)
        sheet = names[run].removesuffix(".html") + ".png"
        if source.preview:
            yield File(sheet, source.preview)
        yield File(names[run], _page(source, above, Path(sheet).name if source.preview else "", classes_of))


def _source(rows: Sequence[Row], standing: Sequence[Standing], runs: Mapping[str, RunFolder]) -> Source:
    if (folder := runs.get(rows[0]["run"])) is None:
        return Source(rows, standing, None, "its folder is not known", None)
    preview = sheet_of(folder.path)
    try:
        record = folder.record()
    except (OSError, CorruptArtefact, UnreadableArtefact) as error:
        return Source(rows, standing, None, one_line(why(error)), preview)
    controls = {
        (each.row["protocol_id"], each.row["eval_backbone"]): runs[each.control["run"]].path
        for each in standing
        if each.control and each.control["run"] in runs
    }
    return Source(rows, standing, record, "", preview, folder.path, controls)


def sheet_of(run: Path) -> Path | None:
    """The sheet of a run's images, where there is one."""
    path = run / run_folder.PREVIEW
    try:
        with path.open("rb") as file:
            return path if file.read(len(PNG)) == PNG else None
    except OSError:
        return None


def _page(source: Source, names: Mapping[str, str], preview: str, classes_of: ClassesOf) -> str:
    row, record = source.rows[0], source.record or {}
    trained, lost = trainings(record, source.folder, source.controls, classes_of) if source.folder else ([], [])
    recovered, unread = recovery(source.folder) if source.folder else ([], [])
    return page(
        "run",
        title=one_line(row["run"]),
        row=row,
        states=without_result(source.rows),
        doubts=doubts(source.rows),
        lost="; ".join(filter(None, [source.lost, *lost, *unread])),
        preview=preview,
        about=about(row),
        results=results(source.standing, names),
        trainings=trained,
        recovery=recovered,
        published=published(source.standing),
        by_training=trainings_of((record.get("evaluations") or {}).values()),
        costs=_costs(source),
        again=again(row),
        made_with=_made_with(record),
        recipe=_recipe(record),
        details=_details(record),
    )


def _costs(source: Source) -> Table | None:
    lines = costs(source.rows, source.record)
    return plain("Costs by stage", COSTS, lines, numbers=[1]) if lines else None


def again(row: Json) -> dict[str, str]:
    """The command that makes it, and by which state of the project it was made, from a row or an environment."""
    made = row.get("made") or {}
    return {name: one_line(made.get(name) or "") for name in ("command", "date", "version", "commit")}


def _recipe(record: Json) -> dict[str, Any]:
    """Where the values came from, what was changed, and all of them."""
    method = (record.get("spec") or {}).get("method")
    if not method:
        return {}
    changed = [(one_line(key), *map(_text, pair)) for key, pair in method["changed"].items()]
    table = plain("Changed by the user", ("key", "recipe", "here"), changed, numbers=[1, 2])
    return {
        "name": one_line(method["recipe"]),
        "source": one_line(method["source"]),
        "quick": [*map(one_line, method["quick"])],
        "changed": table if changed else None,
        "values": _facts("Hyper-parameters", method["config"]),
    }


def _made_with(record: Json) -> Table | None:
    environment = {name: value for name, value in (record.get("environment") or {}).items() if name != "made"}
    return _facts("Machine and versions", environment)


def _details(record: Json) -> list[Table]:
    """What only somebody who doubts reads: the rest of the spec, and what the method and its protocols noted."""
    spec = {name: value for name, value in (record.get("spec") or {}).items() if name != "method"}
    notes = (record.get("costs") or {}).get("notes") or {}
    tables = [_facts("Spec", spec), _facts("Notes of the method", notes)]
    return [table for table in tables if table]


def _facts(caption: str, values: Json) -> Table | None:
    lines = [(one_line(key), _text(value)) for key, value in flat(values) if value is not None]
    return plain(caption, ("name", "value"), lines) if lines else None


def _text(value: object) -> str:
    return "not known" if value is None else one_line(value)
