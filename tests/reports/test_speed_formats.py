"""Tables of speeds in every built-in form."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from bench.reporting import ReportFormat
from bench_reports.data import CSV, JSON
from bench_reports.latex import LATEX
from bench_reports.markdown import MARKDOWN
from bench_reports.speed import speed_views
from bench_reports.table import TABLE

Row = dict[str, Any]
Golden = Callable[[str, str], None]

TITLE = "Speed of a step: SRe2L paper, Table 1"
FORMS: list[ReportFormat] = [TABLE, MARKDOWN, LATEX]
SOURCE = "SRe2L paper Table 1 (RTX 4090, batch 200)"
NOTHING = {"allocated": None, "reserved": None, "rss": None}


def speed_row(**changes: object) -> Row:
    """A done row of SRe2L's fast engine on ResNet-18."""
    row: Row = {
        "table": "sre2l-table-1",
        "status": "done",
        "reason": None,
        "method": "sre2l",
        "backbone": "resnet18",
        "published_as": "ResNet-18",
        "dataset": "tiny-imagenet",
        "resolution": 64,
        "batch_size": 200,
        "engine": "fast",
        "varied": None,
        "config": {"recover": {"iterations": 4000}},
        "versions": {"bench": "0.1.0", "torch": "2.15.0", "plugin": "0.1.0"},
        "device": "cpu",
        "device_name": "A processor",
        "precision": "bf16",
        "threads": 2,
        "iterations": 20,
        "ms_per_image_iteration": {"median": 10.04, "p20": 9.876, "p80": 11.3},
        "peak_memory_bytes": {"allocated": None, "reserved": None, "rss": 3_000_000_000},
        "above_model_bytes": 2_400_000_000,
        "warm_up_s": 31.25,
        "waited": {"synthesis": 0.02},
        "compiled": {"recover": {"compiled": True, "why": "as asked for"}},
        "floor_ms": 4.016,
        "floor_ms_values": [4.0, 4.032],
        "times_floor": 2.5,
        "published": {"ms_per_image_iteration": 0.75, "peak_gpu_mem_gb": 7.6, "source": SOURCE, "note": "a cost"},
        "ratio_to_reference": 5.012,
    }
    assert set(changes) <= set(row), "a field that rows do not have"
    return {**row, **changes}


def nothing_measured(**changes: object) -> Row:
    """What a row without a result says."""
    names = "iterations ms_per_image_iteration above_model_bytes warm_up_s compiled floor_ms times_floor waited"
    empty: Row = {**dict.fromkeys(names.split()), "peak_memory_bytes": NOTHING, "floor_ms_values": []}
    return speed_row(**{**empty, "ratio_to_reference": None, **changes})


@pytest.fixture
def speeds() -> list[Row]:
    """A row of each kind: not installed but published, reference, fast, failed."""
    reference = {"median": 50.32, "p20": 49.9, "p80": 51.2}
    choice = {"recover": {"compiled": False, "why": "no C++ compiler (g++, clang++) is installed"}}
    dm = {"ms_per_image_iteration": 18.11, "peak_gpu_mem_gb": 10.7, "source": SOURCE, "note": "a cost"}
    full: Row = {"status": "failed", "reason": "out of memory: 50 % & _"}
    absent: Row = {
        "method": "dm",
        "backbone": "convnet4",
        "published_as": "ConvNet-4",
        "batch_size": None,
        "engine": None,
    }
    return [
        nothing_measured(**absent, status="skipped", reason="not measured: no such method here", published=dm),
        speed_row(engine="reference", ms_per_image_iteration=reference, ratio_to_reference=1.0, compiled=None),
        speed_row(),
        speed_row(backbone="resnet34", published_as=None, published=None, compiled=choice),
        nothing_measured(backbone="resnet50", published_as="ResNet-50", **full),
    ]


@pytest.mark.parametrize("width", [120, 80])
def test_table_looks_as_agreed(speeds: list[Row], golden: Golden, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = TABLE.render_speed(speeds, title=TITLE)
    assert max(map(len, text.splitlines())) <= width
    golden(f"speed-{width}.txt", text)


def test_markdown_looks_as_agreed(speeds: list[Row], golden: Golden) -> None:
    golden("speed.md", MARKDOWN.render_speed(speeds, title=TITLE))


def test_latex_looks_as_agreed(speeds: list[Row], golden: Golden) -> None:
    golden("speed.tex", LATEX.render_speed(speeds, title=TITLE))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_a_reader_needs_is_there(speeds: list[Row], form: ReportFormat) -> None:
    text = " ".join(form.render_speed(speeds, title=TITLE).replace("\\", "").split())
    for shown in ("A processor (cpu), 2 threads", "batch 200", "7.6 GB", "18.1", "ResNet-18", SOURCE, "5.01", "4.02"):
        assert shown in text
    assert "skipped: dm on convnet4: not measured: no such method here" in text
    assert "failed: sre2l on resnet50 fast: out of memory" in text
    assert "recover is not compiled (no C++ compiler (g++, clang++) is installed): sre2l on resnet34 fast" in text
    assert not {"None", "nan", "null"} & set(text.split())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_rows_stay_in_the_order_asked_for(speeds: list[Row], form: ReportFormat) -> None:
    text = form.render_speed(speeds[::-1], title=TITLE)
    shown = re.findall(r"^\W*(?:sre2l|dm)\W+((?:resnet|convnet)\d+)\W+(fast|reference|–|--)", text, re.MULTILINE)
    backbones = ["resnet50", "resnet34", "resnet18", "resnet18", "convnet4"]
    assert [backbone for backbone, _ in shown[:5]] == backbones
    assert [engine for _, engine in shown[:4]] == ["fast", "fast", "fast", "reference"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_batches_that_differ_get_a_column(form: ReportFormat) -> None:
    text = form.render_speed([speed_row(), speed_row(batch_size=173)], title=TITLE)
    assert "173" in text
    assert "64×64 pixels, batch" not in text.replace(r"$\times$", "×")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_precisions_that_differ_get_a_column(form: ReportFormat) -> None:
    same = form.render_speed([speed_row(), speed_row(engine="reference")], title=TITLE)
    text = form.render_speed([speed_row(), speed_row(engine="reference", precision="fp32")], title=TITLE)
    assert "precision" not in same and same.count("bf16") == 1
    assert "precision" in text and "fp32" in text and "bf16" in text


def test_a_step_that_waited_for_cores_is_marked_and_the_mark_is_told_of() -> None:
    said = "†: its process waited for a core up to 38 % of the time"
    text = TABLE.render_speed([speed_row(), speed_row(engine="reference", waited={"synthesis": 0.375})], title=TITLE)
    assert text.count("10.0 (9.88–11.3)†") == 1 and said in text
    assert "†" not in TABLE.render_speed([speed_row(), speed_row(waited=None)], title=TITLE)


@pytest.mark.parametrize("form", [*FORMS, JSON, CSV], ids=lambda form: form.name)
def test_no_rows(form: ReportFormat) -> None:
    assert form.render_speed([], title=TITLE).endswith("\n")


def test_json_gives_the_rows_back_and_begins_with_the_contract(speeds: list[Row]) -> None:
    found = json.loads(JSON.render_speed(speeds, title=TITLE))
    assert found == speeds
    assert list(found[0])[:4] == ["status", "reason", "method", "backbone"]


def test_csv_has_a_column_for_every_nested_value(speeds: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(CSV.render_speed(speeds, title=TITLE), newline="")))
    assert [line["ms_per_image_iteration.median"] for line in lines] == ["", "50.32", "10.04", "10.04", ""]
    assert [line["published.peak_gpu_mem_gb"] for line in lines] == ["10.7", "7.6", "7.6", "", "7.6"]
    assert lines[2]["compiled.recover.compiled"] == "True"
    assert lines[1]["batch_size"] == "200"


def test_a_varied_hyper_parameter_of_a_columns_name_takes_no_columns_place() -> None:
    """Batches of two sizes are a column, and the method's own `batch` is one too."""
    rows = [speed_row(batch_size=size, varied={"batch": 7 * size}) for size in (13, 17)]
    (view,) = speed_views(rows, TITLE)
    assert view.identity["batch"] == ["13", "17"] and view.identity["batch (varied)"] == ["91", "119"]
