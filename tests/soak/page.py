"""docs/reliability.md, made of the table of attacks and of what the last run of all of them found."""

import ast
import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

ROOT = Path(__file__).parents[2]
TABLE, FOUND = Path(__file__).with_name("attacks.toml"), Path(__file__).with_name("last_run.json")
PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# Reliability

What was tried against the program, and how it answered. `python -m tests.soak` runs all of it and writes this
page; attacks and scenes are tables (`tests/soak/attacks.toml`, `tests/soak/scenes.py`), and the tests are part of the
suite.
"""
KILLS = """## Kills

Each scene is a command. It is run to its end twice, which gives the same bytes. Then it is killed (SIGKILL to the
command, to a child of it, or to all of them) right before each call that changes what a folder or a store holds (fsync,
replace, rename, link, unlink, rmdir, rmtree; put and remove of a store), also right after each rmtree, and at random
moments, two in a row. The same command follows, to the end (with `--retry-failed`: a killed child is a failed row).
Images, labels, teachers and decoded images must then be the same bytes, the scores the same numbers, and the files the
same names: nothing half-written, nothing set aside as damaged.

Commands are forks of one process that has imported all they need, but for those on Ray. Where processes work side by
side the n-th call is not the same each time, and whichever is the n-th is struck. Of commands side by side (shards) the
one whose call it is dies; those beside one that died must end as if nothing had been. The server of a store (moto,
which writes down what it is told before it does it) is killed at random moments and comes back after a while; of a Ray
cluster on this machine, its memory monitor off, a node is, a worker, the child of a worker, or the command. A command
whose server, node or worker was killed must end as if nothing had been.

Where a scene was attacked in part, as its line below says, its attacks lie evenly over all: not every call was struck.
"""
VICTIMS = ("parent", "child", "group", "worker", "node", "server")


@dataclass(frozen=True)
class Tried:
    """A row of the page: what is tried, how it is answered, and by which tests, as pytest names them."""

    what: str
    answer: str
    tests: Sequence[str]


def tried() -> list[Tried]:
    """The table of attacks."""
    return [Tried(**each) for each in tomllib.loads(TABLE.read_text(encoding="utf-8"))["attack"]]


def missing_tests(rows: Iterable[Tried]) -> list[str]:
    """Names of tests that are not there."""
    return [name for row in rows for name in row.tests if not _exists(name)]


def _exists(name: str) -> bool:
    file, _, function = name.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    names = {
        node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    }
    return function in names if function else any(each.startswith("test_") for each in names)


def found() -> dict[str, Any]:
    """What the last run found."""
    return dict(json.loads(FOUND.read_text(encoding="utf-8"))) if FOUND.exists() else {}


def keep(**parts: Any) -> None:  # noqa: ANN401 - JSON values
    """Keeps what was found of some parts, in the place of what was known of them."""
    FOUND.write_text(json.dumps({**found(), **parts}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def keep_tests(told: Mapping[str, Any], *, beside: bool) -> None:
    """Keeps what was found of the attacks: of all, or of some beside those that earlier runs tried."""
    known = found().get("tests", {}) if beside else {}
    outcomes = {**known.get("outcomes", {}), **told["outcomes"]}
    keep(tests={**told, "outcomes": outcomes, "seconds": known.get("seconds", 0) + told["seconds"]})


def keep_scene(name: str, told: Mapping[str, Any]) -> None:
    """Keeps what was found of a scene's kills; those of other scenes stay."""
    keep(kills={**found().get("kills", {}), name: told})


def page(rows: Sequence[Tried], last: Mapping[str, Any]) -> str:
    """The whole page."""
    return "\n".join([HEAD, attacks_part(rows, last), KILLS, kills_part(last.get("kills", {}))]) + "\n"


def attacks_part(rows: Sequence[Tried], last: Mapping[str, Any]) -> str:
    """The table of attacks, with how many tests of each passed."""
    tests = last.get("tests", {"outcomes": {}})
    lines = [(row.what, row.answer, _linked(row.tests), _passed(row, tests["outcomes"])) for row in rows]
    took = f"The tests below took {tests['seconds']:,} s on {tests['machine']}.\n\n" if tests["outcomes"] else ""
    return f"## Attacks\n\n{took}" + _markdown(lines, ("what is tried", "how it is answered", "by", "passed")) + "\n"


def _linked(tests: Sequence[str]) -> str:
    files = dict.fromkeys(name.partition("::")[0] for name in tests)
    return ", ".join(f"[{Path(file).stem}](../{file})" for file in files)


def _passed(row: Tried, outcomes: Mapping[str, Mapping[str, int]]) -> str:
    """As in "12", or "11 of 12"; a row that was added since says so."""
    counts = [outcomes[name] for name in row.tests if name in outcomes]
    if len(counts) < len(row.tests):
        return "not run yet"
    passed, count = sum(each["passed"] for each in counts), sum(each["count"] for each in counts)
    return f"{passed}" if passed == count else f"{passed} of {count}"


def kills_part(scenes: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of kills, rows are moments, columns are scenes and victims; and what each scene is and came to."""
    counts = Counter[tuple[str, str]]()
    every = [each for scene in scenes.values() for each in scene["kills"]]
    for each in every:
        for column in (each["scene"], f"{each['victim']} dies", "in all"):
            counts[each["moment"], column] += each["kills"]
            counts["in all", column] += each["kills"]
    columns = [*scenes, *(f"{victim} dies" for victim in VICTIMS), "in all"]
    moments = sorted({each["moment"] for each in every})
    table = _markdown([(at, *(counts[at, each] for each in columns)) for at in [*moments, "in all"]], ("at", *columns))
    told = "\n".join(f"- {name}: {_scene(scene)}" for name, scene in scenes.items())
    return f"{table}\n\nThe scenes:\n\n{told}"


def _scene(scene: Mapping[str, Any]) -> str:
    """What it covers, how many of the planned attacks were carried out, where, and how they ended."""
    ended = f"{scene['differing']} ended otherwise" if scene["differing"] else "all ended the same"
    share = f"{scene['attacks']} of the {scene['planned']} attacks planned"
    return f"{scene['covers']}. {share}, in {scene['seconds']:,} s on {scene['machine']}: {ended}."


def _markdown(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
