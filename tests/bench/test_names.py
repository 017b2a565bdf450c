"""Every dotted name of ours that sources and pages say leads to something: what moves takes its mentions along."""

import re
from importlib import import_module
from inspect import get_annotations
from pathlib import Path

import pytest

from bench.extensions.registry import GROUP

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\bbench(?:\.[A-Za-z_]\w*)+")
SOURCES = [path for folder in ("bench", "plugins", "datasets", "reports") for path in (ROOT / folder).rglob("*.py")]
PAGES = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]  # a changelog says what things were called
OTHERS = {GROUP, "bench.shown"}  # no modules: a group of entry points, a way to encode


def is_there(name: str) -> bool:
    """Whether it is a module, or an attribute of one, of a class in it, ... or a field that a class declares."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return leads_somewhere(found, parts[length:])
    return False


def leads_somewhere(found: object, attributes: list[str]) -> bool:
    for each in attributes:
        if not hasattr(found, each):
            bases = found.__mro__ if isinstance(found, type) else ()
            return each == attributes[-1] and any(each in get_annotations(base) for base in bases)
        found = getattr(found, each)
    return True


@pytest.mark.parametrize("name", ["bench.seeds.derive", "bench.condensation.Task.stage", "bench.condensation.Task.ipc"])
def test_what_is_there_is_found(name: str) -> None:
    assert is_there(name)


@pytest.mark.parametrize("name", ["bench.seeds.gpu_draws", "bench.walking", "bench.condensation.Task.stage.nothing"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    assert not is_there(name)


def test_every_name_that_is_said_is_there() -> None:
    said = {(name, path) for path in SOURCES + PAGES for name in NAME.findall(path.read_text(encoding="utf-8"))}
    lost = {name for name in {name for name, _ in said} if name not in OTHERS and not is_there(name)}
    assert {(name, str(path.relative_to(ROOT))) for name, path in said if name in lost} == set()
