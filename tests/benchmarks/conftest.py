"""Speeds as ratios to a plain reference called in turn, because times of different machines, or hours, do not compare.

    pytest tests/benchmarks -n 0 --benchmark-enable                    # each ratio beside the one of baseline.json
    pytest tests/benchmarks -n 0 --benchmark-enable --keep-baseline    # baseline.json := the ratios of this run

-n 0: in this process, with all its threads; workers beside one another time nothing.
Without --benchmark-enable each runs once on little work, to see that it still does. No test asserts a time.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from racing import Race

from bench.hardware.allocator import keep_freed_memory
from bench.running.executors.processes import child_environment

_OF_RUNS = child_environment(Path())  # how a run's process is set up, which must stand before torch is loaded
os.environ |= {name: value for name, value in _OF_RUNS.items() if name == "GOMP_SPINCOUNT"}

BASELINE = Path(__file__).with_name("baseline.json")
SLOWER = 0.85  # of the baseline's ratio; less is worth a look, and machines vary by about a tenth
RATIOS = pytest.StashKey[dict[str, float]]()


@pytest.fixture
def race(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Race:
    """One competitor's place in a race."""
    return Race(benchmark, request.config.stash.setdefault(RATIOS, {}))


def pytest_configure(config: pytest.Config) -> None:
    """What is timed runs as runs do."""
    if config.getoption("benchmark_enable"):
        keep_freed_memory()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--keep-baseline."""
    parser.addoption("--keep-baseline", action="store_true", help="Keep this run's ratios in tests/benchmarks.")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The ratios of this run beside the baseline's."""
    ratios = config.stash.get(RATIOS, dict[str, float]())
    if not ratios:
        return
    kept = _baseline()
    terminalreporter.section(f"times as fast as the reference (baseline: {kept['machine']})")
    for name, ratio in ratios.items():
        before = kept["ratios"].get(name)
        slower = "  SLOWER" if before and ratio < SLOWER * before else ""
        terminalreporter.line(f"{ratio:8.2f}  {f'({before:.2f})' if before else '(new)':>9}  {name}{slower}")
    if config.getoption("--keep-baseline", default=False):
        import torch

        from bench.hardware.devices import processor

        machine = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__.partition('+')[0]}"
        every = {**kept["ratios"], **{name: round(ratio, 3) for name, ratio in ratios.items()}}
        BASELINE.write_text(json.dumps({"machine": machine, "ratios": every}, indent=2) + "\n")


def _baseline() -> dict[str, Any]:
    empty: dict[str, Any] = {"machine": "none", "ratios": {}}
    return dict(json.loads(BASELINE.read_text())) if BASELINE.exists() else empty
