"""Loops without state."""

from dataclasses import replace
from pathlib import Path

import pytest
from ears import Ear

from bench.condensation import Task
from bench.errors import Interrupted
from bench.loops.pace import FirstSteps
from bench.loops.passes import walk
from bench.testing import tiny_task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return replace(tiny_task(tmp_path), progress=Ear())


def test_every_step_is_made_and_the_last_is_told(task: Task) -> None:
    assert list(walk(task, "pass", 7)) == list(range(7))
    assert isinstance(task.progress, Ear) and task.progress.seen[-1] == ("pass", 7, 7)


def test_a_trial_makes_the_first_steps(task: Task) -> None:
    assert list(walk(replace(task, pace=FirstSteps(2)), "pass", 7)) == [0, 1]


def test_it_stops_before_the_next_step(task: Task) -> None:
    made: list[int] = []
    with pytest.raises(Interrupted, match="stopped after 3 of 7 steps of pass"):
        made.extend(walk(replace(task, should_stop=lambda: len(made) > 2), "pass", 7))
    assert made == [0, 1, 2]


def test_short_loops_in_a_row_stop_too(task: Task) -> None:
    with pytest.raises(Interrupted, match="stopped after 0 of 1 steps of pass"):
        list(walk(replace(task, should_stop=lambda: True), "pass", 1))
