"""Who does the jobs of a table: the contract (`Executor`), those that keep it, and the workers that they have."""

from bench.running.executors.contract import Executor, Skipped
from bench.running.executors.local import OneWorker
from bench.running.executors.side_by_side import LocalWorkers
from bench.running.executors.spread import SpreadExecutor
from bench.running.executors.workers import Hiring, Needs, Workers

__all__ = ["Executor", "Hiring", "LocalWorkers", "Needs", "OneWorker", "Skipped", "SpreadExecutor", "Workers"]
