"""A place to run in."""

from pathlib import Path

import pytest
from benching import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs of a small request below a temporary folder."""
    return Bench(tmp_path)
