"""DELT (Shen et al., CVPR 2025, arXiv 2411.19946; VILA-Lab/DELT) as a condenser: early images are trained longer."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field, model_validator

from bench.condensation import MethodConfig, Task
from bench.errors import UsageError
from bench.recipes import RecipeBook, Setting
from bench_statistics.config import Recover, StatisticsConfig
from bench_statistics.method import PoolCondenser
from bench_statistics.starts import Members


class EarlyLateRecover(Recover):
    """How to recover images of which some join later.

    Attributes:
        rounds: so many of as many iterations each, as near as can be. The images of a class join in equal parts, one
            part a round, and stay to the end; the first rounds get what is over.
    """

    rounds: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _remembers_nothing(self) -> "EarlyLateRecover":
        if self.order != "class-major":
            raise ValueError("the images of a class join round by round: order must be 'class-major'")
        if self.smoothing or self.flatness:
            raise ValueError("where images join later, neither smoothing nor flatness can be had")
        return self


class DELTConfig(StatisticsConfig):
    """The three stages."""

    recover: EarlyLateRecover


class DELT(PoolCondenser):
    """CDA from real images of medium difficulty, which join round by round and so differ within their class.

    One Adam and one cosine for all; what has not joined is neither seen nor moved, and no part of the statistics. A
    batch holds whole classes.
    """

    Config: ClassVar[type[MethodConfig]] = DELTConfig
    book: ClassVar[RecipeBook] = RecipeBook.load(Path(__file__).with_name("delt.toml"))
    papers_protocol: ClassVar[str] = "delt"
    config: DELTConfig

    def check(self, setting: Setting) -> None:
        """A batch must hold a class. Raises UsageError: it does not, or as `PoolCondenser.check`."""
        super().check(setting)
        if (size := self.config.recover.batch_size) < setting.ipc:
            raise UsageError(
                f"delt recovers all images of a class in one batch, and recover.batch_size is {size} "
                f"for --ipc {setting.ipc}; --set recover.batch_size={setting.ipc}"
            )

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """Once in the iterations in which an image is there: on average over the images of a class."""
        recover = self.config.recover
        joins = joined(setting.ipc, recover.rounds, recover.iterations)
        there = sum(recover.iterations - each for each in joins) / (recover.iterations * len(joins))
        return {name: there * times for name, times in super().passes(setting).items()}

    def _batches(self, task: Task) -> list[Members]:
        chunks = torch.arange(task.classes).split(self.config.recover.batch_size // task.ipc)
        return [tuple((label, number) for label in chunk.tolist() for number in range(task.ipc)) for chunk in chunks]

    def _joins(self, task: Task, members: Members) -> tuple[int, ...]:
        recover = self.config.recover
        joins = joined(task.ipc, recover.rounds, recover.iterations)
        return tuple(joins[number] for _, number in members)


def joined(images: int, rounds: int, iterations: int) -> list[int]:
    """The iteration at which each image of a class joins, in their order."""
    each, over = divmod(images, rounds)
    return [iterations * at // rounds for at in range(rounds) for _ in range(each + (at < over))]
