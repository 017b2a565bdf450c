"""The built-in published tables: their claims exist, what they set can be set, and their cells can be told apart."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli.reproduced_page import command, page
from bench.extensions.registry import Registry
from bench.planning.reproduction import foreseen
from bench.progress import Silent
from bench.reporting.reproduction import beside, unreachable
from bench.results import fields
from bench.results.claims import Claims, load
from bench.results.published import Cell, cells, find_table
from bench.results.records import load_all, read, write
from bench.results.rows import rows
from bench_reports.table import TABLE

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "reports" / "bench_reports" / "measured"
REGISTRY = Registry()
TABLES = REGISTRY.names("table")


@pytest.fixture(scope="module")
def claims() -> Claims:
    return load(REGISTRY)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_cells_that_can_be_set_up(name: str, claims: Claims) -> None:
    found = cells(find_table(REGISTRY, name), claims)
    for cell in found:
        if cell.why_not(REGISTRY) is None:
            foreseen(cell, REGISTRY)
    assert len({_place(cell) for cell in found}) == len(found)


def _place(cell: Cell) -> tuple[object, ...]:
    return (*cell.wanted.keys, cell.claim.metric, cell.run.set, cell.claim.value)


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    # counted in the papers: SRe2L Table 4 has 12 own numbers on ImageNet-1K and 6 on Tiny-ImageNet, Table 3 four
    # budgets of two networks on two datasets, Table 8 five settings on two datasets, RDED's Table 2 105 numbers
    [
        ("sre2l-table-4", 18, 41.1, None),
        ("sre2l-table-3", 16, 34.82, 35.41),
        ("sre2l-table-8", 10, 29.87, 46.71),
        ("rded-table-2", 105, 16.6, 38.4),
        ("cpu-cells", 15, 14.4, 84.8),
        ("datm-table", 12, 46.9, 39.7),  # PAD's Table 1: CIFAR-10 five cells, CIFAR-100 four, Tiny-ImageNet three
        ("dc-table", 14, 28.3, 82.3),  # five of PAD's Table 1, three datasets of its readme at three sizes
        ("delt", 30, 24.0, 67.6),  # its readme's picture: fifteen lines, two networks
        ("sre2l-logs", 2, 41.11, 49.64),
        ("frepo-table", 14, 46.8, 9.7),  # eight cells of PAD's Table 1, four of the subsets, two of ImageNet-1K
    ],
)
def test_tables_hold_what_the_papers_print(
    name: str, count: int, first: float, last: float | None, claims: Claims
) -> None:
    found = cells(find_table(REGISTRY, name), claims)
    assert len(found) == count
    assert found[0].claim.value == first
    assert last in (None, found[-1].claim.value)


JUDGED = {  # the tables of which a cell is judged: those that docs/measuring.md says "yes" of
    *("cda", "coresets-cifar10", "cpu-cells", "dc-table", "dm-table", "dsa-table", "gpu-hour", "random-pad", "rd3"),
    *(
        "sre2l-logs",
        "whole-datasets",
        "rded-table-2",
        "sre2l-table-2",
        "sre2l-table-3",
        "sre2l-table-4",
        "sre2l-table-8",
    ),
}


def test_which_tables_have_a_cell_that_is_judged(claims: Claims) -> None:
    of = {name: cells(find_table(REGISTRY, name), claims) for name in TABLES}
    judged = {name for name, each in of.items() if any(_is_judged(cell) for cell in each)}
    assert judged == JUDGED


def _is_judged(cell: Cell) -> bool:
    return cell.why_not(REGISTRY) is None and not foreseen(cell, REGISTRY)


@pytest.mark.parametrize(
    ("name", "noted"),
    [  # cells that are judged although their papers leave something open
        ("coresets-cifar10", {4, 5, 6, 7, 8, 9, 10}),
        ("cpu-cells", {4, 5, 6, 7, 8, 9, 15}),
        ("sre2l-table-2", {2, 4, 6, 8, 9, 10, 12}),
        ("sre2l-table-3", {2, 6, 10, 14}),
        ("sre2l-table-8", {1, 2, 3}),
        ("cda", {1, 2, 3, 4, 5, 6}),
    ],
)
def test_what_papers_leave_open_is_noted_at_the_cells_that_are_judged(
    name: str, noted: set[int], claims: Claims
) -> None:
    judged = [cell for cell in cells(find_table(REGISTRY, name), claims) if _is_judged(cell)]
    assert {cell.number for cell in judged if cell.notes} == noted


def test_every_judged_cell_of_rd3_has_a_note(claims: Claims) -> None:
    judged = [cell for cell in cells(find_table(REGISTRY, "rd3"), claims) if _is_judged(cell)]
    assert len(judged) == 9 and all(cell.notes for cell in judged)


@pytest.mark.parametrize(
    ("table", "network", "count"), [("edc-table-2", "convnext-tiny", 5), ("rded-table-2", "convnet6-bn", 3)]
)
def test_cells_of_every_network_can_be_set_up(table: str, network: str, count: int, claims: Claims) -> None:
    found = cells(find_table(REGISTRY, table), claims)
    assert [cell.why_not(REGISTRY) for cell in found if cell.claim.eval_backbone == network] == [None] * count
    assert not [cell for cell in found if "backbone" in (cell.why_not(REGISTRY) or "")]


def test_every_cell_of_the_cpu_table_can_be_run(claims: Claims) -> None:
    assert [cell.why_not(REGISTRY) for cell in cells(find_table(REGISTRY, "cpu-cells"), claims)] == [None] * 15


@pytest.mark.parametrize("name", TABLES)
def test_every_dataset_of_a_table_has_a_card(name: str, claims: Claims) -> None:
    """But ImageNet-21K, so that a cell can be run where its images are."""
    wanted = {cell.wanted.dataset for cell in cells(find_table(REGISTRY, name), claims)}
    assert wanted - set(REGISTRY.names("dataset")) <= {"imagenet-21k-p"}


def test_the_page_of_what_was_reproduced_is_current() -> None:
    """It is made by `python -m bench.cli.reproduced_page reports/bench_reports/measured > docs/reproduced.md`."""
    assert (ROOT / "docs" / "reproduced.md").read_text() == page(REGISTRY, MEASURED, Silent())


def test_every_record_that_is_kept_answers_a_cell_or_comes_close(claims: Claims) -> None:
    every = [cell for name in TABLES for cell in cells(find_table(REGISTRY, name), claims)]
    kept = rows(load_all(MEASURED, Silent()))
    assert kept
    assert not [row["run"] for row in kept if not any(cell.approached_by(row) for cell in every)]


def test_copies_of_the_images_are_judged_and_said(claims: Claims) -> None:
    cell = cells(find_table(REGISTRY, "cpu-cells"), claims)[0]
    row: dict[str, Any] = {
        **{"status": "done", "top1_mean": 13.5, "top1_std": 0.5, "budget": "paper", "precision": "fp32"},
        **{"protocol_id": "dc@1", "method": "random", "method_version": 1, "source_differs": "JPEG copies"},
    }
    found = beside(cell, row, REGISTRY)["cell"]
    assert (found["verdict"], found["reasons"], found["notes"]) == ("within", [], ["JPEG copies"])
    assert "within [2]" in TABLE.render_reproduction([beside(cell, whole(row), REGISTRY)], title="A")


def test_times_are_those_that_other_tables_show(claims: Claims) -> None:
    """Of all trainings together, and marked where other work went on beside them."""
    cell = cells(find_table(REGISTRY, "cpu-cells"), claims)[0]
    row = {**unreachable(cell, ""), "status": "done", "top1_mean": 13.5, "evaluation_s": 90.0, "eval_seeds": 3}
    text = TABLE.render_reproduction([whole({**row, "evaluation_workers": 2})], title="A")
    assert re.search(r" evaluation\n.*\n.*\n.* 90\.0 s†\n", text)
    assert "†: taken while up to 2 workers were busy" in text
    assert "†" not in TABLE.render_reproduction([whole(row)], title="A")


def test_cells_are_listed_as_they_are_asked_for(claims: Claims) -> None:
    every = cells(find_table(REGISTRY, "cpu-cells"), claims)
    rows = [unreachable(every[number - 1], "no time") for number in (1, 2, 3, 5, 8, 9)]
    assert "cells 1-3, 5, 8, 9: skipped: no time" in TABLE.render_reproduction(rows, title="A")


def test_a_cell_without_a_result_is_not_taken_to_be_of_the_others_metric(claims: Claims) -> None:
    cell = cells(find_table(REGISTRY, "cpu-cells"), claims)[0]
    measured = whole({**unreachable(cell, ""), "status": "done", "top1_mean": 13.5, "protocol_id": "dc@1"})
    other = replace(cell, number=2, claim=replace(cell.claim, metric="average_incremental"))
    text = TABLE.render_reproduction([measured, unreachable(other, "no time")], title="A")
    assert "1  top-1 " in text and "1  average incremental " in text and "top-1 %" not in text
    assert "top-1 %" in TABLE.render_reproduction([measured, unreachable(cell, "no time")], title="A")


def whole(row: dict[str, Any]) -> dict[str, Any]:
    return {**fields.Row().to_json(), **row, "top1_values": [13.0, 14.0]}


def test_records_of_an_older_version_are_stale(claims: Claims) -> None:
    (cell,) = [each for each in cells(find_table(REGISTRY, "gpu-hour"), claims) if each.number == 1]
    (row,) = [row for row in rows(load_all(MEASURED, Silent())) if cell.answered_by(row)]
    now = REGISTRY.load("method", "sre2l").version
    assert beside(cell, {**row, "method_version": now}, REGISTRY)["cell"]["stale"] == []
    old = {**row, "method_version": 0, "protocol_id": "sre2l-tiny@0"}
    assert beside(cell, old, REGISTRY)["cell"]["stale"] == [
        f"method sre2l was at version 0, and is at {now}",
        "protocol sre2l-tiny was at version 0, and is at 1",
    ]


def test_what_is_stale_is_not_said_to_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = MEASURED.glob("dm-cifar10-ipc10-*")
    shutil.copytree(kept, tmp_path / kept.name)
    assert _verdicts(page(REGISTRY, tmp_path, Silent())) == [("within", "dm")]
    monkeypatch.setattr(REGISTRY.load("method", "dm"), "version", 99)
    assert _verdicts(page(REGISTRY, tmp_path, Silent())) == [("stale", "dm")]


def test_the_command_names_records_that_answer_no_cell(tmp_path: Path) -> None:
    (kept,) = MEASURED.glob("dm-cifar10-ipc10-*")
    shutil.copytree(kept, tmp_path / kept.name)
    other = read(kept)
    other = replace(other, spec=replace(other.spec, ipc=7))
    (tmp_path / other.spec.name).mkdir()
    write(tmp_path / other.spec.name, other)
    made = CliRunner().invoke(command, [str(tmp_path)])
    assert made.exit_code == 0
    assert f"they answer no cell of a published table: {other.spec.name}" in " ".join(made.stderr.split())
    assert _verdicts(made.stdout) == [("within", "dm")]


def test_the_command_makes_no_page_of_nothing(tmp_path: Path) -> None:
    for folder, said in ((tmp_path, "no record lies below"), (tmp_path / "no", "there is no folder of runs")):
        assert said in str(CliRunner().invoke(command, [str(folder)]).exception)


def _verdicts(page: str) -> list[tuple[str, str]]:
    """Verdict and method of each line of the page's first table."""
    lines = [line.strip("| ").split("|") for line in page.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [(line[0].strip(), line[1].strip()) for line in lines[1:]]
