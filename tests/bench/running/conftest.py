"""A place to run in, empty or with a run that is done."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benching import Bench, one_thread

from bench.progress import Silent
from bench.storage.shared.leases import locked

# Requests of whole tests, or of what they begin with; as for Bench.jobs.
FINISHED: dict[str, dict[str, Any]] = {
    "usual": {"control": True},
    "hard": {"method": "random", "protocols": ("hard",)},
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Runs on one thread, as their child processes do here, so that both give the same bits."""
    with one_thread():
        yield Bench(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the runs of a request are done, by whichever worker needs them first; only to be copied."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder_of(name: str) -> Path:
        folder = shared / f"finished-{name}"
        with locked(folder.with_suffix(".lock"), Silent(), wait=True):
            if not folder.exists():
                _do(Bench(folder.with_suffix(".part")), FINISHED[name]).replace(folder)
        return folder

    return folder_of


def _do(bench: Bench, request: dict[str, Any]) -> Path:
    for job in bench.jobs(**request):
        bench.run(job)
    return bench.folder


@pytest.fixture
def already_done(bench: Bench, finished: Callable[[str], Path]) -> None:
    """`bench` holds the usual run and its control, with their teacher in the cache."""
    shutil.copytree(finished("usual"), bench.folder, dirs_exist_ok=True)


@pytest.fixture
def hard_done(bench: Bench, finished: Callable[[str], Path]) -> None:
    """`bench` holds a run of random real images under hard labels."""
    shutil.copytree(finished("hard"), bench.folder, dirs_exist_ok=True)
