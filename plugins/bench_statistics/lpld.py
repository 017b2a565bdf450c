"""LPLD (Xiao and He, NeurIPS 2024, arXiv 2410.15919) as a condenser: a class at a time, by that class's statistics."""

from pathlib import Path
from typing import ClassVar

from pydantic import model_validator

from bench.condensation import MethodConfig, Task
from bench.recipes import RecipeBook
from bench_statistics.config import Recover, StatisticsConfig
from bench_statistics.method import PoolCondenser
from bench_statistics.starts import Members


class ClasswiseRecover(Recover):
    """How to recover images of one class together."""

    @model_validator(mode="after")
    def _of_one_class(self) -> "ClasswiseRecover":
        if self.order != "class-major" or self.sweeps != 1:
            raise ValueError("a batch has images of one class: order must be 'class-major', in one sweep")
        return self


class LPLDConfig(StatisticsConfig):
    """The three stages."""

    recover: ClasswiseRecover


class LPLD(PoolCondenser):
    """SRe2L whose batches hold images of one class, which are to have that class's BatchNorm statistics.

    So images of a class differ more than where each is matched to all data among images of other classes, and few of
    their labels are enough: of the stored ones a fortieth is kept, and drawn from.
    """

    Config: ClassVar[type[MethodConfig]] = LPLDConfig
    book: ClassVar[RecipeBook] = RecipeBook.load(Path(__file__).with_name("lpld.toml"))
    papers_protocol: ClassVar[str] = "lpld"
    config: LPLDConfig

    def _batches(self, task: Task) -> list[Members]:
        size = self.config.recover.batch_size
        starts = [(label, start) for label in range(task.classes) for start in range(0, task.ipc, size)]
        return [tuple((label, at) for at in range(start, min(start + size, task.ipc))) for label, start in starts]
