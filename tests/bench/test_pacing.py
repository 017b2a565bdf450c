"""How far loops go."""

import time

import pytest
import torch

from bench.pacing import Few, Pace, Trial


def test_a_real_run_walks_every_step() -> None:
    assert list(Pace().walk("loop", 2, 6)) == [2, 3, 4, 5]


def test_few_steps_are_the_first() -> None:
    assert list(Few(3).walk("loop", 0, 10)) == [0, 1, 2]
    assert list(Few(3).walk("loop", 8, 10)) == [8, 9]
    assert list(Few(0).walk("loop", 0, 10)) == []


def test_slow_steps_are_fewer_but_not_fewer_than_the_least() -> None:
    def walked(pace: Few) -> int:
        count = 0
        for _ in pace.walk("loop", 0, 50):
            time.sleep(0.002)
            count += 1
        return count

    assert walked(Few(20, least=4, seconds=0.0)) == 4
    assert walked(Few(20, least=4, seconds=60.0)) == 20


def test_pieces_that_cost_the_same_are_all_done_or_only_the_first() -> None:
    assert list(Pace().alike("experts", 3)) == [0, 1, 2]
    assert list(Few(0).alike("experts", 3)) == [0]
    assert list(Few(0).alike("experts", 0)) == []


def test_in_a_trial_the_first_piece_that_is_not_there_speaks_for_the_rest() -> None:
    """Pieces 0 and 1 are cached and walk no loop; the third walks two, and stands for itself and seven others."""
    trial = Trial(torch.device("cpu"))
    done = []
    for index in trial.alike("experts", 10):
        done.append(index)
        if index == 2:
            for _ in trial.walk("training", 0, 1000):
                time.sleep(0.001)
            for _ in trial.walk("testing", 0, 4):
                time.sleep(0.001)
    assert done == [0, 1, 2]
    training, testing, rest = trial.samples
    assert rest.steps == 7
    assert rest.whole_s == pytest.approx(7 * (training.whole_s + testing.whole_s))
    assert rest.whole_s > 7.0
