"""Whether to compile: what was asked for, what is lacking, what pays; and that the choice stays made."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from benching import Ear
from damage import misread
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from bench import compiling
from bench.compiling import (
    AGAIN,
    FIXED_S,
    LAYER_S,
    TIMED,
    WARM_UP,
    Choice,
    Workload,
    _seconds_of,
    compiled_where_it_pays,
    missing_compiler,
)
from bench.condensation import Task
from bench.errors import Interrupted, RunFailure
from bench.loops.pace import Postponed, Trial
from bench.storage.shared.stages import Made
from bench.testing import tiny_task

CPU = torch.device("cpu")
SHORT = Workload("loop", nn.ReLU(), (1, 2), steps=10, saved=0.5)
LONG = replace(SHORT, steps=10**7)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return replace(tiny_task(tmp_path), compile="auto")


@pytest.fixture(autouse=True)
def _compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: None)


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch.compile hands out a function that says so; which functions were called."""
    made: list[str] = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda: made.append("compiled"))
    return made


def choose(task: Task, work: Workload, step: Callable[[], object]) -> Choice:
    """The choice over a function that makes such a step."""
    before = step

    def run(function: Callable[[], object]) -> object:
        return function()

    compiled_where_it_pays(task, work, before, run)
    noted = dict(task.measured.compiled[work.what])
    assert noted.pop("seconds") >= 0
    return Choice(**noted)


def a_millisecond() -> None:
    time.sleep(0.001)


def test_a_short_loop_is_not_compiled_and_a_long_one_is(task: Task) -> None:
    short, long = choose(task, SHORT, a_millisecond), choose(task, LONG, a_millisecond)
    assert not short.compiled and short.why.startswith("10 steps of ")
    assert long.compiled and "compiling saves about" in long.why and f"takes about {FIXED_S:.0f} s" in long.why


def test_what_a_step_would_save_counts(task: Task) -> None:
    steps = int(2 * FIXED_S / 0.001)  # twice what compiling takes, were it to save everything
    assert choose(task, replace(SHORT, steps=steps, saved=0.95), a_millisecond).compiled
    assert not choose(task, replace(SHORT, steps=steps, saved=0.05), a_millisecond).compiled


def test_the_choice_is_recorded_and_costs_the_method_nothing(task: Task) -> None:
    choice = choose(task, SHORT, a_millisecond)
    assert not choice.compiled and task.measured.compiled["loop"]["why"] == choice.why
    assert task.used_stages == {}


def test_a_choice_stays_made(task: Task, calls: list[str]) -> None:
    first = choose(task, SHORT, lambda: calls.append("plain"))
    assert len(calls) == WARM_UP + TIMED
    assert choose(replace(task, facts={}), SHORT, a_millisecond) == first
    assert len(calls) == WARM_UP + TIMED


@pytest.mark.parametrize("other", [LONG, replace(SHORT, shape=(3, 2)), replace(SHORT, network=nn.Linear(2, 2))])
def test_other_work_is_measured_anew(task: Task, other: Workload, calls: list[str]) -> None:
    choose(task, SHORT, a_millisecond)
    choose(task, other, lambda: calls.append("plain"))
    assert "plain" in calls


@pytest.mark.parametrize(("asked", "compiled"), [("always", True), ("never", False)])
def test_what_was_asked_for_is_done_without_measuring(task: Task, asked: str, compiled: bool) -> None:
    told = replace(task, compile=asked)  # type: ignore[arg-type]
    assert choose(told, SHORT, lambda: pytest.fail("measured")).compiled is compiled


def test_without_a_compiler_nothing_is_compiled_and_the_record_says_so(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "missing_compiler", missing_compiler)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not choose(task, LONG, lambda: pytest.fail("measured")).compiled
    assert "there is no C++ compiler" in task.measured.compiled["loop"]["why"]
    with pytest.raises(RunFailure, match="nothing can be compiled here: there is no C"):
        choose(replace(task, compile="always"), LONG, a_millisecond)


def without_compiler(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: "nothing here")
    return monkeypatch


def test_what_began_without_a_compiler_ends_without_and_nothing_else_does(
    task: Task, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run continues bit for bit though a compiler was installed since; others with the same cache use that."""
    other = replace(task, workspace=tmp_path / "other")
    with monkeypatch.context() as lacking:
        without_compiler(lacking)
        assert choose(task, LONG, a_millisecond) == Choice(compiled=False, why="nothing here")
    for _ in range(2):
        continued = choose(task, LONG, lambda: pytest.fail("measured"))
        assert continued == Choice(compiled=False, why="as it began: nothing here")
    assert choose(other, LONG, a_millisecond).compiled
    assert not choose(task, LONG, lambda: pytest.fail("measured")).compiled
    assert choose(replace(task, compile="always"), LONG, a_millisecond).compiled


def test_want_of_a_compiler_replaces_no_choice_that_was_measured(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = choose(task, LONG, a_millisecond)
    with monkeypatch.context() as lacking:
        without_compiler(lacking)
        assert not choose(replace(task, workspace=tmp_path / "other"), LONG, a_millisecond).compiled
    assert choose(task, LONG, lambda: None) == measured


def test_a_stage_that_began_without_a_compiler_ends_without_whoever_ends_it(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, made = replace(task, workspace=tmp_path / "other"), list[bool]()

    def make(by: Task, stop: bool) -> Made:
        made.append(choose(by, LONG, a_millisecond).compiled)
        if stop:
            raise Interrupted("stopped")
        return Made({}, {})

    with monkeypatch.context() as lacking, pytest.raises(Interrupted):
        without_compiler(lacking)
        task.stage("experts", 1, {"seed": 0}, lambda _: make(task, stop=True))
    other.stage("experts", 1, {"seed": 0}, lambda _: make(other, stop=False))
    other.stage("experts", 1, {"seed": 1}, lambda _: make(other, stop=False))
    assert made == [False, False, True]
    assert not list(task.workspace.iterdir()), "it is the stage's choice, not the run's"


def test_a_choice_holds_for_the_torch_and_the_processor_it_was_measured_with(
    task: Task, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured() -> bool:
        calls.clear()
        choose(task, SHORT, lambda: calls.append("plain"))
        return bool(calls)

    assert measured() and not measured()
    with monkeypatch.context() as later:
        later.setattr(torch, "__version__", "99.0")
        assert measured() and not measured()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("bench.hardware.devices.processor", lambda: "another processor")
        assert measured() and not measured()
    assert not measured()


def test_what_is_possible_is_compiled_without_measuring(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    eager = replace(task, compile="possible")
    assert choose(eager, SHORT, lambda: pytest.fail("measured")) == Choice(compiled=True, why="it can be")
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: "nothing here")
    assert choose(eager, SHORT, lambda: pytest.fail("measured")) == Choice(compiled=False, why="nothing here")


def test_a_damaged_choice_is_made_again(task: Task, calls: list[str]) -> None:
    first = choose(task, SHORT, a_millisecond)
    (kept,) = (task.stages.root.parent / "choices").glob("*.json")
    kept.write_text(kept.read_text()[:-9])
    assert choose(task, SHORT, lambda: calls.append("plain")).compiled is first.compiled
    assert "plain" in calls


def test_any_bytes_in_the_place_of_a_choice_are_a_choice_or_are_set_aside(task: Task) -> None:
    choose(task, SHORT, lambda: None)
    (kept,) = (task.stages.root.parent / "choices").glob("*.json")
    ear = Ear()
    for what, bad in misread(kept.read_bytes()):
        kept.write_bytes(bad)
        ear.heard.clear()
        again = choose(replace(task, progress=ear), SHORT, lambda: None)
        assert isinstance(again.compiled, bool) and isinstance(again.why, str), what
        assert all("choice set aside as" in said and str(kept) in said for said in ear.heard), what


def test_what_failed_to_compile_is_not_tried_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """A continued run goes on as it began, even where compiling would succeed by now."""

    def fails() -> None:
        raise TorchDynamoException("out of luck")

    monkeypatch.setattr(torch, "compile", lambda function, **_: fails)
    assert not choose(task, LONG, a_millisecond).compiled
    monkeypatch.setattr(torch, "compile", lambda function, **_: pytest.fail("tried again"))
    assert not choose(task, LONG, a_millisecond).compiled


def test_a_compiler_named_by_the_environment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "my-compiler" else None)
    monkeypatch.delenv("CXX", raising=False)
    assert missing_compiler(CPU) is not None
    monkeypatch.setenv("CXX", "my-compiler")
    assert missing_compiler(CPU) is None


def test_what_is_compiled_was_called_before_the_loop(task: Task, calls: list[str]) -> None:
    function = compiled_where_it_pays(task, LONG, a_millisecond, lambda function: function())
    before = len(calls)
    assert before >= compiling.COMPILING_CALLS
    function()
    assert calls == ["compiled"] * (before + 1)


def test_what_is_slower_compiled_runs_as_it_is(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> None:
        time.sleep(0.01)

    monkeypatch.setattr(torch, "compile", lambda function, **_: slow)
    assert compiled_where_it_pays(task, LONG, a_millisecond, lambda function: function()) is a_millisecond
    noted = task.measured.compiled["loop"]
    assert not noted["compiled"] and noted["why"].startswith("compiled, a step takes 1")
    monkeypatch.setattr(torch, "compile", lambda function, **_: pytest.fail("the choice was made"))
    assert compiled_where_it_pays(task, LONG, a_millisecond, lambda function: function()) is a_millisecond


def test_what_is_faster_compiled_says_by_how_much_and_is_proven_once(task: Task, calls: list[str]) -> None:
    choice = choose(task, LONG, a_millisecond)
    assert choice.compiled and choice.why.endswith("of a step")
    assert calls == ["compiled"] * (compiling.COMPILING_CALLS + TIMED)
    assert choose(replace(task, facts={}), LONG, a_millisecond) == choice
    assert calls == ["compiled"] * (2 * compiling.COMPILING_CALLS + TIMED)


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise TorchDynamoException("no such operator\nand more")

    ear = Ear()
    monkeypatch.setattr(torch, "compile", lambda function, **_: fails)
    heard = replace(task, progress=ear)
    assert compiled_where_it_pays(heard, LONG, a_millisecond, lambda function: function()) is a_millisecond
    assert ear.heard == ["loop could not be compiled: no such operator"]
    assert not task.measured.compiled["loop"]["compiled"]
    with pytest.raises(TorchDynamoException):
        compiled_where_it_pays(replace(heard, compile="always"), LONG, a_millisecond, lambda function: function())


@pytest.mark.parametrize(("step_s", "made"), [(0.001, WARM_UP + TIMED), (100.0, 1)], ids=["quick", "slow"])
def test_slow_steps_are_tried_once(monkeypatch: pytest.MonkeyPatch, step_s: float, made: int) -> None:
    """On a clock that goes by steps."""
    steps: list[int] = []
    monkeypatch.setattr("bench.compiling.time.perf_counter", lambda: step_s * len(steps))
    assert _seconds_of(lambda: steps.append(1), CPU) == pytest.approx(step_s)
    assert len(steps) == made


@dataclass
class Told(Trial):
    """What it was told to leave to the run."""

    told: list[Postponed] = field(default_factory=list)

    def postpone(self, work: Postponed) -> None:
        self.told.append(work)


def layers(count: int) -> Workload:
    """Work for which compiling should take 6 s and 0.3 s a layer; a container is one too."""
    return replace(LONG, network=nn.Sequential(*(nn.ReLU() for _ in range(count - 1))))


def test_in_a_trial_what_should_take_long_to_compile_is_left_to_the_run_and_not_even_weighed(
    task: Task, calls: list[str]
) -> None:
    pace = Told(CPU)
    trial, work = replace(task, pace=pace), layers(20)
    assert compiled_where_it_pays(trial, work, a_millisecond, lambda _: pytest.fail("tried")) is a_millisecond
    assert pace.told == [Postponed("loop", FIXED_S + LAYER_S * 20, LONG.saved, certain=False)]
    assert calls == [] and not list(task.stages.choices.glob("*"))


def test_in_a_trial_what_is_quick_to_compile_is_compiled_within_its_seconds(task: Task, calls: list[str]) -> None:
    pace = Told(CPU)
    assert choose(replace(task, pace=pace), layers(2), a_millisecond).compiled
    assert pace.told == [] and "compiled" in calls
    assert pace.left_s() < 10.0
    pace.ready(9.0)
    compiled_where_it_pays(replace(task, pace=pace), layers(3), a_millisecond, lambda function: function())
    assert [work.seconds for work in pace.told] == [pytest.approx(FIXED_S + 3 * LAYER_S)]


def test_in_a_trial_what_was_compiled_by_a_run_is_compiled_again(task: Task, calls: list[str]) -> None:
    work = layers(20)
    assert choose(task, work, a_millisecond).compiled
    pace = Told(CPU)
    assert choose(replace(task, pace=pace), work, a_millisecond).compiled
    assert pace.told == []
    pace.ready(9.0)
    compiled_where_it_pays(replace(task, pace=pace), work, a_millisecond, lambda function: function())
    assert pace.told == [Postponed("loop", AGAIN * (FIXED_S + LAYER_S * 20), LONG.saved, certain=True)]


@pytest.mark.parametrize(("asked", "told"), [("always", [True]), ("possible", [True]), ("never", [])])
def test_a_trial_expects_of_the_run_what_it_is_told(task: Task, asked: str, told: list[bool]) -> None:
    pace = Told(CPU)
    trial = replace(task, pace=pace, compile=asked)  # type: ignore[arg-type]
    compiled_where_it_pays(trial, layers(20), a_millisecond, lambda function: function())
    assert [work.certain for work in pace.told] == told


def test_a_trial_expects_nothing_where_nothing_can_be_compiled(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: "nothing here")
    pace = Told(CPU)
    compiled_where_it_pays(replace(task, pace=pace), layers(20), a_millisecond, lambda function: function())
    assert pace.told == []
