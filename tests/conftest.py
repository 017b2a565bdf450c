"""A test run of several workers: each has one thread, and the processes that it starts inherit that.

`pytest -n 0 tests/bench/test_seeds.py` is quicker for a few tests: no worker has to load torch first.
"""

import gc
import os
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how long an example takes on a busy machine says nothing
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Before torch is loaded anywhere: threads of as many pools as there are workers would wait for one another."""
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """All that collecting made stays to the end: a run, which collects garbage to measure its memory, need not look."""
    gc.collect()
    gc.freeze()
