"""A test run of several workers: each has one thread, and the processes that it starts inherit that."""

import os
from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Before torch is loaded anywhere: threads of as many pools as there are workers would wait for one another."""
    os.environ["OMP_NUM_THREADS"] = "1"
