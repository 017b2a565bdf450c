"""Clocks that jump, a store that is slow, a disk that is full at any moment: the same images and scores in the end."""

import errno
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from benching import Bench
from torch import Tensor

from bench.sets import condensed as sets

PLUGIN = str(Path(__file__).with_name("lying_methods.py"))
LONG_AGO, FAR_AHEAD = 0.0, 4.1e9  # 1970 and 2099
MOMENTS = 4  # of the calls that see files onto the disk


def ended(bench: Bench, *, retry: bool = False) -> tuple[str, str | None]:
    """Status and reason of the same small run."""
    (job,) = bench.jobs(protocols=("untrained",))
    record = bench.run(job, retry=retry)
    (evaluation,) = record.evaluations.values()
    return evaluation.status, record.reason or evaluation.reason


def kept(bench: Bench) -> list[Path]:
    """All files but leases, which are numbered by how often they were taken."""
    return sorted(path for path in bench.folder.rglob("*") if path.is_file() and ".leases" not in path.parts)


def outcome(bench: Bench) -> tuple[Tensor, list[Path]]:
    """The images, and the names of all files that are kept."""
    (folder,) = bench.runs.glob("*/condensed")
    return sets.load(folder).images.pixels, [path.relative_to(bench.folder) for path in kept(bench)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, int]:
    """The run on a good day, and how often it sees something onto the disk."""
    bench, calls = Bench(tmp_path_factory.mktemp("whole"), (PLUGIN,)), itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        sync = os.fsync
        patch.setattr(os, "fsync", lambda handle: (next(calls), sync(handle)))
        assert ended(bench) == ("done", None)
    return bench, next(calls)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, (PLUGIN,))


@contextmanager
def full_at(moment: int) -> Iterator[None]:
    """From one call on, nothing more is seen onto the disk."""
    calls, sync = itertools.count(), os.fsync

    def full(handle: int) -> None:
        if next(calls) >= moment:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield


def assert_same(bench: Bench, whole: Bench) -> None:
    (images, files), (theirs, their_files) = outcome(bench), outcome(whole)
    assert torch.equal(images, theirs)
    assert files == their_files
    assert bench.ear.heard == whole.ear.heard


def jumping() -> Iterator[float]:
    """Times to be told one after the other."""
    return itertools.cycle([FAR_AHEAD, LONG_AGO, 1.7e9])


def test_clocks_that_jump_and_files_of_any_time(
    bench: Bench, whole: tuple[Bench, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between what an attempt left on a full disk and the next one."""
    times = jumping()
    monkeypatch.setattr(time, "time", lambda: next(times))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(times) * 1e9))
    with full_at(whole[1] // 2):
        assert ended(bench)[0] == "failed"
    for path in bench.folder.rglob("*"):
        os.utime(path, (next(times), next(times)))
    bench.ear.heard.clear()
    assert ended(bench, retry=True) == ("done", None)
    assert_same(bench, whole[0])
    before = {path: path.stat().st_ino for path in kept(bench)}
    for path in bench.folder.rglob("*"):
        os.utime(path, (next(times), next(times)))
    assert ended(bench) == ("done", None)
    assert {path: path.stat().st_ino for path in kept(bench)} == before


def test_a_slow_store(bench: Bench, whole: tuple[Bench, int], monkeypatch: pytest.MonkeyPatch) -> None:
    sync, replace = os.fsync, Path.replace

    def slow_sync(handle: int) -> None:
        time.sleep(0.05)
        sync(handle)

    def slow_replace(path: Path, target: Path) -> Path:
        time.sleep(0.05)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", slow_sync)
    monkeypatch.setattr(Path, "replace", slow_replace)
    assert ended(bench) == ("done", None)
    assert_same(bench, whole[0])


@pytest.mark.parametrize("share", [number / MOMENTS for number in range(MOMENTS)])
def test_a_disk_that_is_full_at_any_moment(bench: Bench, whole: tuple[Bench, int], share: float) -> None:
    """It stays full until that attempt has ended."""
    with full_at(int(share * whole[1])):
        status, reason = ended(bench)
    assert status == "failed"
    assert (reason or "").startswith("disk full")
    assert not list(bench.folder.rglob("*.part"))
    bench.ear.heard.clear()
    assert ended(bench, retry=True) == ("done", None)
    assert_same(bench, whole[0])
