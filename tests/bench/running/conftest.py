"""A place to run in, empty or with a run that is done."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from benching import Bench
from filelock import FileLock


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Runs on one thread, as their child processes do here, so that both give the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(tmp_path)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the usual run and its control are done, by whichever worker comes first; only to be copied."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "runs").exists():
            making = Bench(folder.with_suffix(".part"))
            for job in making.jobs(control=True):
                making.run(job)
            making.folder.replace(folder)
    return folder


@pytest.fixture
def already_done(bench: Bench, finished: Path) -> None:
    """`bench` holds the usual run and its control, with their teacher in the cache."""
    for name in ("runs", "cache"):
        shutil.copytree(finished / name, bench.folder / name)
