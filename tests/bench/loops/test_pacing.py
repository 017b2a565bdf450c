"""How far loops go."""

import time
from collections.abc import Sequence

import pytest
import torch

from bench.loops.pace import (
    TRIAL_SECONDS,
    TRIAL_STEPS,
    TRIAL_WARM_UP,
    WALKING_SECONDS,
    FirstSteps,
    Pace,
    Postponed,
    Trial,
)


def test_a_real_run_walks_every_step() -> None:
    assert list(Pace().walk("loop", 2, 6)) == [2, 3, 4, 5]


def test_few_steps_are_the_first() -> None:
    assert list(FirstSteps(3).walk("loop", 0, 10)) == [0, 1, 2]
    assert list(FirstSteps(3).walk("loop", 8, 10)) == [8, 9]
    assert list(FirstSteps(0).walk("loop", 0, 10)) == []


def test_slow_steps_are_fewer_but_not_fewer_than_the_least() -> None:
    def walked(pace: FirstSteps) -> int:
        count = 0
        for _ in pace.walk("loop", 0, 50):
            time.sleep(0.002)
            count += 1
        return count

    assert walked(FirstSteps(20, least=4, seconds=0.0)) == 4
    assert walked(FirstSteps(20, least=4, seconds=60.0)) == 20


def test_pieces_that_cost_the_same_are_all_done_or_only_the_first() -> None:
    assert list(Pace().alike("experts", 3)) == [0, 1, 2]
    assert list(FirstSteps(0).alike("experts", 3)) == [0]
    assert list(FirstSteps(0).alike("experts", 0)) == []


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


class Steps:
    """A trial on a clock that goes by steps alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.trial = 0.0, Trial(torch.device("cpu"))
        monkeypatch.setattr("bench.loops.pace.time.perf_counter", lambda: self.now)

    def walk(self, count: int, *lasting: float) -> int:
        """How many of `count` steps are tried that take so many seconds each, the last of these from there on."""
        tried = 0
        for step in self.trial.walk("loop", 0, count):
            self.now += lasting[min(step, len(lasting) - 1)]
            tried += 1
        return tried


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.mark.parametrize(
    ("ready_s", "step_s", "tried"),
    [
        (0.0, 0.001, TRIAL_WARM_UP + TRIAL_STEPS),
        (0.0, 2.0, 6),  # 12 s are the first to be more than 10
        (7.0, 2.0, 2),  # what made the steps ready is part of them
        (60.0, 0.5, 5),  # 2 s are kept for the steps themselves
        (60.0, 90.0, 1),
        (0.0, 90.0, 1),
    ],
)
def test_a_trial_has_some_seconds_for_a_loop_and_ends_the_step_under_way(
    steps: Steps, ready_s: float, step_s: float, tried: int
) -> None:
    assert (TRIAL_SECONDS, WALKING_SECONDS) == (10.0, 2.0)
    steps.trial.ready(ready_s)
    assert steps.walk(1000, step_s) == tried
    (sample,) = steps.trial.samples
    assert sample.whole_s == pytest.approx(1000 * step_s)
    assert steps.walk(1000, 2.0) == 6  # the next loop has its own


@pytest.mark.parametrize(
    ("count", "lasting", "notes"),
    [
        (500, [90.0], ["loop stands on 1 of 500 steps, the last of 90 s"]),
        (500, [9.0, 4.0], ["loop stands on 2 of 500 steps, the last of 4.0 s"]),
        (500, [1.0], []),
        (2, [4.0], []),  # all that there are
    ],
)
def test_a_trial_says_on_how_few_steps_it_stands(
    steps: Steps, count: int, lasting: Sequence[float], notes: list[str]
) -> None:
    steps.walk(count, *lasting)
    steps.walk(count, *lasting)
    assert steps.trial.notes() == notes
    assert steps.trial.notes(first=2) == []


def test_what_is_left_to_the_run_is_counted_as_the_run_will_do_it(steps: Steps) -> None:
    """1,000 steps of 0.5 s and 40 % saved of them; compiling is not part of what each piece of work takes."""
    for _ in steps.trial.alike("experts", 4):
        steps.trial.postpone(Postponed("loop", 26.0, saved=0.4, certain=False))
        steps.walk(1000, 0.5)
    walked, compiled, rest = steps.trial.samples
    assert walked.whole_s == pytest.approx(300.0)
    assert (compiled.whole_s, compiled.once) == (26.0, True)
    assert rest.whole_s == pytest.approx(3 * 300.0)
    (note,) = steps.trial.notes()
    assert note == "loop was tried uncompiled; the run compiles it, taken to need 26 s and to save 40% of a step"
    steps.walk(1000, 0.5)  # it was of the loop before
    assert steps.trial.samples[-1].whole_s == pytest.approx(500.0)


def test_of_several_parts_that_are_left_to_the_run_the_least_saving_counts(steps: Steps) -> None:
    for saved, seconds in ((0.5, 10.0), (0.2, 10.0), (0.1, 60.0)):  # the last would save 50 s of 500
        steps.trial.postpone(Postponed("part", seconds, saved, certain=False))
    steps.walk(1000, 0.5)
    walked, compiled = steps.trial.samples
    assert [walked.whole_s, compiled.whole_s] == pytest.approx([400.0, 20.0])


@pytest.mark.parametrize(("certain", "seconds"), [(False, [50.0]), (True, [30.0, 26.0])])
def test_the_run_compiles_where_that_pays_or_where_it_is_told_to(
    steps: Steps, certain: bool, seconds: list[float]
) -> None:
    """100 steps of 0.5 s: 20 s saved."""
    steps.trial.postpone(Postponed("loop", 26.0, saved=0.4, certain=certain))
    steps.walk(100, 0.5)
    assert [sample.whole_s for sample in steps.trial.samples] == pytest.approx(seconds)
    assert bool(steps.trial.notes()) is certain


def test_of_a_step_that_is_too_long_a_trial_makes_few_pieces_and_counts_all(steps: Steps) -> None:
    """Twenty pieces of 3 s: two of them are a step of 6 s that stands for 60."""
    for _ in steps.trial.walk("match", 0, 5000):
        steps.now += 3.0 * steps.trial.part(20)
    (sample,) = steps.trial.samples
    assert [sample.whole_s, sample.spent_s] == pytest.approx([5000 * 60.0, 12.0])
    few, pieces = steps.trial.notes()
    assert few == "match stands on 2 of 5000 steps, the last of 60 s"
    assert pieces == "of a step of match 2 of 20 pieces were made; the peak of memory of all may be higher"


def test_of_a_step_that_fits_a_trial_makes_all_pieces_but_in_the_first(steps: Steps) -> None:
    made = []
    for _ in steps.trial.walk("match", 0, 5000):
        made.append(steps.trial.part(20))
        steps.now += 0.01 * made[-1]
    assert made[0] == 2 and set(made[1:]) == {20}
    (sample,) = steps.trial.samples
    assert sample.whole_s == pytest.approx(5000 * 0.2)
    assert steps.trial.notes() == []
    assert Pace().part(20) == FirstSteps(1).part(20) == 20
