"""The loop that syntheses, trainings, labellings and passes walk: what is saved when, and what is said."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bench.errors import Interrupted
from bench.loops.pace import FirstSteps, Pace
from bench.loops.steps import Loop
from bench.progress import Silent


@dataclass
class Work:
    """Steps that were made, and after how many the state was saved."""

    stop_after: int | None = None
    every: float = 1e9
    made: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    keeps: bool = True

    def loop(self, count: int, pace: Pace | None = None) -> Loop:
        save: Callable[[int], None] | None = self.saved.append if self.keeps else None
        return Loop("work", count, pace or Pace(), Silent(), self.asked, "batches", save, self.every)

    def asked(self) -> bool:
        return self.stop_after is not None and len(self.made) >= self.stop_after

    def run(self, count: int, start: int = 0, pace: Pace | None = None) -> None:
        for step in self.loop(count, pace).walk(start):
            self.made.append(step)


def test_a_stop_saves_what_is_done_and_says_how_much_that_is() -> None:
    work = Work(stop_after=3)
    with pytest.raises(Interrupted, match="stopped after 5 of 9 batches of work"):
        work.run(9, start=2)
    assert (work.made, work.saved) == ([2, 3, 4], [5])


def test_a_stop_after_the_last_step_comes_too_late() -> None:
    work = Work(stop_after=4)
    work.run(4)
    assert (work.made, work.saved) == ([0, 1, 2, 3], [])


def test_attempts_that_are_to_stop_at_once_come_to_the_end_together() -> None:
    made: list[int] = []
    for start in range(3):
        work = Work(stop_after=0)
        with pytest.raises(Interrupted):
            work.run(4, start)
        made += work.made
        assert work.saved == [start + 1]
    Work(stop_after=0, made=made).run(4, 3)
    assert made == [0, 1, 2, 3]


def test_what_keeps_nothing_makes_no_step_that_would_be_lost() -> None:
    work = Work(stop_after=0, keeps=False)
    with pytest.raises(Interrupted, match="stopped after 0 of 1 batches"):
        work.run(1)
    assert work.made == []


def test_where_saving_is_due_at_once_every_step_is_saved() -> None:
    work = Work(every=-1.0)
    work.run(3)
    assert work.saved == [1, 2, 3]


def test_a_trial_saves_nothing_of_its_own_accord() -> None:
    work = Work()
    work.run(9, pace=FirstSteps(2))
    assert (work.made, work.saved) == ([0, 1], [])
