"""How many units a minute several workers of this machine make: `python tests/benchmarks/scaling.py --help`.

It works off a run by the executor of `bench run --workers N` and stops it as Ctrl-C does. What is counted begins when
each worker has made a unit: its start, which takes seconds and is paid once, is told apart.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from benching import Bench

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.hardware.cores import cores
from bench.hardware.devices import processor
from bench.running.executors import Hiring, SpreadExecutor
from bench.running.executors.side_by_side import local
from bench.running.units import read_unit
from bench.storage import run_folder

PLUGIN = str(Path(__file__).with_name("scaling_methods.py"))
HEAD = (
    "| unit | workers | units a minute | times one worker | efficiency | overhead a unit | until all had begun |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Measured:
    """What `workers` made after `start` seconds: when each kept its units, which took `seconds` on average."""

    workers: int
    moments: Sequence[Sequence[float]]
    seconds: float
    start: float

    @property
    def a_minute(self) -> float:
        """Units of all, by the time from each one's first to its last."""
        return sum(60 * (len(kept) - 1) / (max(kept) - min(kept)) for kept in self.moments)

    @property
    def overhead(self) -> float:
        """Seconds of a worker's time that a unit took beside its own."""
        between = [later - earlier for kept in self.moments for earlier, later in pairwise(sorted(kept))]
        return fmean(between) - self.seconds

    def line(self, unit: str, one: "Measured") -> str:
        """Of the table. Efficiency is the share of the workers' time that units took."""
        ratio, busy = self.a_minute / one.a_minute, self.seconds / (self.seconds + self.overhead)
        cells = (f"{self.a_minute:.1f}", f"{ratio:.2f}", f"{busy:.3f}", f"{1000 * self.overhead:.0f} ms")
        return f"| {unit} | {self.workers} | {' | '.join(cells)} | {self.start:.0f} s |"


def measured(workers: int, set_to: tuple[str, ...], seconds: float) -> Measured:
    """Works for so long after all workers have begun, and counts."""
    with tempfile.TemporaryDirectory() as folder:
        makers, bench = Path(folder) / "makers", Bench(Path(folder), (PLUGIN,))
        makers.mkdir()
        ask = {"changes": (*set_to, f"makers={makers}"), "ipcs": (300,), "classes": None, "protocols": ("hard",)}
        (job,) = bench.jobs("waiting", **ask)
        hiring = Hiring(workers, "cpu", None, bench.cache)
        executor = SpreadExecutor(Registry((PLUGIN,)), bench.place(), hire=lambda: local(hiring))
        began, stops = time.time(), Stopping(makers, workers, seconds)
        stops.start()
        try:
            list(executor.run([job]))
        except Interrupted:
            made = list(_made(bench.runs / job.spec.name / run_folder.UNITS))
    counted = [(at, took, maker) for at, took, maker in made if stops.first < at <= stops.last]
    makers_of = {maker for _, _, maker in counted}
    moments = [[at for at, _, maker in counted if maker == one] for one in makers_of]
    return Measured(workers, moments, fmean(took for _, took, _ in counted), stops.first - began)


def _made(folder: Path) -> Iterator[tuple[float, float, int]]:
    """When each unit was kept, the seconds that it says it took, and the process that made it."""
    for path in folder.glob("*.safetensors"):
        unit = read_unit(path)
        yield path.stat().st_mtime, unit.cost.seconds, unit.notes["maker"]


class Stopping(threading.Thread):
    """Presses Ctrl-C when all have worked for so long; between `first` and `last` all did."""

    def __init__(self, makers: Path, workers: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._makers, self._workers, self._seconds = makers, workers, seconds
        self.first = self.last = 0.0

    def run(self) -> None:
        while len(os.listdir(self._makers)) < self._workers:  # noqa: PTH208 - often
            time.sleep(0.05)
        self.first = time.time()
        time.sleep(self._seconds)
        self.last = time.time()
        os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2,4", help="how many, each in its turn")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds that a unit sleeps")
    parser.add_argument("--products", type=int, default=0, help="products of 512x512 matrices that a unit computes")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long is counted")
    asked = parser.parse_args()
    set_to = (f"sleep={asked.sleep}", f"products={asked.products}")
    unit = f"sleeps {asked.sleep:g} s" if asked.sleep else f"{asked.products} products"
    print(f"{processor()}, {cores()} cores, load {os.getloadavg()[0]:.1f} before\n\n{HEAD}", flush=True)
    one: Measured | None = None
    for workers in map(int, asked.workers.split(",")):
        found = measured(workers, set_to, asked.seconds)
        one = one or found
        print(found.line(unit, one), flush=True)


if __name__ == "__main__":
    main()
