"""What a planner says of a plan, a line each."""

from collections.abc import Iterable, Sequence

from bench.data.datasets import Dataset
from bench.results.spec import Job


def of_rankings(dataset: Dataset, methods: Sequence[str], asked: Iterable[Job]) -> Iterable[str]:
    """By which protocols methods are ranked, where "paper" is not the same of all."""
    by = _methods_by_protocol(asked)
    if any(set(each) != set(methods) for each in by.values()):
        told = ", ".join(f"{' and '.join(each)} by {protocol}" for protocol, each in by.items())
        equal = "--protocol NAME puts all on equal terms"
        yield f"{dataset.name}: 'paper' ranks {told}, each protocol on its own; {equal}"


def of_all_images(dataset: Dataset, method: str) -> str:
    """What a method takes that takes all."""
    count = len(dataset.train)
    return f"{dataset.name}: {method} is all {count:,} training images, whatever --ipc and --seed say"


def _methods_by_protocol(jobs: Iterable[Job]) -> dict[str, dict[str, None]]:
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        for each in job.evaluations:
            found.setdefault(each.protocol, {})[job.spec.method.name] = None
    return found
