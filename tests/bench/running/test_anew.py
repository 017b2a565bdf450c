"""What a synthesis needs is made in one process, and its images in another: the peak of memory is theirs alone."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import laden_methods
import pytest
from benching import Bench, Ear
from leasing import held

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.progress import Progress, Silent
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors import SpreadExecutor
from bench.running.executors.orders import PrepareOrder, RunOrder, UnitsOrder
from bench.running.executors.processes import Child, Ended, run_child
from bench.running.failures import Prepared
from bench.running.units import read_unit
from bench.storage.run_folder import lock_of
from bench.storage.shared.leases import LockHeld

PLUGIN = laden_methods.__file__
REGISTRY = Registry((PLUGIN,))


def the_jobs(bench: Bench, **changes: Any) -> list[Job]:  # noqa: ANN401 - the fields of Request
    bench.plugins = (PLUGIN,)
    return bench.jobs("laden", protocols=("unscored",), **changes)


def rss(record: Record) -> int:
    assert record.status == "done", record.reason
    assert record.costs.peak_memory_bytes and record.costs.peak_memory_bytes.rss
    return record.costs.peak_memory_bytes.rss


def test_the_peak_is_the_same_whether_the_stage_was_made_or_found(bench: Bench) -> None:
    """The images of the dataset are decoded for the first run, too. What is recorded of the stage stays."""
    made, found = SpreadExecutor(REGISTRY, bench.place()).run(the_jobs(bench, seeds=(0, 1)))
    assert isinstance(made, Record) and isinstance(found, Record)
    assert rss(made) == pytest.approx(rss(found), rel=0.08)
    assert made.costs.stages == found.costs.stages
    before, again = (each.costs.prepare_peak_memory_bytes for each in (made, found))
    assert before and again and before.rss and before.rss > rss(made) + laden_methods.SIZE / 2, "the stage's own"
    assert again.rss == before.rss
    assert made.costs.to_json()["compiled"] == {"load": laden_methods.LOOP}
    notes = made.costs.notes.to_json()
    assert notes["maker of the stage"] != notes["maker of the images"]


def test_a_trial_foretells_that_peak(bench: Bench) -> None:
    (job,), executor = the_jobs(bench), SpreadExecutor(REGISTRY, bench.place())
    (forecast,) = executor.foresee([job])
    assert forecast.peak_memory_bytes, forecast.reason
    assert [stage.kind for stage in forecast.stages] == ["load"]
    (record,) = executor.run([job])
    assert isinstance(record, Record)
    assert forecast.peak_memory_bytes["rss"] == pytest.approx(rss(record), rel=0.08)


def test_of_a_run_in_pieces_the_units_are_made_by_a_process_that_made_no_stage(bench: Bench) -> None:
    (job,) = the_jobs(bench)
    order = vars(SpreadExecutor(REGISTRY, bench.place()).order(job))
    with closing(Child(bench.cache)) as child:
        (unit,) = child.obey(PrepareOrder(**order), Silent()).facts["units"]
        assert child.obey(UnitsOrder(**order, units=(unit,)), Silent()).event == "made"
    kept = read_unit(bench.runs / job.spec.name / "units" / f"{unit}.safetensors")
    assert kept.notes["maker of the stage"] != kept.notes["maker of the images"]
    assert kept.measured["compiled"] == {"load": laden_methods.LOOP}


@pytest.mark.parametrize("method", ["laden", "random"], ids=["a stage", "decoded images"])
def test_it_is_said_once_all_is_made_and_the_run_is_free_for_the_next_process(bench: Bench, method: str) -> None:
    bench.plugins = (PLUGIN,)
    (job,) = bench.jobs(method, protocols=("unscored",))
    if method == "laden":
        bench.run(bench.jobs("random", protocols=("unscored",))[0])  # its images are decoded
    with pytest.raises(Prepared):
        bench.run(job, anew=True)
    assert bench.run(job, anew=True).status == "done"


def test_the_second_process_waits_for_who_came_between(bench: Bench) -> None:
    """Another command may take the run while it is nobody's; who began it sees it through all the same."""
    (job,) = the_jobs(bench)
    with pytest.raises(Prepared) as prepared:
        bench.run(job, anew=True)
    with held(lock_of(bench.runs / job.spec.name)) as other:
        with pytest.raises(LockHeld):
            bench.run(job)
        leaves = threading.Timer(1.0, other.kill)
        leaves.start()
        assert bench.run(job, found=prepared.value.found).status == "done"
        leaves.join()
    assert any(said.startswith("waiting for process") for said in bench.ear.heard)


SCRIPT = """
import json, os, sys, time
from pathlib import Path

def say(event, **facts):
    os.write(1, json.dumps({"event": event, **facts}).encode() + bytes([10]))

orders = Path(sys.argv[0]).with_suffix(".orders")
with orders.open("a") as file:
    file.write(sys.stdin.readline())
first = len(orders.read_text().splitlines()) == 1
"""


class Played:
    """Children that play a script in the place of `bench.cli.child`, and are ordered to do a run."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        (job,) = the_jobs(bench)
        self.order: RunOrder = SpreadExecutor(REGISTRY, bench.place()).order(job)
        self.cache, self._script = bench.cache, bench.folder / "script.py"
        executable = bench.folder / "python"
        executable.write_text(f"#!/bin/sh\nexec {sys.executable} {self._script}\n")
        executable.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(executable))

    def ended(self, script: str, watcher: Progress, timeout: float | None = None) -> Ended:
        self._script.write_text(SCRIPT + script)
        return run_child(self.order, self.cache, watcher, timeout)

    def orders(self) -> list[dict[str, Any]]:
        """What each process was sent."""
        return [json.loads(line) for line in self._script.with_suffix(".orders").read_text().splitlines()]


@pytest.fixture
def played(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    yield Played(bench, monkeypatch)


def test_another_process_gets_the_same_order_with_what_the_first_found_out(played: Played) -> None:
    ear = Ear()
    ended = played.ended(
        "say('anew', found={'a': 1}) if first else (say('warning', message='look'), say('failed', reason='so'))", ear
    )
    assert (ended.event, ended.reason, ear.heard) == ("failed", "so", ["look"])
    first, second = played.orders()
    assert (first["anew"], first["found"]) == (True, {})
    assert second == {**first, "anew": False, "found": {"a": 1}}


def test_there_is_no_third(played: Played) -> None:
    ended = played.ended("say('anew', found={})", Silent())
    assert ended.reason == "its process ended with status 0; see its log"
    assert len(played.orders()) == 2


def test_the_time_of_a_run_is_that_of_both(played: Played) -> None:
    ended = played.ended("say('anew', found={}) if first else time.sleep(60)", Silent(), timeout=2)
    assert (ended.event, ended.status) == (None, -signal.SIGKILL)
    assert ended.reason == "over its time: stopped after 2.0 s (--timeout)"


class Pressing(Silent):
    """Presses Ctrl-C at the first news."""

    def __init__(self) -> None:
        self.pressed = False

    def advance(self, what: str, done: int, total: int) -> None:
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)


def test_a_stop_that_comes_with_the_last_stage_begins_no_other_process(played: Played) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); say('progress', what='x', done=1, total=1)"
    with pytest.raises(Interrupted):
        played.ended(f"{deaf}; time.sleep(1); say('anew', found={{}})", Pressing())
    assert len(played.orders()) == 1


def test_a_stop_is_heard_by_the_second_process_too(played: Played) -> None:
    with pytest.raises(Interrupted):
        played.ended(
            "say('anew', found={}) if first else (say('progress', what='x', done=1, total=1), time.sleep(60))",
            Pressing(),
        )
    assert len(played.orders()) == 2


def test_a_stop_while_processes_change_is_heard(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed = Child._renew

    def pressed(self: Child, until: float) -> None:
        self.stop()
        renewed(self, until)

    monkeypatch.setattr(Child, "_renew", pressed)
    with pytest.raises(Interrupted):
        played.ended("say('anew', found={}) if first else time.sleep(60)", Silent())
