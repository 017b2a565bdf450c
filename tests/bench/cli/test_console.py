"""Progress: which run of how many; where no terminal is, a line now and then and the last of each work."""

import pytest

from bench.cli.console import Console


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_work_that_ends_between_two_lines_is_said_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for done in (512, 1024, 1100):
            console.advance("verify", done, 1100)
    assert _lines(capsys) == ["verify 512/1100", "verify 1100/1100"]


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
    (bar,) = console._bars.tasks
    assert (bar.description, bar.completed, bar.total) == ("[3/12] sre2l digits ipc10 recover", 5, 40)
