"""Methods with a pool of networks, made small, and settings to make them in."""

from collections.abc import Sequence

from bench.condensation import Task
from bench.extensions.registry import Registry
from bench.planning.configuring import build, configure
from bench.recipes import Budget, Setting
from bench_statistics.method import BatchUnit, PoolCondenser

SMALL: Sequence[str] = (
    'pool=["convnet3-bn", "convnet3"]',
    "squeeze.epochs=1",
    "recover.patch=2",
    "recover.batch_size=4",
)
ALONE = 'pool=["convnet3-bn"]'


def method(name: str, task: Task, *changes: str) -> PoolCondenser:
    choice = configure(Registry(), name, task.setting, [*SMALL, "squeeze.warmup_epochs=0", *changes])
    made = build(Registry(), choice)
    assert isinstance(made, PoolCondenser)
    return made


def batches(units: Sequence[object]) -> list[tuple[tuple[int, int], ...]]:
    return [members for unit in units if isinstance(unit, BatchUnit) for members in unit.batches]


def setting(dataset: str, resolution: int, classes: int, ipc: int = 10, budget: Budget = "paper") -> Setting:
    return Setting(dataset, resolution, 3, classes, ipc, "resnet18", budget)


TINY, IN1K, CIFAR10 = setting("tiny-imagenet", 64, 200), setting("imagenet-1k", 224, 1000), setting("cifar10", 32, 10)
