"""The executors that there are, each held to the contract of all."""

from executor_conformance import ExecutorConformance

from bench.extensions.registry import Registry
from bench.running.context import RunContext
from bench.running.executors import Executor, LocalExecutor


class TestLocalExecutor(ExecutorConformance):
    def executor(self, registry: Registry, place: RunContext, *, retry: bool) -> Executor:
        return LocalExecutor(registry, place, retry)
