"""Runs and stages in a store elsewhere: killed on one machine, the same command goes on on another."""

import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import knitted_methods
import torch
from benching import Bench, until
from child_work import children_here
from stores import Server

from bench.sets import condensed as sets
from bench.storage.shared.stores import opened

SLOW = ("-m", "knitted", "--protocol", "unseen", "--no-control", "--plugin", knitted_methods.__file__)


@dataclass
class Elsewhere(Bench):
    """A machine whose runs and stages are in the store."""

    scheme: str = "s3"
    home: str = "first"
    step_s: float = 0.0

    def environment(self) -> dict[str, str]:
        leases = {"BENCH_LEASE_TTL": "2", "BENCH_LEASE_HEARTBEAT": "0.2"}
        own = {
            "HOME": str(self.folder / self.home),
            "BENCH_CACHE": f"{self.scheme}://bucket/cache",
            knitted_methods.STEP_S: str(self.step_s),
        }
        return {**super().environment(), **leases, **own}

    def words(self, *arguments: str) -> list[str]:
        return super().words(*arguments, "--runs", self.address)

    @property
    def address(self) -> str:
        return f"{self.scheme}://bucket/runs"


def test_killed_in_the_middle_it_goes_on_elsewhere_with_the_same_images(server: Server, tmp_path: Path) -> None:
    alone, first = Bench(tmp_path / "alone"), Elsewhere(tmp_path, scheme=server.scheme, step_s=2)
    second = Elsewhere(tmp_path, scheme=server.scheme, home="second")
    alone.folder.mkdir()
    with children_here():
        assert alone.typed(*SLOW).returncode == 0
    store = opened(first.address)
    under_way = first.started(*SLOW)
    sent = re.compile(r".*/units/class-1\.work/synthesis\.checkpoint\.safetensors")
    until(lambda: [Path(name) for name in store.find() if sent.fullmatch(name)], seconds=200)
    os.killpg(under_way.pid, signal.SIGKILL)
    under_way.wait()
    assert not any(name.endswith("record.json") for name in store.find())
    began = sum(name.endswith("class-0.safetensors") for name in store.find())
    with children_here():
        continued = second.typed(*SLOW, "--format", "json")
    assert continued.returncode == 0, continued.stderr
    assert began == 1 and len(json.loads(continued.stdout)) == 1
    (ours,) = (tmp_path / "second").rglob("condensed")
    (theirs,) = alone.runs.rglob("condensed")
    assert torch.equal(sets.load(ours).images.pixels, sets.load(theirs).images.pixels)
    for file in ("images.safetensors", "labels.safetensors"):
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()
    assert not [name for name in store.find() if ".work/" in name]
    _see_all_of_the_run(Elsewhere(tmp_path, scheme=server.scheme, home="third"))
    _say_the_same_of_the_run(first, ours.parent.name)
    _hold_no_secret(tmp_path, server)


def _see_all_of_the_run(machine: Elsewhere) -> None:
    """On a machine that has none of it yet: nothing is left to do, and a site shows its images."""
    with children_here():
        (forecast,) = json.loads(machine.typed(*SLOW, "--dry-run", "--format", "json").stdout)
    assert forecast["status"] == "done"
    site = machine.folder / "site"
    assert machine.spoken("report", machine.address, "-o", f"{site}/").returncode == 0
    assert list(site.rglob("*.png"))


def _say_the_same_of_the_run(machine: Elsewhere, name: str) -> None:
    """Every command that reads runs, on the machine whose work was killed; then the run is taken away."""
    runs = ("--runs", machine.address)
    (row,) = json.loads(machine.spoken("report", machine.address, "--format", "json").stdout)
    assert (row["run"], row["status"]) == (name, "done")
    assert name in machine.spoken("list", "runs", *runs).stdout
    assert name in machine.spoken("show", name, *runs).stdout
    with children_here():
        assert machine.typed(*SLOW).returncode == 0
    assert "class-0" not in machine.spoken("clean", name, *runs).stdout
    assert machine.spoken("clean", name, *runs, "--yes").returncode == 0
    assert not [each for each in opened(machine.address).find() if ".leases" not in each]


def _hold_no_secret(folder: Path, server: Server) -> None:
    """All files that were written, here and there."""
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for each in ("runs", "cache"):
        store = opened(f"{server.scheme}://bucket/{each}")
        kept += [store.read(name) for name in store.find()]
    assert len(kept) > 30 and len(server.secrets) >= 2
    for secret in server.secrets:
        assert not any(secret.encode() in content for content in kept)
