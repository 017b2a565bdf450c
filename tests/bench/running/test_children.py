"""Pressing Ctrl-C: heard at once, whatever the child is at; the second press kills it and all that it started."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from anything import ANYTHING
from benching import until

from bench.errors import Interrupted
from bench.progress import Silent
from bench.running.executors import processes as children
from bench.running.executors.processes import run_child

CHILD = """
import json, os, signal, subprocess, sys, time

def say(**facts):  # a stop may come while it writes, and says something, too
    os.write(1, json.dumps(facts).encode() + bytes([10]))

sys.stdin.readline()
subprocess.Popen(["sleep", "60"])
signal.signal(signal.SIGTERM, lambda *_: say(event="progress", what="{what}", done=2, total=2))
say(event="progress", what="{what}", done=1, total=2)
while True:
    time.sleep(0.01)
"""


class Impatient(Silent):
    """Presses Ctrl-C at every news, and remembers warnings."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def advance(self, what: str, done: int, total: int) -> None:
        signal.raise_signal(signal.SIGINT)

    def warn(self, message: str) -> None:
        self.heard.append(message)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("compile recover", "stopping: compile recover must end first, which may take minutes; Ctrl-C again kills it"),
        ("recover", "stopping after the step under way, which is then saved; Ctrl-C again kills it at once"),
    ],
)
def test_a_stop_is_said_to_be_heard_and_a_second_one_kills(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, said: str
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        started.append(original(environment))
        return started[-1]

    original, executable = children._started, tmp_path / "python"
    executable.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{CHILD.replace('{what}', what)}'\n")
    executable.chmod(0o755)
    monkeypatch.setattr(children, "_started", start)
    monkeypatch.setattr(sys, "executable", str(executable))
    watcher = Impatient()
    with pytest.raises(Interrupted):
        run_child(ANYTHING, tmp_path, watcher)
    (child,) = started
    assert child.returncode == -signal.SIGKILL
    (heard,) = watcher.heard
    assert heard.startswith(said)
    until(lambda: [] if alive(child.pid) else [tmp_path])


def alive(group: int) -> bytes:
    """The processes of a group that run still: not those that are dead and that nobody has asked about."""
    return subprocess.run(["pgrep", "-g", str(group), "-r", "R,S,D"], capture_output=True, check=False).stdout


DEAF = """
import os
from bench.cli.child import Channel

reading, writing = os.pipe()
os.close(reading)
channel = Channel(os.fdopen(writing, "w"))
try:
    channel.advance("train", 1, 2)
finally:
    print("a loop goes on")
"""


def test_a_child_that_nobody_hears_ends_and_takes_it_for_no_fault_of_the_run() -> None:
    """Its parent was killed: a news that cannot be told may come before the end of its input does."""
    ended = subprocess.run([sys.executable, "-c", DEAF], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
