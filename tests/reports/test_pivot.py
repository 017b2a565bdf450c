"""Rows over seeds as one, and tables with networks or numbers of images across, by numbers worked out by hand."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bench.errors import UsageError
from bench.reporting.pivot import pivot_views
from bench.reporting.statistics.pooling import over_seeds, sets_as_one
from bench.reporting.statistics.scores import with_scores
from bench.results.null_reasons import ONE_SET, SETS_DIFFER
from bench_reports.data import CSV, JSON
from bench_reports.latex import LATEX
from bench_reports.table import TABLE

Row = dict[str, Any]
MakeRow = Callable[..., Row]


@pytest.fixture
def measured(row: MakeRow) -> MakeRow:
    def made(values: Sequence[float], **changes: object) -> Row:
        mean = sum(values) / len(values)
        std = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        scores = {"top1_values": list(values), "top1_mean": mean, "top1_std": std, "eval_seeds": len(values)}
        run = f"{changes.get('method', 'sre2l')}-{changes.get('ipc')}-{changes.get('seed', 0)}-{values[0]}"
        return row(**{**scores, "run": run, **changes})

    return made


def test_both_spreads_are_told_apart(measured: MakeRow) -> None:
    """Sets of 10 and 14 on average: ± 2.83 over sets; deviations 1 and 3 on a set: root of (1 + 9) / 2 = 2.24."""
    (one,) = over_seeds([measured((9, 10, 11), seed=0), measured((11, 14, 17), seed=1)])
    assert one["top1_mean"] == 12
    assert one["top1_std"] == pytest.approx(8**0.5)
    assert one["within"] == pytest.approx(5**0.5)
    assert (one["sets"], one["eval_seeds"], one["seed"]) == (2, 6, None)
    text = TABLE.render([one], claims=False)
    assert "12.00 ± 2.83 (2)" in text
    assert "± 2.24" in text
    assert "(sets)" in text


def test_costs_are_means(measured: MakeRow) -> None:
    rows = [measured((1, 2), seed=seed, synthesis_s=seconds) for seed, seconds in ((0, 10.0), (1, 30.0))]
    assert over_seeds(rows)[0]["synthesis_s"] == 20.0


def test_costs_of_every_kind_are_over_all_sets(measured: MakeRow) -> None:
    """By hand, of two sets: means of bytes and of what times and teachers have, the larger of two peaks."""
    costs: list[Row] = [
        {"set_bytes": 100, "label_bytes": None, "peak_memory_bytes": {"allocated": None, "rss": 7}, "label_s": None},
        {"set_bytes": 301, "label_bytes": 50, "peak_memory_bytes": {"allocated": None, "rss": 9}, "label_s": 2.0},
    ]
    costs[0] |= {"ms_per_image_iteration": {"median": 1.0, "p20": 0.5, "p80": 3.0}, "teacher_on_set": {"top1": 40.0}}
    costs[1] |= {"ms_per_image_iteration": {"median": 3.0, "p20": 1.5, "p80": 5.0}, "teacher_on_set": {"top1": 80.0}}
    rows = [measured((1, 2), seed=seed, **each) for seed, each in enumerate(costs)]
    rows[0]["null_reasons"] = {"label_s": "not known", "teacher_top1": "not known"}
    (one,) = over_seeds([{**row, "teacher_top1": None} for row in rows])
    assert (one["set_bytes"], one["label_bytes"], one["label_s"]) == (200, 50, 2.0)
    assert one["ms_per_image_iteration"] == {"median": 2.0, "p20": 1.0, "p80": 4.0}
    assert one["teacher_on_set"] == {"top1": 60.0} and one["peak_memory_bytes"] == {"allocated": None, "rss": 9}
    assert one["null_reasons"] == {"teacher_top1": "not known", "run": SETS_DIFFER, "seed": SETS_DIFFER}


@pytest.mark.parametrize(
    "change", [{"ipc": 50}, {"config": {"lr": 2}}, {"method": "cda"}, {"precision": "tf32"}, {"protocol_id": "soft@2"}]
)
def test_what_differs_in_more_than_its_seed_stays_apart(measured: MakeRow, change: Row) -> None:
    assert len(over_seeds([measured((1, 2), seed=0), measured((1, 2), seed=1, **change)])) == 2


def test_a_copy_of_a_record_is_no_other_set(measured: MakeRow) -> None:
    short, long = measured((1, 2)), measured((1, 2, 3))
    (one,) = over_seeds([short, long, long])
    assert (one["sets"], one["top1_mean"], one["top1_std"], one["eval_seeds"]) == (1, 2, None, 3)
    assert sets_as_one([long, long]) == [long]


def test_a_seed_is_counted_once(measured: MakeRow) -> None:
    """Another run of it, whose loops were compiled, say, is no other draw of a set."""
    rows = [measured((1, 2, 3), seed=0), measured((1, 2), seed=0, run="compiled"), measured((4, 5), seed=1)]
    (one,) = over_seeds(rows)
    assert (one["sets"], one["seeds"], one["top1_mean"]) == (2, [0, 1], 3.25)
    assert one["runs"] == [rows[0]["run"], rows[2]["run"]]
    assert sets_as_one(rows[:2]) == rows[:1]


def test_controls_with_labels_of_other_configurations_stay_apart(measured: MakeRow) -> None:
    """Theirs is that of `random`; what was changed is their labeller's."""
    controls = [measured((1, 2), method="random", changed=each) for each in ({}, {"relabel.temperature": [20, 4]})]
    assert len(over_seeds(controls)) == 2


def test_a_set_alone_keeps_the_deviation_over_its_trainings(measured: MakeRow) -> None:
    """Beside others of another budget, too: 1 and 3 deviate by the root of 2."""
    paper, quick = measured((1, 3), budget="paper"), measured((1, 3), budget="quick")
    assert sets_as_one([paper, quick]) == [paper, quick]
    assert sets_as_one([paper, quick, measured((4, 6), budget="paper", seed=1)])[0]["top1_std"] == pytest.approx(
        4.5**0.5
    )


def test_every_metric_is_over_sets_and_none_the_first_ones(measured: MakeRow) -> None:
    drops = [{"drop": {"mean": mean, "std": 1, "values": [mean], "unit": "%", "better": "lower"}} for mean in (2, 4)]
    rows = [
        {**measured((1, 2), seed=seed, top5_mean=top5, best_top1_mean=top5 - 1), "metrics": drop}
        for seed, top5, drop in zip((0, 1), (10.0, 30.0), drops, strict=True)
    ]
    (one,) = over_seeds(rows)
    assert (one["top5_mean"], one["best_top1_mean"]) == (20, 19)
    assert one["metrics"]["drop"]["mean"] == 3
    assert one["metrics"]["drop"]["std"] == pytest.approx(2**0.5)
    assert one["metrics"]["drop"]["unit"] == "%"


def test_a_mean_names_its_runs_and_is_none_of_them(measured: MakeRow) -> None:
    """Of two seeds, each beside a control and with a command of its own; a field that both share stays."""
    own: list[Row] = [{"control": f"random-{seed}", "made": {"command": f"--seed {seed}"}} for seed in (0, 1)]
    rows = [measured((1, 2), seed=seed, run=f"sre2l-{seed}", **each) for seed, each in enumerate(own)]
    (one,) = json.loads(JSON.render(over_seeds(rows), claims=False))
    unsaid = {name for name, why in one["null_reasons"].items() if why == SETS_DIFFER}
    assert unsaid == {"run", "seed", "control", "made"} and {one[name] for name in unsaid} == {None}
    assert (one["runs"], one["seeds"]) == (["sre2l-0", "sre2l-1"], [0, 1])
    assert one["controls"] == ["random-0", "random-1"]
    assert one["config"] == rows[0]["config"] and one["versions"] == rows[0]["versions"]
    assert CSV.render(over_seeds(rows), claims=False).splitlines()[1].startswith(",done,")


def test_a_mean_of_one_set_is_that_run_and_has_no_deviation(measured: MakeRow) -> None:
    row = measured((1, 2), seed=3)
    (one,) = over_seeds([row])
    assert (one["run"], one["seed"], one["top1_std"]) == (row["run"], 3, None)
    assert one["null_reasons"] == {**row["null_reasons"], "top1_std": ONE_SET}


def test_a_doubt_of_some_sets_of_a_mean_names_their_seeds(measured: MakeRow) -> None:
    rows = [measured((1, 2), seed=seed, warnings=["both", f"{seed} alone"]) for seed in (3, 4)]
    assert over_seeds(rows)[0]["warnings"] == ["both", "3 alone (seed 3)", "4 alone (seed 4)"]


def test_scores_of_means_are_beside_the_means_of_their_controls(measured: MakeRow) -> None:
    """Sets of 12 on average, random images of 10: a gain of 2 points."""
    rows = [
        *(measured((9 + 2 * seed, 13 + 2 * seed), seed=seed, control=f"random-{seed}") for seed in (0, 1)),
        *(measured((9, 11), seed=seed, method="random", run=f"random-{seed}", is_control=True) for seed in (0, 1)),
    ]
    method, _ = with_scores(over_seeds(rows))
    assert method["scores"]["random_top1"] == 10
    assert method["scores"]["label_free_gain"] == pytest.approx(2)


def test_what_has_no_result_stays(measured: MakeRow, failure: MakeRow) -> None:
    rows = [measured((1, 2)), failure(), failure(seed=1)]
    assert [row["status"] for row in over_seeds(rows)] == ["done", "failed", "failed"]


def test_numbers_of_images_go_across(measured: MakeRow) -> None:
    """Of 30 ± 1 and 20 ± 1 the first is above; 10 ± 1 and 10.5 ± 1 are level (Welch's p 0.57)."""
    rows = [
        measured((9, 10, 11), method="dm", ipc=1, budget_note=""),
        measured((29, 30, 31), method="dm", ipc=10, budget_note=""),
        measured((9.5, 10.5, 11.5), method="dc", ipc=1, budget_note=""),
        measured((19, 20, 21), method="dc", ipc=10, budget_note=""),
    ]
    (view,) = pivot_views(rows, "ipc")
    assert list(view.identity["method"]) == ["dc", "dm"]
    assert [cells for group in view.groups for cells in group.values()] == [
        ["10.50 ± 1.00 (3)", "10.00 ± 1.00 (3)"],
        ["20.00 ± 1.00 (3)", "30.00 ± 1.00 (3)*"],
    ]
    assert [list(group) for group in view.groups] == [["ipc 1"], ["ipc 10"]]


def test_a_dataset_of_a_columns_name_takes_no_columns_place(measured: MakeRow) -> None:
    rows = [
        measured((place, 9), dataset=name, seed=seed)
        for place, name in enumerate(("seed", "cifar10"))
        for seed in (3, 4)
    ]
    (view,) = pivot_views(rows, "dataset")
    assert view.identity["seed"] == ["3", "4"]
    assert [title for group in view.groups for title in group] == ["cifar10", "seed (dataset)"]


def test_what_may_not_be_compared_is_apart(measured: MakeRow) -> None:
    rows = [measured((1, 2), ipc=1), measured((1, 2), ipc=10, precision="tf32")]
    assert len(pivot_views(rows, "ipc")) == 2


def test_soft_labels_of_different_teachers_are_apart(measured: MakeRow) -> None:
    taught = {"label_kind": "teacher", "protocol_id": "soft@1"}
    rows = [measured((1, 2), ipc=ipc, teacher_backbone=name, **taught) for ipc, name in ((1, "a"), (10, "b"))]
    assert len(pivot_views(rows, "ipc")) == 2


def test_two_tables_of_one_dataset_say_what_they_are_of(measured: MakeRow) -> None:
    taught = {"label_kind": "online", "protocol_id": "sre2l@1"}
    rows = [measured((1, 2), ipc=1, backbone=name, teacher_backbone=name, **taught) for name in ("a4", "b4")]
    first, second = (view.heading for view in pivot_views(rows, "ipc"))
    assert "condensed with a4" in first and "online labels of a4" in first and "condensed with b4" in second


def test_a_place_with_nothing_is_a_dash(measured: MakeRow) -> None:
    rows = [measured((1, 2), eval_backbone="a"), measured((3, 4), eval_backbone="b", method="dc")]
    (view,) = pivot_views(rows, "eval_backbone")
    assert [cells for group in view.groups for cells in group.values()] == [
        ["1.50 ± 0.71 (2)", "–"],
        ["–", "3.50 ± 0.71 (2)"],
    ]


def test_a_mean_over_seeds_is_of_one_line_with_that_of_a_single_one(measured: MakeRow) -> None:
    rows = [measured((1, 2), seed=seed, ipc=1) for seed in (0, 1)] + [measured((3, 4), seed=0, ipc=10)]
    (view,) = pivot_views(over_seeds(rows), "ipc")
    assert "seed" not in view.identity and len(view.rows) == 1
    assert [cells for group in view.groups for cells in group.values()] == [["1.50 ± 0.00 (2)"], ["3.50 (1)"]]
    assert list(view.numbers.values()) == [[1.5], [3.5]]


def test_two_seeds_in_one_place_are_two_lines(measured: MakeRow) -> None:
    rows = [measured((1, 2), seed=0, ipc=1), measured((3, 4), seed=1, ipc=1)]
    (view,) = pivot_views(rows, "ipc")
    assert list(view.identity["seed"]) == ["1", "0"]


def test_real_images_are_one_line_whether_a_method_stands_beside_them_or_not(measured: MakeRow) -> None:
    """But two lines where both are at one place: there they are two runs."""
    alone = measured((40, 42), ipc=1, method="random")
    beside = measured((50, 52), ipc=10, method="random", is_control=True)
    (view,) = pivot_views([alone, beside], "ipc")
    assert view.identity["method"] == ["random (control)"]
    (view,) = pivot_views([alone, {**alone, "run": "another", "is_control": True}], "ipc")
    assert sorted(view.identity["method"]) == ["random", "random (control)"]
    (view,) = pivot_views([alone, measured((50, 52), ipc=10, method="random")], "ipc")
    assert view.identity["method"] == ["random"]


def test_latex_draws_it_and_csv_refuses(measured: MakeRow) -> None:
    rows = [measured((1, 2), ipc=1)]
    assert r"\toprule" in LATEX.render_pivot(rows, across="ipc")
    both = [measured((45, 46, 47), ipc=1), measured((40, 41, 42), ipc=1, method="cda")]
    assert r"\textbf{46.00 $\pm$ 1.00 (3)} \\" in LATEX.render_pivot(both, across="ipc")
    with pytest.raises(UsageError, match="the format 'csv' has no form for a pivot"):
        CSV.render_pivot(rows, across="ipc")


def test_all_real_images_have_a_column_that_says_so(measured: MakeRow) -> None:
    """Unless random images of as many stand in it, which are the same images."""
    hard: Row = {"label_kind": "hard", "teacher_backbone": None, "control": None}
    rows = [measured((10, 11), ipc=1, **hard), measured((20, 21), ipc=10, **hard)]
    full = measured((60, 61), ipc=500, method="full-data", **hard)
    (view,) = pivot_views([*rows, full], "ipc")
    assert [title for group in view.groups for title in group] == ["ipc 1", "ipc 10", "all images"]
    (view,) = pivot_views([*rows, full, measured((59, 60), ipc=500, method="random", **hard)], "ipc")
    assert [title for group in view.groups for title in group] == ["ipc 1", "ipc 10", "ipc 500"]
    assert "all images" in TABLE.render([full], claims=False)


def test_a_set_that_is_the_control_of_another_ranking_is_one_of_its_own(measured: MakeRow) -> None:
    rows = [{**measured((9, 10), seed=seed), "is_control": seed == 0} for seed in (0, 1, 2)]
    (one,) = over_seeds(rows)
    assert (one["sets"], one["is_control"]) == (3, True)


def test_a_part_of_all_images_has_its_number(measured: MakeRow) -> None:
    part = {**measured((9, 10), method="full-data", ipc=5), "imported": True}
    assert "ipc 5" in TABLE.render([part], claims=False) and "all images" not in TABLE.render([part], claims=False)
