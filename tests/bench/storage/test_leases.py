"""Leases: one owner at a time, whoever is killed, asleep, slow or without room, on this machine and between two."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from benching import Ear
from leasing import HOLDING, elsewhere, held, killed_with, slots

from bench.errors import Interrupted, UnreadableArtefact, UsageError
from bench.progress import Silent
from bench.storage.shared import leases
from bench.storage.shared.leases import LockHeld, forget_dead, holder, locked
from bench.storage.shared.owners import Owner, machine, owner_in, started
from bench.storage.shared.slots import FREE, FolderSlots

PARENT = Owner("process 7 on here", machine(), os.getppid(), started(os.getppid()) or 0, 60)
HERE = f"process {os.getpid()} on {os.uname().nodename}"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@contextmanager
def refused(lock: Path, who: str) -> Iterator[None]:
    """Within it nothing happens: somebody has the lease."""
    with pytest.raises(LockHeld, match=f"in use by {who}"), locked(lock, Silent(), wait=False):
        raise AssertionError("two have it")
    yield


def left(lock: Path, *contents: bytes) -> None:
    """The files of a lease, numbered from 1."""
    for number, content in enumerate(contents, 1):
        assert slots(lock).create(number, content)


def test_a_live_owner_is_named_and_a_killed_one_holds_nobody_up(lock: Path) -> None:
    with held(lock) as other:
        with refused(lock, f"process {other.pid} on "):
            assert holder(lock) == f"process {other.pid} on {os.uname().nodename}"
        other.kill()
        time.sleep(0.05)  # it may be a zombie for now: nobody has waited for it
        with locked(lock, Silent(), wait=False):
            assert holder(lock) == HERE
    assert holder(lock) is None
    with locked(lock, Silent(), wait=False), refused(lock, HERE):
        pass


def test_of_many_takers_one_holds_it_at_a_time(lock: Path) -> None:
    """Each counts in a file that it reads, holds for a moment and writes: a second one at work would lose a count."""
    count = lock.with_name("count")
    count.write_text("0")
    script = (
        "import sys, time; from pathlib import Path\n"
        "from bench.progress import Silent; from bench.storage.shared import leases\n"
        "lock, count = map(Path, sys.argv[1:])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(15):\n"
        "    with leases.locked(lock, Silent(), wait=True):\n"
        "        before = int(count.read_text()); time.sleep(0.0005); count.write_text(str(before + 1))\n"
    )
    command = [sys.executable, "-c", script, str(lock), str(count)]
    with ExitStack() as racing:
        takers = [
            racing.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(3)
        ]
        for taker in takers:
            assert taker.stdout and taker.stdout.readline() == "ready\n"
        for taker in takers:
            assert taker.stdin
            taker.stdin.write("go\n")
            taker.stdin.flush()
    assert [taker.returncode for taker in takers] == [0, 0, 0]
    assert count.read_text() == "45"


def test_who_was_slow_withdraws_from_a_number_that_others_have_passed(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the first number free; before it made the second, others had that and a third, and one has a fourth."""
    left(lock, FREE)
    files, create = slots(lock), FolderSlots.create
    owner = PARENT

    def late(self: FolderSlots, number: int, content: bytes) -> bool:
        monkeypatch.setattr(FolderSlots, "create", create)
        self.remove(1)
        return self.create(4, owner.written(0)) and self.create(number, content)

    monkeypatch.setattr(FolderSlots, "create", late)
    with refused(lock, PARENT.who):
        assert files.numbers() == [4]


def test_two_that_see_the_same_dead_owner_do_not_both_follow_it(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_with(lock)
    create = FolderSlots.create

    def beaten_to_it(self: FolderSlots, number: int, content: bytes) -> bool:
        monkeypatch.setattr(FolderSlots, "create", create)
        return self.create(number, PARENT.written(0)) and self.create(number, content)

    monkeypatch.setattr(FolderSlots, "create", beaten_to_it)
    with refused(lock, PARENT.who):
        pass


def test_an_owner_elsewhere_lives_as_long_as_its_count_moves(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_LEASE_TTL", "1.5")
    with held(lock, machine="elsewhere") as other:
        ear = Ear()
        with pytest.raises(LockHeld, match=f"process {other.pid}"), locked(lock, ear, wait=False):
            pass
        os.kill(other.pid, signal.SIGSTOP)
        assert holder(lock) and not leases.is_of_dead(lock), "that cannot be known at once"
        with locked(lock, ear, wait=False):
            assert holder(lock) == HERE
            assert f"a is in use by process {other.pid} on" in ear.heard[-1]
            assert "looking for 1.5 s at most whether that still works" in ear.heard[-1]


def test_clocks_that_jump_make_nobody_dead(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's time lies years ahead or back; only that the count moves is looked at."""
    left(lock, elsewhere(life=30).written(1))
    files = slots(lock)
    for number, when in enumerate((0, 2**33), 2):
        os.utime(files.folder / "1", (when, when))
        writing = threading.Timer(0.1, files.write, (1, elsewhere(life=30).written(number)))
        writing.start()
        with refused(lock, "process 1 on elsewhere"):
            writing.join()


def test_an_owner_that_slept_loses_its_lease_and_stops(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another that could not see it took over; neither its beat nor its end disturbs that one."""
    monkeypatch.setenv("BENCH_LEASE_TTL", "0.05")
    monkeypatch.setattr(leases, "_keep", leases._HELD.add)  # its thread sleeps with it
    files, other = slots(lock), elsewhere(2, life=30)
    taken_over = "taken over while this process slept, and in use by process 2 on elsewhere"
    with pytest.raises(LockHeld, match=taken_over), locked(lock, Silent(), wait=False):
        assert not leases.lost()
        assert files.create(files.numbers()[-1] + 1, other.written(3))
        time.sleep(0.1)
        assert leases.lost()
        raise Interrupted("stopped")
    assert not leases.lost()
    assert owner_in(files.read(files.numbers()[-1])[0]) == other


def test_a_beat_under_way_does_not_take_back_what_was_given_back(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, write = threading.Event(), FolderSlots.write

    def slow(files: FolderSlots, number: int, content: bytes) -> None:
        writing.set()
        time.sleep(0.1)
        write(files, number, content)

    monkeypatch.setattr(leases, "_keep", leases._HELD.add)
    monkeypatch.setattr(FolderSlots, "write", slow)
    with locked(lock, Silent(), wait=False):
        (mine,) = leases._HELD
        beat = threading.Thread(target=mine.beat)
        beat.start()
        assert writing.wait(10)
    beat.join()
    mine.beat()  # of a thread that looked before it was given back
    assert holder(lock) is None


def test_a_stopped_process_of_this_machine_keeps_its_lease_for_ever(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LEASE_TTL", "0.1")
    with held(lock) as other:
        os.kill(other.pid, signal.SIGSTOP)
        time.sleep(0.3)
        with refused(lock, f"process {other.pid}"):
            pass


def test_an_owner_that_died_before_it_said_who_it_is_holds_nobody_up_for_long(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LEASE_TTL", "0.3")
    left(lock, b"")
    assert holder(lock) == "another process"
    began = time.monotonic()
    with locked(lock, Silent(), wait=False):
        assert time.monotonic() - began > 0.3
        assert holder(lock) == HERE


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b"{}", b'{"who": "\\u001b[2J"}', b"1" * 5000])
def test_what_is_no_owner_is_another_process_until_it_stood_still(
    lock: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("BENCH_LEASE_TTL", "0.1")
    left(lock, content)
    assert holder(lock) == "another process"
    with locked(lock, Silent(), wait=False):
        assert holder(lock) == HERE


def test_a_number_that_another_process_has_by_now_is_not_taken_for_the_owner(lock: Path) -> None:
    """This very process has the number, and began at another time."""
    left(lock, Owner(HERE, machine(), os.getpid(), (started(os.getpid()) or 0) - 1, 60).written(0))
    assert holder(lock) is None
    forget_dead(lock)
    assert slots(lock).read(2)[0].startswith(FREE)


@pytest.mark.parametrize("machine_", ["", "another start pid:[1]"])
def test_a_number_means_nothing_in_another_space_of_numbers(lock: Path, machine_: str) -> None:
    left(lock, Owner("process 1 on x", machine_, 2**22 + 1, 5, 60).written(0))
    assert holder(lock) == "process 1 on x"


def test_on_a_full_disk_it_is_held_and_given_back_all_the_same(lock: Path) -> None:
    """A limit on the size of files stands for the full disk: a file can be made, and no byte of it written."""
    left(lock, FREE)
    command = ["bash", "-c", 'ulimit -f 0; exec "$0" "$@"', sys.executable, "-c", HOLDING, str(lock), ""]
    quick = {**os.environ, "BENCH_LEASE_TTL": "1", "BENCH_LEASE_HEARTBEAT": "0.1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quick) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        assert slots(lock).read(2)[0] == b""
        with refused(lock, "another process"):  # it lives: its file is touched
            pass
        other.communicate("")
        assert other.returncode == 0
    with locked(lock, Silent(), wait=False):
        pass


def test_a_folder_that_nothing_can_be_written_to_is_named(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FolderSlots, "_made", denied)
    with pytest.raises(UnreadableArtefact, match=r"a\.lock cannot be locked: Permission denied"):
        locked(lock, Silent(), wait=True).__enter__()


def test_locks_of_an_earlier_version_hold_nobody_up(lock: Path) -> None:
    lock.touch()
    lock.with_suffix(".owner").write_text("process 1 on here")
    with locked(lock, Silent(), wait=False):
        assert holder(lock) == HERE
    assert lock.exists()


def test_who_waits_says_for_whom_once_and_goes_on_when_it_is_given_back(lock: Path) -> None:
    ear = Ear()
    with held(lock) as other:
        letting = threading.Timer(0.3, other.communicate, ("",))
        letting.start()
        with locked(lock, ear, wait=True):
            pass
        letting.join()
    assert ear.heard == [f"waiting for process {other.pid} on {os.uname().nodename}, which is making a"]


def test_a_forked_process_has_none_of_its_parent_s_leases(lock: Path) -> None:
    with locked(lock, Silent(), wait=False):
        if not (child := os.fork()):
            os._exit(len(leases._HELD) + len(leases._KEEPER))
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(("name", "text"), [("TTL", "0"), ("TTL", "soon"), ("TTL", "inf"), ("HEARTBEAT", "21")])
def test_times_that_are_none_are_refused_before_anything_is_held(
    lock: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"BENCH_LEASE_{name}", text)
    with pytest.raises(UsageError, match=f"BENCH_LEASE_{name}"), locked(lock, Silent(), wait=False):
        pass
    assert not slots(lock).folder.exists()


def test_what_this_process_could_not_give_back_is_nobody_s(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch, locked(lock, Silent(), wait=False):
        patch.setattr(FolderSlots, "free", away)
    with locked(lock, Silent(), wait=False):
        assert holder(lock) == HERE


def test_who_waits_for_a_lease_hears_that_it_shall_stop(lock: Path) -> None:
    began = time.monotonic()
    leases.stop_waiting_when(lambda: time.monotonic() - began > 0.3)
    try:
        with held(lock) as other:
            waited = f"stopped while it waited for process {other.pid} on"
            with pytest.raises(Interrupted, match=waited), locked(lock, Silent(), wait=True):
                raise AssertionError("two have it")
    finally:
        leases.stop_waiting_when(lambda: False)
