"""What is shown holds nothing that a terminal obeys, and output that nobody can read ends no work."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import main
from bench.cli.console import Console
from bench.errors import LostOutput
from bench.storage.streams import Result, guarded, one_line, shown

FULL = Path("/dev/full")


@pytest.fixture
def full() -> Iterator[TextIO]:
    """A stream on a disk without room."""
    with FULL.open("w") as stream:
        yield stream


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b]0;title\x07", r"\u001b]0;title\u0007"),
        ("a\0b\x7f\x9b31m\r", r"a\u0000b\u007f\u009b31m\u000d"),
        ("\u202etxt.exe\u2066\u200b\u061c", r"\u202etxt.exe\u2066\u200b\u061c"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        ("\U000e0041", r"\udb40\udc41"),
        ("5.3 × 4 – é 日本 \t\n", "5.3 × 4 – é 日本 \t\n"),
    ],
)
def test_what_a_terminal_obeys_is_shown_as_an_escape_and_all_else_stays(text: str, seen: str) -> None:
    assert shown(text) == seen


@given(st.text())
def test_a_json_text_stays_one_with_the_same_values(text: str) -> None:
    assert json.loads(shown(json.dumps([text], ensure_ascii=False))) == [text]


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\n  b\tc\r\n\x1bd\x85e ") == r"a b c \u001bd e"


def test_what_others_write_passes_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded():
        print("printed \x1b[31m")
        click.echo("echoed \x9b32m", err=True)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("printed \\u001b[31m\n", "echoed \\u009b32m\n")


def test_a_result_that_cannot_be_written_is_said_each_time_and_a_later_flush_succeeds(full: TextIO) -> None:
    result = cast(TextIO, Result(full))
    for _again in range(2):
        with pytest.raises(LostOutput, match="to standard output: No space left on device"):
            click.echo("rows", file=result)
    full.flush()  # as Python does at its exit


def test_a_result_whose_reader_has_left() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(LostOutput, match="whoever read it has closed it"):
        print("rows", file=Result(stream), flush=True)


def test_no_standard_output_at_all() -> None:
    with pytest.raises(LostOutput, match="it is closed"):
        print("rows", file=Result(None))


def test_characters_that_the_encoding_lacks_are_escapes_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="latin-1"))
    with guarded():
        click.echo('["5 × –", "😀"]')
        click.echo("–")
    assert kept.getvalue().decode("latin-1") == '["5 × \\u2013", "\\ud83d\\ude00"]\n\\u2013\n'
    assert capsys.readouterr().err.count("standard output is latin-1, which lacks characters of the result") == 1


def test_a_command_whose_result_is_lost_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], full: TextIO
) -> None:
    monkeypatch.setattr(sys, "stdout", full)
    monkeypatch.setattr(sys, "argv", ["bench", "list", "methods"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said == "bench: the result could not be written to standard output: No space left on device\n"


def test_a_bug_keeps_its_traceback_without_what_its_message_would_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_settings: object) -> None:
        raise RuntimeError("odd \x1b[2J")

    monkeypatch.setattr("bench.cli.cli.main", broken)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback") and said.endswith("RuntimeError: odd \\u001b[2J\n")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_that_cannot_be_written_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, full: TextIO, terminal: bool
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", full)
    with Console() as console:
        console.begin("[1/1]", "random-digits", "random digits")
        for done in range(3):
            console.advance("evaluate", done, 2)
        console.warn("look")
    full.flush()


def test_without_standard_error_nothing_is_said_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Console() as console:
        console.say("news")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_news_show_the_escapes_of_others(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)
    with Console() as console:
        console.advance("[/b] \x1bcevil", 1, 2)
        console.warn("a\x1b]0;title\x07\n[2/2] all: done")
    assert "\\u001b]0;title\\u0007 [2/2] all: done" in heard.getvalue()
    assert "[/b] \\u001bcevil" in heard.getvalue()
    assert "\x1bc" not in heard.getvalue() and "\x1b]0" not in heard.getvalue()


@pytest.mark.parametrize("closing", ["2>/dev/full", "2>&-"])
def test_a_program_without_a_place_for_its_warnings_ends_well(tmp_path: Path, closing: str) -> None:
    """Python itself ends with status 120 where standard error cannot be flushed."""
    warns = (
        "from bench.storage.streams import guarded; import sys\n"
        "with guarded(): print('news', file=sys.stderr); print('row')"
    )
    command = [sys.executable, "-c", warns]
    ended = subprocess.run(
        ["bash", "-c", f'"$@" {closing}', "bash", *command], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "row\n")
