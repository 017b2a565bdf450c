"""Rows of several machines together: accuracies in one ranking, costs in none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli.commands.report import command
from bench.reporting import rankings
from bench.reporting.statistics.devices import ANY, COSTS, across_devices
from bench.reporting.statistics.pooling import over_seeds
from bench.reporting.statistics.scores import with_scores
from bench.reporting.view import views
from bench.results import fields
from bench_reports.data import JSON
from bench_reports.table import TABLE

Row = dict[str, Any]
A, B = ({"device": "cuda", "device_name": name} for name in ("NVIDIA A100", "NVIDIA H100"))


@pytest.fixture
def mixed(row: Callable[..., Row], control: Callable[..., Row]) -> list[Row]:
    """Two seeds of one method and a control, on two GPUs."""
    return [row(**A), row(seed=1, top1_values=[44.0, 45.0, 46.0], top1_mean=45.0, **B), control(**B)]


def test_they_stand_in_one_ranking_without_costs(mixed: list[Row]) -> None:
    assert len(rankings(mixed)) == 2
    (view,) = views(across_devices(mixed), claims=False)
    assert "NVIDIA A100 (cuda), NVIDIA H100 (cuda), bf16" in view.heading
    titles = {title for group in view.groups for title in group}
    assert "image\nbytes" in titles and not titles & {"synthesis", "peak\nRSS", "evaluation", "ms/image-\niteration"}
    whose = "NVIDIA A100 (cuda) of sre2l seed 0; NVIDIA H100 (cuda) of sre2l seed 1, random (control)"
    assert f"times and memory are left out, for machines differ: {whose}" in view.aside


def test_what_is_left_out_is_null_with_its_reason_and_what_is_not_stays(mixed: list[Row]) -> None:
    first, *_ = json.loads(JSON.render(across_devices(mixed), claims=False))
    assert {first.get(name) for name in COSTS} == {None} and first["set_bytes"] == mixed[0]["set_bytes"]
    assert first["null_reasons"]["synthesis_s"].startswith("it was taken on NVIDIA A100 (cuda), and rows of other")
    assert (first["device"], first["device_name"], first["machines"]) == (ANY, ANY, ["NVIDIA A100 (cuda)"])
    assert mixed[0]["synthesis_s"] is not None


def test_every_time_and_peak_of_a_row_is_left_out() -> None:
    """A field that is new is one of them by its name."""
    taken = {name for name in fields.MEASURED if name.endswith("_s") or "second" in name or "memory" in name}
    assert taken < set(COSTS) < set(fields.MEASURED)


def test_means_over_seeds_and_scores_are_across_machines(mixed: list[Row]) -> None:
    """Sets of 46.6 and 45.0 on two machines, and random images of 39.4 on one."""
    mean, _ = with_scores(over_seeds(across_devices(mixed)))
    assert (mean["sets"], mean["top1_mean"]) == (2, pytest.approx(45.8))
    assert mean["machines"] == ["NVIDIA A100 (cuda)", "NVIDIA H100 (cuda)"]
    assert {mean.get(name) for name in COSTS} == {None}
    assert mean["scores"]["label_free_gain"] == pytest.approx(6.4)
    first, second, _ = with_scores(across_devices(mixed))
    assert first["scores"]["random_top1"] == second["scores"]["random_top1"] == 39.4


def test_a_ranking_of_one_machine_keeps_its_costs(mixed: list[Row], row: Callable[..., Row]) -> None:
    """Its rows still stand in the same cells as those of others."""
    *_, alone = across_devices([*mixed, row(ipc=50, **A)])
    assert (alone["synthesis_s"], alone["device"]) == (397.1, ANY)
    assert "NVIDIA A100 (cuda), bf16" in rankings([alone])[0].heading


def test_the_arithmetic_still_splits(row: Callable[..., Row]) -> None:
    assert len(rankings(across_devices([row(**A), row(seed=1, precision="tf32", **B)]))) == 2


def test_of_one_machine_nothing_changes(mixed: list[Row], failure: Callable[..., Row]) -> None:
    here = [*mixed[1:], failure(**A)]
    assert across_devices(here) == here
    assert across_devices([*mixed, failure(**A)])[-1] == failure(**A)


def test_a_site_is_refused(tmp_path: Path) -> None:
    ended = CliRunner().invoke(command, ["--across", "device", "-o", f"{tmp_path}/site/", "--runs", str(tmp_path)])
    assert "--across device makes one table" in str(ended.exception)


def test_the_table_says_it(mixed: list[Row]) -> None:
    assert "machines differ" in TABLE.render(across_devices(mixed), claims=False)
    assert "machines differ" not in TABLE.render(across_devices(mixed[1:]), claims=False)
