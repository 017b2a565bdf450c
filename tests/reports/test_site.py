"""The site: which files there are, what they say, and that no name in them does anything."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from sites import PNG, keep_run

from bench.cli import main
from bench.cli.output import write_folder
from bench.extensions.registry import Registry
from bench.reporting import Row
from bench.reporting.folders import File
from bench.reporting.one_run import costs
from bench.reporting.units import UNKNOWN
from bench.results.fields import Row as Known
from bench.results.spec import Origin
from bench.sets.contact_sheet import write_preview
from bench.storage.files import write_json
from bench_reports.site import HTML
from bench_reports.site.names import file_names
from bench_reports.site.rankings import told_apart

RowMaker = Callable[..., Row]
Report = Callable[..., int]

OF_DONE = ("top1_mean", "eval_backbone", "protocol_id", "precision")  # no row is done without them
EVIL = "<img src=x onerror=alert(1)>\"'&=cmd|' /C calc'!A0 \x1b]0;title\x07 \u202eor {{ 7*7 }} </script>"


class Page(HTMLParser):
    """What of a page a browser would act on: its elements, with their attributes, and what can be read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def links(self) -> list[str]:
        """Where the page leads."""
        return [str(attributes["href"]) for tag, attributes in self.elements if tag == "a"]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """`bench report` of the runs in `tmp_path / "runs"`; its exit status."""
    monkeypatch.setenv("BENCH_RUNS", str(tmp_path / "runs"))

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["bench", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return call


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("arguments", [["-o", "{}/"], ["--format", "html", "-o", "{}"]])
def test_a_folder_has_an_index_and_a_page_a_run(tmp_path: Path, report: Report, arguments: list[str]) -> None:
    names = [keep_run(tmp_path / "runs", seed) for seed in (0, 1)]
    site = tmp_path / "site"
    assert report(*(each.format(site) for each in arguments)) == 0
    pages = ["figures.html", *(f"runs/{name}.{suffix}" for name in names for suffix in ("html", "png"))]
    assert files(site) == sorted([".bench-report.json", "index.html", *pages])
    page = Page((site / "index.html").read_text(encoding="utf-8"))
    assert [link for link in page.links() if link.startswith("runs/")] == [f"runs/{name}.html" for name in names]
    assert (site / f"runs/{names[0]}.png").read_bytes() == PNG


def test_sheets_of_images_are_no_second_copy_and_a_new_report_leaves_them_whole(tmp_path: Path, report: Report) -> None:
    """Also where a report was killed between two steps, and left a second name of a run's sheet."""
    name = keep_run(tmp_path / "runs")
    sheet, shown = tmp_path / "runs" / "run0" / "preview.png", tmp_path / "site" / "runs" / f"{name}.png"
    assert report("-o", f"{tmp_path}/site/") == 0
    assert shown.samefile(sheet)
    for folder in (shown.parent, shown.parent.parent):
        os.link(sheet, folder / f".{os.getpid()}.part")
    assert report("-o", f"{tmp_path}/site/") == 0
    assert sheet.read_bytes() == shown.read_bytes() == PNG


def test_of_a_sheet_behind_a_link_the_site_has_the_sheet(tmp_path: Path, report: Report) -> None:
    """As tools keep large files that put them elsewhere, and a relative link in their place."""
    name = keep_run(tmp_path / "runs")
    sheet = tmp_path / "runs" / "run0" / "preview.png"
    sheet.rename(tmp_path / "runs" / "kept.png")
    sheet.symlink_to("../kept.png")
    assert report("-o", f"{tmp_path}/site/") == 0
    shown = tmp_path / "site" / "runs" / f"{name}.png"
    assert not shown.is_symlink() and shown.read_bytes() == PNG


def test_the_page_of_a_run_says_what_a_reader_needs(tmp_path: Path, report: Report) -> None:
    name = keep_run(tmp_path / "runs")
    assert report("-o", f"{tmp_path}/site/") == 0
    page = Page((tmp_path / f"site/runs/{name}.html").read_text(encoding="utf-8"))
    words = " ".join(page.words.split())
    for said in ("51.00 ± 1.41 (2)", "50.00", "52.00", "the method's own defaults", "bench run -m 'a b' --set x=1"):
        assert said in words
    assert "../index.html" in page.links()


def test_a_page_without_a_figure_says_what_one_takes(tmp_path: Path, report: Report) -> None:
    keep_run(tmp_path / "runs", 0)
    assert report("-o", f"{tmp_path}/site/") == 0
    words = " ".join(Page((tmp_path / "site/figures.html").read_text(encoding="utf-8")).words.split())
    assert "nothing to draw" in words and "Times that were taken beside other work are held against none" in words


def test_over_seeds_rankings_are_of_means_and_runs_keep_their_pages(tmp_path: Path, report: Report) -> None:
    """Two sets of 51.00 on average: no deviation over them. A mean leads to both of its runs and is neither."""
    names = [keep_run(tmp_path / "runs", seed) for seed in (0, 1)]
    assert report("--over", "seed", "-o", f"{tmp_path}/site/") == 0
    index = Page((tmp_path / "site/index.html").read_text(encoding="utf-8"))
    words = " ".join(index.words.split())
    assert "51.00 ± 0.00 (2)" in words and "2 runs, 1 ranking" in words
    assert [link for link in index.links() if link.startswith("runs/")] == [f"runs/{name}.html" for name in names]
    for name in names:
        assert "51.00 ± 1.41 (2)" in (tmp_path / f"site/runs/{name}.html").read_text(encoding="utf-8")
    figures = Page((tmp_path / "site/figures.html").read_text(encoding="utf-8"))
    assert "mean over seeds" in figures.words


def test_a_new_report_takes_away_what_the_last_one_had_and_nothing_else(tmp_path: Path, report: Report) -> None:
    first, second = (keep_run(tmp_path / "runs", seed) for seed in (0, 1))
    site = tmp_path / "site"
    assert report("-o", f"{site}/") == 0
    (site / "CNAME").write_text("example.org")
    assert report("-o", f"{site}/", "--where", "seed=1") == 0
    assert not (site / f"runs/{first}.html").exists()
    assert (site / f"runs/{second}.html").exists()
    assert (site / "CNAME").read_text() == "example.org"


def test_of_a_report_that_breaks_off_nothing_is_left_and_an_earlier_one_is_whole(tmp_path: Path) -> None:
    def breaking() -> Iterator[File]:
        yield File("runs/a.html", "new")
        raise RuntimeError("a page")

    site = tmp_path / "site"
    with pytest.raises(RuntimeError, match="a page"):
        write_folder(site, breaking())
    assert not site.exists()
    write_folder(site, [File("runs/a.html", "old"), File("index.html", "leads to it")])
    before = {name: (site / name).read_bytes() for name in files(site)}
    with pytest.raises(RuntimeError, match="a page"):
        write_folder(site, breaking())
    assert {name: (site / name).read_bytes() for name in files(site)} == before
    assert sorted(path.name for path in site.iterdir()) == [".bench-report.json", "index.html", "runs"]


KILLED = """
import os, signal, sys
from pathlib import Path
from bench.cli.output import write_folder
from bench.reporting.folders import File
from bench.reporting.one_run import costs

def dying():
    yield File("runs/a.html", "new")
    os.kill(os.getpid(), signal.SIGKILL)

write_folder(Path(sys.argv[1]), dying())
"""


def test_what_a_killed_report_left_goes_with_the_next_and_what_is_being_made_stays(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert subprocess.run([sys.executable, "-c", KILLED, str(site)], check=False).returncode == -signal.SIGKILL
    assert [path.suffix for path in site.iterdir()] == [".part"]
    (site / ".mine.part").mkdir()  # of another program
    index = File("index.html", "leads to it")

    def beside_another() -> Iterator[File]:
        yield File("runs/a.html", "new")
        write_folder(site, [index])
        yield index

    assert write_folder(site, beside_another()) == ["runs/a.html", "index.html"]
    assert sorted(path.name for path in site.iterdir()) == [".bench-report.json", ".mine.part", "index.html", "runs"]


def test_files_of_two_reports_that_are_written_at_once_are_all_known_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, index = tmp_path / "site", File("index.html", "leads to it")
    between = iter([File("runs/b.html", "another's")])

    def written(path: Path, content: dict[str, list[str]]) -> None:
        write_json(path, content)
        for file in between:
            write_folder(site, [index, file])

    monkeypatch.setattr("bench.storage.files.write_json", written)
    write_folder(site, [index])
    assert (site / "runs" / "b.html").exists()
    write_folder(site, [index])
    assert not (site / "runs" / "b.html").exists()


def test_names_in_the_list_of_files_that_lead_out_are_left_alone(tmp_path: Path, report: Report) -> None:
    keep_run(tmp_path / "runs")
    site = tmp_path / "site"
    assert report("-o", f"{site}/") == 0
    (tmp_path / "precious").write_text("kept")
    listed = json.loads((site / ".bench-report.json").read_text())
    write_json(site / ".bench-report.json", {"files": [*listed["files"], "../precious", str(tmp_path / "precious")]})
    assert report("-o", f"{site}/") == 0
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_folder_with_other_files_is_refused(
    tmp_path: Path, report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(tmp_path / "runs")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    assert report("-o", f"{tmp_path}/home") == 2
    assert "'thesis.tex'" in capsys.readouterr().err
    assert files(tmp_path / "home") == ["thesis.tex"]


def test_a_format_of_one_file_refuses_a_folder(
    tmp_path: Path, report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(tmp_path / "runs")
    assert report("--format", "csv", "-o", f"{tmp_path}/site/") == 2
    assert "makes one file" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_one_table_makes_no_folder(tmp_path: Path, report: Report) -> None:
    keep_run(tmp_path / "runs")
    for asked in (["--scores"], ["--pivot", "ipc"]):
        assert report(*asked, "-o", f"{tmp_path}/site/") == 2
    assert not (tmp_path / "site").exists()
    assert report("--over", "seed", "-o", f"{tmp_path}/pooled.html") == 0


def test_one_file_is_the_index_that_leads_nowhere(tmp_path: Path, report: Report) -> None:
    keep_run(tmp_path / "runs")
    assert report("-o", f"{tmp_path}/report.html") == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.links() == ["#content"]
    assert "51.00 ± 1.41 (2)" in page.words


def test_nothing_is_loaded_from_elsewhere(rows: list[Row]) -> None:
    text = HTML.render(rows, claims=True)
    assert not re.search(r"https?://|src=|@import|url\(", text)


@pytest.mark.parametrize("field", ["method", "dataset", "machine", "reason", "note"])
def test_what_is_hostile_is_shown_and_does_nothing(row: RowMaker, failure: RowMaker, field: str) -> None:
    claim = {"value": 1.0, "std": None, "source": EVIL, "note": EVIL, "budget": "paper"}
    made = {
        "method": [row(method=EVIL)],
        "dataset": [row(dataset=EVIL), failure(dataset=EVIL)],
        "machine": [row(device_name=EVIL)],
        "reason": [failure(reason=EVIL)],
        "note": [row(claim=claim, warnings=[EVIL])],
    }[field]
    plain = Page(HTML.render([row(), row(method="b", claim={**claim, "source": "a"}), failure()], claims=True))
    text = HTML.render(made, claims=True)
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {"option", "label", "select", "ul"}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "<img src=x onerror=alert(1)>" in page.words
    assert "{{ 7*7 }}" in page.words
    assert all(letter.isprintable() or letter in "\n\t" for letter in text)


@pytest.mark.parametrize(
    "known_backbones", [(None, None), (None, "resnet18"), ("resnet18", None)], ids=["none", "second", "first"]
)
def test_sets_from_elsewhere_that_do_not_say_their_network_have_a_site_with_their_control(
    tmp_path: Path, report: Report, known_backbones: tuple[str | None, ...]
) -> None:
    control = keep_run(tmp_path / "runs", 1)
    origins = [Origin(f"set {place}", "imported", "hard", "stated", name) for place, name in enumerate(known_backbones)]
    brought = [
        keep_run(tmp_path / "runs", seed, method="imported", origin=origin, control=control)
        for seed, origin in enumerate(origins, 2)
    ]
    for seed in (1, 2, 3):
        pixels = torch.full((10, 3, 8, 8), seed, dtype=torch.uint8)
        write_preview(tmp_path / f"runs/run{seed}/preview.png", pixels, torch.arange(10), list("0123456789"))
    site = tmp_path / "site"
    assert report("-o", f"{site}/") == 0
    assert {f"runs/{name}.html" for name in (control, *brought)} <= set(files(site))
    shown = re.findall("<figcaption>(.*)</figcaption>", (site / "images.html").read_text(encoding="utf-8"))
    assert shown == [
        "random (control), convnet3, seed 1",
        *(
            ", ".join(filter(None, ["imported", each.name, each.backbone, f"seed {2 + place}"]))
            for place, each in enumerate(origins)
        ),
    ]
    assert not [name for name in files(site) if name.endswith("html") and "None" in (site / name).read_text()]


@pytest.mark.parametrize(
    "name", [each.name for each in fields(Known) if "None" in str(each.type) and each.name != "status"]
)
def test_what_may_be_null_is_null_in_no_word_of_the_site(
    row: RowMaker, control: RowMaker, failure: RowMaker, name: str
) -> None:
    """Of a row that is done, but for what makes it so."""
    done = [row(), row(method="imported", run="b") | {"imported": True}, control()] if name not in OF_DONE else []
    rows = [each | {name: None} for each in [*done, failure()]]
    pages = [
        Page(file.content) for file in HTML.files(rows, {}, claims=True, means=False) if isinstance(file.content, str)
    ]
    assert not [page.words for page in pages if re.search(r"\bNone\b", page.words)]


def test_hostile_runs_have_pages_within_the_site(tmp_path: Path, report: Report) -> None:
    runs = tmp_path / "runs"
    keep_run(runs, seed=0, method="../../../" + EVIL, machine=EVIL)
    keep_run(runs, seed=1, method="x" * 180)
    assert report("-o", f"{tmp_path}/site/") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "site"]
    index = Page((tmp_path / "site/index.html").read_text(encoding="utf-8"))
    for link in (link for link in index.links() if link.startswith("runs/")):
        page = Page((tmp_path / "site" / link).read_text(encoding="utf-8"))
        assert [attributes["src"] for tag, attributes in page.elements if tag == "img"] == [
            Path(link).name.removesuffix(".html") + ".png"
        ]


def test_runs_of_like_names_have_pages_of_their_own() -> None:
    names = ["a b", "a-b", "a/b", "..", ".", "", "é", "CON" * 100, "CON" * 101]
    found = list(file_names(names).values())
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"runs/[A-Za-z0-9._-]+\.html", name) and len(name) < 200 for name in found)


def test_what_may_not_be_ranked_together_is_in_tables_of_their_own(row: RowMaker, control: RowMaker) -> None:
    rows = [row(), control(), row(method="dm", budget="paper"), row(method="dc", device_name="Another")]
    page = Page(HTML.render(rows, claims=False))
    sections = [attributes for tag, attributes in page.elements if tag == "section"]
    assert [section["data-budget"] for section in sections] == ["paper", "quick", "quick"]
    assert len({(section["data-budget"], section["data-device"]) for section in sections}) == 3


def test_what_labels_cost_stands_by_the_evaluation_that_trains_on_them(row: RowMaker) -> None:
    """Whichever evaluation of a run comes first."""
    hard = row(protocol_id="hard@1", label_kind="hard", label_bytes=0, label_s=None)
    hard |= {"null_reasons": {"label_s": "nothing is labelled"}}
    told = costs([hard, row(label_s=2.0)], None)
    lines = {what: cost for what, cost, _ in told}
    assert lines["labelling, sre2l-tiny@1 on convnet4-bn"] == "2.00 s"
    assert lines["labelling, hard@1 on convnet4-bn"] == UNKNOWN


def test_times_that_were_taken_beside_other_work_are_told_to_be(row: RowMaker) -> None:
    beside = {**row(), "workers": 2, "evaluation_workers": 3}
    told = {what: (cost, remark) for what, cost, remark in costs([beside], None)}
    assert told["workers"][0] == "2"
    assert "3 workers busy" in told["evaluation, sre2l-tiny@1 on convnet4-bn"][1]
    assert "workers" not in str(costs([row()], None))
    shares = {"prepare": 0.05, "synthesis": 0.34, "labels": 0.4, "evaluation": 0.5}
    waited = {**row(), "prepare_s": 36000.0, "label_s": 2.0, "waited": shares}
    told = {what: (cost, remark) for what, cost, remark in costs([waited], None)}
    assert told["synthesis waited for a core"][0] == "34 %" and "prepare waited for a core" not in told
    assert "waited for a core 40 % of the time" in told["labelling, sre2l-tiny@1 on convnet4-bn"][1]
    assert "waited for a core 50 % of the time" in told["evaluation, sre2l-tiny@1 on convnet4-bn"][1]
    assert "waited" not in str(costs([{**row(), "waited": {"synthesis": 0.05, "evaluation": None}}], None))


def test_stages_are_called_by_their_kind_as_forecasts_call_them(row: RowMaker) -> None:
    """By their hash alone where a record is from before kinds were kept."""
    stage = {"seconds": 12.3, "memory": {"allocated": None, "rss": 2**30}, "workers": 1}
    stages = {"b253ffbae31e0986": {**stage, "kind": "teacher"}, "d3220de7d1176b73": stage}
    told = costs([row()], {"costs": {"stages": stages}})
    lines = [line for line in told if line[0].startswith("stage ")]
    assert lines == [(name, "12.3 s", "peak 1.0 GiB") for name in ("stage teacher b253ff", "stage d3220d")]


def test_titles_that_are_alike_get_what_tells_them_apart() -> None:
    headings = ["digits · hard@1 · cpu", "digits · soft@1 · cpu", "digits · soft@1 · cuda", "cifar10 · hard@1 · cpu"]
    assert told_apart(headings) == [
        ("digits · hard@1", ["cpu"]),
        ("digits · soft@1 · cpu", []),
        ("digits · soft@1 · cuda", []),
        ("cifar10", ["hard@1", "cpu"]),
    ]
    assert told_apart(["digits · cpu"] * 2) == [("digits", ["cpu"])] * 2


def test_numbers_behind_columns_are_those_that_are_shown(row: RowMaker) -> None:
    """Sorted by 93.2 s and 3.97 s, not by "93.2 s" and "3.97 s"; a dash has no number."""
    rows = [row(), row(method="dm", synthesis_s=None, ms_per_image_iteration=None)]
    page = Page(HTML.render(rows, claims=False))
    numbers = [attributes["data-n"] for tag, attributes in page.elements if tag == "td" and "data-n" in attributes]
    assert numbers.count("46.6") == 2 and numbers.count("397.1") == 1 and numbers.count("9.3123") == 1


@pytest.mark.parametrize(("count", "is_long"), [(2, False), (501, True)])
def test_of_many_rows_what_is_not_in_sight_is_not_laid_out(row: RowMaker, count: int, is_long: bool) -> None:
    text = HTML.render([row(run=str(number)) for number in range(count)], claims=False)
    assert ('tabindex="-1" class="long">' in text) is is_long


def test_html_is_offered() -> None:
    assert Registry().load("format", "html") is HTML


def test_a_pivot_is_a_page_whose_columns_sort_by_their_numbers(row: RowMaker, failure: RowMaker) -> None:
    rows = [row(ipc=ipc, method=EVIL, run=f"{ipc}") for ipc in (1, 10)]
    page = Page(HTML.render_pivot([*rows, failure(reason=EVIL)], across="ipc"))
    assert [attributes["scope"] for tag, attributes in page.elements if tag == "th"].count("row") == 1
    assert page.words.count("46.60 ± 0.42") == 2
    assert page.links() == ["#content"]
    assert "<img src=x onerror=alert(1)>" in page.words and "Without a result" in page.words
    assert not any(tag == "img" for tag, _ in page.elements)


def test_tables_of_one_dataset_have_headings_that_tell_them_apart(row: RowMaker) -> None:
    rows = [row(run=name, protocol_id=name, ipc=ipc) for name in ("hard@1", "soft@1") for ipc in (1, 10)]
    page = HTML.render_pivot(rows, across="ipc")
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert len(titles) == len({*titles}) == 2
    assert "<title>Dataset condensation, compared</title>" in page
    alone = HTML.render_pivot(rows[:1], across="ipc")
    assert "<title>tiny-imagenet, 10 of 200 classes, ipc 1</title>" in alone


def test_all_numbers_of_a_pivot_and_of_scores_sort_by_number(row: RowMaker, control: RowMaker) -> None:
    beside = [row() | {"workers": 4}, control()]
    for page in (
        HTML.render(beside, claims=False),
        HTML.render_pivot(beside, across="ipc"),
        HTML.render_scores(beside, claims=False),
    ):
        numeric = re.findall('<td class="n"([^>]*)>([^<]*)</td>', page)
        assert numeric and all("data-n" in tag for tag, text in numeric if text != "–")
