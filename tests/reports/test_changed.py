"""A table of changed recipes says so: in its heading, below it by method, and where rows differ by it."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.reporting import ReportFormat, rankings
from bench.reporting.view import views
from bench.results import changes
from bench_reports.data import CSV, JSON
from bench_reports.latex import LATEX
from bench_reports.markdown import MARKDOWN
from bench_reports.svg import SVG
from bench_reports.table import TABLE

Row = dict[str, Any]
RowMaker = Callable[..., Row]
FORMS: list[ReportFormat] = [TABLE, MARKDOWN, LATEX, SVG]
CHANGED = {"recover.iterations": [4000, 40], "recover.lr": [0.1, 0.25]}


def plain(text: str) -> str:
    """Without the quoting, the wrapping and the tags of a format."""
    for sign in ("\\textgreater{}", "\\>", "&gt;"):
        text = text.replace(sign, ">")
    return " ".join(text.replace("-->", "").replace("<text", " <text").split())


@pytest.mark.parametrize("budget", ["paper", "quick"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_heading_and_a_footnote_say_it(
    row: RowMaker, control: RowMaker, form: ReportFormat, budget: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    rows = [row(changed=CHANGED, budget=budget), control(changed=CHANGED, budget=budget)]
    text = plain(form.render(rows, claims=True))
    assert f"{budget} budget, changed" in text
    assert text.count("changed, sre2l: recover.iterations 4000 -> 40; recover.lr 0.1 -> 0.25") == 1
    assert "budget, changed" not in form.render([row(), control()], claims=True)


def test_rows_of_one_method_are_told_apart_by_what_differs(row: RowMaker, control: RowMaker) -> None:
    shared = {"recover.lr": [0.1, 0.25]}
    rows = [
        row(run="sre2l-0-aaaaaa", changed={"recover.iterations": [4000, 40], **shared}, top1_mean=50.0),
        row(run="sre2l-0-bbbbbb", changed={"recover.iterations": [4000, 20], **shared}, top1_mean=40.0),
        row(run="sre2l-0-cccccc", changed=shared, top1_mean=30.0),
        row(run="dc-0-dddddd", method="dc", changed={"iterations": [1000, 5]}, top1_mean=20.0),
        row(run="dm-0-eeeeee", method="dm", changed={}, top1_mean=10.0),
    ]
    (view,) = views(rows, claims=False)
    of_sre2l = ["recover.iterations 40", "recover.iterations 20", "nothing"]
    assert view.identity["changed"] == [*of_sre2l, "iterations 5", "–"]
    assert "run" not in view.identity


def test_what_all_rows_of_a_method_share_needs_no_column(row: RowMaker, control: RowMaker) -> None:
    (view,) = views([row(changed=CHANGED), control(changed=CHANGED), row(changed=CHANGED, seed=1)], claims=False)
    assert "changed" not in view.identity


def test_data_formats_hold_it_in_every_row(row: RowMaker, control: RowMaker) -> None:
    rows = [row(changed=CHANGED), control()]
    assert [each["changed"] for each in json.loads(JSON.render(rows, claims=True))] == [CHANGED, {}]
    lines = csv.DictReader(io.StringIO(CSV.render(rows, claims=True)))
    assert [json.loads(line["changed"]) for line in lines] == [CHANGED, {}]


def test_what_quick_took_is_not_said_of_what_was_changed(row: RowMaker) -> None:
    quick = row(budget_note="squeeze.epochs 50 -> 10", changed={"recover.iterations": [400, 30]})
    assert rankings([quick])[0].notes == (
        "quick budget, evaluation: epochs 100 -> 20",
        "quick budget, sre2l: squeeze.epochs 50 -> 10",
        "changed, sre2l: recover.iterations 400 -> 30",
    )


def test_where_the_recipes_value_was_not_kept_the_users_is_said() -> None:
    assert changes.told({"recover.images": [None, "jpeg"], "squeeze.weights": ["A", ""]}) == (
        "recover.images jpeg; squeeze.weights A -> ''"
    )
