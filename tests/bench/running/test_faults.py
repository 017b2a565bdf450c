"""A kill, a full disk, a broken plugin, a second runner: all leave a state that the same command continues from."""

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench, kill, until
from child_work import children_here
from leasing import owner_of

from bench.extensions.registry import Registry
from bench.results.rows import rows
from bench.running.executors import SpreadExecutor
from bench.sets import condensed as sets

# Whether compiling so many iterations pays is measured anew by each process, and compiled steps round otherwise.
SLOW = (
    *("-m", "sre2l", "--no-control", "--compile", "never"),
    *("--set", "squeeze.epochs=2", "--set", "recover.iterations=600"),
)
FAST = ("-m", "sre2l", "--no-control", "--set", "squeeze.epochs=2", "--set", "recover.iterations=30")
# Outlasts the planning of another command, however busy the machine. The fast engine would draw all views beforehand.
ENDLESS = (*SLOW[:-1], "recover.iterations=100000", "--set", "recover.engine=reference")
BROKEN = Path(__file__).with_name("broken_methods.py")
UNTRAINED = ("--protocol", "untrained", "--plugin", str(Path(__file__).with_name("lying_methods.py")))


def test_killed_in_the_middle_of_recovery_it_ends_with_the_same_images_and_scores(bench: Bench) -> None:
    """Only the command is killed: its child must not outlive it, and is gone in the middle of what it did."""
    unbroken = Bench(bench.folder / "unbroken")
    unbroken.folder.mkdir()
    with children_here():
        whole = unbroken.typed(*SLOW, "--format", "json")
    assert whole.returncode == 0, whole.stderr
    under_way = bench.started(*SLOW)
    until(lambda: list(bench.runs.glob("*/units/*.work/recover.checkpoint.safetensors")))
    child = owner_of(next(bench.runs.glob("*/units")).parent)
    assert child != under_way.pid
    os.kill(under_way.pid, signal.SIGKILL)
    under_way.wait()
    until(lambda: [] if Path(f"/proc/{child}/exe").exists() else [bench.folder])
    assert not list(bench.runs.glob("*/record.json"))
    with children_here():
        continued = bench.typed(*SLOW, "--format", "json")
    assert continued.returncode == 0, continued.stderr
    (ours,), (theirs,) = (list(each.runs.glob("*/condensed")) for each in (bench, unbroken))
    assert torch.equal(sets.load(ours).images.pixels, sets.load(theirs).images.pixels)
    assert _row(continued)["top1_values"] == _row(whole)["top1_values"]
    assert not list(bench.runs.rglob("*.part"))


def test_a_killed_child_and_a_fault_of_a_plugin_are_failed_rows_and_the_other_rows_are_done(bench: Bench) -> None:
    named = [word for method in ("suicide", "raises", "random") for word in ("-m", method)]
    ended = bench.typed(*named, "--plugin", str(BROKEN), *UNTRAINED, "--format", "json")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr + ended.stdout
    rows = {row["method"]: row for row in json.loads(ended.stdout)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "suicide": "failed",
        "raises": "failed",
        "random": "done",
    }
    assert rows["random"]["reason"] is None
    assert "SIGKILL" in rows["suicide"]["reason"]
    reason = rows["raises"]["reason"]
    assert "ZeroDivisionError" in reason and "broken_methods.py:" in reason
    (log,) = bench.runs.glob("raises-*/log.txt")
    said = log.read_text()
    assert r"\u001b]0;a title\u0007" in said and r"ZeroDivisionError: by design \u001b[2J" in said
    assert "\x1b" not in said, "a terminal shows logs as well"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("no-memory", "^out of memory"),
        ("full-disk", "^disk full"),
        ("not-finite", "NaN"),
        ("too-few", "not 2"),
        ("bare-tensor", r"^synthesize returned a Tensor; it must return bench\.condensation\.Images$"),
    ],
)
def test_every_fault_of_a_plugin_has_its_reason(bench: Bench, method: str, said: str) -> None:
    faulty = Bench(bench.folder, (str(BROKEN),))
    (job,) = faulty.jobs(method, protocols=("hard",))
    record = faulty.run(job)
    assert record.status == "failed"
    assert re.search(said, record.reason or "")
    (row,) = rows([record])
    assert (row["status"], row["reason"]) == ("failed", record.reason)


def test_a_disk_that_fills_up_is_a_failed_row_and_continues_when_there_is_room(bench: Bench) -> None:
    """A limit on the size of files stands for the full disk: the system refuses the write in the same way."""
    command = shlex.join(bench.command(*FAST, *UNTRAINED, "--format", "json"))
    limited = bench.executed(["bash", "-c", f"ulimit -f 40; {command}"])
    assert limited.returncode == 1, limited.stderr
    assert _row(limited)["reason"].startswith("disk full")
    assert not list(bench.runs.rglob("*.part")) + list(bench.cache.rglob("*.part"))
    with children_here():
        again = bench.typed(*FAST, *UNTRAINED, "--retry-failed", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert _row(again)["status"] == "done"


def test_two_runners_never_do_one_run_twice(bench: Bench) -> None:
    first = bench.started(*ENDLESS)
    until(lambda: list(bench.runs.glob("*/units/*.work/recover.checkpoint.safetensors")))
    pid = owner_of(next(bench.runs.glob("*/units")).parent)
    second = bench.typed(*ENDLESS, "--format", "json")
    assert second.returncode == 1
    assert _row(second)["status"] == "skipped"
    assert f"process {pid}" in _row(second)["reason"]
    kill(first)


def test_ctrl_c_saves_and_the_same_command_continues(bench: Bench) -> None:
    under_way = bench.started(*SLOW, *UNTRAINED)
    until(lambda: list(bench.runs.glob("*/units/*.work/recover.checkpoint.safetensors")))
    os.kill(under_way.pid, signal.SIGINT)
    assert under_way.wait() == 130
    assert not list(bench.runs.glob("*/record.json"))
    with children_here():
        assert bench.typed(*SLOW, *UNTRAINED).returncode == 0


def test_trackers_are_told_and_one_that_raises_does_no_harm(bench: Bench) -> None:
    with children_here():
        ended = bench.typed("-m", "random", "--protocol", "hard", "--plugin", str(BROKEN))
    assert ended.returncode == 0, ended.stderr
    told = (bench.folder / "told.txt").read_text().split()
    assert told[0] == "started"
    assert "progress" in told
    assert told[-1] == "finished"
    assert "bench_run_finished of plugin" in ended.stderr
    lines = ended.stderr.splitlines()
    begun = next(number for number, line in enumerate(lines) if line.startswith("[1/1] random-digits-ipc2-"))
    assert begun < next(number for number, line in enumerate(lines) if line.startswith("  evaluate "))


def test_a_trial_leaves_nothing_behind_and_says_what_the_run_takes(bench: Bench) -> None:
    with children_here():
        tried = bench.typed(*FAST, "--dry-run", "--format", "json")
    assert tried.returncode == 0, tried.stderr
    (forecast,) = json.loads(tried.stdout)
    assert forecast["total_s"] > 0
    assert forecast["peak_memory_bytes"]["rss"] > 1e8
    assert forecast["disk_bytes"] > 6 * 64
    assert not bench.runs.exists()
    assert not (bench.cache / "stages").exists()


def _row(ended: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    (row,) = json.loads(ended.stdout)
    assert isinstance(row, dict)
    return row


def test_what_a_tracker_raises_is_said_with_the_folder_that_it_is_about(bench: Bench) -> None:
    tracker = bench.folder / "tracker.py"
    tracker.write_text(
        "from bench.hookspecs import hookimpl\n\n\n@hookimpl\ndef bench_run_started(run):\n"
        "    raise PermissionError(13, 'Permission denied', '/x/tracking')\n"
    )
    SpreadExecutor(Registry((str(tracker),)), bench.place()).tell("bench_run_started", run="a", spec={})
    (said,) = bench.ear.heard
    assert "raised PermissionError: [Errno 13] Permission denied: '/x/tracking'" in said
