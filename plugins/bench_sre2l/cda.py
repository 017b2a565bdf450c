"""CDA (Yin and Shen, TMLR 2024, arXiv 2311.18838) as a condenser: SRe2L with a curriculum of crops."""

from typing import ClassVar

from bench.recipes import RecipeBook, Setting
from bench_sre2l.method import FILE, SRe2L


class CDA(SRe2L):
    """SRe2L whose recovery begins with the whole image and comes to small crops of it by and by.

    The smallest share of the area that an iteration's crop may have falls from 1 to 0.08, along a cosine over all
    iterations. All else is SRe2L: squeeze, loss, relabelling. With `recover.curriculum=none` it sees SRe2L's views.
    """

    book: ClassVar[RecipeBook] = RecipeBook.load(FILE, FILE.with_name("cda.toml"))

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """SRe2L's up to 64 pixels; above, the paper's own for ImageNet-1K."""
        return "cda-in1k" if setting.resolution > 64 else super().protocol(setting)
