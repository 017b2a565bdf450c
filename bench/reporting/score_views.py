"""The scores of `bench.reporting.statistics.scores` as tables: a ranking each, its rows in their order."""

from collections.abc import Iterable, Sequence

from bench.reporting import Row, rankings
from bench.reporting.columns import Cell, Quantity, inside, quantity
from bench.reporting.naming import Whom
from bench.reporting.remarks import of_results
from bench.reporting.statistics.scores import DERIVED, with_scores
from bench.reporting.units import percent, spread
from bench.reporting.view import RankingView, frame, identity, name_of, numbers_of, of_best, with_best
from bench.storage.streams import one_line

GAIN = "label-free gain: points above random images under the same labels and protocol, with Welch's 95 % interval"
OVER_ONE_SET = (
    f"{GAIN} over trainings of one set each: another draw of either set may change it by more (--seed, --over seed)"
)
OVER_SETS = f"{GAIN} over sets"
DD_RANKING = (
    "HLR, LRS, ARS: DD-Ranking's scores, of accuracies in [0, 1] (w = 0.5), not to be held against its leaderboard: it "
    "searches learning rates by test accuracy, takes the best epoch, and draws random images anew for each training; "
    "hard labels: the same set with them"
)
TOP1 = "top-1 %"
TITLES = {
    "label_free_gain": "label-free gain",
    "relative_to_full": "relative to full",
    "hlr": "HLR",
    "lrs": "LRS",
    "ars": "ARS",
}


def score_views(rows: Sequence[Row]) -> list[RankingView]:
    """The rankings of all done rows, with what their rows say of each other."""
    return [_view(ranking.heading, ranking.rows) for ranking in rankings(with_scores(rows))]


def _view(heading: str, rows: Sequence[Row]) -> RankingView:
    who = identity(rows)
    whom = Whom(rows, who)
    scores = map(one_line, (*_legend(rows), *_sources(rows), *_several(rows, whom), *_missing(rows, whom)))
    return RankingView(
        heading=one_line(heading),
        identity=who,
        groups=(with_best(frame(rows, COLUMNS), TOP1, rows),),
        notes=(*of_best(rows), *of_results(rows, whom), *scores),
        rows=tuple(rows),
        numbers=numbers_of(rows, COLUMNS),
        ranked_by=TOP1,
        name=name_of("scores", rows),
    )


def _top1(row: Row) -> str | None:
    return spread(row.get("top1_mean"), row.get("top1_std"), row.get("sets") or row.get("eval_seeds"))


def _accuracy(name: str) -> Quantity:
    return quantity(inside("scores", name), percent)


def _gain(row: Row) -> str | None:
    found, interval = row["scores"]["label_free_gain"], row["scores"]["gain_interval"]
    if found is None:
        return None
    return f"{found:+.2f}" + ("" if interval is None else " ({:+.2f} to {:+.2f})".format(*interval))


def _hlr(row: Row) -> str | None:
    found = row["scores"]
    return None if found["hlr"] is None else _with(100 * found["hlr"], found["hlr_std"] and 100 * found["hlr_std"], 2)


def _of_one(name: str) -> Quantity:
    def shown(row: Row) -> str | None:
        value = row["scores"][name]
        return None if value is None else _with(value, row["scores"][f"{name}_std"], 3)

    return Quantity(shown, inside("scores", name))


def _with(value: float, std: float | None, decimals: int) -> str:
    return f"{value:.{decimals}f}" + ("" if std is None else f" ± {std:.{decimals}f}")


COLUMNS: dict[str, Cell] = {
    TOP1: Quantity(_top1, lambda row: row.get("top1_mean")),
    "random,\nsame labels": _accuracy("random_top1"),
    "label-free\ngain": Quantity(_gain, inside("scores", "label_free_gain")),
    "hard\nlabels": _accuracy("hard_top1"),
    "full\ndata": _accuracy("full_top1"),
    "relative\nto full %": _accuracy("relative_to_full"),
    "HLR %": Quantity(_hlr, inside("scores", "hlr")),
    "LRS": _of_one("lrs"),
    "ARS": _of_one("ars"),
}


def _legend(rows: Sequence[Row]) -> list[str]:
    """What the columns mean, of those that are there."""
    known = {name for row in rows for name in ("label_free_gain", "hlr", "ars") if row["scores"][name] is not None}
    over_sets = all(row.get("sets") for row in rows)
    gain = [OVER_SETS if over_sets else OVER_ONE_SET] if "label_free_gain" in known else []
    return gain + ([DD_RANKING] if known & {"hlr", "ars"} else [])


def _sources(rows: Sequence[Row]) -> list[str]:
    """From what full data's accuracy is."""
    scores = [row["scores"] for row in rows if row["scores"]["full_from"]]
    by = [f" by {each['full_protocol']}" if each["full_protocol"] else "" for each in scores]
    found = dict.fromkeys(f"{each['full_from']}{how}" for each, how in zip(scores, by, strict=True))
    return [f"full data: all real images with hard labels, here from {each}" for each in found]


def _several(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Whose random images are several sets, where its own is one: the interval is over those on their side."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        if (count := row["scores"]["random_sets"]) and not row.get("sets"):
            found.setdefault(count, []).append(row)
    return [f"random images of {whom.told(who)}: the mean of {count} sets" for count, who in found.items()]


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
