"""`python -m tests.soak`: all attacks and kills, and the page that tells of them. Minutes, on two cores."""

import gc
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
from tabulate import tabulate

from tests.soak import kills, page, scenes

PARTS = ("attacks", "kills", "page")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--kills", "count", type=int, help="Attacks on each scene, evenly over all [default: all].")
@click.option("--scene", "names", multiple=True, help="Of these scenes alone.")
@click.option("--moments", type=int, default=30, show_default=True, help="Random moments of each scene.")
@click.option("--jobs", type=int, default=2, show_default=True, help="Scenes that are killed at a time.")
@click.option("--new", is_flag=True, help="Of attacks those alone that no run has tried.")
@click.option("--machine", default=None, help="What the page calls this machine.")
@click.option("--keep/--no-keep", default=True, help="Write what was found into the page.")
def command(
    parts: tuple[str, ...],
    count: int | None,
    names: tuple[str, ...],
    moments: int,
    jobs: int,
    new: bool,
    machine: str | None,
    keep: bool,
) -> None:
    """Run PARTS (all of them without a name) and write docs/reliability.md; status 1 where something did not hold."""
    wanted, where, held = parts or PARTS, machine or _machine(), True
    chosen = [each for each in scenes.SCENES if not names or each.name in names]
    if "kills" in wanted:  # first: its forks want a process that has done nothing else
        for scene in chosen:
            told = killed(scene, count, moments, jobs)
            held &= not told["differing"]
            page.keep_scene(scene.name, {**told, "machine": where}) if keep else None
    if "attacks" in wanted:
        outcomes = attacked(new=new)
        held &= all(each["passed"] == each["count"] for each in outcomes["outcomes"].values())
        page.keep_tests({**outcomes, "machine": where}, beside=new) if keep else None
    if keep:
        page.PAGE.write_text(page.page(page.tried(), page.found()), encoding="utf-8")
    sys.exit(0 if held else 1)


def killed(scene: scenes.Scene, count: int | None, moments: int, jobs: int) -> dict[str, Any]:
    """Kills of a scene, told as they come on standard error and in a table at the end."""
    folder, tally = Path(tempfile.mkdtemp(prefix="bench-kills-")), kills.Tally()
    scenes.warm_up([scene], folder)
    gc.collect()
    gc.freeze()  # what was imported is nobody's garbage: looking through it takes each fork half a second
    whole = kills.reference(scene, folder / scene.name)
    planned = kills.planned(whole, moments)
    attacks = kills.thinned(planned, count)
    fates = kills.carried_out(attacks, whole.outcome, folder, jobs if scene.ground.forks else 0)
    for number, fate in enumerate(fates, 1):
        tally.add(fate)
        words = f"[{number}/{len(attacks)}] {fate.attack.scene.name}: {', then '.join(map(str, fate.attack.strikes))}"
        click.echo(f"{words}: {'; '.join(fate.differences) or 'the same'}", err=True)
    told = {**tally.to_json(), "covers": scene.covers, "planned": len(planned), "attacks": len(attacks)}
    _print(told)
    if tally.differing:
        click.echo(f"what differs lies in {folder}", err=True)
    return told


def _print(told: dict[str, Any]) -> None:
    rows = [(each["scene"], each["moment"], each["victim"], each["kills"]) for each in told["kills"]]
    click.echo(tabulate([*rows, ("in all", "", "", sum(row[3] for row in rows))], ("scene", "at", "who", "kills")))
    click.echo(f"{told['differing']} attacks ended otherwise than without a kill; {told['seconds']} s")


def attacked(*, new: bool = False) -> dict[str, Any]:
    """Runs the tests of the table, or the new ones; of each name there how many there were and how many passed."""
    known = page.found().get("tests", {}).get("outcomes", {}) if new else {}
    named = sorted({name for row in page.tried() for name in row.tests} - known.keys())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        files = named if new else sorted({name.partition("::")[0] for name in named})
        quiet = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        subprocess.run([sys.executable, "-m", "pytest", *quiet, *files], cwd=page.ROOT, stdout=sys.stderr, check=False)
        cases = [each for each in ElementTree.parse(report).iter("testcase") if each.find("skipped") is None]
    count, passed = Counter[str](), Counter[str]()
    for case in cases:
        file = case.get("classname", "").replace(".", "/") + ".py"
        for name in (file, f"{file}::{case.get('name', '').partition('[')[0]}"):
            count[name] += 1
            passed[name] += len(case) == 0 or {each.tag for each in case}.isdisjoint({"failure", "error"})
    outcomes = {name: {"count": count[name], "passed": passed[name]} for name in named}
    return {"outcomes": outcomes, "seconds": round(time.monotonic() - began)}


def _machine() -> str:
    """As in "2 cores of an AMD EPYC"."""
    cores, known = len(os.sched_getaffinity(0)), Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", known.read_text()) if known.exists() else None
    return f"{cores} cores of {model[1] if model else platform.machine()}"


if __name__ == "__main__":
    command()
