"""Figures: what is drawn, and that it is whole SVG."""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from bench.conformance.formats import speed_row
from bench_reports.svg import SVG

Row = dict[str, Any]
RowMaker = Callable[..., Row]
TEXT = "{http://www.w3.org/2000/svg}text"


def words(text: str) -> str:
    """All that can be read in a figure. Raises where it is not XML."""
    return " ".join(element.text or "" for element in ElementTree.fromstring(text.encode()).iter(TEXT))


def marks(text: str) -> list[tuple[float, float]]:
    """x and y of the marks of the first line: time, its legend, memory, its legend."""
    uses = ElementTree.fromstring(text.encode()).iter("{http://www.w3.org/2000/svg}use")
    return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in uses if "#1f77b4" in use.attrib["style"]]


def varied(method: str, steps: int, mib: int) -> Row:
    measured = {"method": method, "varied": {"steps": steps}, "above_model_bytes": mib * 2**20}
    return {**speed_row("done"), **measured}


def test_a_ranking_names_its_rows_and_conditions(row: RowMaker) -> None:
    rows = [row(), row(method="random", is_control=True, run="random-1", top1_mean=27.9)]
    said = words(SVG.render(rows, claims=False))
    for shown in ("sre2l", "random (control)", "quick budget", "sre2l-tiny@1", "top-1 %"):
        assert shown in said


def test_a_row_without_a_result_is_named_with_its_reason(row: RowMaker) -> None:
    said = words(SVG.render([row(status="failed", reason="out of $memory$ & <luck>")], claims=True))
    assert "out of $memory$ & <luck>" in said


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
