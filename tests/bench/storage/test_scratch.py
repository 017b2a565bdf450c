"""Work of one command in the cache: gone at its end, and with the next one where it was killed."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from leasing import held, killed_with

from bench.errors import UnreadableArtefact
from bench.progress import Silent
from bench.storage.shared.scratch import SPEED, TRIAL, abandoned, part_folder, scratch_folder, whole_folder

AT_WORK = (
    "import sys, time; from pathlib import Path; from bench.progress import Silent\n"
    "from bench.storage.shared.scratch import *\n"
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


def test_of_folders_that_are_being_made_only_those_of_killed_makers_go(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, theirs = tmp_path / "set.dead.part", tmp_path / "set.theirs.part"
    for name in ("set.2024-01.part", f"set.{ended.pid}.part", "set.zip.part"):  # a user's own
        (tmp_path / name).mkdir()
    killed_with(dead / "held.lock")
    with held(theirs / "held.lock", "another machine"), whole_folder(tmp_path / "set") as part:
        (part / "images").write_text("whole")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["set", *sorted(["set.2024-01.part", f"set.{ended.pid}.part", "set.theirs.part", "set.zip.part"])]
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["images"]
    assert (tmp_path / "set").stat().st_mode == (tmp_path / "set.zip.part").stat().st_mode


def test_where_no_lease_can_be_had_no_folder_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = UnreadableArtefact("held.lock cannot be locked: No space left on device")
    monkeypatch.setattr("bench.storage.shared.scratch.locked", Mock(side_effect=refusal))
    with pytest.raises(OSError, match="No space left"), part_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
