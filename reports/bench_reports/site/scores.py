"""What a run's evaluations gave: over its trainings, beside the control and what was published, and by training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.reporting import Ranking, Row, primary
from bench.reporting.units import UNKNOWN, duration, percent, result, spread
from bench.storage.streams import one_line
from bench_reports.site.tables import Cell, Line, Table, plain

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """A row within its ranking.

    Attributes:
        number: of the ranking on the index, from 1.
        place, among: from the best, 1, to the last.
        control: the row of its control there, or None.
    """

    row: Row
    number: int
    place: int
    among: int
    control: Row | None


def standings(rankings: Sequence[Ranking]) -> dict[str, list[Standing]]:
    """By run, where its rows stand. A control that may not be ranked beside a row is none of it."""
    found: dict[str, list[Standing]] = {}
    for number, ranking in enumerate(rankings, 1):
        known = {row["run"]: row for row in ranking.rows}
        for place, row in enumerate(ranking.rows, 1):
            control = known.get(row.get("control"))
            found.setdefault(row["run"], []).append(Standing(row, number, place, len(ranking.rows), control))
    return found


def results(standing: Sequence[Standing], names: Mapping[str, str]) -> Table | None:
    """One line an evaluation, the control beside it."""
    if not standing:
        return None
    columns = ("protocol", "result (trainings)", "control", "difference", "rank", "trained network", "labels")
    titles = [*columns, *(["published"] if any(each.row.get("claim") for each in standing) else [])]
    numeric = [title not in ("protocol", "trained network", "labels") for title in titles]
    lines = [Line(_cells(each, names)[: len(titles)]) for each in standing]
    return Table("Results", titles, numeric, lines)


def published(standing: Sequence[Standing]) -> list[str]:
    """Each number from a paper that stands beside a result, with its source and in what it is not the same."""
    return list(dict.fromkeys(_claim(each.row) for each in standing if each.row.get("claim")))


def by_seed(evaluations: Iterable[Json]) -> list[Table]:
    """A table an evaluation, a line a training; of those that broke off, as far as they came."""
    return [_trainings(each) for each in evaluations if each["scores"]]


def _cells(standing: Standing, names: Mapping[str, str]) -> list[Cell]:
    row, score, claim = standing.row, primary(standing.row), standing.row.get("claim") or {}
    protocol, network = row.get("protocol_id") or row["protocol"], row["eval_backbone"]
    result = f"{score.title} {_score(row)}"
    rank = Cell(f"{standing.place} of {standing.among} sets", link=f"../index.html#ranking-{standing.number}")
    facts = [Cell(one_line(fact)) for fact in (network, row.get("label_kind") or UNKNOWN)]
    claimed = Cell(_value(claim) if claim else UNKNOWN)
    return [Cell(one_line(protocol)), Cell(result), *_beside(standing, names), rank, *facts, claimed]


def _beside(standing: Standing, names: Mapping[str, str]) -> list[Cell]:
    """The control's result, and by how much this one is above it."""
    control, ours = standing.control, primary(standing.row)
    if control is None:
        return [Cell("is the control" if standing.row.get("is_control") else UNKNOWN), Cell(UNKNOWN)]
    own, theirs = ours.mean, primary(control).mean
    difference = UNKNOWN if own is None or theirs is None else result(own - theirs, ours.unit, sign="+")
    return [Cell(_score(control), link=names.get(control["run"], "")), Cell(difference)]


def _score(row: Row) -> str:
    found = primary(row)
    return spread(found.mean, found.std, row.get("eval_seeds"), found.unit) or UNKNOWN


def _value(claim: Json) -> str:
    return f"{claim['value']:g}" + ("" if claim["std"] is None else f" ± {claim['std']:g}")


def _claim(row: Row) -> str:
    claim = row["claim"]
    said = [
        f"{row.get('protocol_id')} on {row['eval_backbone']}: {_value(claim)}, {claim['source']}",
        claim.get("note"),
    ]
    if {row["budget"], row.get("set_budget")} - {None, claim.get("budget")}:
        said.append("at the paper's budget, not this run's")
    if row.get("differs"):
        said.append(f"differing here: {', '.join(row['differs'])}")
    return one_line("; ".join(filter(None, said)))


def _trainings(evaluation: Json) -> Table:
    scores = evaluation["scores"]
    metrics = list(dict.fromkeys(name for score in scores for name in score.get("metrics") or {}))
    titles = ("seed", "top-1 %", "top-5 %", *(name.replace("_", " ") for name in metrics), "epochs", "time")
    caption = f"{evaluation['protocol_id']} on {evaluation['backbone']}, by training"
    lines = [_training(score, metrics) for score in scores]
    return plain(one_line(caption), [*map(one_line, titles)], lines, numbers=range(len(titles)))


def _training(score: Json, metrics: Sequence[str]) -> list[str]:
    own = [_measured((score.get("metrics") or {}).get(name)) for name in metrics]
    accuracies = [percent(score["top1"]) or UNKNOWN, percent(score["top5"]) or UNKNOWN]
    return [str(score.get("seed", 0)), *accuracies, *own, f"{score['epochs']:g}", duration(score["seconds"]) or UNKNOWN]


def _measured(metric: Json | None) -> str:
    return one_line(f"{result(metric['value'], metric['unit'])} {metric['unit']}") if metric else UNKNOWN
