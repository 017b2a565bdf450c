"""`bench report` as its user meets it."""

import csv
import io
import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from bench.cli import main
from bench.conformance.formats import sample_record
from bench.extensions.registry import Registry
from bench.results import records
from bench.results.records import Record
from bench.results.spec import MethodChoice, RunSpec
from bench.storage.files import write_json


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    status: int
    out: str
    err: str


Report = Callable[..., Ended]

CHOICE = MethodChoice("random", 1, {}, "defaults", "its own", (), {}, "coresets", "1.0")
SPEC = RunSpec(
    method=CHOICE,
    dataset="digits",
    card="digits",
    card_hash="0" * 32,
    classes=tuple("0123456789"),
    all_classes=10,
    ipc=10,
    backbone="convnet3",
    seed=0,
    budget="paper",
    device="cpu",
    machine="cpu",
    precision="fp32",
)


def record(seed: int, top1: float = 50.0, machine: str = "A processor") -> Record:
    """The record of a finished run."""
    scores = [{"top1": top1, "top5": None, "best_top1": None, "epochs": 7, "seconds": 1.5, "seed": 0}]
    outcome = {
        **{"protocol": "hard", "protocol_id": "hard@1", "backbone": "convnet3", "asked": ["paper"]},
        **{
            "label_kind": "hard",
            "teacher_backbone": None,
            "note": "",
            "status": "done",
            "reason": None,
            "scores": scores,
        },
    }
    environment = {"device": "cpu", "device_name": machine, "precision": "fp32", "versions": {}}
    return sample_record(replace(SPEC, seed=seed), {"set_bytes": 640}, {"hard-convnet3": outcome}, environment)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two runs."""
    for seed in (0, 1):
        each = record(seed)
        records.write(tmp_path / "runs" / each.spec.name, each)
    return tmp_path / "runs"


@pytest.fixture
def report(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    """Runs the command as the program does, with BENCH_RUNS set."""
    monkeypatch.setenv("BENCH_RUNS", str(runs))

    def call(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bench", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return Ended(int(ended.value.code or 0), shown.out, shown.err)

    return call


def shown_runs(ended: Ended) -> list[str]:
    """The runs in a JSON report."""
    assert ended.status == 0, ended.err
    return sorted(row["run"] for row in json.loads(ended.out))


def test_all_runs_as_a_table(report: Report) -> None:
    ended = report()
    assert ended.status == 0
    assert ended.out.startswith("digits, 10 classes, ipc 10 ")
    assert ended.out.count("50.00 (1)") == 2
    assert ended.err == ""


def test_runs_by_name_by_folder_and_by_folder_of_runs(report: Report, runs: Path) -> None:
    one, other = record(0).spec.name, record(1).spec.name
    assert shown_runs(report("--format", "json")) == [one, other]
    assert shown_runs(report("--format", "json", one)) == [one]
    assert shown_runs(report("--format", "json", runs / other)) == [other]
    assert shown_runs(report("--format", "json", runs, one, runs / one)) == [one, other]


@pytest.mark.parametrize(
    ("name", "begins"), [("report.csv", "run,status"), ("report.md", "**digits"), ("report.tex", "% needs")]
)
def test_a_file_gets_the_format_of_its_suffix(report: Report, tmp_path: Path, name: str, begins: str) -> None:
    ended = report("-o", tmp_path / "new" / name)
    assert (ended.status, ended.out) == (0, "")
    assert (tmp_path / "new" / name).read_text(encoding="utf-8").removeprefix('"').startswith(begins)


EVIL = "A \x1b]0;title\x07 pro\0cess\u202eor\x9b2J"


@pytest.mark.parametrize("form", Registry().names("format"))
def test_no_file_holds_what_a_terminal_would_obey(report: Report, runs: Path, tmp_path: Path, form: str) -> None:
    for seed in (0, 1):
        each = record(seed, machine=EVIL)
        records.write(runs / each.spec.name, each)
    assert report("-o", tmp_path / "file", "--format", form).status == 0
    made = tmp_path / "file"
    text = "".join(path.read_text(encoding="utf-8") for path in ([made] if made.is_file() else made.rglob("*.*")))
    assert not [letter for letter in text if not letter.isprintable() and letter not in "\n\t"]
    if form == "json":
        assert {row["device_name"] for row in json.loads(text)} == {EVIL}


def test_the_format_named_wins_over_the_suffix(report: Report, tmp_path: Path) -> None:
    assert report("-o", tmp_path / "rows.txt", "--format", "csv").status == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "rows.txt").read_text(encoding="utf-8"))))
    assert [row["top1_mean"] for row in rows] == ["50.0", "50.0"]


def test_a_figure_is_a_pdf_of_a_papers_width(report: Report, tmp_path: Path) -> None:
    assert report("-o", tmp_path / "a.pdf", "--width", "column").status == 0
    assert b"/MediaBox [ 0 0 234 " in (tmp_path / "a.pdf").read_bytes()
    assert report("-o", tmp_path / "a.svg", "--width", "2.5", "--pivot", "ipc").status == 0
    assert 'width="180pt"' in (tmp_path / "a.svg").read_text()
    assert report("-o", tmp_path / "a.png", "--width", "2.5").status == 0
    assert Image.open(tmp_path / "a.png").width == 500


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--width", "wide", "-o", "a.pdf"), "takes column, page or 2 to 40 inches, not 'wide'"),
        (("--width", "nan", "-o", "a.pdf"), "takes column, page or 2 to 40 inches, not 'nan'"),
        (
            ("--width", "page", "-o", "a.csv"),
            "--width is of pictures, and 'csv' is none; take -o FILE.svg, FILE.pdf or FILE.png",
        ),
        (("--scores", "-o", "a.pdf"), "the format 'svg' has no form for scores"),
        (("--scores", "--pivot", "ipc"), "--pivot and --scores are two tables"),
        (("--scores", "-o", "site/"), "name a file with -o"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(report: Report, words: tuple[str, ...], said: str) -> None:
    ended = report(*words)
    assert (ended.status, ended.err.count("\n")) == (2, 1) and said in ended.err


def test_scores_are_a_table_and_fields_of_rows(report: Report) -> None:
    assert "no label-free gain, LRS, ARS of random: it is the control itself" in report("--scores").out
    (first, _) = json.loads(report("--scores", "--format", "json").out)
    assert first["scores"]["hard_top1"] == 50.0 and "lrs" in first["scores"]["null_reasons"]


def test_a_suffix_that_says_nothing_is_refused_before_anything_is_written(report: Report, tmp_path: Path) -> None:
    ended = report("-o", tmp_path / "report.docx")
    assert ended.status == 2
    assert "no format has files like 'report.docx'" in ended.err
    assert not (tmp_path / "report.docx").exists()


def test_a_file_that_cannot_be_written_is_one_line(report: Report, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("a file, not a folder")
    ended = report("-o", tmp_path / "in the way" / "report.csv")
    assert ended.status == 2
    assert ended.err.startswith("bench: cannot write ")
    assert ended.err.count("\n") == 1


def test_a_device_is_written_into(report: Report) -> None:
    """A terminal of its own: no name of a device that others use can be replaced by mistake."""
    near, far = os.openpty()
    assert report("-o", os.ttyname(far), "--format", "table").status == 0
    assert os.read(near, 20).startswith(b"digits, 10 classes")
    os.close(far)
    os.close(near)


def test_a_pipe_is_written_into(report: Report, tmp_path: Path) -> None:
    pipe = tmp_path / "report.csv"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert report("-o", pipe).status == 0
    assert os.read(reader, 10) == b"run,status"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_what_an_open_pipe_is_called_is_written_into(report: Report) -> None:
    """As /dev/stdout: a link to what has no name of its own."""
    near, far = os.pipe()
    assert report("-o", f"/dev/fd/{far}", "--format", "csv").status == 0
    assert os.read(near, 10) == b"run,status"
    os.close(far)
    os.close(near)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_and_stays_a_link(report: Report, tmp_path: Path, there: bool) -> None:
    link, target = tmp_path / "report.csv", tmp_path / "elsewhere" / "kept.txt"
    target.parent.mkdir()
    link.symlink_to(target)
    if there:
        target.write_text("an older report")
    assert report("-o", link).status == 0
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8").startswith("run,status")
    assert [each.name for each in target.parent.iterdir()] == ["kept.txt"]


def test_links_in_a_circle_are_one_line_and_stay(report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.csv").symlink_to("other.csv")
    (tmp_path / "other.csv").symlink_to("report.csv")
    ended = report("-o", tmp_path / "report.csv")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "cannot write" in ended.err
    assert (tmp_path / "report.csv").is_symlink()


@pytest.mark.parametrize("damage", ["truncated", "altered", "another schema"])
def test_a_corrupt_record_is_named_and_left_out(report: Report, runs: Path, damage: str) -> None:
    path = runs / record(1).spec.name / "record.json"
    text = path.read_text(encoding="utf-8")
    if damage == "truncated":
        path.write_text(text[: len(text) // 2], encoding="utf-8")
    elif damage == "altered":
        path.write_text(text.replace("50.0", "99.0"), encoding="utf-8")
    else:
        write_json(path, {**record(1).to_json(), "schema": 99})
    for named in ([], [runs], [record(1).spec.name, record(0).spec.name]):
        ended = report("--format", "json", *named)
        assert shown_runs(ended) == [record(0).spec.name]
        assert ended.err.startswith("warning: left out: ")
        assert record(1).spec.name in " ".join(ended.err.split())


def test_nothing_but_a_corrupt_record_is_an_error(report: Report, runs: Path) -> None:
    name = record(1).spec.name
    (runs / name / "record.json").write_text("{", encoding="utf-8")
    ended = report(name)
    assert ended.status == 2
    assert ended.out == ""
    assert f"bench: no run with a readable record in {name}" in ended.err


def test_a_run_that_is_not_finished_is_named(report: Report, runs: Path) -> None:
    (runs / "begun").mkdir()
    (runs / "begun" / "spec.json").write_text("{}")
    ended = report("--format", "json", "begun", runs)
    assert len(shown_runs(ended)) == 2
    assert ended.err == "warning: left out: begun is not finished; the command that began it continues it\n"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "run0 is not finished; the command that began it continues it"),
        (3, "3 runs are not finished; the command that began them continues them"),
    ],
)
def test_nothing_but_runs_that_are_not_finished_is_said_to_be_that(
    report: Report, tmp_path: Path, count: int, said: str
) -> None:
    begun = tmp_path / "begun"
    for number in range(count):
        (begun / f"run{number}").mkdir(parents=True)
        (begun / f"run{number}" / "spec.json").write_text("{}")
    ended = report("--runs", begun)
    assert (ended.status, ended.out, ended.err) == (2, "", f"bench: nothing to report in {begun}: {said}\n")


def test_what_was_written_is_named(report: Report, tmp_path: Path) -> None:
    assert report("-o", tmp_path / "a.csv").err == f"wrote {tmp_path}/a.csv: 2 rows\n"
    assert report("-o", f"{tmp_path}/site/").err == f"wrote {tmp_path}/site/index.html and 3 files that it leads to\n"


def test_an_unknown_run_gets_the_nearest(report: Report) -> None:
    ended = report(record(0).spec.name[:-2])
    assert ended.status == 2
    assert f"did you mean '{record(0).spec.name}'?" in ended.err


def test_an_unknown_format_gets_the_nearest(report: Report) -> None:
    ended = report("--format", "jsn")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "bench: unknown format 'jsn'; did you mean 'json'?\n"


@pytest.mark.parametrize("there", [True, False])
def test_no_runs_is_one_clear_line(report: Report, tmp_path: Path, there: bool) -> None:
    nothing = tmp_path / "nothing"
    if there:
        nothing.mkdir()
    ended = report("--runs", nothing)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert str(nothing) in ended.err
