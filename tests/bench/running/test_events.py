"""The channel to a child: what is no event is passed over, whoever wrote it, and a child that hangs is stopped."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from anything import ANYTHING
from benching import Ear, until
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import Interrupted
from bench.running.executors import processes as children
from bench.running.executors.events import FORMS, event_in
from bench.running.executors.processes import Ended, run_child

GARBAGE = [
    b"\xff\xfe\x00",
    b"",
    b"[1]",
    b"42",
    b"{}",
    b'{"event": [1]}',
    b'{"event": "bogus"}',
    b'{"event": "progress", "what": 3}',
    b'{"event": "progress", "what": "x", "done": "1", "total": 2}',
    b'{"event": "warning"}',
    b'{"event": "record", "record": []}',
    b'{"event": "failed", "reason": null}',
    b"[" * 100_000,
    b'{"event": "progress", "done": ' + b"9" * 5000,
]


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_event_is_passed_over(line: bytes) -> None:
    assert event_in(line) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)), st.text())
def test_no_fact_of_a_wrong_kind_makes_an_event(value: object, name: str) -> None:
    for kind, form in FORMS.items():
        line = json.dumps({"event": kind, **dict.fromkeys(form, value), name: value}).encode()
        found = event_in(line)
        assert found is None or all(isinstance(found[1][each], wanted) for each, wanted in form.items())


def test_an_event_has_the_facts_of_its_form_and_no_others() -> None:
    said = {"event": "progress", "what": "recover", "done": 1, "total": 2, "also": 3}
    assert event_in(json.dumps(said).encode()) == ("progress", {"what": "recover", "done": 1, "total": 2})


@pytest.fixture
def child_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "type[Play]":
    """Puts a script in the place of `bench.cli.child`."""
    Play.folder, Play.patch = tmp_path, monkeypatch
    return Play


class Play:
    """A child that plays a script; what it told, and how it ended."""

    folder: Path
    patch: pytest.MonkeyPatch

    def __init__(self, script: str, timeout: float | None = None) -> None:
        path, executable = self.folder / "script.py", self.folder / "python"
        path.write_text(f"import os, subprocess, sys, time\nsay = lambda text: os.write(1, text)\n{script}")
        executable.write_text(f"#!/bin/sh\nexec {sys.executable} {path}\n")
        executable.chmod(0o755)
        self.patch.setattr(sys, "executable", str(executable))
        self.ear, self.started = Ear(), list[subprocess.Popen[bytes]]()
        original = children._started

        def start(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
            self.started.append(original(environment))
            return self.started[-1]

        self.patch.setattr(children, "_started", start)
        self.ended: Ended = run_child(ANYTHING, self.folder, self.ear, timeout)


def test_events_among_garbage_are_heard(child_that: type[Play]) -> None:
    played = child_that(
        r"""
say(b'\xff\xfe\x00 \n[1]\n{"event": "warn')
say(b'ing", "message": "look"}\n')
say(b'{"event": "failed", "reason": "by design"}\n{"event": ')
"""
    )
    assert played.ear.heard == ["look"]
    assert (played.ended.event, played.ended.reason) == ("failed", "by design")


def test_a_child_that_dies_before_it_listens_is_no_broken_pipe(child_that: type[Play]) -> None:
    assert child_that("os.close(0); sys.exit(7)").ended.reason == "its process ended with status 7; see its log"


def test_a_plugin_that_says_it_was_stopped_ends_its_own_row(child_that: type[Play]) -> None:
    played = child_that("""say(b'{"event": "interrupted", "reason": "stopped"}\\n')""")
    assert (played.ended.event, played.ended.reason) == ("failed", "its process was told to stop: stopped")


@pytest.mark.parametrize("busy", ["time.sleep(60)", "os.close(1); time.sleep(60)", "while True: say(b'noise\\n')"])
def test_a_child_over_its_time_is_stopped_with_all_that_it_started(child_that: type[Play], busy: str) -> None:
    played = child_that(f'subprocess.Popen(["sleep", "60"])\n{busy}', timeout=0.5)
    assert played.ended.status == -signal.SIGKILL
    assert played.ended.reason == "over its time: stopped after 0.5 s (--timeout)"
    (child,) = played.started
    until(lambda: [] if _alive(child.pid) else [child_that.folder])


def test_a_result_that_was_sent_in_time_stays_one(child_that: type[Play]) -> None:
    played = child_that("""say(b'{"event": "measured", "measured": 1.5}\\n'); time.sleep(60)""", timeout=0.5)
    assert (played.ended.event, played.ended.facts) == ("measured", {"measured": 1.5})


def test_who_holds_the_channel_of_a_dead_child_holds_nothing_up(child_that: type[Play]) -> None:
    played = child_that(
        """
left = subprocess.Popen(["sleep", "60"], start_new_session=True)
say(b'{"event": "failed", "reason": "%d"}\\n' % left.pid)
"""
    )
    subprocess.run(["kill", played.ended.reason], check=True)
    assert played.ended.event == "failed"


def test_a_stop_that_was_asked_for_is_one(child_that: type[Play], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "advance", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        child_that("""say(b'{"event": "progress", "what": "x", "done": 1, "total": 2}\\n'); time.sleep(60)""")


def _alive(group: int) -> bytes:
    return subprocess.run(["pgrep", "-g", str(group), "-r", "R,S,D"], capture_output=True, check=False).stdout
