"""Which classes are recognised, beside the control, and which are taken for which: tables."""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import UsageError
from bench.results import curves as curve_files
from bench.results.curves import CurveArrays
from bench.storage.streams import one_line
from bench_reports.site.tables import Cell, Line, Table

MOST_SHOWN = 50  # classes; of more, those that are recognised most and least
MOST_CONFUSED = 20  # classes of a whole confusion; of more, the pairs that are confused most often

Json = Mapping[str, Any]


def class_accuracies(curves: Sequence[CurveArrays]) -> list[float] | None:
    """Percent of each class, the mean over trainings; None without any."""
    if not curves:
        return None
    found: list[float] = curve_files.class_accuracies(curves).tolist()
    return found


def class_tables(spec: Json, curves: Sequence[CurveArrays], control: Sequence[float] | None) -> list[Table]:
    """Accuracy by class, and what is taken for what, at the end of the trainings."""
    names = class_words(spec["dataset"], spec["classes"])
    own = class_accuracies(curves)
    if own is None or len(own) != len(names):
        return []
    return [_by_class(names, own, control if control and len(control) == len(own) else None), _confusion(names, curves)]


def classes_beside(specs: Sequence[Json], curves: Mapping[str, Sequence[CurveArrays]]) -> list[Table]:
    """Accuracy by class of two runs on the same classes, those first of which the second gets more right."""
    names = class_words(specs[0]["dataset"], specs[0]["classes"])
    first, second = (class_accuracies(each) or [] for each in curves.values())
    if specs[0]["classes"] != specs[1]["classes"] or not len(names) == len(first) == len(second):
        return []
    order = _ends(sorted(range(len(names)), key=lambda place: first[place] - second[place]))
    cells = {
        place: [_share(first[place], 1), _share(second[place], 1), Cell(f"{second[place] - first[place]:+.1f}")]
        for place in order
    }
    lines = [Line([Cell(names[place]), *each]) for place, each in cells.items()]
    titles = ["class", *curves, "difference"]
    return [Table(_said(order, names), titles, [title != "class" for title in titles], lines, kind="bars")]


def class_words(dataset: str, classes: Sequence[str]) -> list[str]:
    """What classes are called, by the first of their names where a card has some; else their ids."""
    words = _words(dataset)
    return [one_line(words.get(each, each).partition(",")[0]) for each in classes]


@cache
def _words(dataset: str) -> Mapping[str, str]:
    """Of a dataset that is known here; nothing of others, whose cards may lie anywhere."""
    from bench.data.cards import read_card  # by `bench.data.opening` torch would come along
    from bench.extensions.registry import Registry

    registry = Registry()
    try:
        card = registry.load("dataset", dataset) if registry.has("dataset", dataset) else None
        return read_card(Path(card)).class_names if card else {}
    except UsageError:
        return {}


def _by_class(names: Sequence[str], own: Sequence[float], control: Sequence[float] | None) -> Table:
    titles = ["class", "top-1 %", *(["control", "difference"] if control else [])]
    order = _ends(sorted(range(len(names)), key=lambda place: -own[place]))
    lines = [Line([Cell(names[place]), *_accuracies(place, own, control)]) for place in order]
    return Table(_said(order, names), titles, [title != "class" for title in titles], lines, ranked=1, kind="bars")


def _accuracies(place: int, own: Sequence[float], control: Sequence[float] | None) -> list[Cell]:
    if control is None:
        return [_share(own[place], 1)]
    return [_share(own[place], 1), _share(control[place], 1), Cell(f"{own[place] - control[place]:+.1f}")]


def _ends(order: Sequence[int]) -> Sequence[int]:
    """Of many, the first and the last."""
    return order if len(order) <= MOST_SHOWN else [*order[: MOST_SHOWN // 2], *order[-MOST_SHOWN // 2 :]]


def _said(shown: Sequence[int], names: Sequence[str]) -> str:
    return "Accuracy by class" if len(shown) == len(names) else f"Accuracy of {len(shown)} of {len(names)} classes"


def _confusion(names: Sequence[str], curves: Sequence[CurveArrays]) -> Table:
    """Percent of each class's test images that were taken for each class, over all trainings together."""
    counts = np.sum([each.confusion for each in curves], axis=0)
    with np.errstate(invalid="ignore"):
        percents: list[list[float]] = np.nan_to_num(100 * counts / counts.sum(axis=1, keepdims=True)).tolist()
    if len(names) > MOST_CONFUSED:
        return _most_confused(names, percents)
    lines = [Line([Cell(name), *map(_share, row)]) for name, row in zip(names, percents, strict=True)]
    titles, numeric = ["class, taken for", *names], [False, *[True] * len(names)]
    return Table("Confusion: % of a class, by what it was taken for", titles, numeric, lines, kind="heat")


def _most_confused(names: Sequence[str], percents: Sequence[Sequence[float]]) -> Table:
    every = [(each, true, taken) for true, row in enumerate(percents) for taken, each in enumerate(row)]
    most = sorted((each for each in every if each[1] != each[2]), reverse=True)[:MOST_CONFUSED]
    lines = [Line([Cell(names[true]), Cell(names[taken]), _share(each)]) for each, true, taken in most]
    titles = ("class", "taken for", "% of the class")
    return Table("Classes confused most often", titles, [False, False, True], lines, ranked=2, kind="bars")


@lru_cache(maxsize=4096)  # most are 0, and all are shares of few test images
def _share(percent: float, digits: int = 0) -> Cell:
    return Cell(f"{percent:.{digits}f}", share=round(percent / 100, 2) or None)
