"""What is told of a run, as flat names and plain values."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError

COSTS = ("prepare_s", "synthesis_s", "label_s", "seconds_per_image", "warm_up_s", "set_bytes", "label_bytes")
SCORES = ("top1", "top5", "best_top1", "seconds", "teacher_top1")
Scalars = dict[str, float]


@dataclass(frozen=True)
class Point:
    """One value of a curve: its name, the epoch, and what it was."""

    name: str
    epoch: int
    value: float


def parameters(spec: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """A run's spec by dotted names: what the method's config and the place are; nothing of what is null."""
    method = spec["method"]
    whole = {**spec, "method": {name: method[name] for name in ("name", "version", "recipe", "config")}}
    return dict(_flat(whole, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str | int | float | bool]]:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value))
    elif value is not None:
        yield name, value


def results(record: Mapping[str, Any]) -> Scalars:
    """Costs, and of every evaluation the scores of each training and their mean, as "soft-resnet18/0/top1"."""
    costs = record.get("costs") or {}
    found = {f"costs/{name}": float(costs[name]) for name in COSTS if costs.get(name) is not None}
    speed = (costs.get("ms_per_image_iteration") or {}).get("median")
    found |= {"costs/ms_per_image_iteration": float(speed)} if speed is not None else {}
    for key, evaluation in (record.get("evaluations") or {}).items():
        found |= _scores(key, evaluation.get("scores") or [])
    return found


def _scores(key: str, scores: list[Mapping[str, Any]]) -> Scalars:
    found: Scalars = {}
    for score in scores:
        found |= {f"{key}/{score['seed']}/{name}": float(score[name]) for name in SCORES if score.get(name) is not None}
        others = score.get("metrics") or {}
        found |= {f"{key}/{score['seed']}/{name}": float(metric["value"]) for name, metric in others.items()}
    top1 = [score["top1"] for score in scores if score.get("top1") is not None]
    return {**found, f"{key}/top1_mean": sum(top1) / len(top1)} if top1 else found


def curves(folder: str, record: Mapping[str, Any]) -> Iterator[Point]:
    """The curves of all trainings that kept theirs, as "soft-resnet18/0/train_loss" by epoch, from 1."""
    from bench.results.curves import path_of, read

    for key, evaluation in (record.get("evaluations") or {}).items():
        for score in evaluation.get("scores") or []:
            path = path_of(Path(folder), key, score["seed"])
            if not path.is_file():
                continue
            kept, name = read(path), f"{key}/{score['seed']}"
            epochs = range(1, len(kept.train_loss) + 1)
            yield from _points(f"{name}/train_loss", epochs, kept.train_loss.tolist())
            yield from _points(f"{name}/train_top1", epochs, kept.train_top1.tolist())
            yield from _points(f"{name}/test_top1", kept.test_epochs.tolist(), kept.test_top1.tolist())


def _points(name: str, epochs: Iterable[int], values: Iterable[float]) -> Iterator[Point]:
    return (Point(name, epoch, value) for epoch, value in zip(epochs, values, strict=True))


def needs(package: str, extra: str) -> UsageError:
    """What is said where a tracker's library is not there."""
    return UsageError(f'this tracker needs {package}: pip install "condensation-bench[{extra}]"')


def home(name: str) -> Path:
    """Where a tracker keeps files: BENCH_TRACKING, or ./tracking, and there a folder of its name."""
    return Path(os.environ.get("BENCH_TRACKING") or "tracking") / name
