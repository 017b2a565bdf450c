"""G-VBSM (Shao et al., CVPR 2024, arXiv 2311.17950) as a condenser."""

from pathlib import Path
from typing import ClassVar

from bench.recipes import RecipeBook
from bench_statistics.method import PoolCondenser


class GVBSM(PoolCondenser):
    """Generalised matching of various backbones and statistics.

    From noise; in each iteration one network of the pool, whose BatchNorms' and convolutions' inputs are matched by
    channel and by patch, smoothed over iterations; images of one class are spread by their Gram matrix's eigenvalues.
    """

    book: ClassVar[RecipeBook] = RecipeBook.load(Path(__file__).with_name("g_vbsm.toml"))
    papers_protocol: ClassVar[str] = "g-vbsm"
