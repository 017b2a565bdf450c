"""A scene on a Ray cluster, whose nodes lie on this machine: a node is killed, a worker, its child, or the command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from tests.soak.commands import Ended
from tests.soak.grounds import Ground, Hit
from tests.soak.trap import Call, Strike, Victim, children

LOOK = 0.1  # seconds between two looks for a victim
LONGEST = 600.0  # seconds after which a command hangs
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}  # bytes, about the least that Ray takes


class RayGround(Ground):
    """A cluster of two nodes with a processor each. Commands are processes, as Ray bears no forks."""

    victims: ClassVar[Sequence[Victim]] = ("worker", "node", "parent", "child")
    at_calls = False
    in_a_row = 1
    forks = False

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        from ray.cluster_utils import Cluster

        super().__init__(words, folder)
        os.environ.update(OMP_NUM_THREADS="1", RAY_memory_monitor_refresh_ms="0")  # of all processes of the cluster
        os.environ["PYTHONPATH"] = ":".join(path for path in sys.path if path)
        self._cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
        self._cluster.add_node(**NODE)

    def traced(self) -> tuple[Ended, Sequence[Call], float]:
        """As of `Ground`, without calls."""
        began = time.monotonic()
        return self.again(), [], time.monotonic() - began

    def struck(self, strike: Strike) -> Hit:
        """As of `Ground`; where there is no such victim at the moment, the first that there is afterwards dies."""
        struck = False
        with self._started() as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(strike.moment)
            while process.poll() is None and not struck:
                struck = self._kill(strike.victim, process)
                time.sleep(LOOK)
            return Hit(self._ended(process), strike if struck else None)

    def again(self, *more: str) -> Ended:
        """As of `Ground`; a node that was lost is replaced before."""
        if not self._cluster.worker_nodes:
            self._cluster.add_node(**NODE)
        with self._started(*more) as process:
            return self._ended(process)

    def _started(self, *more: str) -> "subprocess.Popen[bytes]":
        places = {"BENCH_RUNS": "runs", "BENCH_CACHE": "cache", "BENCH_DATA": "data"}
        here = {name: str(self.folder / each) for name, each in places.items()}
        words = [*self.command.words, "--address", self._cluster.address, *more]
        with (self.folder / "out.txt").open("wb") as out, (self.folder / "err.txt").open("wb") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "bench", *words],
                env={**os.environ, **here, "BENCH_CHECKPOINT_SECONDS": "0"},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def _ended(self, process: "subprocess.Popen[bytes]") -> Ended:
        try:
            status = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{' '.join(self.command.words)} hangs; see {self.folder}") from None
        out, err = ((self.folder / name).read_text() for name in ("out.txt", "err.txt"))
        return Ended(status, out, err)

    def _kill(self, victim: Victim, process: "subprocess.Popen[bytes]") -> bool:
        """Whether there was such a victim."""
        if victim == "node":
            (node,) = self._cluster.worker_nodes
            self._cluster.remove_node(node, allow_graceful=False)
            return True
        workers = list(self._workers())
        at_work = [child for worker in workers for child in children(worker)]
        found = {"parent": [process.pid], "worker": workers, "child": at_work}[victim]
        if found:
            os.kill(found[0], signal.SIGKILL)
        return bool(found)

    def _workers(self) -> Iterator[int]:
        """The processes of actors on all nodes."""
        for node in self._cluster.list_all_nodes():
            for pid in children(node.all_processes["raylet"][0].process.pid):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::NodeDesk"):
                    yield pid

    def close(self) -> None:
        """As of `Ground`."""
        self._cluster.shutdown()
