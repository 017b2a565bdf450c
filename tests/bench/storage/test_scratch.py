"""Work of one command in the cache: gone at its end, and with the next one where it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.progress import Silent
from bench.storage.scratch import SPEED, TRIAL, abandoned, scratch_folder

AT_WORK = (
    "import sys, time; from pathlib import Path; from bench.progress import Silent\n"
    "from bench.storage.scratch import *\n"
    "with scratch_folder(Path(sys.argv[1]), TRIAL, Silent()) as own:\n"
    "    (own / 'unit').write_text('half'); print(own, flush=True); time.sleep(600)"
)


def started(cache: Path) -> "tuple[subprocess.Popen[str], Path]":
    """A process that has such a folder, and the folder."""
    process = subprocess.Popen([sys.executable, "-c", AT_WORK, str(cache)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_it_is_gone_at_the_end_however_that_comes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path / "cache", SPEED, Silent()) as own:
        (own / "deep" / "er").mkdir(parents=True)
        raise KeyboardInterrupt
    assert own.name.startswith("speed-") and not own.exists()


def test_the_next_command_takes_away_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    (dead, left), (alive, kept) = started(tmp_path), started(tmp_path)
    try:
        assert (left / "unit").exists() and not abandoned(tmp_path)
        dead.kill()
        dead.wait()
        assert abandoned(tmp_path) == [left]
        with scratch_folder(tmp_path, SPEED, Silent()) as own:
            assert not left.exists() and (kept / "unit").exists() and own.exists()
    finally:
        alive.kill()
        alive.wait()
    assert TRIAL in kept.name and abandoned(tmp_path) == [kept]
