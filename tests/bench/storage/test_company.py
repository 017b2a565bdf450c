"""Who is at work on a machine at once: the most that there were, however late they came, and nobody else."""

import os
import subprocess
import sys
from pathlib import Path

from bench.storage.company import FOLDER, Company, at_work, present


def test_who_comes_later_is_counted_and_who_has_left_is_not(tmp_path: Path) -> None:
    with at_work(tmp_path) as one:
        first = Company(str(one))
        assert first.most() == 1
        with at_work(tmp_path) as two, at_work(tmp_path):
            assert (first.most(), Company(str(two)).most()) == (3, 3)
        assert first.most() == 3, "they were there"
        assert Company(str(one)).most() == 1, "they have left before this began"
    assert not list((tmp_path / FOLDER).iterdir())


def test_processes_that_were_killed_and_other_machines_are_no_company(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"import time, pathlib; from bench.storage.company import at_work\n"
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
