"""Statistics of any finite numbers are numbers, or blanks with a word: never a traceback."""

import json
import sys
from pathlib import Path

import pytest
from commands import run_bench
from pytest import approx

from bench.conformance.formats import sample_record, sample_spec
from bench.errors import CorruptArtefact
from bench.reporting.statistics.pooling import over_seeds
from bench.reporting.statistics.welch import difference
from bench.results import records
from bench.results.metrics import deviation, mean
from bench.results.records import Record
from bench.results.rows import rows

MOST = sys.float_info.max


def measured(seed: int, *values: float) -> Record:
    """The record of a set whose trainings lost so much, where least is best."""
    score = {"top1": None, "top5": None, "best_top1": None, "epochs": 7, "seconds": 1.5, "primary": "loss"}
    each = [{**score, "metrics": {"loss": {"value": value, "unit": "", "better": "lower"}}} for value in values]
    outcome = {
        **{"protocol_id": "any@1", "backbone": "convnet3", "asked": ["any"], "label_kind": "hard", "status": "done"},
        **{"teacher_backbone": None, "reason": None, "scores": each},
    }
    return sample_record(sample_spec(seed), {"set_bytes": 640, "synthesis_s": 1.0}, {"any": outcome}, {})


@pytest.mark.parametrize(
    ("values", "middle", "spread"),
    [
        ((MOST, MOST, MOST), MOST, 0.0),
        ((MOST, -MOST), 0.0, None),  # a deviation of 1.4 times the largest float
        ((1e155, -1e155), 0.0, 2**0.5 * 1e155),
        ((2.0, 4.0), 3.0, 2**0.5),
    ],
)
def test_means_and_deviations(values: tuple[float, ...], middle: float, spread: float | None) -> None:
    assert mean(values) == approx(middle)
    assert deviation(values) == (None if spread is None else approx(spread))


def test_sets_of_large_numbers_are_pooled() -> None:
    """Two sets of trainings at ±3e200 and ±4e200: deviations over trainings of 3e200 and 4e200 times the root of 2."""
    (one,) = over_seeds(rows([measured(0, 3e200, -3e200), measured(1, 4e200, -4e200)]))
    assert one["within"] == approx(5e200)  # the root of (18 + 32) / 2
    assert one["metrics"]["loss"]["mean"] == one["metrics"]["loss"]["std"] == 0.0


def test_a_difference_that_no_float_holds_is_still_one() -> None:
    found = difference([-MOST, -MOST, -MOST / 2], [MOST, MOST, MOST / 2])
    assert found.value == float("inf") and found.p is not None and found.p < 0.01


@pytest.mark.parametrize(
    "arguments", [(), ("--over", "seed"), ("--pivot", "ipc"), ("--format", "json"), ("-o", "site/")]
)
def test_reports_are_made_of_them(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for seed, values in enumerate([(MOST, MOST), (MOST, -MOST), (-MOST, -MOST)]):
        records.write(tmp_path / "runs" / str(seed), measured(seed, *values))
    ended = run_bench("report", "runs", *arguments, folder=tmp_path)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    if not arguments:
        assert "no deviation of some: it is more than a float holds" in " ".join(ended.stdout.split())


def test_a_comparison_of_them_is_json_and_a_picture_is_refused_in_a_line(tmp_path: Path) -> None:
    for name, values in {"a": (MOST, MOST / 2), "b": (-MOST, -MOST / 2)}.items():
        records.write(tmp_path / name, measured(ord(name), *values))
    (score,) = json.loads(run_bench("compare", "a", "b", "--format", "json", folder=tmp_path).stdout)["scores"]
    assert score["difference"] is None and score["better"] is not None
    drawn = run_bench("report", "a", "b", "-o", "figure.svg", folder=tmp_path)
    assert (drawn.returncode, drawn.stderr.count("\n")) == (2, 1) and "no axis" in drawn.stderr


def test_a_record_of_more_seconds_or_bytes_than_there_can_be_is_none() -> None:
    for costs in ({"synthesis_s": 1e300}, {"set_bytes": 10**400}):
        with pytest.raises(CorruptArtefact, match=next(iter(costs))):
            sample_record(sample_spec(0), costs, {}, {})
