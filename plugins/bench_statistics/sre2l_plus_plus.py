"""SRe2L++, the baseline of CV-DD (Cui et al., arXiv 2501.07575; Jiacheng8/CV-DD), as a condenser."""

from pathlib import Path
from typing import ClassVar

from bench.recipes import RecipeBook
from bench_statistics.method import PoolCondenser

FILE = Path(__file__).with_name("sre2l_plus_plus.toml")


class SRe2LPlusPlus(PoolCondenser):
    """SRe2L by later settings: real patches to start from, and labels by BatchNorm's statistics of their own batch.

    One network, whose BatchNorms' inputs are matched as in SRe2L; at each image index chunks of classes, one image of
    each, with a view for the whole chunk.
    """

    book: ClassVar[RecipeBook] = RecipeBook.load(FILE)
    papers_protocol: ClassVar[str] = "cv-dd"
