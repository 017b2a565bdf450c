"""Who is at work on a machine at once: the most that there were, however late they came, and nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.hardware import waiting
from bench.storage.shared import company
from bench.storage.shared.company import FOLDER, Company, at_work, present
from bench.storage.shared.elapsed import beside_others


def test_who_comes_later_is_counted_and_who_has_left_is_not(tmp_path: Path) -> None:
    with at_work(tmp_path) as one:
        first = Company(str(one))
        assert first.most() == 1
        with at_work(tmp_path) as two, at_work(tmp_path):
            assert (first.most(), Company(str(two)).most()) == (3, 3)
        assert first.most() == 3, "they were there"
        assert Company(str(one)).most() == 1, "they have left before this began"
    assert not list((tmp_path / FOLDER).iterdir())


def test_of_two_who_write_at_one_moment_no_line_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Held(list[Path]):
        """Another writes just when who holds the list is about to."""

        def __len__(self) -> int:
            for each in self:
                with each.open("a") as lines:
                    lines.write("5\n")
            return 2

    with at_work(tmp_path) as one:
        beside = Company(str(one))
        monkeypatch.setattr(company, "present", lambda folder: Held([one]))
        with at_work(tmp_path):
            monkeypatch.undo()
            assert beside.most() == 5


def test_one_who_cannot_be_told_keeps_no_other_from_it(tmp_path: Path) -> None:
    with at_work(tmp_path) as one:
        machine, pid, began, _ = one.name.split("-")
        for number in range(16):
            (one.parent / f"{machine}-{pid}-{began}-{number:08x}").mkdir()
        beside = Company(str(one))
        with at_work(tmp_path):
            assert beside.most() == 18


def test_processes_that_were_killed_and_other_machines_are_no_company(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"import time, pathlib; from bench.storage.shared.company import at_work\n"
         f"with at_work(pathlib.Path({str(tmp_path)!r})): print('there', flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout and process.stdout.readline() == "there\n"
        with at_work(tmp_path) as one:
            beside = Company(str(one))
            assert beside.most() == 2
            process.kill()
            process.wait()
            assert Company(str(one)).most() == 1 and beside.most() == 2
            assert present(one.parent) == [one], "its file is gone"
            (one.parent / f"0123456789ab-{os.getpid()}-1-00000000").touch()
            assert Company(str(one)).most() == 1


def test_where_no_file_can_be_made_work_goes_on_and_knows_of_nobody(tmp_path: Path) -> None:
    (tmp_path / FOLDER).touch()
    with at_work(tmp_path) as one:
        assert Company(str(one)).most() == 1
    assert Company("").most() == 1


def test_what_an_interrupted_attempt_waited_counts_for_who_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 s with a core and 4 s without one the first attempt had 6 and 4."""
    thread, work = tmp_path / "threads" / "1" / "schedstat", tmp_path / "work"
    thread.parent.mkdir(parents=True)
    work.mkdir()
    monkeypatch.setattr(waiting, "THREADS", tmp_path / "threads")
    thread.write_text("1000000000 1000000000 3")
    with pytest.raises(KeyboardInterrupt), beside_others(work, ""):
        thread.write_text("7000000000 5000000000 9")
        raise KeyboardInterrupt
    with beside_others(work, "") as others:
        thread.write_text("9000000000 5000000000 9")
        assert others.waited() == pytest.approx(1 / 3)
    with beside_others(tmp_path / "threads", "") as fresh:
        assert fresh.waited() is None
