"""Numbers that say nothing are pointed at, and those that say something are left alone."""

from typing import Any

import pytest
import torch
from scipy.stats import binom

from bench.conformance.formats import done_row, failed_row
from bench.results.chance import LEVEL, is_no_better, largest_share
from bench.results.doubts import doubts
from bench.results.fields import Row
from bench.results.outcomes import Score

ISSUE = {"images": 1500, "largest_class": 26.67}


def row(**changes: Any) -> Row:  # noqa: ANN401 - the fields of a row
    return Row(**{**done_row(0), "top1_mean": 60.0, "iterations": 40, "teacher_on_set": None, **changes})


def score(most: float | None = 30.0, test: dict[str, Any] | None = ISSUE) -> Score:
    plain = {"top1": 60.0, "top5": None, "best_top1": None, "epochs": 1, "seconds": 0.1, "most_predicted": most}
    return Score.model_validate({**plain, **({"test": test} if test else {})})


@pytest.mark.parametrize("images", [30, 107, 1500, 50_000])
@pytest.mark.parametrize("share", [0.1, 100 / 3, 26.67, 90.0])
def test_chance_is_what_the_binomial_says(images: int, share: float) -> None:
    for hits in {0, images, *range(int(images * share / 100), images, max(1, images // 97))}:
        luck = binom.sf(hits - 1, images, share / 100)
        assert is_no_better(100 * hits / images, images, share) == (luck > LEVEL), hits


def test_the_largest_class_is_the_best_guess() -> None:
    assert largest_share(torch.tensor([0, 2, 2, 1, 2])) == 60
    assert is_no_better(100.0, 50, 100.0), "of a single class nothing can be said"


@pytest.mark.parametrize(
    ("top1", "scores", "said"),
    [
        (26.67, [score(100.0)] * 6, "6 of 6 students give one class to 100.0 % of the test images"),
        (26.7, [score(98.6), score(96.4)], "2 of 2 students give one class to 96.4 to 98.6 % of the test images"),
        (30.0, [score(99.9), score(40.0)], "1 of 2 students give one class to 99.9 % of the test images"),
        (26.67, [score(None)], "top-1 is not to be told from chance by 1,500 test images, 26.67 % of one class"),
        (27.5, [score()], "top-1 is not to be told from chance by 1,500 test images, 26.67 % of one class"),
        (
            100.0,
            [score(50.0, {"images": 6, "largest_class": 50.0})],
            "top-1 is not to be told from chance by 6 test images, 50.00 % of one class",
        ),
        (31.0, [score()], None),  # 465 of 1,500: p = 0.0001
        (1.5, [score(2.0, {"images": 50_000, "largest_class": 0.1})], None),
        (97.0, [score(96.5, {"images": 1000, "largest_class": 95.0})], None),  # one class is nearly all there is
        (26.67, [score(100.0, None)], None),  # of an older version: on how many images is not known
    ],
)
def test_students_that_learned_nothing_are_named(top1: float, scores: list[Score], said: str | None) -> None:
    assert doubts(row(top1_mean=top1), scores) == ([said] if said else [])


def test_a_teacher_that_knows_nothing_is_named() -> None:
    (said,) = doubts(row(teacher_top1=26.7), [score()])
    assert said.startswith("the teacher's top-1 is not to be told from chance")
    assert doubts(row(teacher_top1=80.0), [score()]) == []


def test_a_recovery_that_its_teacher_does_not_recognise_is_not_finished() -> None:
    low = {"top1": 70.0, "cross_entropy": 1.1}
    (said,) = doubts(row(teacher_on_set=low), [score()])
    assert said == "the teacher itself recognises 70.0 % of these images: the recovery is not finished"
    assert doubts(row(teacher_on_set=low, iterations=None), [score()]) == [], "picked images are not recovered"
    assert doubts(row(teacher_on_set={**low, "top1": 94.0}), [score()]) == []


def test_without_a_result_there_is_nothing_to_doubt() -> None:
    assert doubts(Row(**failed_row("failed")), []) == []


@pytest.mark.parametrize(
    ("given", "in_some_order", "imported", "doubted"),
    [(0.3, 9.0, True, True), (5.0, 9.0, True, False), (0.3, 1.0, True, False), (0.3, 9.0, False, False)],
)
def test_labels_of_a_set_from_elsewhere_in_a_doubtful_order_are_named(
    given: float, in_some_order: float, imported: bool, doubted: bool
) -> None:
    noted = {"labels_fit": {"given": given, "in_some_order": in_some_order}}
    said = doubts(row(imported=imported, notes=noted), [score()])
    assert [each.endswith("is the class order right?") for each in said] == [True] * doubted


def test_images_that_seem_to_be_turned_are_named() -> None:
    noted = {"labels_fit": {"given": -6.2, "in_some_order": 1.0, "turned": "inverted", "undone": 6.2}}
    (said,) = doubts(row(imported=True, notes=noted), [score()])
    assert said.startswith("the images seem to be inverted: ") and said.endswith("once that is undone by 6.2")


def test_what_a_method_doubts_of_its_own_set_comes_first() -> None:
    assert doubts(row(teacher_top1=26.7, notes={"doubt": "nothing moved"}), [score()])[0] == "nothing moved"
