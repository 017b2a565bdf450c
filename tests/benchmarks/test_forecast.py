"""What --dry-run foretells, held against the run that follows."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from benching import Bench
from child_work import children_here
from racing import Race

TOLERANCE = 0.25  # of the run's own time and peak memory
LITTLE = ("--set", "squeeze.epochs=2", "--set", "recover.iterations=30")
MUCH = ("--set", "squeeze.epochs=150", "--set", "recover.iterations=8000", "--eval-seeds", "3")


def spoken(bench: Bench, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    ended = bench.typed("-m", "sre2l", "--no-control", "--format", "json", *arguments)
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    return row


def seconds(row: dict[str, Any]) -> float:
    return sum(row[stage] or 0.0 for stage in ("prepare_s", "synthesis_s", "label_s", "evaluation_s"))


def test_a_dry_run_foretells_the_run(race: Race, tmp_path: Path) -> None:
    """In earnest: to within a quarter of its own time and memory, each in a process of its own."""
    bench, work = Bench(tmp_path), MUCH if race.in_earnest else LITTLE
    with nullcontext() if race.in_earnest else children_here():
        forecast = spoken(bench, *work, "--dry-run")
        run = race.once("a run of digits", lambda: spoken(bench, *work))
    assert forecast["run"] == run["run"]
    assert forecast["total_s"] > 0
    if race.in_earnest:
        assert forecast["total_s"] == pytest.approx(seconds(run), rel=TOLERANCE)
        peaks = [each["peak_memory_bytes"]["rss"] for each in (forecast, run)]
        assert peaks[0] == pytest.approx(peaks[1], rel=TOLERANCE)
