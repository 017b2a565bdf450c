"""A site: the rankings on one page that sorts and filters, and a page for every run.

Every file is whole in itself and loads nothing from elsewhere, so that the folder opens from disk and from any host.
Pages are made by Jinja2, which escapes all that is put in (`site.rendering`); the other modules prepare the data:
`site.rankings` the tables, `site.runs` what is said of a run, `site.training` its curves, `site.classes` its classes,
`site.comparisons` two runs beside each other,
`site.figures` figures, `site.galleries` and `site.embeddings` images over methods, `site.names` names of files.
"""

from collections.abc import Iterator, Mapping, Sequence

from bench.reporting import Row
from bench.reporting.compared import Comparison
from bench.reporting.folders import File, FolderFormat, RunFolder
from bench.reporting.statistics.pooling import over_seeds
from bench.reporting.view import RankingView
from bench.storage.streams import shown as shown_text
from bench_reports.site.comparisons import comparison_page
from bench_reports.site.figures import over_costs, over_ipc, over_networks
from bench_reports.site.galleries import galleries
from bench_reports.site.names import file_names
from bench_reports.site.rankings import facets, overview, view_sections
from bench_reports.site.rendering import page
from bench_reports.site.runs import run_pages
from bench_reports.text import TextFormat

INDEX, FIGURES, IMAGES = "index.html", "figures.html", "images.html"
TITLE = "Dataset condensation, compared"


class Html(FolderFormat, TextFormat):
    """A folder with an index and a page a run; in one file, the index without what it leads to.

    What text has a form for (pivots, ladders, published tables, speeds, scores) is a page of tables that sort.
    """

    name = "html"
    suffix = ".html"

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        return shown_text(_index(rows, {}, claims=claims))

    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        sections = view_sections(shown)
        title = sections[0].title if len(sections) == 1 else TITLE  # of one table its own
        return shown_text(page("views", title=title, sections=sections, left_out=left_out))

    def render_comparison(self, found: Comparison, runs: Sequence[RunFolder]) -> str:
        return shown_text(comparison_page(found, runs))

    def files(self, rows: Sequence[Row], runs: Mapping[str, RunFolder], *, claims: bool, means: bool) -> Iterator[File]:
        names = file_names(row["run"] for row in rows)
        compared = over_seeds(rows) if means else rows
        yield from run_pages(rows, runs, names, claims=claims)
        yield File(FIGURES, _figures(compared, names, means=means))
        shown = galleries(rows, runs, names)
        if shown:
            yield File(IMAGES, page("images", title="Images of one class over methods", galleries=shown))
        yield File(INDEX, _index(compared, names, claims=claims, images=IMAGES if shown else ""))


def _index(rows: Sequence[Row], names: Mapping[str, str], *, claims: bool, images: str = "") -> str:
    found = overview(rows, names, claims=claims)
    return page(
        "index",
        title=TITLE,
        overview=found,
        facets=facets(found),
        figures=FIGURES if names else "",
        images=images,
    )


def _figures(rows: Sequence[Row], names: Mapping[str, str], *, means: bool) -> str:
    drawn = {"ipc": over_ipc(rows, names), "networks": over_networks(rows, names), "costs": over_costs(rows, names)}
    return page("figures", title="Figures", means=means, **drawn)


HTML = Html()
