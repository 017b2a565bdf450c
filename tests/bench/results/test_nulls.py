"""What is null in a finished row has a reason."""

from pathlib import Path
from typing import Any

import pytest

from bench.conformance.formats import done_row, failed_row, sample_record, sample_spec
from bench.results import fields, rows
from bench.results import null_reasons as nulls
from bench.results.fields import Row, reasons

REASONS = {
    "ms_per_image_iteration": nulls.TOO_SHORT,
    "iterations": nulls.UNITERATED,
    "prepare_s": nulls.TEACHER_ELSEWHERE,
    "total_s": nulls.TEACHER_ELSEWHERE,
    "total_bytes": nulls.UNWEIGHED,
    "stage_bytes": nulls.OLDER,
    "prepare_peak_memory_bytes": nulls.OLDER,
    "waited": nulls.UNWATCHED,
    "synthesis_s": nulls.IMPORTED,
    "label_s": nulls.HARD,
    "teacher_top1": nulls.NO_TEACHER,
    "top5_mean": nulls.FEW_CLASSES,
    "best_top1_mean": nulls.LAST_ONLY,
    "top1_std": nulls.ONE_TRAINING,
    "evaluation_prepare_s": nulls.UNSHARED,
    "evaluation_warm_up_s": nulls.NOT_APART,
}


def row(**changes: Any) -> Row:  # noqa: ANN401 - the fields of a row
    return Row(**{**done_row(0), **changes})


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_every_null_has_its_reason_and_no_number_has_one(name: str, reason: str) -> None:
    assert reasons(row(**{name: None}))[name] == reason
    assert name not in reasons(row(**{name: 1.0}))


def test_labels_that_a_protocol_s_teacher_makes_are_not_called_hard() -> None:
    assert reasons(row(label_s=None, label_kind="teacher"))["label_s"] == nulls.SHARED


def test_a_teacher_that_was_not_tried_is_not_called_none() -> None:
    """Of a set from elsewhere whose manifest names who stored its labels: as FKD's folders are read."""
    said = reasons(row(teacher_top1=None, teacher_backbone="resnet18"))
    assert said["teacher_top1"] == nulls.UNTRIED


def test_a_method_that_iterates_too_little_is_told_from_one_that_does_not_iterate() -> None:
    timeless = {"ms_per_image_iteration": None, "synthesis_s": 1.0}
    assert reasons(row(**timeless, iterations=2))["ms_per_image_iteration"] == nulls.TOO_SHORT
    assert reasons(row(**timeless, iterations=None))["ms_per_image_iteration"] == nulls.UNITERATED


def test_what_was_made_elsewhere_says_so() -> None:
    elsewhere = {"ms_per_image_iteration": None, "iterations": None, "prepare_s": None, "synthesis_s": None}
    said = reasons(row(**elsewhere))
    assert {said[name] for name in elsewhere} == {nulls.IMPORTED}


def test_a_row_without_a_result_has_one_reason_already() -> None:
    assert failed_row("failed")["null_reasons"] == {}


def test_rows_of_records_carry_them() -> None:
    assert done_row(0)["null_reasons"]["label_s"] == nulls.HARD


@pytest.mark.parametrize(
    ("kind", "of_protocol", "wanted"),
    [
        *[("stored", [None], 9000), ("hard", [None], 0)],
        *[("teacher", [500], 500), ("teacher", [None], None), ("teacher", [None, 500], 500)],
    ],
    ids=["the set's own", "hard", "the protocol's", "older scores of the protocol's", "older ones and a newer"],
)
def test_bytes_of_labels_are_of_those_that_the_protocol_trains_on(
    kind: str, of_protocol: list[int | None], wanted: int | None
) -> None:
    """The set stores soft labels of 9000 bytes, whatever a protocol takes of it."""
    score = {"top1": 50.0, "top5": None, "best_top1": None, "epochs": 7, "seconds": 1.5}
    outcome = {
        **{"protocol_id": "any@1", "backbone": "convnet3", "asked": ["any"], "label_kind": kind, "status": "done"},
        **{"teacher_backbone": None, "reason": None},
        "scores": [{**score, "label_bytes": each} for each in of_protocol],
    }
    costs = {"label_bytes": 9000, "set_bytes": 640, "label_s": 40.0, "teacher_top1": 60.0}
    (found,) = rows.rows([sample_record(sample_spec(0), costs, {"any": outcome}, {})])
    assert found["label_bytes"] == wanted
    assert found["null_reasons"].get("label_bytes") == (nulls.UNWEIGHED if wanted is None else None)
    assert (found["label_s"], found["teacher_top1"]) == ((40.0, 60.0) if kind == "stored" else (None, None))


def test_the_page_of_fields_is_current() -> None:
    """Made by `python -m bench.results.fields > docs/rows.md`."""
    assert Path("docs/rows.md").read_text() == fields.page()


def test_every_row_has_every_field_in_one_order() -> None:
    blank = rows.bare_row(sample_spec(0), "failed")
    assert tuple(blank) == tuple(done_row(0)) == fields.names()
    assert len(set(fields.names())) == len(fields.names())


def test_a_row_of_some_fields_is_the_row_that_its_init_makes() -> None:
    known: dict[str, Any] = {"run": "a", "changed": {"lr": [1, 2]}, "top1_mean": 50.0}
    one, other = fields.Row.of(known), fields.Row.of({})
    assert one == fields.Row(**known) and list(one.to_json()) == list(fields.names())
    assert one.notes is not other.notes and other.changed == {}
