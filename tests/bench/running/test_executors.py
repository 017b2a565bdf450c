"""The executors that there are, each held to the contract of all."""

from executor_conformance import ExecutorConformance

from bench.extensions.registry import Registry
from bench.running.context import RunContext
from bench.running.executors import Executor, LocalWorkers, SpreadExecutor


class TestOneWorker(ExecutorConformance):
    def executor(self, registry: Registry, place: RunContext, *, retry: bool) -> Executor:
        return SpreadExecutor(registry, place, retry)


class TestTwoWorkers(ExecutorConformance):
    def executor(self, registry: Registry, place: RunContext, *, retry: bool) -> Executor:
        return SpreadExecutor(registry, place, retry, hire=lambda: LocalWorkers(("cpu", "cpu"), place.cache))
