"""What the rows of one cell say of each other: the gain over random images, relative accuracy, DD-Ranking's scores.

DD-Ranking (NUS-HPC-AI-Lab/DD-Ranking, README and ddranking/metrics) defines, of accuracies in [0, 1],

    HLR = full data, hard labels - set, hard labels          LRS = s(w IOR - (1 - w) HLR)
    IOR = set - random images under the same treatment       ARS = s(g IOR + (1 - g) IOR without augmentation)
    s(x) = (e^x - 1/e) / (e - 1/e), w = g = 1/2

so that s takes [-1, 1] to [0, 1]. Its released code (commit b8b0966) puts percentages into s: ten points above give
9,371, ten below -0.157, and of two sets that are below both get the same; its LRS for hard labels counts every training
twice. Here they are fractions, of means over trainings.

Every ingredient is measured: a row of the same cell, which shares dataset, classes, network, budget, device and
arithmetic. Nothing is taken from a paper.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.reporting import Row
from bench.reporting.pooling import controls_of, runs_of
from bench.reporting.welch import difference
from bench.results.fields import CONTROL, FULL
from bench.results.null_reasons import OTHER_METRICS
from bench.results.protocol_names import is_varied, name_of
from bench.storage.names import VARIANT

WEIGHT = 0.5  # DD-Ranking's w and g
PLAIN = f"{VARIANT}no-augmentation"
SHARED = (
    *("dataset", "card_hash", "classes", "class_order_hash", "eval_backbone"),
    *("budget", "device", "device_name", "precision"),
)
HARD = "hard"  # the protocol of one recipe for all, with hard labels
DERIVED = ("label_free_gain", "relative_to_full", "lrs", "ars")
ITSELF, ALL_ITSELF = "it is the control itself", "it is all real images itself"
NO_RANDOM = "no random images with the same labels stand in this report: --control makes them"
NO_HARD = "this set was not evaluated with hard labels: --protocol hard does it"
WHICH_HARD = "this set was evaluated with hard labels by several protocols, none of them called hard"
NO_FULL = (
    "no row tells what this network gets from all real images, and it is no labelling teacher of these rows: "
    f"--method {FULL} --protocol {HARD} does it"
)
NO_PLAIN = f"it was not evaluated without augmentation: --protocol NAME{PLAIN} does it"
NOT_PLAIN = "a variant of a protocol has none without augmentation"
IS_PLAIN = "it is itself without augmentation"
NO_RESULT = "it has no result"

Cell = tuple[Any, ...]  # the values of `SHARED`


@dataclass(frozen=True)
class Ingredient:
    """An accuracy in percent: from which row, or why there is none."""

    top1: float | None = None
    source: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class CellScores:
    """Of one row; accuracies in percent, differences of them in points, IOR, HLR and the scores in fractions.

    Attributes:
        random_top1: of the control, under the same labels and protocol.
        hard_top1, full_top1: of the set, and of all real images, with hard labels; with the protocol, and the method
            or the words, that they are from.
        plain_top1, plain_random_top1: of set and control without augmentation.
        label_free_gain: the row above its control, with p and the 95 % interval of Welch's test over trainings.
        relative_to_full: the row's accuracy over that of full data, in percent.
        null_reasons: why a number is missing, by its name: a line for each ingredient that is not there.
    """

    random_top1: float | None = None
    hard_top1: float | None = None
    hard_protocol: str | None = None
    full_top1: float | None = None
    full_from: str | None = None
    plain_top1: float | None = None
    plain_random_top1: float | None = None
    label_free_gain: float | None = None
    gain_p: float | None = None
    gain_interval: tuple[float, float] | None = None
    relative_to_full: float | None = None
    ior: float | None = None
    hlr: float | None = None
    lrs: float | None = None
    ars: float | None = None
    null_reasons: dict[str, list[str]] = field(default_factory=dict)


def label_robust(ior: float, hlr: float, weight: float = WEIGHT) -> float:
    """DD-Ranking's LRS, in [0, 1], of differences of accuracies in [-1, 1]."""
    return _normalised(weight * ior - (1 - weight) * hlr)


def augmentation_robust(ior: float, plain_ior: float, weight: float = WEIGHT) -> float:
    """DD-Ranking's ARS, in [0, 1], of the differences with and without augmentation, in [-1, 1]."""
    return _normalised(weight * ior + (1 - weight) * plain_ior)


def _normalised(value: float) -> float:
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def with_scores(rows: Sequence[Row]) -> list[Row]:
    """Each row with `scores`, the object of its `CellScores`, from the others."""
    cells = _Cells(rows)
    return [{**row, "scores": dict(vars(cells.scores(row)))} for row in rows]


def _no_plain(row: Row) -> str:
    """Why there may be no row of the same without augmentation."""
    if name_of(row).endswith(PLAIN):
        return IS_PLAIN
    return NOT_PLAIN if is_varied(row) else NO_PLAIN


class _Cells:
    """Finds the ingredients of a row among all rows."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = [row for row in rows if row["status"] == "done" and row.get("top1_mean") is not None]
        self._placed = {(run, name_of(row), row["eval_backbone"]): row for row in self._rows for run in runs_of(row)}
        self._cells: dict[Cell, list[Row]] = {}
        self._hard_ones: dict[tuple[Cell, str], list[Row]] = {}
        self._whole: dict[Cell, Ingredient] = {}
        for row in self._rows:
            self._cells.setdefault(_cell(row), []).append(row)
            if _is_hard(row):
                self._hard_ones.setdefault((_cell(row), runs_of(row)[0]), []).append(row)

    def scores(self, row: Row) -> CellScores:
        """All that can be said of a row."""
        if row["status"] != "done" or row.get("top1_mean") is None:
            reason = NO_RESULT if row["status"] != "done" else OTHER_METRICS
            return CellScores(null_reasons={name: [reason] for name in DERIVED})
        control, bare = self._control(row), self._beside(row, f"{name_of(row)}{PLAIN}")
        random = _of(control, _itself(row) or NO_RANDOM)
        plain = _of(bare, _no_plain(row))
        plain_random = _of(self._control(bare) if bare else None, NO_RANDOM)
        hard, full = self._hard(row), self._full(row)
        ior, plain_ior = _fraction(row["top1_mean"], random.top1), _fraction(plain.top1, plain_random.top1)
        hlr = _fraction(full.top1, hard.top1)
        gain = difference(control["top1_values"], row["top1_values"]) if control else None
        return CellScores(
            random_top1=random.top1,
            hard_top1=hard.top1,
            hard_protocol=hard.source,
            full_top1=full.top1,
            full_from=full.source,
            plain_top1=plain.top1,
            plain_random_top1=plain_random.top1,
            label_free_gain=gain.value if gain else None,
            gain_p=gain.p if gain else None,
            gain_interval=gain.interval if gain else None,
            relative_to_full=100 * row["top1_mean"] / full.top1 if full.top1 else None,
            ior=ior,
            hlr=hlr,
            lrs=None if ior is None or hlr is None else label_robust(ior, hlr),
            ars=None if ior is None or plain_ior is None else augmentation_robust(ior, plain_ior),
            null_reasons=dict(_missing(random, hard, full, plain, plain_random)),
        )

    def _control(self, row: Row) -> Row | None:
        """The row of its control under the same protocol, where that has the same kind of labels."""
        placed = (self._placed.get((run, name_of(row), row["eval_backbone"])) for run in controls_of(row))
        found = next(filter(None, placed), None)
        return found if found and found.get("label_kind") == row.get("label_kind") else None

    def _beside(self, row: Row, protocol: str) -> Row | None:
        """The same set, evaluated by another protocol on the same network."""
        return self._placed.get((runs_of(row)[0], protocol, row["eval_backbone"]))

    def _hard(self, row: Row) -> Ingredient:
        if _is_hard(row):
            return _of(row, "")
        found = self._hard_ones.get((_cell(row), runs_of(row)[0]), [])
        called = [each for each in found if name_of(each) == HARD]
        one = called or found
        return _of(one[0] if len(one) == 1 else None, WHICH_HARD if one else NO_HARD)

    def _full(self, row: Row) -> Ingredient:
        """What all rows of a cell have in common, whatever their images per class."""
        cell = _cell(row)
        if cell not in self._whole:
            self._whole[cell] = _all_images(self._cells[cell])
        return self._whole[cell]


def _cell(row: Row) -> Cell:
    return tuple(row.get(name) for name in SHARED)


def _all_images(cell: Sequence[Row]) -> Ingredient:
    """A set of all real images under hard labels; else the best labelling teacher that is the same network."""
    whole = [each for each in cell if each["method"] == FULL and _is_hard(each)]
    if whole:
        return Ingredient(max(each["top1_mean"] for each in whole), FULL)
    backbone = cell[0]["eval_backbone"]
    taught = [each["teacher_top1"] for each in cell if each.get("teacher_backbone") == backbone]
    known = [top1 for top1 in taught if top1 is not None]
    return Ingredient(max(known), f"teacher {backbone}") if known else Ingredient(reason=NO_FULL)


def _itself(row: Row) -> str:
    """Which ingredient it is: random real images, a control or asked for by their name, or all; "" where neither."""
    if row.get("is_control") or (row["method"] == CONTROL and row.get("control") is None):
        return ITSELF
    return ALL_ITSELF if row["method"] == FULL and row.get("control") is None else ""


def _is_hard(row: Row) -> bool:
    return row.get("label_kind") == "hard" and not is_varied(row)


def _of(row: Row | None, reason: str) -> Ingredient:
    return Ingredient(row["top1_mean"], row.get("protocol_id")) if row else Ingredient(reason=reason)


def _fraction(one: float | None, other: float | None) -> float | None:
    """A difference of accuracies in percent as one of accuracies in [0, 1]."""
    return None if one is None or other is None else (one - other) / 100


def _missing(
    random: Ingredient, hard: Ingredient, full: Ingredient, plain: Ingredient, plain_random: Ingredient
) -> Iterator[tuple[str, list[str]]]:
    """What cannot be computed, with the reasons of all ingredients that are missing."""
    needed = {
        "label_free_gain": (random,),
        "relative_to_full": (full,),
        "lrs": (random, hard, full),
        "ars": (random, plain) if plain.reason else (random, plain_random),
    }
    if random.reason in (ITSELF, ALL_ITSELF):
        needed |= {name: (random,) for name in needed if name != "relative_to_full"}
    for name, ingredients in needed.items():
        if reasons := [each.reason for each in ingredients if each.reason]:
            yield name, list(dict.fromkeys(reasons))
