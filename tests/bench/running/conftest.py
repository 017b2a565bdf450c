"""A place to run in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from benching import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Runs on one thread, as their child processes do here, so that both give the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(tmp_path)
    torch.set_num_threads(threads)
