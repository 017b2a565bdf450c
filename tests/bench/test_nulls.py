"""What is null in a finished row has a reason."""

from typing import Any

import pytest

from bench import nulls
from bench.conformance.formats import done_row, failed_row

FIELDS = ("ms_per_image_iteration", "iterations", "warm_up_s", "synthesis_s", "label_s", "teacher_top1", "top1_std")


def row(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a row
    return {**done_row(0), **changes}


@pytest.mark.parametrize("name", FIELDS)
def test_every_null_has_a_reason_and_no_number_has_one(name: str) -> None:
    assert nulls.reasons(row(**{name: None}))[name]
    assert name not in nulls.reasons(row(**{name: 1.0}))


def test_a_method_that_iterates_too_little_is_told_from_one_that_does_not_iterate() -> None:
    timeless = {"ms_per_image_iteration": None, "synthesis_s": 1.0}
    assert nulls.reasons(row(**timeless, iterations=2))["ms_per_image_iteration"] == nulls.TOO_SHORT
    assert nulls.reasons(row(**timeless, iterations=None))["ms_per_image_iteration"] == nulls.UNITERATED


def test_what_was_made_elsewhere_says_so() -> None:
    elsewhere = {"ms_per_image_iteration": None, "iterations": None, "synthesis_s": None}
    assert set(nulls.reasons(row(**elsewhere)).values()) >= {nulls.IMPORTED}


def test_a_row_without_a_result_has_one_reason_already() -> None:
    assert failed_row("failed")["null_reasons"] == {}


def test_rows_of_records_carry_them() -> None:
    assert done_row(0)["null_reasons"]["label_s"] == nulls.HARD
