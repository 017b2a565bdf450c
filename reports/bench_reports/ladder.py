"""A ladder as a reader sees it: one view, a row a rung, from the first to the last."""

from collections.abc import Sequence

from bench.reporting import Row, common, deviation, machine, mean
from bench.reporting.columns import OF_SYNTHESIS, TIMES, Quantity, inside, plain, quantity, timed
from bench.reporting.remarks import OVER_EITHER, in_company
from bench.reporting.statistics.pooling import sets_as_one
from bench.reporting.statistics.welch import difference
from bench.reporting.units import digits, duration, percent, size, spread
from bench.reporting.view import Cell, Footnotes, RankingView, frame, numbers_of, units_of
from bench.storage.streams import one_line

LEGEND = (
    "step: points above the rung before it, with p of Welch's test over the trainings, or where a rung has several "
    "sets over their means; level: the two do not differ by it, and the 95 % interval in brackets lies within a "
    "point of 0; undecided: nor do they, and the difference may be more",
)


def ladder_views(rows: Sequence[Row], title: str, source: str) -> list[RankingView]:
    """One view, or none without rows."""
    rungs = [_joined(some) for some in _by_rung(rows)]
    if not rungs:
        return []
    for before, rung in zip([None, *rungs], rungs, strict=False):
        rung["before"] = before
    footnotes = Footnotes()
    columns = (_scores(footnotes, source), COSTS)
    identity: dict[str, Cell] = {"rung": lambda row: row["rung"]["name"], "change": lambda row: row["rung"]["change"]}
    return [
        RankingView(
            heading=one_line(_heading(rows[0], title)),
            identity=frame(rungs, identity),
            groups=tuple(frame(rungs, each) for each in columns),
            notes=(
                *LEGEND,
                OVER_EITHER,
                *map(one_line, _remarks(rows)),
                *in_company(rungs, (OF_SYNTHESIS,)),
                *footnotes.lines(),
            ),
            rows=tuple(rows),
            numbers=numbers_of(rungs, {title: cell for each in columns for title, cell in each.items()}),
            units=units_of(COSTS),
        )
    ]


def _by_rung(rows: Sequence[Row]) -> list[list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["rung"]["name"], []).append(row)
    return list(found.values())


def _joined(rows: Sequence[Row]) -> Row:
    """The rows of one rung as one: the mean over its sets, and of one set that over its trainings."""
    done = [row for row in rows if row["status"] == "done"]
    return (sets_as_one(done) or list(rows))[0].copy()


def _heading(row: Row, title: str) -> str:
    what = [title, row["dataset"], _classes(row), f"ipc {row['ipc']}"]
    networks = f"condensed with {row['backbone']}, {row['eval_backbone']} trained on it"
    budget = "" if row["budget"] == "paper" else f"{row['budget']} budget"
    return " · ".join(filter(None, [*what, networks, budget, f"{machine(row)}, {row['precision']}"]))


def _classes(row: Row) -> str:
    of_all = "" if row["classes"] == row["all_classes"] else f" of {row['all_classes']}"
    return f"{row['classes']}{of_all} classes"


def _scores(footnotes: Footnotes, source: str) -> dict[str, Cell]:
    def published(row: Row) -> str | None:
        value = row["rung"]["published"]
        return None if value is None else f"{value:g} {footnotes.mark(source)}"

    return {
        "top-1 %\n(trainings)": Quantity(_top1, lambda row: mean(row["top1_values"]) if row["top1_values"] else None),
        "step": Quantity(_step, _stepped),
        "published\ntop-1 %": Quantity(published, inside("rung", "published")),
        "published\nstep": Quantity(_published_step_told, _published_step),
    }


def _top1(row: Row) -> str | None:
    values = row["top1_values"]
    found = spread(mean(values), deviation(values), len(values)) if values else None
    return f"{found} sets" if found and row.get("sets") else found


def _step(row: Row) -> str | None:
    """As "+3.1", "+3.12 (p 0.01)", "level (-0.4 to +0.6)" or "undecided (-0.2 to +4.3)"."""
    before = row["before"]
    if before is None or not before["top1_values"] or not row["top1_values"]:
        return None
    found = difference(before["top1_values"], row["top1_values"])
    if found.p is None or found.interval is None:
        return f"{found.value:+.2f}"
    if found.level:
        return f"{'undecided' if found.undecided else 'level'} ({{:+.1f}} to {{:+.1f}})".format(*found.interval)
    return f"{found.value:+.2f} (p {found.p:.1g})"


def _stepped(row: Row) -> float | None:
    before = row["before"]
    known = before is not None and before["top1_values"] and row["top1_values"]
    return difference(before["top1_values"], row["top1_values"]).value if known else None


def _published_step(row: Row) -> float | None:
    before, value = row["before"], row["rung"]["published"]
    known = before is not None and value is not None and before["rung"]["published"] is not None
    return value - before["rung"]["published"] if known else None


def _published_step_told(row: Row) -> str | None:
    step = _published_step(row)
    return None if step is None else f"{step:+.1f}"


COSTS: dict[str, Cell] = {
    "ms/image-\niteration": timed(quantity(inside("ms_per_image_iteration", "median"), digits), OF_SYNTHESIS),
    "iterations": TIMES["iterations"],
    "synthesis": timed(plain("synthesis_s", duration), OF_SYNTHESIS),
    "peak\nRSS": quantity(inside("peak_memory_bytes", "rss"), size),
    "label\nbytes": plain("label_bytes", size),
    "teachers": plain("teacher_top1", percent),
}


def _remarks(rows: Sequence[Row]) -> list[str]:
    """What a rung's row says of itself: why it has no numbers, its budget, what should be doubted."""
    said = [
        f"{row['rung']['name']}: {row['status']}: {row['reason'] or 'no reason was given'}"
        for row in rows
        if row["status"] != "done"
    ]
    said += [f"{row['rung']['name']}: {doubt}" for row in rows for doubt in row["warnings"] or ()]
    note = common(rows, "evaluation_note")
    return list(dict.fromkeys([*said, *([f"quick budget, evaluation: {note}"] if note else [])]))
