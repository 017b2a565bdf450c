"""Runs on the bundled digits, three classes, seconds each: by calls, as the user types them, or as processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from commands import run_bench
from ears import Ear as Ear

from bench.extensions.registry import Registry
from bench.planning.planner import Planner
from bench.planning.request import Request
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.runner import Run

QUICK = ("squeeze.epochs=2", "recover.iterations=30")


@dataclass
class Bench:
    """A place to run in, and short ways to do so."""

    folder: Path
    plugins: tuple[str, ...] = ()
    ear: Ear = field(default_factory=Ear)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def request(self, method: str = "sre2l", **changes: Any) -> Request:  # noqa: ANN401 - the fields of Request
        """A small request; without the control unless asked for."""
        usual: dict[str, Any] = {
            "methods": (method,),
            "datasets": ("digits",),
            "ipcs": (2,),
            "backbones": ("convnet3-w32-bn",),
            "eval_backbones": (),
            "protocols": ("paper",),
            "seeds": (0,),
            "eval_seeds": 1,
            "classes": "3",
            "changes": QUICK if method == "sre2l" else (),
            "budget": "quick",
            "device": "cpu",
            "precision": "fp32",
            "compile": "auto",
            "control": False,
            "data_root": self.folder / "data",
            "cache": self.cache,
        }
        return Request(**{**usual, **changes})

    def jobs(self, method: str = "sre2l", **changes: Any) -> list[Job]:  # noqa: ANN401 - the fields of Request
        """The jobs of such a request."""
        return Planner(Registry(self.plugins), self.request(method, **changes), self.ear, self.runs).jobs()

    def place(self, **changes: Any) -> RunContext:  # noqa: ANN401 - the fields of Place
        """Here, on the CPU."""
        here = RunContext(self.runs, self.cache, self.folder / "data", torch.device("cpu"), self.ear)
        return replace(here, **changes)

    def run(self, job: Job, *, retry: bool = False, **changes: Any) -> Record:  # noqa: ANN401 - the fields of Place
        """One run in this process."""
        return Run(job, Registry(self.plugins), self.place(**changes), retry).complete()

    def words(self, *arguments: str) -> list[str]:
        """`run` of the same small request, as typed after `bench`."""
        fixed = "-d digits --ipc 2 --backbone convnet3-w32-bn --eval-seeds 1 --classes 3 --budget quick"
        arithmetic = "--precision fp32 --device cpu"
        return ["run", *fixed.split(), *arithmetic.split(), "--runs", str(self.runs), *arguments]

    def command(self, *arguments: str) -> list[str]:
        """The same, as a process is started."""
        return [sys.executable, "-m", "bench", *self.words(*arguments)]

    def environment(self) -> dict[str, str]:
        """Of a user who has set nothing; above all not where real data lies, which a mistaken command would use."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
        ours = {"BENCH_CACHE": str(self.cache), "BENCH_CHECKPOINT_SECONDS": "0.1", "OMP_NUM_THREADS": "1"}
        return {**mine, **ours}

    def typed(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`bench run ...` to its end."""
        return self.spoken(*self.words(*arguments))

    def spoken(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """`bench WORDS` to its end, here, with its output kept; the command in this process, runs in their own."""
        return run_bench(*words, folder=self.folder, environment=self.environment())

    def executed(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Any command to its end as a process, here, with its output kept."""
        environment, folder = self.environment(), self.folder
        return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)

    def started(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """`bench run ...` under way, in a process group of its own."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            cwd=self.folder,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """This process computes on one thread within it, as child processes do here: so that both give the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def until(there: Callable[[], Sequence[Path]], seconds: float = 120) -> Path:
    """The first path that `there` finds, waiting for it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := there():
            return found[0]
        time.sleep(0.01)
    raise AssertionError("what was waited for did not come")


def kill(process: "subprocess.Popen[Any]") -> None:
    """SIGKILL to the command and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
