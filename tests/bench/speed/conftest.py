"""The plugin of the tests."""

from pathlib import Path

import pytest

from bench.extensions.registry import Registry

PLUGIN = Path(__file__).with_name("looping.py")


@pytest.fixture(scope="session")
def plugin() -> str:
    """What --plugin names."""
    return str(PLUGIN)


@pytest.fixture(scope="session")
def registry(plugin: str) -> Registry:
    """Everything installed, and the plugin."""
    return Registry([plugin])
