"""A plugin of methods that end Python or write to the channel of their process, and a protocol that trains nothing."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet


class Exits(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        sys.exit(3)


class Gray(Condenser[MethodConfig]):
    """Nothing is wrong with it."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        each = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(torch.full((len(each), 1, 8, 8), 128, dtype=torch.uint8), each)


class Noisy(Gray):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        _write(b'\xff\xfe\x00 \n[1]\n{"event": "warning"}\n{"event": "progress", "what": 3}\n')
        return super().synthesize(task, unit)


class Lying(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        _write(b'{"event": "record", "record": {"spec": {}}}\n')
        os._exit(0)


class Untrained(Protocol):
    name, labels = "untrained", "hard"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


def _write(noise: bytes) -> None:
    """To every pipe of the process that can be written to."""
    for number in range(3, 64):
        try:
            if str(Path(f"/proc/self/fd/{number}").readlink()).startswith("pipe:"):
                os.write(number, noise)
        except OSError:
            continue


@hookimpl
def bench_methods() -> Sequence[Offer]:
    offered = {"exits": Exits, "gray": Gray, "noisy": Noisy, "lying": Lying}
    return [Offer(name, target, "is at fault by design") for name, target in offered.items()]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("untrained", Untrained(), "the same score for every set")]
