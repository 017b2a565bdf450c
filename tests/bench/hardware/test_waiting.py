"""How long threads waited for a core: by the kernel's words, and where two want the same one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.hardware import waiting
from bench.hardware.waiting import CoreTime, CoreWatch, share_of_all

BUSY = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from bench.hardware.waiting import CoreWatch
watch, began = CoreWatch(), time.process_time()
print("ready", flush=True)
input()
while time.process_time() - began < 0.5:
    pass
print(watch.until_now().share)
"""


@pytest.fixture
def threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the kernel's."""
    monkeypatch.setattr(waiting, "THREADS", tmp_path)
    return tmp_path


def say(threads: Path, name: str, had: float, waited: float) -> None:
    (threads / name).mkdir(exist_ok=True)
    (threads / name / "schedstat").write_text(f"{had * 1e9:.0f} {waited * 1e9:.0f} 12\n")


def test_what_threads_took_before_is_none_of_it_and_those_that_came_since_are_counted(threads: Path) -> None:
    say(threads, "1", 10.0, 5.0)
    watch = CoreWatch()
    assert watch.until_now() == CoreTime()
    say(threads, "1", 12.0, 6.0)
    say(threads, "2", 3.0, 0.5)
    assert watch.until_now() == CoreTime(5.0, 1.5)
    assert watch.until_now().share == 1.5 / 6.5


def test_a_number_that_an_ended_thread_had_may_be_anothers(threads: Path) -> None:
    say(threads, "1", 10.0, 5.0)
    watch = CoreWatch()
    say(threads, "1", 2.0, 1.0)
    assert watch.until_now() == CoreTime(2.0, 1.0)


@pytest.mark.parametrize("written", [None, "", "what else\n"])
def test_where_the_system_does_not_say_nothing_is_known(threads: Path, written: str | None) -> None:
    if written is not None:
        (threads / "1").mkdir()
        (threads / "1" / "schedstat").write_text(written)
    assert CoreWatch().until_now().share is None


def test_a_share_of_several_pieces_is_weighed_by_their_seconds_as_far_as_it_is_known() -> None:
    assert share_of_all([(3.0, 0.1), (1.0, 0.5), (100.0, None)]) == pytest.approx(0.2)
    assert share_of_all([(3.0, None)]) is None
    assert share_of_all([(0.0, 0.5)]) is None
    assert share_of_all([]) is None


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not count it")
def test_two_that_want_one_core_wait_for_it() -> None:
    """Each waits for half of its time, or longer where others want the core, too."""
    command = [sys.executable, "-c", BUSY]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in both:
        assert each.stdout and each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin
        each.stdin.write(os.linesep)
        each.stdin.flush()
    shares = [float(each.communicate()[0]) for each in both]
    assert max(shares) > 0.3
