"""Who does the jobs of a table: the contract (`Executor`), and those that keep it."""

from bench.running.executors.contract import Executor, Skipped
from bench.running.executors.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor", "Skipped"]
