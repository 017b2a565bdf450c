"""EDC (Shao et al., NeurIPS 2024, arXiv 2404.13733) as a condenser."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.recipes import RecipeBook, Setting
from bench_statistics.method import PoolCondenser


class EDC(PoolCondenser):
    """G-VBSM from real images, whose statistics are held against those of the batch's classes as well.

    Weak crops, few iterations, small batches; no densification, which real images do not need.
    """

    book: ClassVar[RecipeBook] = RecipeBook.load(Path(__file__).with_name("edc.toml"))
    papers_protocol: ClassVar[str] = "edc"

    def differs(self, setting: Setting) -> Sequence[str]:
        """The commands of the release leave the flatness term out; the paper has it on every dataset."""
        return [] if self.config.recover.flatness else ["no flatness term, which the paper has"]
