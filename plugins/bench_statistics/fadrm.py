"""FADRM and FADRM+ (Cui et al., NeurIPS 2025, arXiv 2506.24125; Jiacheng8/FADRM) as condensers."""

from pathlib import Path
from typing import ClassVar

from bench.recipes import RecipeBook
from bench_statistics.method import PoolCondenser
from bench_statistics.sre2l_plus_plus import FILE

OWN = Path(__file__).with_name("fadrm.toml")


class FADRM(PoolCondenser):
    """SRe2L++ in stages, after each of which the patches that images started from are mixed back into them.

        x <- alpha x + (1 - alpha) x_start   (alpha: recover.residual)

    With a new Adam each stage and fewer iterations in all.
    """

    book: ClassVar[RecipeBook] = RecipeBook.load(FILE, OWN)
    papers_protocol: ClassVar[str] = "fadrm"


class FADRMPlus(FADRM):
    """FADRM from several networks, one an iteration in turn; all of them label."""

    book: ClassVar[RecipeBook] = RecipeBook.load(FILE, OWN, OWN.with_name("fadrm_plus.toml"))
