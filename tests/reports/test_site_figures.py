"""Figures of the site: what stands in one, where marks lie, what is on the Pareto front."""

from collections.abc import Callable

import pytest

from bench.reporting import Row
from bench.reporting.panels import panels
from bench_reports.looks import Looks
from bench_reports.site.axes import axis
from bench_reports.site.figures import SHAPES, front, over_costs, over_ipc, over_networks
from bench_reports.site.rendering import page

RowMaker = Callable[..., Row]


def test_the_front_is_what_nothing_beats() -> None:
    """Costs and badness: (2, 5) is dearer than (1, 5) and no better; (4, 1) buys the most."""
    assert front([(4, 1), (1, 5), (2, 5), (3, 3), (3, 4)]) == [1, 3, 0]


def test_an_axis_is_logarithmic_where_values_are_far_apart() -> None:
    wide, narrow = axis([1.0, 100.0], 0, 100), axis([40.0, 60.0], 100, 0)
    assert wide.logarithmic and not narrow.logarithmic
    assert wide.place(10.0) == pytest.approx(50)
    assert narrow.place(50.0) == pytest.approx(50)
    assert 0 < narrow.place(60.0) < narrow.place(40.0) < 100
    assert {10.0} <= {value for value, _ in wide.ticks}
    assert axis([3.0], 0, 100).place(3.0) == pytest.approx(50)


def test_what_differs_in_more_than_the_images_per_class_is_in_figures_of_its_own(row: RowMaker) -> None:
    rows = [
        row(ipc=1, run="a"),
        row(ipc=10, run="b"),
        row(ipc=1, run="c", budget="paper"),
        row(ipc=10, run="d", device_name="x"),
    ]
    (panel,) = panels(rows, "ipc")
    assert panel.values == [1, 10]
    assert [{ipc: each["run"] for ipc, each in line.items()} for line in panel.lines.values()] == [{1: "a", 10: "b"}]


def test_labels_of_another_teacher_are_not_drawn_beside(row: RowMaker) -> None:
    rows = [row(eval_backbone="convnet3", run="a"), row(eval_backbone="resnet18", run="b", teacher_backbone="resnet50")]
    assert panels(rows, "eval_backbone") == []


def test_a_mark_says_its_number_and_leads_to_its_run(row: RowMaker, control: RowMaker) -> None:
    rows = [made(ipc=ipc, run=f"{ipc}{made.__name__}") for ipc in (1, 10) for made in (row, control)]
    (figure,) = over_ipc(rows, {"1make_row": "runs/1.html"})
    assert [series.colour for series in figure.series] == ["c0", "control"]
    mark = figure.series[0].marks[0]
    assert (mark.said, mark.link) == ("sre2l, ipc 1: top-1 % 46.60 ± 0.42 (3)", "runs/1.html")


def test_costs_are_told_in_a_unit_that_fits_and_the_front_is_named(row: RowMaker, control: RowMaker) -> None:
    """312.5 s + 397.1 s + 4 ms of sre2l, and 312.5 s + 31 ms + 4 ms of the control: in minutes."""
    (costly,) = over_costs([row(), control(), row(method="dm", top1_mean=30.0)], {})
    by_title = {figure.x_title: figure for figure in costly.figures}
    assert list(by_title) == ["minutes to make"], "what all share tells nothing apart; a control has no iterations"
    assert by_title["minutes to make"].said.endswith("on the Pareto front: random (control), sre2l")
    assert [series.name for series in costly.legend] == ["sre2l", "dm", "random (control)"]
    drawn = by_title["minutes to make"].series
    assert [series.colour for series in drawn][-1] == "control", "the last lies above the others, and is hollow"


def test_bytes_of_images_in_several_formats_have_no_front(row: RowMaker, control: RowMaker) -> None:
    """SRe2L's JPEG beside raw pixels of two others, and those two alone."""
    raw = [{**control(set_bytes=3 << 20), "image_format": "uint8"}, {**row(method="dm"), "image_format": "uint8"}]
    (mixed,) = over_costs([{**row(set_bytes=1 << 20), "image_format": "jpeg"}, *raw], {})
    figure = next(each for each in mixed.figures if each.x_title == "MiB of images")
    said = "image bytes: uint8 of dm, random (control); jpeg of sre2l; no rivals, so no Pareto front"
    assert (figure.front, figure.note) == ("", said)
    assert figure.said.endswith(said) and len(figure.series) == 3
    assert all(each.front and not each.note for each in mixed.figures if each is not figure)
    (alike,) = over_costs(raw, {})
    assert all(each.front and not each.note for each in alike.figures)


def test_a_time_taken_in_company_is_held_against_no_other(row: RowMaker, control: RowMaker) -> None:
    rows = [row(), control(), {**row(method="dm", top1_mean=90.0, synthesis_s=1.0), "workers": 2}]
    (costly,) = over_costs(rows, {})
    assert [series.name for series in costly.legend] == ["sre2l", "random (control)"]
    assert over_costs([row(), {**control(), "workers": 2}], {}) == []


def test_a_heat_map_colours_from_the_worst_to_the_best(row: RowMaker) -> None:
    scores = {("sre2l", "convnet3"): 20.0, ("sre2l", "resnet18"): 30.0, ("dm", "convnet3"): 40.0}
    rows = [row(method=name, eval_backbone=net, top1_mean=top1, run=name) for (name, net), top1 in scores.items()]
    (heat,) = over_networks(rows, {"dm": "runs/dm.html"})
    assert heat.columns == ["convnet3", "resnet18"]
    cells = dict(heat.lines)
    assert [share for _, share, _ in cells["sre2l"]] == [0.0, 0.5]
    assert cells["dm"] == [("40.00 ± 0.42", 1.0, "runs/dm.html"), ("–", None, "")]


def test_what_is_not_said_of_a_line_is_not_in_its_name(row: RowMaker, control: RowMaker) -> None:
    """Images that were made in fp32 say so; those that were picked were made in nothing."""
    rows = [row(synthesis_precision="fp32"), control(), row(method="dm")]
    (costly,) = over_costs(rows, {})
    assert {series.name for series in costly.legend} == {"sre2l made in fp32", "dm made in bf16", "random (control)"}


def test_a_method_has_one_look_in_all_figures_and_its_lines_marks_of_their_own(row: RowMaker) -> None:
    """SRe2L of two seeds beside DM, and alone, and by costs: orders differ, looks do not."""
    rows = [
        *(row(ipc=ipc, run=f"dm{ipc}", method="dm", synthesis_s=1.0, top1_mean=60.0) for ipc in (1, 10)),
        *(row(ipc=ipc, run=f"a{ipc}{seed}", seed=seed, top1_mean=50.0 - seed) for ipc in (1, 10) for seed in (0, 1)),
        *(row(ipc=ipc, run=f"b{ipc}{seed}", seed=seed, budget="paper") for ipc in (1, 10) for seed in (1, 0)),
    ]
    over = over_ipc(rows, {}), over_costs(rows, {})
    drawn = [*over[0], *(figure for each in over[1] for figure in each.figures)]
    looks = {(series.name, series.colour, series.shape) for figure in drawn for series in figure.series}
    assert (len(over[0]), len(over[1])) == (2, 2)
    assert looks == {("dm seed 0", "c0", 0), ("sre2l seed 0", "c1", 1), ("sre2l seed 1", "c1", 2)}


def test_more_methods_than_colours_are_told_apart_by_their_marks(row: RowMaker) -> None:
    rows = {f"m{place:02}": row(method=f"m{place:02}", run=str(place)) for place in range(17)}
    looks = {(look.colour, look.mark % 6) for look in Looks(rows.values()).of(rows).values()}
    assert len(looks) == 17


def test_an_axis_of_whole_numbers_has_no_tick_between_them() -> None:
    assert {value for value, _ in axis([1, 2], 0, 100).ticks} == {1.0, 2.0}
    assert len(axis([1.0, 2.5], 0, 100).ticks) > 2


def test_the_unit_of_costs_far_apart_is_that_of_their_middle(row: RowMaker, control: RowMaker) -> None:
    """3 ms and 3 h: the root of their product is 5.7 s; in hours one of them was 1e-6."""
    times = [
        row(prepare_s=0.0, synthesis_s=10800.0, label_s=None),
        control(prepare_s=0.0, synthesis_s=0.003, label_s=None),
    ]
    (costly,) = over_costs([{**each, "total_s": each["synthesis_s"]} for each in times], {})
    assert "seconds to make" in [figure.x_title for figure in costly.figures]


def test_every_shape_is_drawn() -> None:
    drawn = page("figures", title="Figures", means=False, ipc=[], networks=[], costs=[])
    assert [f'id="s{number}"' in drawn for number in range(SHAPES + 1)] == [True] * SHAPES + [False]
