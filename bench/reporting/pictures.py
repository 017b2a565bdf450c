"""Reports that are pictures: drawn to a width, as SVG or as what else papers take."""

from abc import abstractmethod
from collections.abc import Sequence

from bench.reporting import ReportFormat, Row

WIDTHS = {"column": 3.25, "page": 6.75}  # inches, of papers of two columns (ICML's style; CVPR and IEEE: 3.25, 3.5)


class PictureFormat(ReportFormat):
    """A form that is a picture. You must write `picture`; `render` is the picture in `suffix`, which is text.

    Attributes:
        suffixes: of all kinds of files that it can be, `suffix` first.
    """

    suffixes: tuple[str, ...]

    @abstractmethod
    def picture(
        self, rows: Sequence[Row], *, suffix: str, inches: float | None, across: str | None, claims: bool
    ) -> bytes:
        """The content of the file.

        Args:
            inches: its width; None: for a screen.
            across: draw over "eval_backbone", "ipc" or "dataset", as `render_pivot`; None: the rankings.
        """

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        return self.picture(rows, suffix=self.suffix, inches=None, across=None, claims=claims).decode()

    def render_pivot(self, rows: Sequence[Row], *, across: str) -> str:
        return self.picture(rows, suffix=self.suffix, inches=None, across=across, claims=False).decode()


def suffixes_of(form: ReportFormat) -> tuple[str, ...]:
    """Of the files that a format can be."""
    return form.suffixes if isinstance(form, PictureFormat) else (form.suffix,)
