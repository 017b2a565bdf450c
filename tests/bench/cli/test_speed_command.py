"""`bench speed` as its user meets it."""

import json
import platform
import sys
from pathlib import Path

import pytest
from child_work import children_here

from bench.cli import main
from bench.extensions.registry import Registry
from bench.storage.shared.company import FOLDER as AT_WORK
from bench.storage.shared.slots import LEASES

LOOPING = str(Path(__file__).parents[1] / "speed" / "looping.py")
TINY = ("-d", "digits", "--batch-size", "6", "--iterations", "2", "--device", "cpu", "--precision", "fp32")
CONTRACT = (
    *("method", "backbone", "resolution", "batch_size", "engine", "device", "precision", "ms_per_image_iteration"),
    *("peak_memory_bytes", "warm_up_s", "device_name", "iterations", "above_model_bytes", "ratio_to_reference"),
    *("floor_ms", "times_floor", "compiled", "versions", "status", "reason", "published"),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with nothing set by the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def speed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of the command; its children are real."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", "speed", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_row_that_hangs_is_stopped(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    asked = ("-m", "hanging", "--backbone", "convnet3", "--plugin", LOOPING, "--timeout", "1s", "--format", "json")
    with children_here("floor"):
        status, out, err = speed(capsys, *asked, "-d", "digits", "--device", "cpu", "--precision", "fp32")
    (row,) = json.loads(out)
    assert (status, row["status"], row["ms_per_image_iteration"]) == (1, "failed", None)
    assert row["reason"] == "over its time: stopped after 1.0 s (--timeout)", err
    folders = {each.name for each in (here / "cache").iterdir() if each.is_dir()}
    assert folders <= {LEASES, AT_WORK}, "scratch folders are gone"


def test_both_engines_are_measured_without_a_dataset(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    asked = ("-m", "sre2l", "--backbone", "convnet3-bn", "--compile", "never", "--format", "json")
    with children_here("floor"):
        status, out, err = speed(capsys, *asked, *TINY)
    assert status == 0, err
    reference, fast = json.loads(out)
    for row in (reference, fast):
        assert set(CONTRACT) <= set(row)
        assert (row["status"], row["reason"]) == ("done", None)
        assert (row["method"], row["backbone"], row["resolution"], row["batch_size"]) == ("sre2l", "convnet3-bn", 8, 6)
        assert (row["device"], row["precision"], row["iterations"]) == ("cpu", "fp32", 2)
        assert 0 < row["ms_per_image_iteration"]["p20"] <= row["ms_per_image_iteration"]["median"]
        assert row["peak_memory_bytes"]["rss"] > row["above_model_bytes"] >= 0
        assert row["floor_ms"] > 0 and len(row["floor_ms_values"]) == 3
        assert set(row["versions"]) == {"bench", "torch", "plugin"}
    assert (reference["engine"], fast["engine"]) == ("reference", "fast")
    assert reference["ratio_to_reference"] == 1
    medians = [row["ms_per_image_iteration"]["median"] for row in (reference, fast)]
    assert fast["ratio_to_reference"] == pytest.approx(medians[0] / medians[1])
    assert fast["times_floor"] == pytest.approx(medians[1] / fast["floor_ms"])
    assert next(iter(fast["compiled"].values()))["compiled"] is False
    assert "[2/2] sre2l convnet3-bn fast: done" in err
    assert [path.name for path in here.iterdir()] == ["cache"]
    kept = {path.name for path in (here / "cache").iterdir()}
    assert kept <= {"speed.log", "compiled", LEASES, AT_WORK}, "no stage is kept"


def test_a_figure_of_what_was_varied_is_written_beside_the_table(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    varied = ("--engine", "fast", "--compile", "never", "--vary", "recover.batch_size=3,6")
    named = ("-m", "sre2l", "--backbone", "convnet3-bn", "-d", "digits", "--device", "cpu", "--iterations", "2")
    with children_here():
        status, out, err = speed(capsys, *named, *varied, "-o", "memory.svg")
    assert status == 0, err
    assert "recover.batch_size" in out
    figure = (here / "memory.svg").read_text()
    assert figure.startswith("<?xml") and "peak memory above the model" in figure and "recover.batch_size" in figure


def test_rows_that_fail_have_reasons_and_the_status_says_so(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    named = ("-m", "dying", "--backbone", "convnet3", "-d", "digits", "--device", "cpu", "--plugin", LOOPING)
    with children_here("floor"):
        status, out, err = speed(capsys, *named, "--format", "json")
    assert status == 1
    (row,) = json.loads(out)
    assert (row["status"], row["reason"]) == ("failed", "its process ended with status 7; see its log")
    assert row["ms_per_image_iteration"] is None
    assert "speed.log" in err


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
@pytest.mark.parametrize(("setting", "kept"), [({}, True), ({"MALLOC_MMAP_MAX_": "65536"}, False)])
def test_the_process_of_a_row_keeps_freed_memory(
    capsys: pytest.CaptureFixture[str],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: dict[str, str],
    kept: bool,
) -> None:
    for name, value in {"THP_MEM_ALLOC_ENABLE": "0", **setting}.items():
        monkeypatch.setenv(name, value)
    named = ("-m", "faulting", "--backbone", "convnet3", "-d", "digits", "--device", "cpu", "--plugin", LOOPING)
    with children_here("floor"):
        _, out, _ = speed(capsys, *named, "--format", "json")
    pages = int(json.loads(out)[0]["reason"].split()[0])
    assert (pages < 2**14) is kept, "one tensor of four has that many"


def test_the_process_of_a_row_takes_up_its_arithmetic(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """torch by itself would round to TF32 in convolutions."""
    named = ("-m", "telling", "--backbone", "convnet3", "-d", "digits", "--device", "cpu", "--plugin", LOOPING)
    with children_here("floor"):
        _, out, _ = speed(capsys, *named, "--precision", "fp32", "--format", "json")
    assert json.loads(out)[0]["reason"] == "rounded: (False, False)"


def test_what_is_not_installed_is_listed_and_is_no_failure(
    capsys: pytest.CaptureFixture[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = here / "missing.toml"
    row = 'method = "mtt"\nbackbone = "convnet4"\npublished_as = "ConvNet-4"\n'
    source = "SRe2L paper Table 1 (RTX 4090, batch 200)"
    named = f'name = "missing"\ntitle = "Of nobody"\nsource = "{source}"\ndataset = "tiny-imagenet"\n'
    table.write_text(f"{named}[[rows]]\n{row.replace('mtt', 'no-such-method')}[[rows]]\n{row}")
    plugin = here / "tables.py"
    plugin.write_text(
        "from pathlib import Path\n"
        "from bench.hookspecs import Offer, hookimpl\n\n\n"
        "@hookimpl\ndef bench_speed_tables():\n"
        f"    return [Offer('missing', Path({str(table)!r}), 'Missing.')]\n"
    )
    has = Registry.has
    monkeypatch.setattr(Registry, "has", lambda self, kind, name: kind != "method" and has(self, kind, name))
    status, out, _ = speed(capsys, "--table", "missing", "--plugin", str(plugin), "--device", "cpu")
    assert status == 0
    assert "Of nobody" in out
    assert "skipped: mtt on convnet4: not measured: no such method here" in out
    assert "12.64 [1]" in out and "48.9 GB [1]" in out and f"[1] {source}" in out
    assert "convnet4 ConvNet-4" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "sre2", "--backbone", "resnet18"), "unknown method 'sre2'; did you mean 'sre2l'?"),
        (("-m", "sre2l", "--backbone", "resnet81"), "did you mean 'resnet18'?"),
        (("-m", "sre2l", "--backbone", "resnet18", "--engine", "slow"), "unknown engine of sre2l 'slow'"),
        (("-m", "sre2l", "--backbone", "resnet18", "--format", "tabel"), "did you mean 'table'?"),
        (("-m", "sre2l", "--backbone", "resnet18", "-o", "rows.doc"), "no format has files like 'rows.doc'"),
        (("-m", "sre2l", "--backbone", "resnet18", "--compile", "maybe"), "'always'"),
        (("-m", "sre2l", "--backbone", "resnet18", "--iterations", "0"), "--iterations"),
        (
            (
                "-m",
                "sre2l",
            ),
            "name methods (-m) and backbones (--backbone), or a table (--table)",
        ),
        (("--table", "sre2l-table-7"), "unknown speed table 'sre2l-table-7'; did you mean 'sre2l-table-1'?"),
        (("--table", "sre2l-table-2"), "'sre2l-table-2' is a published table of results: bench reproduce"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], here: Path, arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = speed(capsys, *arguments)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err
    assert not (here / "cache").exists()


def test_a_format_without_a_form_for_speeds_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "plain.py").write_text(
        "from bench.hookspecs import Offer, hookimpl\n"
        "from bench.reporting import ReportFormat\n\n\n"
        "class Plain(ReportFormat):\n    name = 'plain'\n    suffix = '.plain'\n\n"
        "    def render(self, rows, *, claims):\n        return 'plain\\n'\n\n\n"
        "@hookimpl\ndef bench_report_formats():\n    return [Offer('plain', Plain(), 'plain')]\n"
    )
    asked = ("-m", "sre2l", "--backbone", "resnet18", "--format", "plain", "--plugin", "plain.py")
    status, out, err = speed(capsys, *asked)
    assert (status, out) == (2, "")
    forms = "table, markdown, latex, html, csv, json or svg"
    assert err == f"bench: the format 'plain' has no form for a table of speeds; take {forms}\n"
