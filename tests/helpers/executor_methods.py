"""A plugin for the conformance of executors: methods, a protocol that trains nothing, and a tracker that remembers."""

import os
from collections.abc import Sequence

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet

HEARD: list[tuple[str, str]] = []  # what the tracker was told in this process


class Numbered(Condenser[MethodConfig]):
    """Images that say which process made them."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        task.facts["process"] = os.getpid()
        classes = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(torch.full((len(classes), 1, 8, 8), 128, dtype=torch.uint8), classes)


class DyingOnce(Numbered):
    """Its first process dies without a word; the second finds what that one left."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        mark = task.workspace / "was here"
        if not mark.exists():
            mark.touch()
            os._exit(9)
        return super().synthesize(task, unit)


class Untrained(Protocol):
    name, labels = "untrained-here", "hard"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("numbered", Numbered, "a test"), Offer("dying-once", DyingOnce, "a test")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer(Untrained.name, Untrained(), "the same score for every set")]


@hookimpl
def bench_run_started(run: str) -> None:
    HEARD.append(("started", run))


@hookimpl
def bench_run_finished(run: str, record: dict[str, object]) -> None:
    HEARD.append((str(record["status"]), run))
