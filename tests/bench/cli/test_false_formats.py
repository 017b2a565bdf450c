"""A report format of a plugin that fails: a line that names it, before the work where it can be known, else a table."""

from pathlib import Path

import pytest
from benching import Bench

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


@hookimpl
def bench_run_started(run, spec):
    print("a tracker was told of", run)


@hookimpl
def bench_report_formats():
    made = {"raises": Raises(), "nothing": Nothing(), "other": Other(), "class": Raises}
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
    with pytest.raises(UsageError, match=f"^format '{form}' {WHOSE}{said}"):
        in_form(registry, form, None)


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
    with pytest.raises(UsageError, match=r"^class \(.*csv \(of plugin 'reports'\).*raises .*say which with --format$"):
        form_of(registry, Path("x.csv"))
    assert form_of(registry, Path("x.md")) == "markdown"


def test_what_a_tracker_prints_is_no_result(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    executor = SpreadExecutor(registry, bench.place(), False, hire=lambda: OneWorker(bench.cache))
    executor.tell("bench_run_started", run="one", spec={})
    assert capsys.readouterr() == ("", "a tracker was told of one\n")
