"""Many runs: each in a child process of its own, one after the other, so that none disturbs another's measurement."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import Interrupted, RunFailure
from bench.plugins import Registry
from bench.records import Record
from bench.running.recording import crashed
from bench.running.workplace import Place
from bench.spec import Job


@dataclass(frozen=True)
class Skipped:
    """A job that was not done because a live process has its run."""

    job: Job
    reason: str


@dataclass
class LocalExecutor:
    """Runs jobs on this machine."""

    registry: Registry
    place: Place
    retry: bool = False
    _stopped: bool = field(default=False, init=False)

    def run(self, jobs: Sequence[Job]) -> Iterator[Record | Skipped]:
        """Does the jobs in order, yielding how each ended.

        Raises:
            Interrupted: the user asked to stop; the child has saved what it could.
        """
        for job in jobs:
            name = job.spec.name
            self._tell("bench_run_started", run=name, spec=job.spec.to_json())
            ended = self._one(job)
            if isinstance(ended, Record):
                self._tell("bench_run_finished", run=name, record=ended.to_json())
            yield ended
            if self._stopped:  # pressed when nothing was left to stop
                raise Interrupted("stopped")

    def foresee(self, job: Job) -> dict[str, Any]:
        """A trial of one job: what it would take (see `bench.running.forecasting.Forecast`).

        Raises:
            RunFailure: the trial failed.
            Interrupted: the user asked to stop.
        """
        last, status = self._listen_to_child(job, trial=True)
        match last.get("event"):
            case "forecast":
                return dict(last["forecast"])
            case "interrupted":
                raise Interrupted(last["reason"])
        raise RunFailure(f"{job.spec.name}: {last.get('reason') or _death(status)}")

    def _one(self, job: Job) -> Record | Skipped:
        last, status = self._listen_to_child(job, trial=False)
        match last.get("event"):
            case "record":
                return Record.from_json(last["record"])
            case "owned":
                return Skipped(job, last["reason"])
            case "interrupted":
                raise Interrupted(last["reason"])
        return crashed(job, self.place, last.get("reason") or _death(status))

    def _listen_to_child(self, job: Job, *, trial: bool) -> tuple[dict[str, Any], int]:
        """Runs a child to its end; its last word and its exit status.

        Raises:
            Interrupted: the child was told to stop and could not say so any more.
        """
        command = [sys.executable, "-m", "bench.running.child"]
        pipe, environment = subprocess.PIPE, child_environment(self.place.cache)
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as child:
            assert child.stdin and child.stdout
            with _stoppable(child) as asked_to_stop:
                child.stdin.write(json.dumps({**self._order(job), "trial": trial}) + "\n")
                child.stdin.flush()
                last = self._listen(job, child)
                status = child.wait()
        self._stopped = self._stopped or asked_to_stop()
        if self._stopped and last.get("event") not in ("record", "forecast"):
            raise Interrupted(last.get("reason") or f"stopped {job.spec.name}")
        return last, status

    def _order(self, job: Job) -> dict[str, Any]:
        place = self.place
        return {
            "job": job.to_json(),
            "plugins": list(self.registry.extra),
            "runs": str(place.runs),
            "cache": str(place.cache),
            "data_root": str(place.data_root),
            "device": str(place.device),
            "retry": self.retry,
            "checkpoint_seconds": place.checkpoint_seconds,
        }

    def _listen(self, job: Job, child: "subprocess.Popen[str]") -> dict[str, Any]:
        """Passes the child's news on until it closes its channel; its last word says how it ended."""
        assert child.stdout
        last: dict[str, Any] = {}
        for line in child.stdout:
            try:
                event: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:  # cut short by a kill
                continue
            match event.pop("event"):
                case "progress":
                    self.place.progress.advance(**event)
                    self._tell("bench_progress", run=job.spec.name, **event)
                case "warning":
                    self.place.progress.warn(event["message"])
                case kind:
                    last = {"event": kind, **event}
        return last

    def _tell(self, hook: str, **facts: Any) -> None:  # noqa: ANN401 - a hook's arguments
        """Calls trackers; one that raises is warned about and does not touch the run."""
        for implementation in getattr(self.registry.manager.hook, hook).get_hookimpls():
            try:
                implementation.function(**{name: facts[name] for name in implementation.argnames})
            except Exception as error:
                self.place.progress.warn(f"{hook} of plugin {implementation.plugin_name!r} raised {error!r}")


@contextlib.contextmanager
def _stoppable(child: "subprocess.Popen[str]") -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the child to save and stop; the second kills it. Yields whether there was one."""
    presses = 0

    def stop(*_: object) -> None:
        nonlocal presses
        presses += 1
        child.send_signal(signal.SIGTERM if presses == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: presses > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def child_environment(cache: Path) -> dict[str, str]:
    """The environment of a child: settings that must stand before torch is loaded, unless the user says otherwise.

    GOMP_SPINCOUNT: by default an OpenMP thread that waits for another spins for milliseconds. When any other process
    takes one of the cores, the one waited for does not run, and a step takes 25 times as long (500 ms for 20 ms).
    THP_MEM_ALLOC_ENABLE: torch asks the kernel for huge pages. Without them half of a training step at 64 pixels is
    page faults (ConvNet-4 with BatchNorm, batch 128, bf16: 4.1 ms an image for 2.5); the peak stays the same.
    TORCHINDUCTOR_CACHE_DIR, TRITON_CACHE_DIR: what was compiled once is found again by later runs.
    """
    compiled = cache / "compiled"
    ours = {
        "GOMP_SPINCOUNT": "1000",
        "THP_MEM_ALLOC_ENABLE": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(compiled / "inductor"),
        "TRITON_CACHE_DIR": str(compiled / "triton"),
    }
    if "OMP_WAIT_POLICY" in os.environ:
        del ours["GOMP_SPINCOUNT"]
    return {**ours, **os.environ}


def _death(status: int) -> str:
    """Why a child that said nothing died."""
    if status == -signal.SIGKILL:
        return "killed (SIGKILL), perhaps by the system because memory ran out"
    if status < 0:
        return f"killed by signal {signal.Signals(-status).name}"
    return f"its process ended with status {status}; see its log.txt"
