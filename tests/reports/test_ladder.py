"""A ladder as it is shown: steps, their test, published numbers, what has no result."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bench.errors import UsageError
from bench.reporting.statistics.welch import difference
from bench_reports.data import CSV, JSON
from bench_reports.ladder import ladder_views
from bench_reports.table import TABLE

Row = dict[str, Any]
SOURCE = "a paper, Figure 1"


@pytest.fixture
def rung(row: Callable[..., Row]) -> Callable[..., Row]:
    def made(name: str, values: Sequence[float], published: float | None, **changes: object) -> Row:
        told = {"name": name, "change": f"change {name}", "published": published}
        result = {"top1_mean": sum(values) / len(values)} if values else {}
        return {**row(top1_values=list(values), **result | changes), "rung": told}

    return made


def test_a_step_is_a_difference_or_level_or_cannot_be_told(rung: Callable[..., Row]) -> None:
    """32.2 ± 1.4 against 27.9 ± 7.1 over three trainings is none: Welch's p is 0.4, and 20 points have room."""
    rows = [
        rung("A", (20.0, 34.0, 29.7), 10.0),
        rung("B", (30.8, 32.2, 33.6), 12.5),
        rung("C", (40.8, 42.2, 43.6), None),
        rung("D", (41.0, 42.0, 44.0), None),
        rung("E", (42.3, 42.4, 42.2), None),
        rung("F", (42.2, 42.3, 42.25), None),
    ]
    (view,) = ladder_views(rows, "Steps", SOURCE)
    steps = list(view.groups[0]["step"])
    assert steps[:3] == ["–", "undecided (-12.7 to +21.3)", "+10.00 (p 0.0009)"]
    assert steps[3].startswith("undecided (-") and steps[5] == "level (-0.3 to +0.2)"
    assert list(view.groups[0]["published\nstep"]) == ["–", "+2.5", "–", "–", "–", "–"]
    assert list(view.identity["rung"]) == ["A", "B", "C", "D", "E", "F"]


def test_a_rung_of_several_seeds_is_the_mean_over_its_sets(rung: Callable[..., Row]) -> None:
    """Trainings on one set are no independent draws of a set: Welch's test over all would find what is not there."""
    first = [rung("A", (10.0, 12.0), None, seed=0), rung("A", (14.0, 16.0), None, seed=1)]
    second = [rung("B", (13.0, 13.2), None, seed=0), rung("B", (17.0, 17.2), None, seed=1)]
    (view,) = ladder_views([*first, *second], "Steps", SOURCE)
    assert list(view.groups[0]["top-1 %\n(trainings)"]) == ["13.00 ± 2.83 (2) sets", "15.10 ± 2.83 (2) sets"]
    assert difference([11.0, 15.0], [13.1, 17.1]).p == pytest.approx(1 - 0.7425 / (0.7425**2 + 2) ** 0.5, abs=1e-4)
    assert list(view.groups[0]["step"]) == ["–", "undecided (-10.1 to +14.3)"]


def test_one_training_has_a_step_and_no_test(rung: Callable[..., Row]) -> None:
    (view,) = ladder_views([rung("A", (10.0,), None), rung("B", (12.0,), None)], "Steps", SOURCE)
    assert list(view.groups[0]["step"]) == ["–", "+2.00"]


def test_a_rung_without_a_result_says_why(rung: Callable[..., Row]) -> None:
    failed = rung("B", (), 12.5, status="failed", reason="it broke", top1_mean=None)
    text = TABLE.render_ladder([rung("A", (10.0, 11.0), 10.0), failed], title="Steps", source=SOURCE)
    assert "B: failed: it broke" in text
    assert "[1] a paper, Figure 1" in text


def test_json_has_every_row_with_its_rung(rung: Callable[..., Row]) -> None:
    found = json.loads(JSON.render_ladder([rung("A", (10.0, 11.0), 10.0)], title="Steps", source=SOURCE))
    assert found[0]["rung"] == {"name": "A", "change": "change A", "published": 10.0}


def test_a_format_without_a_form_refuses() -> None:
    with pytest.raises(UsageError, match="no form for a ladder; take table, markdown, latex, html or json"):
        CSV.render_ladder([], title="", source="")
