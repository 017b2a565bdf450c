"""`bench reproduce --wait`: cells whose images are still being copied, and plans that train nothing."""

import json
from itertools import count, islice
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from child_work import children_here
from commands import run_bench
from PIL import Image
from their_table import CLAIMS, HEAD, PLUGIN, TABLE, Reproduce

from bench.cli import reproducing
from bench.cli.reproducing import Reproduction
from bench.data import fingerprints, opening
from bench.data.cards import DatasetCard
from bench.data.datasets import Split
from bench.errors import RunFailure, UsageError
from bench.planning.placing import Placed
from bench.planning.planner import Planner
from bench.results.published import Cell
from bench.running.executors import Skipped

CARD = """
name = "flowers"
resolution = 8
normalisation = "imagenet"
images = { train = 8, test = 4 }
[[sources]]
layout = "image-folder"
"""
FLOWERS = """

@hookimpl
def bench_datasets():
    return [Offer("flowers", HERE / "flowers.toml", "two kinds")]
"""


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reproduce:
    """`bench reproduce theirs`, its first cell on digits, its second on images that are copied while it waits."""
    claims = CLAIMS.splitlines(keepends=True)[0].format(value=50)
    (tmp_path / "theirs.py").write_text(PLUGIN + FLOWERS)
    (tmp_path / "table.toml").write_text(TABLE)
    (tmp_path / "flowers.toml").write_text(CARD)
    (tmp_path / "claims.csv").write_text(HEAD + claims + claims.replace("digits,10", "flowers,2"))
    every = [(split, kind, number) for split in ("train", "test") for kind in ("daisy", "rose") for number in range(4)]
    waiting = iter([each for each in every if each[0] == "train" or each[2] < 2])

    def copied(_: float) -> None:
        for split, kind, number in islice(waiting, 3):
            path = tmp_path / "data" / split / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)

    monkeypatch.setattr("bench.cli.reproducing.sleep", copied)

    def done(*words: str) -> "CompletedProcess[str]":
        place = ("--plugin", str(tmp_path / "theirs.py"), "--runs", str(tmp_path / "runs"))
        with children_here():
            found = ("--data-root", str(tmp_path / "data"), "--eval-seeds", "1", "--budget", "quick")
            return run_bench("reproduce", "theirs", *place, *found, *words, folder=tmp_path)

    return done


def test_cells_whose_data_is_still_being_copied_are_waited_for(late: Reproduce) -> None:
    done = late("--wait", "1m", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [(row["dataset"], row["status"]) for row in json.loads(done.stdout)] == [
        ("digits", "done"),
        ("flowers", "done"),
    ]
    said = done.stderr.splitlines()
    waited = next(number for number, line in enumerate(said) if line.startswith("waiting for flowers"))
    assert any("random-digits" in line and "done" in line for line in said[:waited])


def test_data_that_does_not_come_in_time_is_told_beside_what_was_measured(
    late: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = count(0, 1000)  # each look at the clock is later: three pictures come
    monkeypatch.setattr("bench.cli.reproducing.monotonic", lambda: float(next(now)))
    done = late("--cells", "1,2", "--wait", "30m")
    assert done.returncode == 1, done.stderr  # a cell that was named was not run
    said = " ".join(done.stdout.split())
    assert "cell 1: skipped" not in said
    assert "cell 2: skipped: " in said and "has only the class daisy" in said


@pytest.fixture
def untrained(late: Reproduce, monkeypatch: pytest.MonkeyPatch) -> Reproduce:
    """The same, but the cells are another process's: each is planned, and none is trained."""
    monkeypatch.setattr("bench.cli.reproducing.tried", lambda *_: [])
    monkeypatch.setattr(
        "bench.cli.reproducing.carried_out", lambda _, jobs, __: ([Skipped(job, "busy") for job in jobs], False)
    )
    return late


def raises_for_flowers(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    whole = getattr(Reproduction, step)

    def worked(self: Reproduction, *words: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever the step takes
        if any(each.part.wanted.dataset == "flowers" for each in words[0]):
            raise error
        return whole(self, *words, **more)

    monkeypatch.setattr(Reproduction, step, worked)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (UsageError("nobody to hire"), 2)])
def test_whatever_ends_the_wait_what_was_measured_before_is_told(
    untrained: Reproduce, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    raises_for_flowers(monkeypatch, "_executor", error)
    done = untrained("--wait", "1m", "--format", "json")
    assert done.returncode == status
    assert [(row["dataset"], row["status"]) for row in json.loads(done.stdout)] == [("digits", "skipped")]
    assert done.stderr.splitlines()[-1].startswith("bench: ")


def test_a_named_cell_that_turns_out_impossible_later_is_told_beside_the_others(
    untrained: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = vars(reproducing)["place"]

    def placed(cell: Cell, planner: Planner) -> Placed[Cell]:
        found: Placed[Cell] = whole(cell, planner)
        if cell.wanted.dataset == "flowers":
            raise UsageError("too few of them")
        return found

    monkeypatch.setattr("bench.cli.reproducing.place", placed)
    done = untrained("--cells", "1,2", "--wait", "1m")
    assert done.returncode == 1
    assert "cell 1: skipped: busy" in done.stdout
    assert "cell 2: skipped: too few of them" in done.stdout


def test_data_that_is_half_copied_when_the_time_is_over_makes_no_failed_run(
    untrained: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, now = vars(opening)["_open_split"], count(0, 1000)

    def opened(card: DatasetCard, *words: Any) -> Split:  # noqa: ANN401 - what else it takes
        if card.name == "flowers":
            raise RunFailure("corrupt file: data/test/rose/1.png ends early")
        split: Split = whole(card, *words)
        return split

    monkeypatch.setattr(opening, "_open_split", opened)
    monkeypatch.setattr("bench.cli.reproducing.monotonic", lambda: float(next(now)))
    copied = vars(reproducing)["sleep"]
    copied(0.0)
    done = untrained("--wait", "30m", "--format", "json")
    assert [(row["dataset"], row["reason"]) for row in json.loads(done.stdout)] == [
        ("digits", "busy"),
        ("flowers", "corrupt file: data/test/rose/1.png ends early"),
    ]


def test_files_that_stand_still_are_read_once_however_long_they_are_waited_for(
    untrained: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, copied, read = count(0, 60), islice(count(), 2), Mock(wraps=fingerprints._content)
    few_at_a_time = vars(reproducing)["sleep"]
    monkeypatch.setattr("bench.cli.reproducing.monotonic", lambda: float(next(now)))
    monkeypatch.setattr("bench.cli.reproducing.sleep", lambda seconds: [few_at_a_time(seconds) for _ in copied])
    monkeypatch.setattr("bench.data.fingerprints._content", read)
    done = untrained("--wait", "30m")
    assert "flowers" in done.stdout
    assert sum(call.args[0].layout == "image-folder" for call in read.call_args_list) == 2  # looked at, then planned
    assert done.stderr.count("waiting for flowers") == 1


def test_a_wrong_number_in_the_environment_is_not_waited_for(
    untrained: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DECODED_GB", "many")
    done = untrained("--wait", "1m")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: BENCH_DECODED_GB takes gigabytes, as 200, not 'many'\n"


def test_a_plan_names_the_cells_that_will_not_be_judged(untrained: Reproduce, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.reproducing.foreseen", lambda cell, _: ["its recipe is ours"] * cell.number)
    said = untrained("--cells", "1").stderr.splitlines()
    assert 'cell 1: will be "not the same", whatever is measured: its recipe is ours' in said
