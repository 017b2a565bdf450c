"""What is said of one run, on a page of a site or on a terminal: what it is, what it gave, what it cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.hardware.quantities import peak_of
from bench.reporting import Ranking, Row, machine, primary
from bench.reporting.columns import (
    OF_EVALUATION,
    OF_LABELS,
    OF_PREPARE,
    OF_SET,
    OF_SHARED,
    OF_SYNTHESIS,
    WAITED,
    Company,
    inside,
    peak_before,
    prepared,
)
from bench.reporting.facts import told
from bench.reporting.statistics.welch import difference
from bench.reporting.units import UNKNOWN, digits, duration, percent, result, size, spread
from bench.storage.streams import one_line

Json = Mapping[str, Any]
Fact = tuple[str, str | None, str]  # what, how much, and the field whose null may have a reason

HASH = 6  # digits, as a forecast names a stage
ALONE = "times are not to be held against others"
DIFFERENCE = "difference (95 % interval)"  # by Welch's test; without one, a side has one training or neither varies
COSTS = ("what", "cost", "remark")  # titles of `costs`


@dataclass(frozen=True)
class Standing:
    """A row within its ranking.

    Attributes:
        number: of the ranking, from 1.
        place, among: from the best, 1, to the last.
        control: the row of its control there, or None.
    """

    row: Row
    number: int
    place: int
    among: int
    control: Row | None

    @property
    def result(self) -> str:
        """With its metric and deviation, as "top-1 % 41.10 ± 0.42 (3)"."""
        return f"{primary(self.row).title} {score(self.row)}"

    @property
    def beside(self) -> str:
        """The control's, or why there is none."""
        if self.control is None:
            return "is the control" if self.row.get("is_control") else UNKNOWN
        return score(self.control)

    @property
    def difference(self) -> str:
        """By how much it is above the control, as "-5.29 (-9.10 to -1.48)": below `DIFFERENCE`."""
        ours, theirs = primary(self.row), primary(self.control) if self.control else None
        if theirs is None or not ours.values or not theirs.values:
            return UNKNOWN
        found = difference(theirs.values, ours.values)
        numbers = [result(value, ours.unit, sign="+") for value in (found.value, *(found.interval or ()))]
        return numbers[0] if found.interval is None else "{} ({} to {})".format(*numbers)


def standings(rankings: Sequence[Ranking]) -> dict[str, list[Standing]]:
    """By run, where its rows stand. A control that may not be ranked beside a row is none of it."""
    found: dict[str, list[Standing]] = {}
    for number, ranking in enumerate(rankings, 1):
        known = {row["run"]: row for row in ranking.rows}
        for place, row in enumerate(ranking.rows, 1):
            control = known.get(row.get("control"))
            found.setdefault(row["run"], []).append(Standing(row, number, place, len(ranking.rows), control))
    return found


def score(row: Row) -> str:
    """The primary metric with its deviation and the number of trainings."""
    found = primary(row)
    return spread(found.mean, found.std, row.get("eval_seeds"), found.unit) or UNKNOWN


def where(row: Row) -> str:
    """Under which protocol, and which network was trained, in one line."""
    protocol, network = row.get("protocol_id") or row["protocol"], row.get("eval_backbone")
    return one_line(f"{protocol} on {network}" if network else protocol)


def about(row: Row) -> list[tuple[str, str]]:
    """In a few words, what it is."""
    budget = _known(row, "budget")
    facts = {
        "method": _known(row, "method"),
        "dataset": f"{row['dataset']}, {row['classes']} of {row.get('all_classes') or row['classes']} classes",
        "images": f"{row.get('images')} ({row['ipc']} a class)",
        "condensed with": _known(row, "backbone"),
        "budget": budget + (f" ({row['budget_note']})" if row.get("budget_note") else ""),
        "changed by the user": told(row["changed"]) if row.get("changed") else "",
        "seed": str(row.get("seed")),
        "came from": row.get("set") or "",
        "machine": ", ".join(filter(None, [machine(row), row.get("precision")])),
    }
    return [(name, one_line(value)) for name, value in facts.items() if value]


def _known(row: Row, name: str) -> str:
    return "unknown" if row.get(name) is None else one_line(row[name])


def doubts(rows: Sequence[Row]) -> list[str]:
    """What is to be doubted; of some of the evaluations alone with their names."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for said in row.get("warnings") or ():
            found.setdefault(said, []).append(row)
    return [
        one_line(said if len(whose) == len(rows) else f"{', '.join(map(where, whose))}: {said}")
        for said, whose in found.items()
    ]


def without_result(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Of evaluations without a result, each state with what is to be said of it."""
    return [
        (one_line(row["status"]), one_line(f"{where(row)}: {row.get('reason') or 'no reason was recorded'}"))
        for row in rows
        if row["status"] != "done"
    ]


def by_training(evaluation: Json) -> tuple[list[str], list[list[str]]]:
    """The titles and the lines of an evaluation's table, a line a training."""
    scores = evaluation["scores"]
    metrics = list(dict.fromkeys(name for each in scores for name in each.get("metrics") or {}))
    titles = ("training", "top-1 %", "top-5 %", *(name.replace("_", " ") for name in metrics), "epochs", "time")
    return [*map(one_line, titles)], [_training(each, metrics) for each in scores]


def _training(score: Json, metrics: Sequence[str]) -> list[str]:
    own = [_measured((score.get("metrics") or {}).get(name)) for name in metrics]
    accuracies = [percent(score["top1"]) or UNKNOWN, percent(score["top5"]) or UNKNOWN]
    return [str(score.get("seed", 0)), *accuracies, *own, f"{score['epochs']:g}", duration(score["seconds"]) or UNKNOWN]


def _measured(metric: Json | None) -> str:
    return one_line(f"{result(metric['value'], metric['unit'])} {metric['unit']}") if metric else UNKNOWN


def costs(rows: Sequence[Row], record: Json | None) -> list[tuple[str, str, str]]:
    """What a run's rows cost, of which all share what the set cost: below `COSTS`; none where nothing is known."""
    facts = [*_of_set(rows[0]), *_of_stages(record), *_of_evaluations(rows)]
    lines = [(what, shown or UNKNOWN, remark) for what, shown, remark in facts if shown or remark]
    return lines if any(shown for _, shown, _ in facts) else []


def _of_set(row: Row) -> Iterator[Fact]:
    reasons = row.get("null_reasons") or {}
    for what, shown, name, remark in [*_times(row), *_space(row)]:
        yield what, shown, one_line(remark if shown else reasons.get(name, ""))


def _times(row: Row) -> list[tuple[str, str | None, str, str]]:
    step = row.get("ms_per_image_iteration") or {}
    median = f"{digits(step['median'])} ms" if step else None
    around = f"20 to 80 % of windows: {digits(step['p20'])} to {digits(step['p80'])} ms" if step else ""
    iterations = row.get("iterations")
    return [
        ("prepare", duration(prepared(row)), "prepare_s", "teachers, experts; what they cost when made"),
        ("synthesis", duration(row.get("synthesis_s")), "synthesis_s", "all images"),
        ("warm-up", duration(row.get("warm_up_s")), "warm_up_s", "part of the synthesis"),
        ("per image", duration(row.get("seconds_per_image")), "seconds_per_image", "synthesis over images"),
        ("per image and iteration", median, "ms_per_image_iteration", around),
        ("iterations", None if iterations is None else str(iterations), "iterations", "of one image"),
        ("workers", _workers(row, OF_SET), "", f"busy on the machine: {ALONE}"),
        ("prepare waited for a core", _waited(row, OF_PREPARE), "", f"of the time: {ALONE}"),
        ("synthesis waited for a core", _waited(row, OF_SYNTHESIS), "", f"of the time: {ALONE}"),
    ]


def _workers(row: Row, by: Company) -> str | None:
    """How many were busy, where there were several."""
    return str(by.workers(row)) if by.workers(row) > 1 else None


def _waited(row: Row, by: Company) -> str | None:
    """For how much of the time it waited for a core, where that was much."""
    return f"{100 * by.waited(row):.0f} %" if by.waited(row) > WAITED else None


def _beside(row: Row, by: Company) -> str:
    """The same in words."""
    waited = _waited(row, by)
    return f"waited for a core {waited} of the time: {ALONE}" if waited else ""


def _space(row: Row) -> list[tuple[str, str | None, str, str]]:
    memory = inside("peak_memory_bytes", "allocated")(row)
    resident = inside("peak_memory_bytes", "rss")(row)
    return [
        ("peak memory of the device", size(memory), "", "while images are made"),
        ("peak memory of the process", size(resident), "", "resident, while images are made"),
        ("peak memory of prepare", size(peak_before(row)), "", "the greatest of its stages, and beside them"),
        ("images", size(row.get("set_bytes")), "set_bytes", "as stored"),
    ]


def _of_labels(row: Row, where: str) -> Iterator[Fact]:
    """Of those that an evaluation trains on."""
    reasons, kept, taken = row.get("null_reasons") or {}, row.get("label_bytes"), duration(row.get("label_s"))
    said = "they themselves, or the teacher that makes them" if kept else reasons.get("label_bytes", "")
    yield f"labelling, {where}", taken, _beside(row, OF_LABELS) if taken else reasons.get("label_s", "")
    yield f"labels, {where}", size(kept), said
    yield f"images and labels, {where}", size(row.get("total_bytes")) if kept else None, ""
    yield f"the set in all, {where}", duration(row.get("total_s")), "prepare, synthesis and labelling"


def _of_stages(record: Mapping[str, Any] | None) -> Iterator[Fact]:
    """Stages that may be shared, each as it was made."""
    for key, stage in ((record or {}).get("costs", {}).get("stages") or {}).items():
        held = peak_of(stage["memory"])
        name = one_line(" ".join(["stage", *filter(None, [stage.get("kind")]), key[:HASH]]))
        space = [
            f"peak {size(held)}" if held else "",
            f"{size(stage['bytes'])} on the disk" if stage.get("bytes") else "",
        ]
        yield name, duration(stage["seconds"]), "; ".join(filter(None, space))


def _of_evaluations(rows: Sequence[Row]) -> Iterator[Fact]:
    for row in rows:
        said = where(row)
        yield from _of_labels(row, said)
        yield f"shared stages, {said}", duration(row.get("evaluation_prepare_s")), _beside(row, OF_SHARED)
        yield f"evaluation, {said}", duration(row.get("evaluation_s")), _in_what(row)


def _in_what(row: Row) -> str:
    """In how many trainings, and beside whom."""
    workers, waited = _workers(row, OF_EVALUATION), _waited(row, OF_EVALUATION)
    said = [f"{workers} workers busy" if workers else "", f"waited for a core {waited} of the time" if waited else ""]
    beside = ", ".join(filter(None, said))
    return f"{row.get('eval_seeds')} trainings" + (f"; {beside}: {ALONE}" if beside else "")
