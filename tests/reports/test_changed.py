"""A table of changed recipes says so: in its heading, below it by method, and where rows differ by it."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.reporting import ReportFormat, rankings
from bench.reporting.pivot import pivot_views
from bench.reporting.view import views
from bench.results import changes
from bench_reports.data import CSV, JSON
from bench_reports.latex import LATEX
from bench_reports.markdown import MARKDOWN
from bench_reports.site.figures import over_costs, over_ipc, over_networks
from bench_reports.svg import SVG
from bench_reports.table import TABLE

Row = dict[str, Any]
RowMaker = Callable[..., Row]
FORMS: list[ReportFormat] = [TABLE, MARKDOWN, LATEX, SVG]
PIVOTS = ("ipc", "eval_backbone", "dataset")
SCORES = [(form, "scores") for form in FORMS if form is not SVG]
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


@pytest.mark.parametrize(("form", "across"), [(form, across) for across in PIVOTS for form in FORMS] + SCORES)
def test_pivots_figures_and_scores_say_what_a_ranking_says(
    row: RowMaker, control: RowMaker, form: ReportFormat, across: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table may leave out none of it, whichever way it is turned."""
    monkeypatch.setenv("COLUMNS", "500")
    doubted = row(changed=CHANGED, warnings=["the teacher itself recognises 50.0 % of these images"])
    rows = [doubted, control(changed=CHANGED)]
    text = plain(
        form.render_scores(rows, claims=False) if across == "scores" else form.render_pivot(rows, across=across)
    )
    assert "quick budget, changed" in text
    for said in (
        "changed, sre2l: recover.iterations 4000 -> 40; recover.lr 0.1 -> 0.25",
        "quick budget, sre2l: squeeze.epochs 50 -> 10",
        "quick budget, evaluation: epochs 100 -> 20",
        "the teacher itself recognises 50.0",
        "control: real images drawn at random, under the same protocol, with the same labels",
        "sample deviation over the trainings on one set",
    ):
        assert said in text


def test_a_pivot_says_where_a_warning_is_of_how_long_was_trained_and_which_images_are_copies(row: RowMaker) -> None:
    copies = {"dataset_source": "parquet", "source_differs": "JPEG copies"}
    rows = [row(ipc=1, run="a", epochs=20, warnings=["doubtful"]), row(ipc=10, run="b", epochs=30) | copies]
    (view,) = pivot_views(rows, "ipc")
    assert {"warning, sre2l ipc 1: doubtful", "epochs: 20 at ipc 1; 30 at ipc 10"} <= set(view.notes)
    assert "tiny-imagenet: images from parquet: JPEG copies, sre2l ipc 10" in view.notes
    (view,) = pivot_views([each | copies for each in rows], "ipc")
    assert "tiny-imagenet (parquet: JPEG copies), 10 of 200 classes" in view.heading


def test_figures_of_a_site_say_it(row: RowMaker, control: RowMaker) -> None:
    rows = [row(changed=CHANGED, ipc=ipc, run=f"{ipc}", warnings=["doubtful"]) for ipc in (1, 10)]
    rows += [control(ipc=ipc, run=f"control{ipc}", prepare_s=1.0) for ipc in (1, 10)]
    rows += [{**each, "run": f"{each['run']}b", "eval_backbone": "resnet18"} for each in rows]
    found = [each.remarks for each in over_ipc(rows, {})]
    found += [each.remarks for each in over_networks(rows, {})] + [each.remarks for each in over_costs(rows, {})]
    assert len(found) == 8
    for said in found:
        assert said.warnings and all("doubtful" in warning for warning in said.warnings)
        assert any(note.startswith("changed, sre2l: recover.iterations") for note in said.notes)


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
