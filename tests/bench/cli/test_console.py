"""Progress: which run of how many; where no terminal is, a line now and then and the last of each work."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from bench.cli.console import Console
from bench.cli.live import rate
from bench.progress import noted, of_run


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_work_that_ends_between_two_lines_is_said_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for done in (512, 1024, 1100):
            console.advance("verify", done, 1100)
    assert _lines(capsys) == ["verify 512/1100", "verify 1100/1100"]


def test_a_table_keeps_its_lines_and_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        console.show("run    total\n-----  -----\none     1 s\n\nIn all 1 s.")
    assert capsys.readouterr().err.splitlines() == ["run    total", "-----  -----", "one     1 s", "In all 1 s."]
    with Console(quiet=True) as console:
        console.show("run")
    assert capsys.readouterr().err == ""


def test_the_end_stands_before_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for what in ("one", "two"):
            for done in (1, 2, 3):
                console.advance(what, done, 3)
        console.warn("look")
    assert _lines(capsys) == ["one 1/3", "one 3/3", "two 1/3", "two 3/3", "warning: look"]


def test_many_short_works_of_one_kind_are_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for _unit in range(100):
            for done in (1, 2):
                console.advance("recover", done, 2)
    assert _lines(capsys) == ["recover 1/2", "recover 2/2"]


def test_elsewhere_than_on_a_terminal_a_run_is_named_before_its_stages(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for number in (1, 2):
            console.begin(f"[{number}/2]", f"random-digits-ipc{number}", f"random digits ipc{number}")
            for done in (1, 2):  # the second within the seconds that lines lie apart
                console.advance("evaluate", done, 2)
    first, second = "[1/2] random-digits-ipc1", "[2/2] random-digits-ipc2"
    stages = ["evaluate 1/2", "evaluate 2/2"]
    assert _lines(capsys) == [first, *stages, second, *stages]


def test_on_a_terminal_the_bar_names_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    console = Console()
    console.begin("[3/12]", "sre2l-digits-ipc10-resnet18-s0-3f9c2a", "sre2l digits ipc10")
    console.advance("recover", 5, 40)
    (bar,) = console._display.bars.tasks
    assert (bar.description, bar.completed, bar.total) == ("[3/12] sre2l digits ipc10 recover", 5, 40)


TWO_RUNS = """
from bench.cli.console import Console
from bench.progress import noted, of_run
with Console() as console:
    console.begin("[1/2]", "sre2l-digits", "sre2l digits ipc10")
    console.begin("[2/2]", "dm-digits", "dm digits ipc10")
    one, other = of_run(console, "sre2l-digits"), of_run(console, "dm-digits")
    noted(one, "unit", "chunk-3 4/10")
    one.advance("recover", 5, 40)
    other.advance("match", 7, 90)
    noted(other, "last", "94.99 %")
    one.advance("recover", 6, 40)
    console._display.bars.refresh()
    console.end("sre2l-digits")
    console.say("[1/2] sre2l-digits: done")
    console._display.bars.refresh()
"""


def on_a_terminal(script: str, columns: int) -> list[str]:
    """What a terminal of that width is sent, line by line, without what moves its cursor."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=theirs, stdin=theirs, stdout=subprocess.DEVNULL, env=environment) as child:
        os.close(theirs)
        sent = b""
        while piece := _read(ours):
            sent += piece
    os.close(ours)
    assert child.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sent.decode())
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other side is closed
        return b""


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_each_run_has_a_line_with_its_stage_pace_and_last_accuracy(columns: int) -> None:
    lines = on_a_terminal(TWO_RUNS, columns)
    assert max(map(len, lines)) <= columns
    mine = [line for line in lines if "sre2l digits ipc10 recover" in line and "6/40" in line]
    theirs = [line for line in lines if "dm digits ipc10 match" in line and "94.99 %" in line]
    assert mine and theirs, lines
    assert all("/s" in line or "each" in line for line in (*mine, *theirs))
    assert ("chunk-3 4/10" in mine[-1]) == (columns == 120)
    after = lines[lines.index("[1/2] sre2l-digits: done") + 1 :]
    assert after and not [line for line in after if "recover" in line], "the line of a run that ended goes"


def test_elsewhere_runs_that_are_under_way_together_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for name in ("a", "b"):
            console.begin("[1/2]", name, name)
        for name in ("a", "b"):
            of_run(console, name).advance("recover", 1, 2)
            noted(of_run(console, name), "last", "9 %")
        assert console.end("a") is not None and console.end("never") is None
        console.advance("recover", 2, 2)
    assert _lines(capsys) == ["[1/2] a", "[1/2] b", "a: recover 1/2", "b: recover 1/2", "recover 2/2"]


def test_elsewhere_a_line_says_at_which_unit_of_how_many_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line every ten seconds, of whichever unit then is under way; of trainings alike; what is none has no unit."""
    seconds = iter(range(0, 100, 6))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    with Console() as console:
        console.begin("[1/1]", "a", "a")
        news = of_run(console, "a")
        for number in (1, 2, 3):
            noted(news, "unit", f"chunk-{number} {number}/3")
            news.advance("recover", 1, 400)
        noted(news, "unit", "")
        news.advance("evaluate", 1, 2)
        noted(news, "unit", "training 2/3")
        news.advance("train", 1, 2)
    recover = ["chunk-1 1/3: recover 1/400", "chunk-3 3/3: recover 1/400"]
    assert _lines(capsys) == ["[1/1] a", *recover, "evaluate 1/2", "training 2/3: train 1/2"]


def test_a_pace_is_steps_a_second_or_seconds_a_step() -> None:
    assert [rate(speed) for speed in (None, 0.0, 12.34, 0.05)] == ["–/s", "–/s", "12.3/s", "20.0 s each"]
