"""Images for tests of many rooms."""

import pytest

from bench.data.datasets import Dataset
from bench.data.opening import open_dataset, select_classes
from bench.extensions.registry import Registry
from bench.progress import Silent


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Digits 0 to 2."""
    place = tmp_path_factory.mktemp("digits")
    return select_classes(open_dataset(Registry(), "digits", place, place / "cache", Silent()), "3")
