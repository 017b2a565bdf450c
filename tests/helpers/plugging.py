"""Plugins that tests install, and the simplest of them."""

from collections.abc import Callable
from pathlib import Path

from bench.extensions.registry import Registry

Install = Callable[[str, str], Path]

GOOD = """
from bench.hookspecs import Offer, hookimpl

@hookimpl
def bench_methods():
    return [Offer("{name}", "json:dumps", "offered by a test")]
"""


def broken(registry: Registry, plugin: str) -> str:
    """Why a plugin is listed as broken."""
    return next(each.reason for each in registry.broken if each.plugin == plugin)
