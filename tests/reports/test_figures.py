"""Figures: what is drawn, and that it is whole SVG."""

import io
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from PIL import Image

from bench.conformance.formats import speed_row
from bench.reporting.panels import panels
from bench.reporting.view import views
from bench_reports.drawings import panels_drawn, rankings_drawn
from bench_reports.sheets import COLOURS
from bench_reports.speed_drawings import speeds_drawn
from bench_reports.svg import SVG

Row = dict[str, Any]
RowMaker = Callable[..., Row]
TEXT = "{http://www.w3.org/2000/svg}text"


def words(text: str) -> str:
    """All that can be read in a figure. Raises where it is not XML."""
    return " ".join(element.text or "" for element in ElementTree.fromstring(text.encode()).iter(TEXT))


def texts(text: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(text.encode()).iter(TEXT))


def marks(text: str) -> list[tuple[float, float]]:
    """x and y of the marks of the first line: time, its legend, memory, its legend."""
    uses = ElementTree.fromstring(text.encode()).iter("{http://www.w3.org/2000/svg}use")
    return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in uses if COLOURS[0] in use.attrib["style"]]


def varied(method: str, steps: int, mib: int) -> Row:
    measured = {"method": method, "varied": {"steps": steps}, "above_model_bytes": mib * 2**20}
    return {**speed_row("done"), **measured}


def test_a_ranking_names_its_rows_and_conditions(row: RowMaker) -> None:
    rows = [row(), row(method="random", is_control=True, run="random-1", top1_mean=27.9)]
    said = words(SVG.render(rows, claims=False))
    for shown in ("sre2l", "random (control)", "quick budget", "sre2l-tiny@1", "top-1 %"):
        assert shown in said


def test_a_row_without_a_result_is_named_with_its_reason(row: RowMaker) -> None:
    """Drawn where there is nothing else to draw; else in the file's description alone."""
    failed = row(status="failed", reason="out of $memory$ & <luck>")
    assert "out of $memory$ & <luck>" in words(SVG.render([failed], claims=True))
    text = SVG.render([row(), failed], claims=True)
    assert "out of" not in words(text)
    assert "out of $memory$ & <luck>" in "".join(ElementTree.fromstring(text.encode()).itertext())


@pytest.mark.parametrize("across", [None, "eval_backbone"])
def test_bars_below_nothing_are_drawn(row: RowMaker, across: str | None) -> None:
    """A likelihood of -2 and one of -3: the axis holds both, and of accuracies it begins at 0."""

    def axis(*rows: Row) -> tuple[float, float]:
        drawn = panels_drawn(panels(rows, across, least=1), None) if across else None
        return (drawn or rankings_drawn(views(rows, claims=False), None, claims=False)).axes[0].get_xlim()

    none: Row = {"primary": "likelihood", "top1_mean": None, "top1_values": [], "top1_std": None}
    low = {"std": None, "unit": "nats", "better": "higher"}
    below = [
        row(run=name) | none | {"metrics": {"likelihood": {**low, "mean": mean, "values": [mean]}}}
        for name, mean in (("a-1", -2.0), ("b-2", -3.0))
    ]
    left, right = axis(*below)
    assert left < -3 and right >= 0
    assert axis(row(), row(run="b-2"))[0] == 0


def test_a_value_that_is_no_percentage_keeps_its_digits(row: RowMaker) -> None:
    loss = {"mean": 0.0312, "std": None, "values": [0.0312], "unit": "nats", "better": "lower"}
    of_loss = row(top1_mean=None, top1_values=[], top1_std=None) | {"primary": "loss", "metrics": {"loss": loss}}
    assert "0.0312" in words(SVG.render([of_loss], claims=False))
    assert "46.6" in words(SVG.render([row()], claims=False))


def test_no_footnote_is_about_what_is_not_drawn(row: RowMaker, control: RowMaker) -> None:
    drawn = [row(evaluation_prepare_s=3.0), control()]
    said = words(SVG.render(drawn, claims=True))
    assert "ms/image-iteration" not in said and "shared stages" not in said
    assert "control: real images drawn at random" in said and "quick budget, sre2l" in said
    assert "error bars: sample deviation" in said and "±:" not in said and "dashed: the mean of the control" in said
    beside_others = {**row(), "workers": 4, "evaluation_workers": 4}
    assert "†" not in words(SVG.render([beside_others, control()], claims=True))


def test_a_footnote_of_one_panel_says_which(row: RowMaker) -> None:
    """Two rankings, one with a doubtful row; what is said of both stands once and without a number."""
    told = "the teacher's top-1 is no better"
    rows = [{**row(), "warnings": [told]}, row(dataset="cifar10", run="b-2")]
    said = words(SVG.render(rows, claims=False))
    panel = re.search(r"\((\d)\) warning, [^:]*: " + told, said)
    assert panel and re.search(rf"\({panel[1]}\) tiny-imagenet", said)
    assert "(1)" not in words(SVG.render([row(), row(run="b-2")], claims=False))


def test_the_value_beside_a_diamond_is_not_taken_for_the_published_one(row: RowMaker) -> None:
    published = row(top1_mean=12.93, claim={"value": 14.4, "std": 2.0, "source": "a paper"})
    said = words(SVG.render([published], claims=True))
    assert "12.93 (14.4)" in said and "in brackets: published" in said
    assert "(14.4)" not in words(SVG.render([published], claims=False))


def test_bars_have_their_values(row: RowMaker, control: RowMaker) -> None:
    """The best in bold where none is level with it: 45, 46, 47 against 38.3, 39.4, 40.5."""
    best = row(top1_mean=46.0, top1_std=1.0, top1_values=[45, 46, 47])
    text = SVG.render([best, control()], claims=False)
    assert "46.00" in words(text) and "39.4" in words(text)
    assert "700" in next(each for each in texts(text) if each.text == "46.00").attrib["style"]
    level = SVG.render([row(top1_mean=39.5, top1_values=[38, 39.5, 41]), control()], claims=False)
    assert not [each for each in texts(level) if "700" in each.attrib["style"]]


def test_several_numbers_of_images_are_one_figure(row: RowMaker, control: RowMaker) -> None:
    rows = [make(ipc=ipc, run=f"{make}{ipc}", top1_mean=float(ipc)) for ipc in (1, 10, 50) for make in (row, control)]
    said = words(SVG.render_pivot(rows, across="ipc"))
    for shown in ("images per class", "1", "10", "50", "sre2l", "random (control)", "top-1 %"):
        assert shown in said
    networks = [row(eval_backbone=name, run=name) for name in ("resnet18", "deit-tiny")]
    assert "resnet18" in words(SVG.render_pivot(networks, across="eval_backbone"))


def test_a_method_has_one_look_in_all_panels(row: RowMaker, control: RowMaker) -> None:
    """DM is first in one panel, alone with the control in the other; two seeds of one method are of its colour."""
    rows = [
        *(row(ipc=ipc, run=f"a{ipc}", method="dc") for ipc in (1, 10)),
        *(
            row(ipc=ipc, run=f"b{ipc}{seed}", method="dm", seed=seed, top1_mean=9.0)
            for ipc in (1, 10)
            for seed in (0, 1)
        ),
        *(row(ipc=ipc, run=f"c{ipc}", method="dm", budget="paper") for ipc in (1, 10)),
        *(control(ipc=ipc, run=f"d{ipc}", budget="paper") for ipc in (1, 10)),
    ]
    drawn: list[Any] = [axes.get_legend_handles_labels() for axes in panels_drawn(panels(rows, "ipc"), None).axes]
    lines = [(name, bar[0]) for found in drawn for bar, name in zip(*found, strict=True)]
    looks = [(name, line.get_color(), line.get_marker()) for name, line in lines]
    of_dm = (COLOURS[1], "s")
    assert {("dc seed 0", COLOURS[0], "o"), ("dm seed 0", *of_dm), ("dm", *of_dm)} <= set(looks)
    assert {colour for name, colour, _ in looks if "dm" in name} == {COLOURS[1]}
    assert {mark for name, _, mark in looks if "dm" in name} == {"s", "D"}


def test_bars_of_one_method_differ_in_their_hatching(row: RowMaker) -> None:
    rows = [
        row(run=f"{net}{seed}", eval_backbone=net, seed=seed) for net in ("convnet3", "resnet18") for seed in (0, 1)
    ]
    (axes,) = panels_drawn(panels(rows, "eval_backbone"), None).axes
    assert {bar.get_facecolor() for bar in axes.patches} == {to_rgba(COLOURS[0])}
    assert [bar.get_hatch() or "" for bar in axes.patches if isinstance(bar, Rectangle)] == ["", "///"] * 2
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["sre2l seed 0", "sre2l seed 1"]


@pytest.mark.parametrize(("inches", "points"), [(3.25, 234), (6.75, 486)])
def test_a_picture_has_the_width_that_a_paper_asks_for(row: RowMaker, inches: float, points: int) -> None:
    how: Row = {"inches": inches, "across": None, "claims": True}
    assert f'width="{points}pt"' in SVG.picture([row()], suffix=".svg", **how).decode()
    pdf = SVG.picture([row()], suffix=".pdf", **how)
    assert pdf.startswith(b"%PDF-") and re.search(rb"/MediaBox \[ 0 0 %d " % points, pdf)
    assert b"/Type3" not in pdf, "which publishers refuse"
    assert pdf == SVG.picture([row()], suffix=".pdf", **how)
    png = SVG.picture([row()], suffix=".png", **how)
    assert Image.open(io.BytesIO(png)).width == int(inches * 200)
    assert png == SVG.picture([row()], suffix=".png", **how)


def test_signs_of_mathematics_are_drawn_as_they_are(row: RowMaker) -> None:
    strange = row(backbone="a$b^$", run="1"), row(backbone="x_{1}", run="2")
    assert "a$b^$" in words(SVG.render(strange, claims=False))


def test_speeds_over_what_was_varied() -> None:
    rows = [varied(method, steps, 50 * steps) for steps in (5, 20) for method in ("mtt", "tesla")]
    said = words(SVG.render_speed(rows, title="Speed of a step"))
    for shown in ("mtt convnet3", "tesla convnet3", "steps", "peak memory above the model, MiB"):
        assert shown in said


def test_a_higher_value_is_drawn_higher() -> None:
    *_, few, many, _legend = marks(SVG.render_speed([varied("mtt", 5, 100), varied("mtt", 20, 900)], title="x"))
    assert many[0] > few[0], "more steps stand further right"
    assert many[1] < few[1], "y of SVG grows downwards"


def test_what_was_not_measured_is_not_drawn() -> None:
    unmeasured = {**varied("mtt", 20, 0), "above_model_bytes": None}
    both = marks(SVG.render_speed([varied("mtt", 5, 100), varied("mtt", 20, 900)], title="x"))
    assert len(marks(SVG.render_speed([varied("mtt", 5, 100), unmeasured], title="x"))) == len(both) - 1
    nowhere = {"ms_per_image_iteration": None, "above_model_bytes": None, "varied": None}
    assert "convnet3" in words(SVG.render_speed([{**speed_row("done"), **nowhere}], title="x"))


def test_the_same_rows_give_the_same_figure() -> None:
    rows = [speed_row("done"), {**speed_row("done"), "engine": "reference"}]
    assert SVG.render_speed(rows, title="x") == SVG.render_speed(rows, title="x")


def test_many_panels_are_as_high_as_few(row: RowMaker, control: RowMaker) -> None:
    """By inches: matplotlib's own layout gave up beyond some dozens."""

    def heights(count: int) -> set[float]:
        rows = [make(ipc=ipc + 1, run=f"{make}{ipc}") for ipc in range(count) for make in (row, control)]
        figure = rankings_drawn(views(rows, claims=False), None, claims=False)
        places = [axes.get_position() for axes in figure.axes]
        assert all(above.y0 > below.y1 for above, below in pairwise(places)) and places[-1].y0 > 0
        return {round(place.height * figure.get_figheight(), 3) for place in places}

    assert heights(2) == heights(50) == {0.6}


def test_a_figure_of_speeds_has_percentiles_the_floor_and_the_arithmetic_where_it_differs() -> None:
    slow, fast = (
        {**speed_row("done"), "engine": engine, "precision": precision, "floor_ms": 1.5, "varied": None}
        | {"ms_per_image_iteration": {"median": median, "p20": median - 0.5, "p80": median + 1.0}}
        for engine, precision, median in (("reference", "tf32", 9.0), ("fast", "bf16", 3.0))
    )
    time, _ = speeds_drawn([slow, fast], "x").axes
    names = [label.get_text() for label in time.get_yticklabels()]
    assert [name.split()[-1] for name in names] == ["tf32", "bf16"]
    bars, floors = (each.get_segments() for each in time.collections if isinstance(each, LineCollection))
    assert [(segment[0][0], segment[1][0]) for segment in bars] == [(8.5, 10.0), (2.5, 4.0)]
    assert [segment[0][0] for segment in floors] == [1.5, 1.5]
    assert not any("bf16" in label.get_text() for label in speeds_drawn([fast], "x").axes[0].get_yticklabels())


def test_one_value_of_what_was_varied_has_one_tick() -> None:
    (time, _) = speeds_drawn([varied("mtt", 2, 100)], "x").axes
    assert [label.get_text() for label in time.get_xticklabels()] == ["2"]
