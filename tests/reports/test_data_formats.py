"""The forms for programs: nothing lost, nothing rounded, nothing that is not JSON."""

import csv
import io
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.storage.streams import shown
from bench_reports.data import CSV, JSON

Row = dict[str, Any]
RowMaker = Callable[..., Row]
Golden = Callable[[str, str], None]

FROM_FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def lines_of(text: str) -> list[dict[str, str]]:
    """What a reader of CSV makes of it."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


class Pair(NamedTuple):
    one: dict[str, int]
    two: list[int]


def test_json_looks_as_agreed(rows: list[Row], golden: Golden) -> None:
    golden("report.json", JSON.render(rows, claims=True))


def test_csv_looks_as_agreed(rows: list[Row], golden: Golden) -> None:
    golden("report.csv", CSV.render(rows, claims=True))


def test_json_gives_the_rows_back(rows: list[Row]) -> None:
    assert json.loads(JSON.render(rows, claims=True)) == rows


@FROM_FIXTURES
@given(reason=st.text(), top1=FINITE, values=st.lists(FINITE), settled=st.none() | st.integers())
def test_json_gives_any_row_back(
    row: RowMaker, reason: str, top1: float, values: list[float], settled: int | None
) -> None:
    made = [row(reason=reason, top1_mean=top1, top1_values=values, iterations=settled)]
    assert json.loads(JSON.render(made, claims=True)) == made


def test_json_gives_objects_and_lists_of_other_types_back(row: RowMaker) -> None:
    """As rows hold them that a program made, and that were read from no file."""
    config, pair = OrderedDict(a=1, b=[1, 2]), Pair({"x": 0}, [3])
    (found,) = json.loads(JSON.render([row(config=config, class_ids=pair, notes={"y": [5]})], claims=True))
    assert (found["config"], found["class_ids"], found["notes"]) == ({"a": 1, "b": [1, 2]}, [{"x": 0}, [3]], {"y": [5]})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_has_no_word_for(row: RowMaker, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        JSON.render([row(top1_mean=value)], claims=True)


def test_json_without_claims_has_none(rows: list[Row]) -> None:
    assert {row["claim"] for row in json.loads(JSON.render(rows, claims=False))} == {None}


@FROM_FIXTURES
@given(reason=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_csv_holds_any_text(row: RowMaker, reason: str) -> None:
    lines = lines_of(CSV.render([row(reason=reason), row(reason="b")], claims=True))
    apostrophe = "'" if reason.startswith(tuple("=+-@\t\r")) else ""
    assert [line["reason"] for line in lines] == [
        apostrophe + shown(reason.replace("\r\n", "\n").replace("\r", "\n")),
        "b",
    ]
    assert {line["dataset"] for line in lines} == {"tiny-imagenet"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_holds_no_formula_and_leaves_numbers_alone(row: RowMaker, text: str) -> None:
    """As OWASP's page on CSV injection has it, an apostrophe before these; a number below zero is none of them."""
    rendered = CSV.render([row(reason=text, backbone=text, prepare_s=-0.5, top1_mean=12.5)], claims=True)
    (line,) = lines_of(rendered)
    assert line["reason"] == line["backbone"] == f"'{text}".replace("\r", "\n")
    assert (float(line["prepare_s"]), float(line["top1_mean"])) == (-0.5, 12.5)


def test_csv_shows_what_a_terminal_would_obey(row: RowMaker) -> None:
    (line,) = lines_of(CSV.render([row(reason="a\x1b[2J\0\u202eb\x9b")], claims=True))
    assert line["reason"] == r"a\u001b[2J\u0000\u202eb\u009b"


@FROM_FIXTURES
@given(value=FINITE)
def test_csv_rounds_nothing(row: RowMaker, value: float) -> None:
    assert (
        float(lines_of(CSV.render([row(top1_mean=value), row(top1_mean=None)], claims=True))[0]["top1_mean"]) == value
    )


def test_csv_has_a_column_for_every_nested_value_even_where_all_are_null(failure: RowMaker, row: RowMaker) -> None:
    nested = [
        *("ms_per_image_iteration.median", "ms_per_image_iteration.p20", "ms_per_image_iteration.p80"),
        *("peak_memory_bytes.allocated", "peak_memory_bytes.reserved", "peak_memory_bytes.rss"),
        *("versions.bench", "versions.torch", "versions.plugin", "claim.value", "claim.std", "claim.source"),
    ]
    (line,) = lines_of(CSV.render([failure()], claims=True))
    assert [name for name in nested if name not in line] == []
    assert {line[name] for name in nested if not name.startswith("versions")} == {""}
    done = lines_of(CSV.render([row()], claims=True))[0]
    assert list(line) == [name for name in done if not name.startswith("null_reasons.")]


def test_csv_whole_numbers_stay_whole_beside_missing_ones(row: RowMaker, control: RowMaker) -> None:
    lines = lines_of(CSV.render([row(), control()], claims=True))
    assert [line["iterations"] for line in lines] == ["400", ""]
    assert json.loads(lines[0]["top1_values"]) == [46.2, 46.6, 47.0]
    assert lines[0]["config.recover.iterations"] == "400"


def test_csv_without_claims_has_no_such_column(rows: list[Row]) -> None:
    assert not [name for name in lines_of(CSV.render(rows, claims=False))[0] if name.startswith("claim")]
