"""Times that were taken while several workers were busy, marked and held against no other; and those that vary."""

from typing import Any

import pytest

from bench.reporting.columns import COSTS, OF_PREPARE, OF_SET, OF_SYNTHESIS, TIMES, Quantity
from bench.reporting.naming import Whom
from bench.reporting.remarks import in_company, stalled, unsteady
from bench.reporting.statistics.best import MARK
from bench.reporting.units import COMPANY
from bench_reports import latex, markdown

ALONE: dict[str, Any] = {
    **{"set_bytes": 100, "synthesis_s": 90.0, "evaluation_s": 30.0, "workers": 1, "evaluation_workers": 1},
    "ms_per_image_iteration": {"median": 2.0, "p20": 1.0, "p80": 3.0},
}
BESIDE = {**ALONE, "workers": 4}


def number(column: object, row: dict[str, object]) -> float | None:
    assert isinstance(column, Quantity)
    return column.number(row)


def test_a_time_in_company_is_marked_and_no_number_beside_others() -> None:
    for columns, title in ((TIMES, "synthesis"), (COSTS, "ms/image-\niteration")):
        assert columns[title](BESIDE) == f"{columns[title](ALONE)}†"
        assert number(columns[title], ALONE) and number(columns[title], BESIDE) is None


def test_bytes_and_what_was_measured_alone_are_not_marked() -> None:
    assert COSTS["image\nbytes"](BESIDE) == COSTS["image\nbytes"](ALONE)
    assert TIMES["evaluation"](BESIDE) == TIMES["evaluation"](ALONE)
    assert str(TIMES["evaluation"]({**ALONE, "evaluation_workers": 2})).endswith("†")


def test_a_time_is_marked_where_its_own_part_waited_for_cores() -> None:
    waited = {
        **ALONE,
        "label_s": 5.0,
        "total_s": 95.0,
        "waited": {"synthesis": 0.11, "labels": 0.1, "evaluation": None},
    }
    marked = {title for title, column in TIMES.items() if str(column(waited)).endswith("†")}
    assert marked == {"synthesis", "total"}, "of the labels no more than a tenth"
    assert number(TIMES["synthesis"], waited) is None
    assert number(TIMES["labelling"], waited) == 5.0


def test_a_total_waited_as_its_parts_did_by_their_seconds() -> None:
    """Random images of a millisecond beside a teacher of an hour; then the teacher too, for 0.2 of it."""
    parts = {"prepare_s": 3600.0, "synthesis_s": 0.001, "total_s": 3600.001}
    brief = {**ALONE, **parts, "waited": {"prepare": 0.01, "synthesis": 0.9, "labels": None}}
    assert (TIMES["total"](brief), TIMES["synthesis"](brief)) == ("60.0 min", "1.00 ms†")
    assert number(TIMES["total"], brief) == 3600.001
    assert TIMES["total"]({**brief, "waited": {"prepare": 0.2, "synthesis": None}}) == "60.0 min†"
    assert OF_SET.waited({**ALONE, "prepare_s": 10.0, "waited": {"synthesis": 0.2}}) == pytest.approx(0.18)


def test_the_mark_is_not_that_of_the_best_in_any_form() -> None:
    assert COMPANY != MARK
    assert (markdown.escaped(f"90.0 s{COMPANY}"), latex.escaped(f"90.0 s{COMPANY}")) == ("90.0 s†", r"90.0 s\dag{}")


def test_a_table_says_what_the_mark_means_only_where_it_has_one() -> None:
    assert in_company([ALONE]) == []
    (said,) = in_company([ALONE, BESIDE])
    assert said.startswith("†: taken while up to 4 workers were busy")
    waited = {**ALONE, "waited": {"synthesis": 0.2, "evaluation": 0.634}}
    assert in_company([ALONE, waited]) == [
        "†: its process waited for a core up to 63 % of the time: not to be held against other times"
    ]
    assert in_company([waited], (OF_PREPARE, OF_SYNTHESIS))[0].startswith("†: its process waited for a core up to 20 %")
    assert in_company([{**ALONE, "evaluation_workers": 3}], (OF_SYNTHESIS,)) == [], "no evaluation is shown there"
    (both,) = in_company([BESIDE, waited])
    assert "up to 4 workers were busy on the machine, or its process waited" in both


def test_steps_of_uneven_length_are_told_of() -> None:
    def row(method: str, p20: float, p80: float) -> dict[str, Any]:
        return {"method": method, "ms_per_image_iteration": {"median": 2.0, "p20": p20, "p80": p80}}

    rows = [row("dm", 1.0, 3.0), row("dc", 2.0, 2.5), row("mtt", 2.0, 2.51), {"method": "random"}]
    assert unsteady(rows, Whom(rows, {"method": [row["method"] for row in rows]})) == [
        "ms/image-iteration from the 20th to the 80th percentile: 1.00 to 3.00 of dm; 2.00 to 2.51 of mtt",
    ]


def test_a_training_that_stalled_is_told_of() -> None:
    """9,431 s beside 769 and 629, of which the median is 699 s; what is three times as long or shorter is not."""
    times = {"dm": [769.0, 9431.0, 629.0], "dc": [100.0, 300.0, 100.0], "mtt": [1.0, 8.0], "sre2l": [50.0], "old": None}
    rows = [{"method": method, "training_seconds": each} for method, each in times.items()]
    whom = Whom(rows, {"method": list(times)})
    assert stalled(rows, whom) == ["evaluation: one training stalled: 2.62 h beside 11.7 min of dm"]
