"""The scores of `bench.reporting.scores` as tables: a ranking each, its rows in their order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.reporting import Row, rankings
from bench.reporting.columns import Cell
from bench.reporting.naming import Whom
from bench.reporting.scores import DERIVED, with_scores
from bench.reporting.units import percent, spread
from bench.reporting.view import RankingView, frame, identity
from bench.storage.streams import one_line

LEGEND = (
    "label-free gain: points above random images under the same labels and protocol, with Welch's 95 % interval",
    "LRS, ARS: DD-Ranking's scores, of accuracies in [0, 1] (w = 0.5); hard labels: the same set with them",
)
TOP1 = "top-1 %"
TITLES = {"label_free_gain": "label-free gain", "relative_to_full": "relative to full", "lrs": "LRS", "ars": "ARS"}


def score_views(rows: Sequence[Row]) -> list[RankingView]:
    """The rankings of all done rows, with what their rows say of each other."""
    return [_view(ranking.heading, ranking.rows) for ranking in rankings(with_scores(rows))]


def _view(heading: str, rows: Sequence[Row]) -> RankingView:
    who = identity(rows)
    notes = map(one_line, (*LEGEND, *_sources(rows), *_missing(rows, Whom(rows, who))))
    return RankingView(one_line(heading), who, (frame(rows, COLUMNS),), tuple(notes), tuple(rows), ranked_by=TOP1)


def _top1(row: Row) -> str | None:
    return spread(row.get("top1_mean"), row.get("top1_std"), row.get("sets") or row.get("eval_seeds"))


def _score(name: str, form: Callable[[Any], str | None]) -> Cell:
    return lambda row: form(row["scores"][name])


def _gain(row: Row) -> str | None:
    found, interval = row["scores"]["label_free_gain"], row["scores"]["gain_interval"]
    if found is None:
        return None
    return f"{found:+.2f}" + ("" if interval is None else " ({:+.2f} to {:+.2f})".format(*interval))


def _of_one(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


COLUMNS: dict[str, Cell] = {
    TOP1: _top1,
    "random,\nsame labels": _score("random_top1", percent),
    "label-free\ngain": _gain,
    "hard\nlabels": _score("hard_top1", percent),
    "full\ndata": _score("full_top1", percent),
    "relative\nto full %": _score("relative_to_full", percent),
    "LRS": _score("lrs", _of_one),
    "ARS": _score("ars", _of_one),
}


def _sources(rows: Sequence[Row]) -> list[str]:
    """From what full data's accuracy is."""
    found = dict.fromkeys(row["scores"]["full_from"] for row in rows if row["scores"]["full_from"])
    return [f"full data: all real images with hard labels, here from {each}" for each in found]


def _missing(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Why numbers are missing, each reason once."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        reasons = row["scores"]["null_reasons"]
        for name, reason in ((score, each) for score in DERIVED for each in reasons.get(score, ())):
            found.setdefault(reason, {}).setdefault(TITLES[name], []).append(row)
    return [f"no {', '.join(of)} of {whom.told(_all(of.values()))}: {reason}" for reason, of in found.items()]


def _all(some: Iterable[Sequence[Row]]) -> list[Row]:
    """Each row once."""
    return list({id(row): row for rows in some for row in rows}.values())
