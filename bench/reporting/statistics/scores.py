"""What the rows of one cell say of each other: the gain over random images, relative accuracy, DD-Ranking's scores.

Every ingredient is measured: a row of the same cell, which shares dataset, classes, network, budget, device and
arithmetic. Nothing is taken from a paper. `bench.reporting.statistics.dd_ranking` has the formulas of others.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bench.reporting import OWN, Row
from bench.reporting.statistics.dd_ranking import Accuracy, Score, augmentation_robust, label_robust, recovery
from bench.reporting.statistics.pooling import controls_of, runs_of, sets_as_one
from bench.reporting.statistics.welch import difference
from bench.results.fields import CONTROL, FULL
from bench.results.null_reasons import OTHER_METRICS
from bench.results.protocol_names import is_varied, name_of
from bench.storage.names import VARIANT

PLAIN = f"{VARIANT}no-augmentation"
SHARED = (
    *("dataset", "card_hash", "classes", "class_order_hash", "eval_backbone"),
    *("budget", "device", "device_name", "precision"),
)
HARD = "hard"  # the protocol of one recipe for all, with hard labels
DERIVED = ("label_free_gain", "relative_to_full", "hlr", "lrs", "ars")
ITSELF, ALL_ITSELF = "it is the control itself", "it is all real images itself"
NO_RANDOM = "no random images with the same labels stand in this report: --control makes them"
IF_LABELS = "if those labels can be had for other images"
OTHER_LABELS = "its control has {theirs} labels, because these {mine} ones cannot be had for other images"
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
    """An accuracy: from what and by which protocol, or why there is none."""

    accuracy: Accuracy | None = None
    source: str | None = None
    protocol: str | None = None
    reason: str = ""

    @property
    def top1(self) -> float | None:
        """In percent."""
        return self.accuracy.mean if self.accuracy else None


@dataclass(frozen=True)
class CellScores:
    """Of one row; accuracies in percent, differences of them in points, IOR, HLR and the scores in fractions.

    Attributes:
        random_top1: of the control, or else of what random images with the same labels there are, under the same
            protocol; `random_sets` of how many sets it is the mean, where of several.
        hard_top1, full_top1: of the set, and of all real images, with hard labels; with the protocols (none of a
            teacher's training), and the method or the words, that they are from.
        plain_top1, plain_random_top1: of set and control without augmentation.
        label_free_gain: the row above its control, with p and the 95 % interval of Welch's test over trainings, or over
            sets where the row is the mean of some.
        relative_to_full: the row's accuracy over that of full data, in percent.
        hlr, lrs, ars: each with its deviation (`_std`) by the delta method, over trainings or sets; None where a side
            has one.
        null_reasons: why a number is missing, by its name: a line for each ingredient that is not there.
    """

    random_top1: float | None = None
    random_sets: int | None = None
    hard_top1: float | None = None
    hard_protocol: str | None = None
    full_top1: float | None = None
    full_from: str | None = None
    full_protocol: str | None = None
    plain_top1: float | None = None
    plain_random_top1: float | None = None
    label_free_gain: float | None = None
    gain_p: float | None = None
    gain_interval: tuple[float, float] | None = None
    relative_to_full: float | None = None
    ior: float | None = None
    hlr: float | None = None
    hlr_std: float | None = None
    lrs: float | None = None
    lrs_std: float | None = None
    ars: float | None = None
    ars_std: float | None = None
    null_reasons: dict[str, list[str]] = field(default_factory=dict)


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
        self._hard_ones: dict[tuple[Cell, str], list[Row]] = {}
        self._whole: dict[Cell, list[Row]] = {}
        cells: dict[Cell, list[Row]] = {}
        drawn: dict[Cell, list[Row]] = {}
        for row in self._rows:
            cells.setdefault(_cell(row), []).append(row)
            if _is_hard(row):
                self._hard_ones.setdefault((_cell(row), runs_of(row)[0]), []).append(row)
                if row["method"] == FULL:
                    self._whole.setdefault(_cell(row), []).append(row)
            if row["method"] == CONTROL:
                drawn.setdefault(_treatment(row), []).append(row)
        self._teachers = {cell: _best_teacher(those) for cell, those in cells.items() if cell not in self._whole}
        self._drawn = {treatment: _mean_draw(those) for treatment, those in drawn.items()}

    def scores(self, row: Row) -> CellScores:
        """All that can be said of a row."""
        if row["status"] != "done" or row.get("top1_mean") is None:
            reason = NO_RESULT if row["status"] != "done" else OTHER_METRICS
            return CellScores(null_reasons={name: [reason] for name in DERIVED})
        control, bare = self._control(row), self._beside(row, f"{name_of(row)}{PLAIN}")
        random = _of(control, self._no_random(row))
        plain = _of(bare, _no_plain(row))
        plain_random = _of(self._control(bare) if bare else None, self._no_random(bare) if bare else NO_RANDOM)
        hard = self._hard(row)
        full = self._full(row, hard.protocol)
        gain = difference(control["top1_values"], row["top1_values"]) if control else None
        mine = _accuracy(row)
        hlr = _scored(recovery, full, hard)
        lrs = _scored(partial(label_robust, mine), random, full, hard)
        ars = _scored(partial(augmentation_robust, mine), random, plain, plain_random)
        return CellScores(
            random_top1=random.top1,
            random_sets=control.get("sets") if control else None,
            hard_top1=hard.top1,
            hard_protocol=hard.protocol,
            full_top1=full.top1,
            full_from=full.source,
            full_protocol=full.protocol,
            plain_top1=plain.top1,
            plain_random_top1=plain_random.top1,
            label_free_gain=gain.value if gain else None,
            gain_p=gain.p if gain else None,
            gain_interval=gain.interval if gain else None,
            relative_to_full=100 * row["top1_mean"] / full.top1 if full.top1 else None,
            ior=None if random.top1 is None else (row["top1_mean"] - random.top1) / 100,
            hlr=hlr.value if hlr else None,
            hlr_std=hlr.std if hlr else None,
            lrs=lrs.value if lrs else None,
            lrs_std=lrs.std if lrs else None,
            ars=ars.value if ars else None,
            ars_std=ars.std if ars else None,
            null_reasons=dict(_missing(random, hard, full, plain, plain_random)),
        )

    def _control(self, row: Row) -> Row | None:
        """Random images under the same protocol with the same kind of labels: its control, or else what there is."""
        if _itself(row):
            return None
        if (own := self._own_control(row)) and own.get("label_kind") == row.get("label_kind"):
            return own
        return self._drawn.get(_treatment(row))

    def _own_control(self, row: Row) -> Row | None:
        """The row of its control under the same protocol, whatever its labels are."""
        placed = (self._placed.get((run, name_of(row), row["eval_backbone"])) for run in controls_of(row))
        return next(filter(None, placed), None)

    def _no_random(self, row: Row) -> str:
        """Why there may be no random images beside it."""
        if why := _itself(row):
            return why
        if own := self._own_control(row):
            return OTHER_LABELS.format(theirs=own.get("label_kind"), mine=row.get("label_kind"))
        made_with_images = row.get("label_kind") in (*OWN, "stored")
        return f"{NO_RANDOM}, {IF_LABELS}" if made_with_images else NO_RANDOM

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

    def _full(self, row: Row, protocol: str | None) -> Ingredient:
        """All real images under hard labels by this protocol, or else by another; or else the best labelling teacher.

        The teacher is one that is the same network. Whatever the images per class, a cell has it in common.
        """
        whole = self._whole.get(_cell(row), [])
        same = [each for each in whole if each.get("protocol_id") == protocol]
        called = [each for each in whole if name_of(each) == HARD]
        if whole:
            best = max(same or called or whole, key=lambda each: each["top1_mean"])
            return Ingredient(replace(_accuracy(best), constant=True), FULL, best.get("protocol_id"))
        return self._teachers[_cell(row)]


def _mean_draw(drawn: Sequence[Row]) -> Row:
    """Of several sets the mean: the draw of random images decides more than the training does."""
    return max(sets_as_one(drawn), key=lambda each: each.get("sets") or 1)


def _cell(row: Row) -> Cell:
    return tuple(row.get(name) for name in SHARED)


def _treatment(row: Row) -> Cell:
    """What random images must share to have been trained on as a row's were, with labels of the same kind.

    Labels of a teacher that goes with the method are those of that method, with whatever was changed of it.
    """
    kind = row.get("label_kind")
    whose = () if kind in (HARD, "teacher") else (row.get("labels_of") or row["method"], json.dumps(row.get("changed")))
    shared = ("ipc", "protocol_id", "label_kind", "teacher_backbone", "preprocessing")
    return (*_cell(row), *(row.get(name) for name in shared), *whose)


def _best_teacher(cell: Sequence[Row]) -> Ingredient:
    """The best labelling teacher of a cell that is the network that is trained there: it saw all real images."""
    backbone = cell[0]["eval_backbone"]
    taught = [each["teacher_top1"] for each in cell if each.get("teacher_backbone") == backbone]
    known = [top1 for top1 in taught if top1 is not None]
    if not known:
        return Ingredient(reason=NO_FULL)
    return Ingredient(Accuracy(backbone, max(known), None, constant=True), f"teacher {backbone}")


def _itself(row: Row) -> str:
    """Which ingredient it is: random real images, a control or asked for by their name, or all; "" where neither."""
    if row.get("is_control") or (row["method"] == CONTROL and row.get("control") is None):
        return ITSELF
    return ALL_ITSELF if row["method"] == FULL and row.get("control") is None else ""


def _is_hard(row: Row) -> bool:
    return row.get("label_kind") == "hard" and not is_varied(row)


def _of(row: Row | None, reason: str) -> Ingredient:
    return Ingredient(_accuracy(row), protocol=row.get("protocol_id")) if row else Ingredient(reason=reason)


def _accuracy(row: Row) -> Accuracy:
    return Accuracy((*runs_of(row), name_of(row)), row["top1_mean"], row.get("top1_std"))


def _scored(score: Callable[..., Score], *sides: Ingredient) -> Score | None:
    """A score of the accuracies of all sides, or None where one is missing."""
    found = [each.accuracy for each in sides]
    return None if None in found else score(*found)


def _missing(
    random: Ingredient, hard: Ingredient, full: Ingredient, plain: Ingredient, plain_random: Ingredient
) -> Iterator[tuple[str, list[str]]]:
    """What cannot be computed, with the reasons of all ingredients that are missing."""
    needed = {
        "label_free_gain": (random,),
        "relative_to_full": (full,),
        "hlr": (hard, full),
        "lrs": (random, hard, full),
        "ars": (random, plain) if plain.reason else (random, plain_random),
    }
    if random.reason in (ITSELF, ALL_ITSELF):
        needed |= dict.fromkeys(("label_free_gain", "lrs", "ars"), (random,))
    for name, ingredients in needed.items():
        if reasons := [each.reason for each in ingredients if each.reason]:
            yield name, list(dict.fromkeys(reasons))
