"""A plugin of methods that break, each in its own way, and of a tracker that breaks as well."""

import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.hookspecs import Offer, hookimpl


class Raises(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        print("\x1b]0;a title\x07")
        raise ZeroDivisionError("by design \x1b[2J")


class NoMemory(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        return Images(torch.empty(1 << 52), torch.zeros(1, dtype=torch.int64))


class FullDisk(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "checkpoint")


class Suicide(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class NotFinite(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        classes = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(torch.full((len(classes), 1, 8, 8), float("nan")), classes)


class TooFew(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        return Images(torch.zeros(task.classes, 1, 8, 8, dtype=torch.uint8), torch.arange(task.classes))


class BareTensor(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        return torch.zeros(task.classes, 1, 8, 8, dtype=torch.uint8)  # type: ignore[return-value]


@hookimpl
def bench_methods() -> Sequence[Offer]:
    broken = {
        "raises": Raises,
        "no-memory": NoMemory,
        "full-disk": FullDisk,
        "suicide": Suicide,
        "not-finite": NotFinite,
        "too-few": TooFew,
        "bare-tensor": BareTensor,
    }
    return [Offer(name, target, "breaks by design") for name, target in broken.items()]


@hookimpl
def bench_run_started(run: str) -> None:
    _tell("started")


@hookimpl
def bench_progress(run: str) -> None:
    _tell("progress")


@hookimpl
def bench_run_finished(run: str) -> None:
    _tell("finished")
    raise RuntimeError("a tracker out of order")


def _tell(word: str) -> None:
    with Path("told.txt").open("a") as told:
        told.write(f"{word}\n")
