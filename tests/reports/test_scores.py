"""Scores of others, from rows of one cell: DD-Ranking's LRS and ARS, relative accuracy, the gain over random images."""

import json
import math
from collections.abc import Callable, Sequence
from statistics import stdev
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from bench.errors import UsageError
from bench.reporting.statistics.dd_ranking import Accuracy, augmentation_robust, label_robust, recovery
from bench.reporting.statistics.scores import with_scores
from bench_reports.data import CSV, JSON
from bench_reports.latex import LATEX
from bench_reports.svg import SVG
from bench_reports.table import TABLE

Row = dict[str, Any]
MakeRow = Callable[..., Row]

SET, CONTROL = "sre2l-tiny-imagenet-ipc10-convnet4-bn-s0-3f9c2a", "random-tiny-imagenet-ipc10-convnet4-bn-s0-71b0aa"
HARD: Row = {"protocol": "hard", "protocol_id": "hard@1", "label_kind": "hard", "teacher_backbone": None}
PLAIN: Row = {"protocol": "paper+no-augmentation", "protocol_id": "sre2l-tiny+no-augmentation@1"}
BY_TEACHER: Row = {"teacher_top1": 71.0}


def measured(make: MakeRow, values: Sequence[float], **changes: object) -> Row:
    scores: Row = {"top1_values": list(values), "top1_mean": sum(values) / len(values), "eval_seeds": len(values)}
    scores["top1_std"] = stdev(values) if len(values) > 1 else None
    return make(**{**BY_TEACHER, **scores, **changes})


@pytest.fixture
def cell(row: MakeRow, control: MakeRow) -> list[Row]:
    """A set and its control under the paper's protocol, with hard labels, and without augmentation."""
    return [
        measured(row, (45, 46, 47)),
        measured(control, (40, 41, 42)),
        measured(row, (20, 21, 22), run=SET, **{**HARD, "teacher_top1": None}),
        measured(control, (30, 31, 32), run=CONTROL, **{**HARD, "teacher_top1": None}),
        measured(row, (35, 36, 37), run=SET, **PLAIN),
        measured(control, (37, 38, 39), run=CONTROL, **PLAIN),
    ]


def test_a_worked_example(cell: list[Row]) -> None:
    """IOR 0.46 - 0.41 = 0.05; HLR 0.71 - 0.21 = 0.50; LRS of -0.225; ARS of (0.05 - 0.02) / 2 = 0.015.

    exp(-0.225) = 0.7985162187593771, exp(0.015) = 1.0151130646157189; e = 2.718281828459045, 1/e = 0.36787944117144233.
    """
    first = with_scores(cell)[0]["scores"]
    assert (first["random_top1"], first["hard_top1"], first["full_top1"]) == (41, 21, 71)
    assert (first["hard_protocol"], first["full_from"]) == ("hard@1", "teacher convnet4-bn")
    assert (first["plain_top1"], first["plain_random_top1"]) == (36, 38)
    assert first["ior"] == pytest.approx(0.05, abs=1e-15) and first["hlr"] == pytest.approx(0.5, abs=1e-15)
    width = 2.718281828459045 - 0.36787944117144233
    assert first["lrs"] == pytest.approx((0.7985162187593771 - 0.36787944117144233) / width, abs=1e-12)
    assert first["ars"] == pytest.approx((1.0151130646157189 - 0.36787944117144233) / width, abs=1e-12)
    assert first["relative_to_full"] == pytest.approx(100 * 46 / 71)
    assert first["null_reasons"] == {}


def test_a_variant_is_not_sent_to_another_variant(row: MakeRow) -> None:
    """There is no NAME+e10+no-augmentation."""
    named = {"protocol": "hard+e10", "protocol_id": "hard+e10@1"}
    plain, varied = with_scores([measured(row, (1, 2)), measured(row, (1, 2), **named)])
    assert any("NAME+no-augmentation does it" in why for why in plain["scores"]["null_reasons"]["ars"])
    assert not any("does it" in why for why in varied["scores"]["null_reasons"]["ars"] if "augmentation" in why)


def test_the_gain_has_welchs_interval(cell: list[Row]) -> None:
    """Means 41 and 46, variances 1, three values each: t = 5 / sqrt(2/3) on 4 degrees; half of it 2.7764 sqrt(2/3)."""
    first = with_scores(cell)[0]["scores"]
    assert first["label_free_gain"] == 5
    assert first["gain_interval"] == pytest.approx((5 - 2.26692, 5 + 2.26692), abs=1e-4)
    assert first["gain_p"] == pytest.approx(0.0036, abs=1e-4)


def side(mean: float, std: float | None = None, of: str = "") -> Accuracy:
    return Accuracy(of or str(mean), mean, std)


def test_the_scores_lie_in_0_to_1() -> None:
    """Of what is one above and loses nothing, and one below and loses all; percentages would give 1e43."""
    none, every = side(0.0), side(100.0)
    assert label_robust(every, none, none, every).value == augmentation_robust(every, none, every, none).value == 1
    assert label_robust(none, every, every, none).value == augmentation_robust(none, every, none, every).value == 0
    assert label_robust(none, none, none, none).value == pytest.approx((1 - 1 / math.e) / (math.e - 1 / math.e))
    one, other = side(60.0), side(40.0)
    whole = label_robust(one, other, every, none, weight=1).value
    assert whole == augmentation_robust(one, other, none, every, weight=1).value == pytest.approx(0.3631, abs=1e-4)


def test_deviations_are_those_of_many_draws() -> None:
    """Held against the scores of 200,000 draws of each training; a set with hard labels stands in LRS twice."""
    draws = np.random.default_rng(0)
    mine, random, hard = (draws.normal(mean, std, 200_000) for mean, std in ((46, 1.0), (41, 2.0), (21, 1.5)))
    a, b, c, full = side(46, 1.0), side(41, 2.0), side(21, 1.5), Accuracy("full", 71, None, constant=True)

    def s(x: np.ndarray) -> np.ndarray:
        return (np.exp(x / 100) - 1 / math.e) / (math.e - 1 / math.e)

    drawn = s(0.5 * (mine - random) - 0.5 * (71 - hard))
    assert label_robust(a, b, full, c).std == pytest.approx(drawn.std(), rel=0.01)
    assert label_robust(a, b, full, a).std == pytest.approx(
        s(0.5 * (mine - random) - 0.5 * (71 - mine)).std(), rel=0.01
    )
    assert recovery(full, c).std == pytest.approx(0.015)
    assert label_robust(a, side(41), full, c).std is None and recovery(side(71), c).std is None


def test_what_is_missing_is_null_with_its_reason(cell: list[Row]) -> None:
    alone = with_scores([{**cell[0], "teacher_backbone": "resnet18"}])[0]["scores"]
    assert {name: alone[name] for name in ("label_free_gain", "relative_to_full", "lrs", "ars")} == dict.fromkeys(
        ("label_free_gain", "relative_to_full", "lrs", "ars")
    )
    assert len(alone["null_reasons"]["lrs"]) == 3 and "--protocol hard" in alone["null_reasons"]["lrs"][1]
    assert "+no-augmentation" in alone["null_reasons"]["ars"][1]


def test_a_control_and_what_failed_have_no_gain(cell: list[Row], failure: MakeRow) -> None:
    _, control, *_, failed = with_scores([*cell, failure()])
    itself = ["it is the control itself"]
    assert control["scores"]["null_reasons"] == {"label_free_gain": itself, "lrs": itself, "ars": itself}
    assert control["scores"]["relative_to_full"] == pytest.approx(100 * 41 / 71)
    asked_for = with_scores([{**cell[1], "is_control": False}])[0]["scores"]["null_reasons"]
    assert "the control itself" in asked_for["label_free_gain"][0]
    assert failed["scores"]["null_reasons"]["ars"] == ["it has no result"]


@pytest.mark.parametrize(
    "change",
    [{"budget": "paper"}, {"device_name": "another"}, {"card_hash": "1"}, {"precision": "fp32"}, {"classes": 9}],
)
def test_no_ingredient_is_of_another_cell(cell: list[Row], change: Row) -> None:
    """The teacher of a cell that is another one tells nothing of full data here."""
    mine = {**cell[0], "teacher_top1": None, "teacher_backbone": None}
    assert with_scores([mine, cell[1]])[0]["scores"]["full_top1"] == 71
    assert with_scores([mine, {**cell[1], **change}])[0]["scores"]["full_top1"] is None


def test_a_control_with_other_labels_is_none(cell: list[Row]) -> None:
    """No --control would make another: the labels of a set whose teacher is not known are of its images alone."""
    mine, control = {**cell[0], "label_kind": "stored"}, {**cell[1], "label_kind": "hard"}
    scores = with_scores([mine, control])[0]["scores"]
    said = "its control has hard labels, because these stored ones cannot be had for other images"
    assert (scores["label_free_gain"], scores["null_reasons"]["label_free_gain"]) == (None, [said])
    (alone,) = with_scores([mine])
    assert alone["scores"]["null_reasons"]["label_free_gain"][0].endswith("if those labels can be had for other images")


@pytest.fixture
def draws(control: MakeRow) -> list[Row]:
    """Three draws of random images with hard labels that no set names as its control: means 30, 31 and 35."""
    asked = {"labels_of": None, "is_control": False, **HARD, "teacher_top1": None}
    return [
        measured(control, (mean - 1, mean, mean + 1), run=f"random-{seed}", seed=seed, **asked)
        for seed, mean in enumerate((30, 31, 35))
    ]


def test_random_images_that_nobody_named_stand_in_for_a_control(row: MakeRow, draws: list[Row]) -> None:
    """A set of 34 above a mean of 32 by 2; of the three draws the deviation, 2.65, is in the interval."""
    mine = measured(row, (33, 34, 35), method="dc", control=None, **{**HARD, "teacher_top1": None})
    scores = with_scores([mine, *draws])[0]["scores"]
    assert (scores["random_top1"], scores["random_sets"], scores["label_free_gain"]) == (32, 3, 2)
    low, high = scores["gain_interval"]
    theirs = ttest_ind([33, 34, 35], [30, 31, 35], equal_var=False).confidence_interval(0.95)
    assert (low, high) == pytest.approx((theirs.low, theirs.high))
    assert "random images of dc: the mean of 3 sets" in TABLE.render_scores([mine, *draws], claims=False)
    named = {**mine, "control": "random-0"}
    assert with_scores([named, *draws])[0]["scores"]["random_top1"] == 30
    for each in with_scores(draws):
        assert "the control itself" in each["scores"]["null_reasons"]["label_free_gain"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"ipc": 1},
        {"protocol_id": "dc@1"},
        {"preprocessing": "zca"},
        {"label_kind": "teacher", "teacher_backbone": "resnet18"},
    ],
)
def test_random_images_of_other_treatment_stand_in_for_none(row: MakeRow, draws: list[Row], change: Row) -> None:
    mine = measured(row, (33, 34, 35), method="dc", control=None, **{**HARD, **change, "teacher_top1": None})
    assert with_scores([mine, *draws])[0]["scores"]["random_top1"] is None


def test_labels_of_another_method_are_not_the_same(cell: list[Row]) -> None:
    """The control of sre2l's set has labels of sre2l's teacher; another seed of sre2l may have it, cda may not."""
    lone = {**cell[0], "run": "another", "control": None}
    assert with_scores([lone, cell[1]])[0]["scores"]["random_top1"] == 41
    assert with_scores([{**lone, "method": "cda"}, cell[1]])[0]["scores"]["random_top1"] is None
    changed = {"relabel.temperature": [20, 5]}
    assert with_scores([{**lone, "changed": changed}, cell[1]])[0]["scores"]["random_top1"] is None


def test_full_data_is_of_the_protocol_of_the_hard_labels(cell: list[Row], row: MakeRow) -> None:
    """84.8 by another recipe is not what this one loses; where nothing else is known, the table names that recipe."""
    by_dsa = {**HARD, "protocol": "dsa", "protocol_id": "dsa@1"}
    far = measured(row, (84, 85), run="full-1", method="full-data", ipc=500, **by_dsa)
    near = measured(row, (60, 62), run="full-2", method="full-data", ipc=500, **HARD)
    scores = with_scores([*cell, far, near])[0]["scores"]
    assert (scores["full_top1"], scores["full_protocol"], scores["hlr"]) == (61, "hard@1", pytest.approx(0.40))
    only = with_scores([*cell, far])[0]["scores"]
    assert (only["full_top1"], only["full_protocol"]) == (84.5, "dsa@1")
    assert "here from full-data by dsa@1" in TABLE.render_scores([*cell, far], claims=False)


def test_all_real_images_that_were_evaluated_come_before_a_teacher(cell: list[Row], row: MakeRow) -> None:
    whole = measured(row, (60, 62), run="imported-1", method="full-data", ipc=500, **HARD)
    first = with_scores([*cell, whole])[0]["scores"]
    assert (first["full_top1"], first["full_from"], first["full_protocol"]) == (61, "full-data", "hard@1")


@pytest.mark.parametrize("means", [(60, 70), (70, 60)])
def test_of_several_sets_of_all_real_images_the_best_counts(
    cell: list[Row], row: MakeRow, means: tuple[float, float]
) -> None:
    many = [measured(row, (mean,), run=f"full-{mean}", method="full-data", ipc=500, **HARD) for mean in means]
    first = with_scores([*cell, *many])[0]["scores"]
    assert (first["full_top1"], first["full_from"]) == (70, "full-data")


@pytest.mark.parametrize("tops", [(60, 70), (70, 60)])
def test_of_several_teachers_the_best_counts(row: MakeRow, tops: tuple[float, float]) -> None:
    """Whichever of them labelled the row itself."""
    many = [measured(row, (45, 46), seed=seed, teacher_top1=top) for seed, top in enumerate(tops)]
    for scored in with_scores(many):
        found = scored["scores"]
        assert (found["full_top1"], found["full_from"]) == (70, "teacher convnet4-bn")
        assert found["relative_to_full"] == pytest.approx(100 * 45.5 / 70)


def test_of_all_real_images_random_ones_are_no_control(cell: list[Row], row: MakeRow) -> None:
    whole = measured(row, (60, 62), run="full-1", method="full-data", control=None, **HARD)
    scores = with_scores([*cell, whole])[-1]["scores"]
    itself = ["it is all real images itself"]
    assert scores["null_reasons"] == {"label_free_gain": itself, "lrs": itself, "ars": itself}
    assert (scores["full_from"], scores["relative_to_full"]) == ("full-data", 100)


def test_where_full_data_is_missing_the_command_that_makes_it_is_named(cell: list[Row]) -> None:
    (only,) = with_scores([{**cell[0], "teacher_backbone": "resnet18"}])
    assert only["scores"]["null_reasons"]["relative_to_full"][0].endswith(
        "no labelling teacher of these rows: --method full-data --protocol hard does it"
    )


def test_of_several_protocols_with_hard_labels_the_one_called_so_counts(cell: list[Row]) -> None:
    other = {**cell[2], "protocol_id": "dsa@1", "top1_mean": 25.0}
    assert with_scores([cell[0], cell[2], other])[0]["scores"]["hard_top1"] == 21
    assert with_scores([cell[0], other])[0]["scores"]["hard_protocol"] == "dsa@1"
    third = {**other, "protocol_id": "dm@1"}
    assert "several" in with_scores([cell[0], other, third])[0]["scores"]["null_reasons"]["lrs"][1]


def test_tables_show_them(cell: list[Row]) -> None:
    text = TABLE.render_scores(cell, claims=False)
    assert "+5.00 (+2.73 to +7.27)" in text and "64.79" in text and "50.00 ± 1.00" in text
    assert "0.183 ± 0.003" in text and "0.275 ± 0.004" in text
    said = " ".join(text.split())
    assert "not to be held against its leaderboard" in said and "over trainings of one set each" in said
    assert "no HLR" in TABLE.render_scores(cell[:2], claims=False).replace("LRS, HLR", "no HLR")
    assert "here from teacher convnet4-bn" in text
    assert r"LRS" in LATEX.render_scores(cell, claims=False)
    assert json.loads(JSON.render_scores(cell, claims=False))[0]["scores"]["lrs"] == pytest.approx(0.183218, abs=1e-6)
    assert "scores.lrs" in CSV.render_scores(cell, claims=False).splitlines()[0]
    with pytest.raises(UsageError, match="no form for scores; take table"):
        SVG.render_scores(cell, claims=False)
