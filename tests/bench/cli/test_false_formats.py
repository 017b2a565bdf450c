"""A report format of a plugin that fails: a line that names it, before the work where it can be known, else a table."""

from pathlib import Path

import pytest
from benching import Bench
from commands import answer

from bench.cli.grid import in_form
from bench.cli.output import form_of
from bench.conformance.formats import done_row
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.reporting import report
from bench.running.executors import OneWorker, SpreadExecutor

FORMATS = """
from bench.hookspecs import Offer, hookimpl
from bench.reporting import ReportFormat


class Raises(ReportFormat):
    name, suffix = "raises", ".csv"

    def render(self, rows, *, claims):
        return "".join(row["no-such-field"] for row in rows)


class Nothing(Raises):
    def render(self, rows, *, claims):
        return None if rows else ""


class Other(Raises):
    def render(self, rows):
        return ""

    render_pivot = render_scores = render_speed = render_reproduction = render_ladder = render


class Late(Raises):
    def render_ladder(self, rows, *, title, source):
        return "".join(row["no-such-field"] for row in rows)


@hookimpl
def bench_run_started(run, spec):
    print("a tracker was told of", run)


@hookimpl
def bench_report_formats():
    made = {"raises": Raises(), "nothing": Nothing(), "other": Other(), "late": Late(), "class": Raises}
    return [Offer(name, form, "for a test") for name, form in made.items()]
"""
WHOSE = "of plugin 'bench_file_false' cannot make this report: "


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    path = tmp_path / "false.py"
    path.write_text(FORMATS)
    return Registry([str(path)])


@pytest.mark.parametrize(
    ("form", "said"),
    [("other", r"TypeError: Other\.render\(\) got an unexpected"), ("class", "it is the class Raises; offer an inst")],
)
def test_what_cannot_make_a_report_of_nothing_is_refused_before_the_work(
    registry: Registry, form: str, said: str
) -> None:
    for ladder in (None, "edc-figure-1"):
        with pytest.raises(UsageError, match=f"^format '{form}' {WHOSE}{said}"):
            in_form(registry, form, ladder)


@pytest.mark.parametrize(
    ("form", "said"), [("other", "TypeError: Other.render() got an unexpected"), ("class", "it is the class Raises")]
)
@pytest.mark.parametrize(
    "asked",
    [
        ("report", "--pivot", "ipc"),
        ("report", "--scores"),
        ("speed", "-m", "sre2l", "--backbone", "convnet3-bn"),
        ("reproduce", "sre2l-table-2", "--dry-run"),
    ],
)
def test_every_command_says_whose_format_cannot_make_its_report(
    registry: Registry, tmp_path: Path, asked: tuple[str, ...], form: str, said: str
) -> None:
    status, _, errors = answer(*asked, "--format", form, "--plugin", str(tmp_path / "false.py"))
    assert status == 2 and errors.startswith(f"bench: format '{form}' {WHOSE}{said}"), errors


def test_a_ladder_is_a_table_where_its_format_fails_after_the_work(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    rung = {"name": "first", "change": "none", "published": None}
    rows = [{**done_row(0), "rung": rung}]
    assert in_form(registry, "late", "edc-figure-1")(rows) == in_form(registry, "table", "edc-figure-1")(rows)
    assert f"warning: format 'late' {WHOSE}KeyError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("form", "said"),
    [("raises", "KeyError: 'no-such-field' (false.py:10)"), ("nothing", "it returned a NoneType, no text")],
)
def test_what_fails_after_the_work_is_said_and_a_table_stands_in(
    registry: Registry, form: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [done_row(0)]
    shown = in_form(registry, form, None)(rows)
    assert shown == report(registry, rows, "table", claims=True)
    assert capsys.readouterr().err.startswith(f"warning: format '{form}' {WHOSE}{said}; the runs are kept")
    with pytest.raises(UsageError, match=WHOSE):
        report(registry, rows, form, claims=True)


def test_two_formats_with_one_suffix_are_both_named(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"^csv \(of plugin 'reports'\).*raises .*say which with --format$"):
        form_of(registry, Path("x.csv"))
    assert form_of(registry, Path("x.md")) == "markdown"


def test_what_a_tracker_prints_is_no_result(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    executor = SpreadExecutor(registry, bench.place(), False, hire=lambda: OneWorker(bench.cache))
    executor.tell("bench_run_started", run="one", spec={})
    assert capsys.readouterr() == ("", "a tracker was told of one\n")
