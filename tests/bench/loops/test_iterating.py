"""The loop of a synthesis: metered, checkpointed, guarded, stoppable."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.errors import Interrupted, RunFailure
from bench.hardware.meters import IterationTimes
from bench.loops.checkpoints import State
from bench.loops.iterations import WARM_UP_STEPS, window
from bench.loops.pace import FirstSteps
from bench.testing import tiny_dataset, tiny_task

TINY = tiny_dataset()


class Descent:
    """Adam on a small quadratic: a stand-in for a synthesis, with a stop after some steps."""

    def __init__(
        self, folder: Path, stop_after: int | None = None, should_stop: Callable[[], bool] | None = None
    ) -> None:
        self.images = torch.linspace(-1, 1, 6).requires_grad_()
        self.optimizer = torch.optim.Adam([self.images], lr=0.1)
        self.steps, self.folder = 0, folder
        self.times = IterationTimes()
        self.should_stop = should_stop or (lambda: stop_after is not None and self.steps >= stop_after)

    def run(self, count: int, state: State | None = None) -> Tensor:
        state = {"images": self.images, "optimizer": self.optimizer} if state is None else state
        task = replace(tiny_task(self.folder, dataset=TINY, workspace=""), checkpoint_seconds=1e9)
        task.times, task.should_stop = self.times, self.should_stop
        for iteration in task.iterations(count, images=3, state=state, what="descent"):
            self.optimizer.zero_grad()
            ((self.images - iteration) ** 2).sum().backward()
            self.optimizer.step()
            self.steps += 1
        return self.images.detach().clone()


def test_a_stopped_loop_continues_to_bit_identical_images(tmp_path: Path) -> None:
    unbroken = Descent(tmp_path / "a").run(30)
    stopped = Descent(tmp_path / "b", stop_after=12)
    with pytest.raises(Interrupted, match="after 12 of 30"):
        stopped.run(30)
    continued = Descent(tmp_path / "b")
    assert torch.equal(continued.run(30), unbroken)
    assert continued.steps == 18


@pytest.mark.parametrize("asked", [12, 13])
def test_whenever_the_stop_is_asked_for_there_is_a_checkpoint(tmp_path: Path, asked: int) -> None:
    answers = chain(repeat(False, asked), repeat(True))
    stopped = Descent(tmp_path, should_stop=lambda: next(answers))
    with pytest.raises(Interrupted):
        stopped.run(30)
    continued = Descent(tmp_path)
    continued.run(30)
    assert continued.steps == 30 - stopped.steps


def test_a_corrupt_checkpoint_is_set_aside_and_the_loop_starts_over(tmp_path: Path) -> None:
    stopped = Descent(tmp_path, stop_after=12)
    with pytest.raises(Interrupted):
        stopped.run(30)
    checkpoint = tmp_path / "descent.checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    again = Descent(tmp_path)
    assert torch.equal(again.run(30), Descent(tmp_path / "fresh").run(30))
    assert again.steps == 30
    assert (tmp_path / "descent.checkpoint.safetensors.corrupt-1").exists()


def test_every_step_after_the_warm_up_is_a_window_on_the_cpu(tmp_path: Path) -> None:
    descent = Descent(tmp_path)
    descent.run(20)
    assert len(descent.times.windows) == 20 - WARM_UP_STEPS
    assert descent.times.iterations == 20
    assert descent.times.warm_up_s > 0
    spread = descent.times.milliseconds()
    assert spread is not None
    assert 0 < spread["p20"] <= spread["median"] <= spread["p80"]


def test_a_continued_loop_reports_the_windows_of_both_parts(tmp_path: Path) -> None:
    stopped = Descent(tmp_path, stop_after=12)
    with pytest.raises(Interrupted):
        stopped.run(30)
    continued = Descent(tmp_path)
    continued.run(30)
    assert len(continued.times.windows) == (12 - WARM_UP_STEPS) + (18 - WARM_UP_STEPS)
    assert continued.times.carried_s > 0


def test_nan_in_a_watched_tensor_ends_the_run_with_its_name(tmp_path: Path) -> None:
    descent = Descent(tmp_path)
    poisoned = torch.tensor([1.0, float("nan")])
    with pytest.raises(RunFailure, match=r"poison held NaN .* 25 iterations of descent"):
        descent.run(60, state={"poison": poisoned})


def test_a_checkpoint_never_holds_nan(tmp_path: Path) -> None:
    stopped = Descent(tmp_path, stop_after=4)
    with pytest.raises(RunFailure, match=r"poison held NaN .* 4 iterations"):
        stopped.run(30, state={"poison": torch.tensor([float("nan")])})
    assert not (tmp_path / "descent.checkpoint.safetensors").exists()


def test_a_loop_of_one_iteration_is_all_warm_up(tmp_path: Path) -> None:
    descent = Descent(tmp_path)
    descent.run(1)
    assert descent.times.milliseconds() is None
    assert descent.times.iterations == 1


def test_steps_that_take_turns_are_timed_a_whole_turn_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three kinds of steps of 1, 2 and 6 seconds, two images in each: 1.5 s an image; the median step has 1."""
    now = [0.0]
    monkeypatch.setattr("bench.hardware.meters.time.perf_counter", lambda: now[0])
    task = tiny_task(tmp_path, dataset=TINY)
    for iteration in task.iterations(15, images=2, what="turns", cycle=3):
        now[0] += (1.0, 2.0, 6.0)[iteration % 3]
    assert task.times.windows == [1.5] * 4
    assert task.times.timed == 12


class SlowToSave:
    """A state of which a look takes a minute."""

    def __init__(self, now: list[float]) -> None:
        self.now = now

    def state_dict(self) -> dict[str, float]:
        self.now[0] += 60.0
        return {}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        raise AssertionError("nothing was saved before")


@pytest.mark.parametrize("cycle", [1, 4, 30])
def test_a_window_goes_on_after_looks_for_nan_and_checkpoints_and_holds_neither(
    cycle: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of steps of a second, each of them saved; a turn of 30 steps is longer than the 25 between two looks for NaN."""
    now = [0.0]
    monkeypatch.setattr("bench.hardware.meters.time.perf_counter", lambda: now[0])
    task = replace(tiny_task(tmp_path, dataset=TINY, workspace=""), checkpoint_seconds=0.0)
    for _ in task.iterations(WARM_UP_STEPS + 60, images=2, state={"slow": SlowToSave(now)}, cycle=cycle):
        now[0] += 1.0
    assert now[0] > 60 * 60, "it was saved"
    assert task.times.windows == pytest.approx([0.5] * (60 // cycle))
    assert task.times.timed == 60


@pytest.mark.parametrize(
    ("last", "windows"), [(2, []), (3, []), (4, []), (9, [1.0] * 5)], ids=["warming", "warm", "first", "later"]
)
def test_a_loop_that_its_method_leaves_is_metered_until_there(
    last: int, windows: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By early stopping, in steps of two seconds: all but the one in which it is left, which may be no whole one."""
    now = [0.0]
    monkeypatch.setattr("bench.hardware.meters.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("bench.loops.iterations.time.monotonic", lambda: now[0])
    task = tiny_task(tmp_path, dataset=TINY)
    for iteration in task.iterations(30, images=2):
        now[0] += 2.0
        if iteration + 1 == last:
            break
    assert task.times.iterations == last
    assert task.times.windows == windows
    assert task.times.warm_up_s == 2.0 * min(last, WARM_UP_STEPS)


def test_what_is_left_of_a_continued_loop_may_be_all_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 steps of a second an attempt makes 28, of which 3 warm up, and the next one 2."""
    now = [0.0]
    monkeypatch.setattr("bench.loops.iterations.time.monotonic", lambda: now[0])

    def attempt(most: float) -> IterationTimes:
        task = replace(tiny_task(tmp_path, dataset=TINY, workspace=""), checkpoint_seconds=1e9)
        began, task.should_stop = now[0], lambda: now[0] - began >= most
        for _ in task.iterations(30, images=1, state={"images": torch.zeros(1)}):
            now[0] += 1.0
        return task.times

    with pytest.raises(Interrupted):
        attempt(28)
    assert attempt(torch.inf).warm_up_s == 3.0 + 2.0


@pytest.mark.parametrize(
    ("device", "cycle", "expected"), [("cpu", 1, 1), ("cpu", 5, 5), ("cuda", 1, 10), ("cuda", 4, 12)]
)
def test_a_window_holds_whole_turns(device: str, cycle: int, expected: int) -> None:
    assert window(torch.device(device), cycle) == expected


def test_a_pace_of_few_steps_fills_a_window_of_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps on a GPU, where `bench speed --iterations 2` else timed none."""
    monkeypatch.setattr("bench.loops.iterations.window", lambda device, cycle: 10)
    task = replace(tiny_task(tmp_path, dataset=TINY, workspace=""), pace=FirstSteps(5))
    assert len(list(task.iterations(50, images=1))) == 13
    assert task.times.timed == 10


def test_the_warm_up_ends_when_the_device_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("bench.loops.iterations.synchronize", lambda device: told.append("waited"))
    told.extend(f"step {step}" for step in tiny_task(tmp_path, dataset=TINY, workspace="").iterations(6, images=1))
    assert told.index("waited") == WARM_UP_STEPS and told.count("waited") == 1


def test_a_pace_of_few_steps_makes_as_many_as_a_turn_has() -> None:
    assert list(FirstSteps(2, 1, seconds=0.0).at_least(5).walk("turns", 0, 9)) == [0, 1, 2, 3, 4]
    assert list(FirstSteps(0).at_least(5).walk("turns", 0, 9)) == []


def test_what_no_checkpoint_holds_is_refused_when_the_loop_begins(tmp_path: Path) -> None:
    task = tiny_task(tmp_path, dataset=TINY)
    with pytest.raises(RunFailure, match=r"^the state of a loop: 'step' is a int; values are tensors, or have state_"):
        next(task.iterations(3, images=1, state={"images": torch.zeros(1), "step": 3}))  # type: ignore[dict-item]
