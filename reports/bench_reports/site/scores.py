"""What a run's evaluations gave: over its trainings, beside the control and what was published, and by training."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.reporting import Row
from bench.reporting.one_run import DIFFERENCE, Standing, by_training
from bench.reporting.units import UNKNOWN, claimed
from bench.storage.streams import one_line
from bench_reports.site.tables import Cell, Line, Table, plain

Json = Mapping[str, Any]


def results(standing: Sequence[Standing], names: Mapping[str, str]) -> Table | None:
    """One line an evaluation, the control beside it."""
    if not standing:
        return None
    columns = ("protocol", "result (trainings)", "control", DIFFERENCE, "rank", "trained network", "labels")
    titles = [*columns, *(["published"] if any(each.row.get("claim") for each in standing) else [])]
    numeric = [title not in ("protocol", "trained network", "labels") for title in titles]
    lines = [Line(_cells(each, names)[: len(titles)]) for each in standing]
    return Table("Results", titles, numeric, lines)


def published(standing: Sequence[Standing]) -> list[str]:
    """Each number from a paper that stands beside a result, with its source and in what it is not the same."""
    return list(dict.fromkeys(_claim(each.row) for each in standing if each.row.get("claim")))


def trainings_of(evaluations: Iterable[Json]) -> list[Table]:
    """A table an evaluation, a line a training; of those that broke off, as far as they came."""
    return [_trainings(each) for each in evaluations if each["scores"]]


def _cells(standing: Standing, names: Mapping[str, str]) -> list[Cell]:
    row, claim = standing.row, standing.row.get("claim") or {}
    protocol, network = row.get("protocol_id") or row["protocol"], row["eval_backbone"]
    rank = Cell(f"{standing.place} of {standing.among} sets", link=f"../index.html#ranking-{standing.number}")
    control = Cell(standing.beside, link=names.get(standing.control["run"], "") if standing.control else "")
    facts = [Cell(one_line(fact)) for fact in (network, row.get("label_kind") or UNKNOWN)]
    number = Cell(claimed(claim["value"], claim["std"], claim.get("decimals", 0)) if claim else UNKNOWN)
    return [
        Cell(one_line(protocol)),
        Cell(standing.result),
        control,
        Cell(standing.difference),
        rank,
        *facts,
        number,
    ]


def _claim(row: Row) -> str:
    claim = row["claim"]
    number = claimed(claim["value"], claim["std"], claim.get("decimals", 0))
    said = [
        f"{row.get('protocol_id')} on {row['eval_backbone']}: {number}, {claim['source']}",
        claim.get("note"),
    ]
    if {row["budget"], row.get("set_budget")} - {None, claim.get("budget")}:
        said.append("at the paper's budget, not this run's")
    if row.get("differs"):
        said.append(f"differing here: {', '.join(row['differs'])}")
    return one_line("; ".join(filter(None, said)))


def _trainings(evaluation: Json) -> Table:
    titles, lines = by_training(evaluation)
    caption = f"{evaluation['protocol_id']} on {evaluation['backbone']}, by training"
    return plain(one_line(caption), titles, lines, numbers=range(len(titles)))
