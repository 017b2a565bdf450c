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
    few, many = (SVG.render_speed([varied("mtt", 5, 100), varied("mtt", 20, mib)], title="x") for mib in (100, 900))
    assert few != many


def test_the_same_rows_give_the_same_figure() -> None:
    rows = [speed_row("done"), {**speed_row("done"), "engine": "reference"}]
    assert SVG.render_speed(rows, title="x") == SVG.render_speed(rows, title="x")
