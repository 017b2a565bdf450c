"""The house: which room may import which, and what plugins may rely on."""

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up: a module imports from its own floor and from those below. A name is a module or a room.
FLOORS = (
    ("errors", "seeds", "hookspecs", "progress", "version"),
    ("storage", "hardware"),
    ("extensions", "labels", "recipes", "loops"),
    ("data", "drawing"),
    ("condensation",),
    ("whitening", "compiling"),
    ("results",),
    ("sets", "reporting"),
    ("evaluation",),
    ("training",),
    ("recovery", "interchange"),
    ("planning",),
    ("running",),
    ("speed",),
    ("conformance", "cli"),
    ("interface",),
    ("testing", "__main__"),
)
FLAT = 12  # modules that a newcomer meets, besides __init__ and __main__
CROWDED = 24  # modules in one folder of `bench`; beyond them a wall is missing


def modules() -> dict[str, Path]:
    found = (path for path in (ROOT / "bench").rglob("*.py") if "scaffold" not in path.parts)
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


def statements(nodes: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports, also those for types alone and those within functions."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            yield from statements(ast.iter_child_nodes(node))


def imported(path: Path, known: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for node in statements(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in named}
    return {name for name in found if name.split(".")[0] == "bench"}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imported(path, known) for name, path in known.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_no_module_imports_itself_by_way_of_others(graph: dict[str, set[str]]) -> None:
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


def test_no_arrow_goes_up(graph: dict[str, set[str]]) -> None:
    height = {name: level for level, names in enumerate(FLOORS) for name in names}
    assert set(height) == {room(name) for name in graph if room(name)}
    arrows = {(one, other) for one, others in graph.items() for other in others if room(one) and room(other)}
    assert {(one, other) for one, other in arrows if height[room(one)] < height[room(other)]} == set()


def test_few_modules_stand_on_the_flat_floor() -> None:
    flat = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__", "__main__"}
    assert len(flat) <= FLAT, sorted(flat)


def test_no_room_is_crowded() -> None:
    folders = {path.parent for path in modules().values()}
    assert {folder.name for folder in folders if len(list(folder.glob("*.py"))) > CROWDED} == set()


def kept() -> tuple[set[str], set[str]]:
    """The paths that docs/concepts.md promises: modules, and rooms with all of their modules."""
    page = (ROOT / "docs" / "concepts.md").read_text()
    chapter = page.split("## What a plugin imports")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in chapter.splitlines() if line.startswith("| `")]
    names = [(name, "and its modules" in row) for row in rows for name in re.findall(r"`(bench[\w.]*)`", row)]
    return {name for name, _ in names}, {name for name, whole in names if whole}


def test_what_is_promised_is_there() -> None:
    assert kept()[0] <= set(modules())


def test_plugins_import_what_is_promised_alone() -> None:
    paths, rooms = kept()
    sources = [path for folder in ("plugins", "datasets", "reports") for path in (ROOT / folder).rglob("*.py")]
    used = {(path.name, name) for path in sources for name in imported(path, modules())}
    assert {
        (where, name) for where, name in used if name not in paths and name.rpartition(".")[0] not in rooms
    } == set()


def test_pages_show_imports_of_what_is_promised_alone() -> None:
    paths, rooms = kept()
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "bench" / "extensions").rglob("*.j2")]
    shown = {name for page in pages for name in re.findall(r"^ *from (bench[\w.]*) import", page.read_text(), re.M)}
    assert {name for name in shown if name not in paths | {"bench"} and name.rpartition(".")[0] not in rooms} == set()
