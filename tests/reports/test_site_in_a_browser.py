"""The site in a real browser, opened from disk: what a reader does with it works, and what is hostile does nothing.

Debian's Chromium (`apt-get install chromium`), headless, through Playwright, which the extra `test` brings. Where there
is no browser these tests are skipped and say so.
"""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from sites import keep_run

from bench.reporting import Row
from bench.reporting.comparing import compared
from bench.reporting.folders import File, RunFolder
from bench.results.records import read
from bench.sets.contact_sheet import write_preview
from bench_reports.site import HTML

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
RowMaker = Callable[..., Row]

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
EVIL = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    if not BROWSER:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A page; that the browser complained of anything fails the test."""
    opened, said, asked = browser.new_page(viewport={"width": 400, "height": 800}), list[str](), list[str]()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    opened.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []


@pytest.fixture
def site(tmp_path: Path, row: RowMaker, control: RowMaker, failure: RowMaker) -> Path:
    """Two rankings of the same methods at two numbers of images, one of them hostile, and a failure."""
    rows = [
        made(ipc=ipc, method=method, run=f"{method[:9]}-{ipc}", top1_mean=top1, synthesis_s=seconds)
        for ipc in (1, 10)
        for made, method, top1, seconds in (
            (row, "sre2l", 46.6, 397.1),
            (row, "dm", 44.0, None),
            (row, EVIL, 41.0, 9.5),
            (control, "random", 39.4, 0.031),
        )
    ]
    for file in HTML.files([*rows, failure(reason=EVIL)], {}, claims=True, means=False):
        write(tmp_path, file)
    return tmp_path


def write(folder: Path, file: File) -> None:
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file.content, Path):
        shutil.copyfile(file.content, path)
    else:
        path.write_text(file.content, encoding="utf-8")


def heads(page: "Page") -> list[str]:
    """The first cells of the first ranking that is shown, from the top."""
    found: list[str] = page.eval_on_selector_all(
        "section.ranking:not([hidden]):first-of-type tbody th",
        "cells => cells.map(cell => cell.textContent.slice(0, 6))",
    )
    return found


def test_a_column_sorts_both_ways_and_what_is_not_known_stays_last(page: "Page", site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    assert heads(page) == ["sre2l", "dm", "<img s", "random"]
    button = page.locator("section.ranking").first.get_by_role("button", name="synthesis", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    assert heads(page) == ["random", "<img s", "sre2l", "dm"]
    assert button.locator("..").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert heads(page) == ["sre2l", "<img s", "random", "dm"]


def test_a_filter_leaves_what_fits_and_stands_in_the_address(page: "Page", site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_label("images per class").select_option("10")
    page.get_by_label("method").select_option("dm")
    page.locator("#count", has_text="1 row shown").wait_for()
    assert page.locator("tbody tr:visible th").all_inner_texts() == ["dm"]
    again = page.url
    page.get_by_role("button", name="show all").click()
    page.locator("#count", has_text="9 rows shown").wait_for()
    assert page.locator("tbody tr:visible").count() == 9
    page.goto("about:blank")
    page.goto(again)
    page.locator("#count", has_text="1 row shown").wait_for()
    assert page.locator("tbody tr:visible th").all_inner_texts() == ["dm"]


def test_links_lead_to_runs_and_figures_and_back(page: "Page", site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name="dm", exact=True).first.click()
    assert page.locator("h1").inner_text() == "dm-1"
    page.get_by_role("link", name="All rankings").click()
    page.get_by_role("link", name="Figures").click()
    page.locator("svg a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/**")


def test_the_command_can_be_copied(page: "Page", site: Path) -> None:
    page.goto((site / "runs/dm-1.html").as_uri())
    page.get_by_role("button", name="copy").click()
    assert page.evaluate("getSelection().toString()").strip() == "bench run"


@pytest.fixture
def pictures(tmp_path: Path, row: RowMaker, control: RowMaker) -> Path:
    """A site whose runs have sheets: of two classes, all black and all white."""
    rows, runs = [row(run="a"), control(run="b")], dict[str, RunFolder]()
    labels = torch.tensor([0, 1])
    pixels = (255 * labels.to(torch.uint8)).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    for each in rows:
        runs[each["run"]] = RunFolder(tmp_path / each["run"])
        runs[each["run"]].path.mkdir()
        write_preview(runs[each["run"]].path / "preview.png", pixels, labels, ["black", "white"])
    for file in HTML.files(rows, runs, claims=True, means=False):
        write(tmp_path / "site", file)
    return tmp_path / "site"


def test_a_class_is_chosen_and_its_images_are_seen_over_methods(page: "Page", pictures: Path) -> None:
    page.goto((pictures / "index.html").as_uri())
    page.get_by_role("link", name="Images").click()
    for place, grey in ((0, 0), (1, 255)):
        page.get_by_label("class").select_option(str(place))
        for strip in page.locator(".strip a").all():
            with Image.open(io.BytesIO(strip.screenshot())) as seen:
                assert seen.convert("L").crop((5, 5, 120, 120)).getextrema() == (grey, grey)
    page.locator(".strip a").last.click()
    assert page.locator("h1").inner_text() == "b"
    page.locator("section figure a").click()
    page.wait_for_url("**/runs/b.png")


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    """The page of two runs, one of a hostile name, with sheets of two classes."""
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    for seed, method in enumerate(("dm", EVIL)):
        keep_run(tmp_path, seed, method=method, machine=EVIL)
        write_preview(tmp_path / f"run{seed}" / "preview.png", pixels, torch.tensor([0, 1]), ["black", "white"])
    folders = [RunFolder(tmp_path / f"run{seed}") for seed in (0, 1)]
    page = HTML.render_comparison(compared(*(read(folder.path) for folder in folders)), folders)
    write(tmp_path, File("comparison.html", page))
    return tmp_path / "comparison.html"


def test_two_runs_stand_beside_each_other_with_their_images(page: "Page", comparison: Path) -> None:
    page.goto(comparison.as_uri())
    assert page.locator(".sheets figcaption").all_inner_texts() == ["first", "second"]
    widths = page.eval_on_selector_all(".sheets img", "images => images.map(image => image.naturalWidth)")
    assert widths == [286, 286]  # 150 for names, an image of 128 and two gaps of 4
    assert page.title() == "Two runs compared"
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_role("button", name="copy").first.click()
    assert page.evaluate("getSelection().toString()").startswith("bench run -m")


def test_a_table_fades_where_more_of_it_is_beyond_its_edge(page: "Page", site: Path) -> None:
    """Wider than a phone: it says so until its end is in sight; its first column and its bar stay in sight."""
    page.goto((site / "index.html").as_uri())
    faded = "table => getComputedStyle(table).getPropertyValue('--beyond')"
    table = page.locator(".scroll").first
    place = "cell => Math.round(cell.getBoundingClientRect().x)"
    first = table.locator("tbody th").first.evaluate(place)
    assert table.evaluate(faded) == "56px"
    table.evaluate("table => { table.scrollLeft = 1e6; }")
    page.wait_for_function(
        "table => getComputedStyle(table).getPropertyValue('--beyond') == '0px'", arg=table.element_handle()
    )
    assert table.locator("tbody th").first.evaluate(place) == first
    page.set_viewport_size({"width": 4000, "height": 800})
    page.wait_for_function(
        "table => getComputedStyle(table).getPropertyValue('--beyond') == '0px'", arg=table.element_handle()
    )


def test_no_page_is_taken_over_or_wider_than_a_phone(page: "Page", site: Path) -> None:
    for path in site.rglob("*.html"):
        page.goto(path.as_uri())
        assert page.title() != "taken"
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path.name
