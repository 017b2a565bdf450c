"""What all forms of text have in common: each draws views."""

from abc import abstractmethod
from collections.abc import Sequence

from bench.reporting import ReportFormat, Row
from bench.reporting.pivot import pivot_views
from bench.reporting.remarks import complaints
from bench.reporting.score_views import score_views
from bench.reporting.view import RankingView, views
from bench_reports.ladder import ladder_views
from bench_reports.reproduction import reproduction_views
from bench_reports.speed import speed_views


class TextFormat(ReportFormat):
    """A form that draws one view after the other. You must write `drawn`."""

    @abstractmethod
    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        """Views and lines on what has no result, as text ending in a newline."""

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        return self.drawn(views(rows, claims=claims), complaints(rows))

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        return self.drawn(speed_views(rows, title))

    def render_ladder(self, rows: Sequence[Row], *, title: str, source: str) -> str:
        return self.drawn(ladder_views(rows, title, source))

    def render_reproduction(self, rows: Sequence[Row], *, title: str) -> str:
        return self.drawn(reproduction_views(rows, title))

    def render_pivot(self, rows: Sequence[Row], *, across: str) -> str:
        return self.drawn(pivot_views(rows, across), complaints(rows))

    def render_scores(self, rows: Sequence[Row], *, claims: bool) -> str:
        return self.drawn(score_views(rows), complaints(rows))
