"""Mistakes as users type them, and the one line that each gets: exit status 2, before anything is written."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import cli

BIG, HUGE, LONG = "1" + "0" * 30, "1" + "0" * 5000, "x" * 300
CARD = 'name = "flowers"\nresolution = 8\nnormalisation = "imagenet"\n[[sources]]\nlayout = "image-folder"\n'
RUN = ("run", "-m", "random", "--backbone", "convnet3", "--no-control", "--dry-run")
FLOWERS = (*RUN, "-d", "flowers.toml", "--ipc", "1")
DIGITS = ("run", "-m", "sre2l", "-d", "digits", "--ipc", "1", "--backbone", "convnet3-bn", "--budget", "quick")
SPEED = ("speed", "-m", "sre2l", "--backbone", "convnet3-bn", "-d", "digits", "--device", "cpu")
VERIFY = ("data", "verify", "flowers.toml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a small dataset and its card."""
    for split in ("train", "test"):
        for level, name in enumerate(("daisy", "rose")):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(np.full((8, 8, 3), 90 * level, np.uint8)).save(tmp_path / split / name / "0.png")
    (tmp_path / "flowers.toml").write_text(CARD)
    for name in ("BENCH_DATA", "BENCH_RUNS", "BENCH_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """The one line that a command gets, run here; one that waits for ever fails."""

    def line(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["bench", *arguments])
        before = set(Path().rglob("*"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert (ended.value.code, out, len(err.splitlines())) == (2, "", 1), err
        assert len(err) < 2000
        assert set(Path().rglob("*")) == before, "nothing was written"
        return err

    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(60)
    yield line
    signal.alarm(0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*FLOWERS, "--classes", "²"), "unknown class of flowers '²'; it has 2"),
        ((*FLOWERS, "--classes", "٣"), "unknown class of flowers '٣'"),
        ((*FLOWERS, "--classes", "--3"), "unknown class of flowers '--3'"),
        ((*FLOWERS, "--classes", "-3"), "--classes must be 2 to 2 for flowers, not -3"),
        ((*FLOWERS, "--classes", HUGE), "--classes must be 2 to 2 for flowers, not 1000"),
        ((*FLOWERS, "--ipc", BIG), "1<=x<=1000000"),
        ((*FLOWERS, "--ipc", HUGE), "is not a valid integer"),
        ((*FLOWERS, "--ipc", "1, 10"), "'--ipc': repeat the option: --ipc 1 --ipc 10"),
        ((*FLOWERS, "--seed", "-1,2"), "repeat the option: --seed -1 --seed 2"),
        ((*FLOWERS, "-m", "random,herding"), "repeat the option: -m random -m herding"),
        ((*FLOWERS, "--protocol", "hard,hard+no-flip"), "repeat the option: --protocol hard --protocol hard+no-flip"),
        ((*FLOWERS, "--eval-backbone", "convnet3,"), "unknown backbone 'convnet3,'; did you mean 'convnet3'?"),
        ((*FLOWERS, "-d", "two,words.toml"), "two,words.toml"),
        ((*SPEED, "--ipc", "1,10"), "'1,10' is not a valid integer range"),
        (("report", "--format", "text"), "unknown format 'text'; did you mean 'table'?"),
        ((*FLOWERS, "--ipc", "0"), "0 is not in the range 1<=x"),
        ((*FLOWERS, "--seed", BIG), "is not a number of 64 bits"),
        ((*FLOWERS, "--eval-seeds", BIG), "1<=x<=1000"),
        ((*SPEED, "--batch-size", BIG), "1<=x<=1000000"),
        ((*SPEED, "--iterations", BIG), "1<=x<=1000000000"),
        ((*SPEED, "--ipc", BIG), "1<=x<=1000000"),
        ((*DIGITS, "--set", f"recover.iterations={BIG}"), "--set recover.iterations takes numbers up to 1,000,000,000"),
        ((*DIGITS, "--set", f'recover.iterations="{BIG}"'), "--set recover.iterations takes numbers up to"),
        ((*DIGITS, "--set", f"recover.iterations={HUGE}"), "recover.iterations: Unable to parse"),
        ((*DIGITS, "--set", f"recover.iterations=0x{'f' * 9000}"), "not a number of thousands of digits"),
        ((*DIGITS, "--set", f"recover.lr={HUGE}"), "recover.lr: Input should be a finite number"),
        ((*DIGITS, "--set", f"recover.iterations={'[' * 5000}"), "recover.iterations: Input should be a valid integer"),
        ((*DIGITS, "--set", "recover.iterations=1\nx = 2"), "recover.iterations: Input should be a valid integer"),
        (
            (*DIGITS, "--set", "recover.lr=1", "--set", "recover.lr=2"),
            "--set recover.lr is given twice: '1' and '2'; keep one",
        ),
        (
            (*DIGITS, "--set", "sre2l:recover.lr=1", "--set", "sre2l:recover.lr=1"),
            "--set sre2l:recover.lr is given twice",
        ),
        (("report", LONG), "longer than file systems take"),
        (("show", LONG), "longer than file systems take"),
        (("show", f"{LONG}.toml"), "longer than file systems take"),
        (("data", "verify", LONG), "unknown dataset 'xxx"),
        (("new-plugin", LONG), ""),
    ],
)
def test_arguments(here: Path, refused: Callable[..., str], arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*arguments)
    assert not (here / "BENCH_RUNS").exists()


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (_link("folder"), "folder", "Too many levels of symbolic links"),
        (_link("nowhere"), "folder", "folder is a link to nowhere, which is not there"),
        (_link("nowhere"), "folder/below", "folder is a link to nowhere, which is not there"),
        (lambda path: path.write_text(""), "folder", "folder is no folder"),
        (lambda path: path.write_text(""), "folder/below", "Not a directory"),
        (os.mkfifo, "folder", "folder is no folder"),
        (lambda path: None, LONG, "File name too long"),
        (lambda path: None, "/dev/null", "/dev/null is no folder"),
    ],
)
def test_folders_that_can_be_none(
    here: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], Any],
    name: str,
    said: str,
) -> None:
    make(here / "folder")
    for arguments in (FLOWERS, ("list", "runs"), ("report",), ("clean",)):
        assert said in refused(*arguments, "--runs", name)
    assert said in refused(*FLOWERS, "--data-root", name)
    monkeypatch.setenv("BENCH_CACHE", name)
    for command in (FLOWERS, SPEED, ("clean",)):
        assert said in refused(*command)


def test_an_empty_text_names_no_folder(here: Path, refused: Callable[..., str]) -> None:
    assert "an empty text names no folder" in refused("list", "runs", "--runs", "")


@pytest.mark.parametrize("name", ["/proc/folder", "/proc/folder/below", "/proc"])
def test_a_file_system_that_takes_nothing_new(
    here: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Root may write there, as far as permissions tell."""
    said = f"cannot write to {name}"
    assert said in refused(*FLOWERS, "--runs", name)
    monkeypatch.setenv("BENCH_CACHE", name)
    for command in (FLOWERS, SPEED):
        assert said in refused(*command)
    assert f"{said}/" in refused("new-plugin", "x", "-o", name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_to_read_only_is_no_place_for_runs(here: Path, refused: Callable[..., str]) -> None:
    (here / "fixed").mkdir(mode=0o500)
    assert "cannot write to" in refused(*FLOWERS, "--runs", "fixed")


@pytest.mark.parametrize("option", ["--runs", "BENCH_CACHE"])
def test_a_name_that_is_no_utf8_is_said_before_the_work(
    here: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    name = os.fsdecode(b"\xff")
    monkeypatch.setenv(option if option.isupper() else "BENCH_RUNS", name)
    assert "\\xff is not UTF-8" in refused(*FLOWERS)
    assert not os.path.lexists(here / name)


def test_a_working_directory_that_is_gone(here: Path, refused: Callable[..., str]) -> None:
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    for arguments in (FLOWERS, ("list", "runs"), ("doctor",), ("new-plugin", "x"), VERIFY):
        assert "the folder you are in is not there any more" in refused(*arguments)
    os.chdir(here)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "cannot be read: it is a named pipe"),
        (Path.mkdir, "cannot be read: it is a folder"),
        (_link("card.toml"), "Too many levels of symbolic links"),
        (_link("nowhere"), "No such file or directory"),
        (_link("/dev/zero"), "cannot be read: it is a device"),
    ],
)
def test_cards_that_are_no_files(
    here: Path, refused: Callable[..., str], make: Callable[[Path], None], said: str
) -> None:
    make(here / "card.toml")
    for command in (("data", "verify"), ("data", "fetch"), ("show",), (*RUN, "-d")):
        assert said in refused(*command, "card.toml")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(path.parent)  # a socket's name has at most some hundred characters
        bound.bind(path.name)


def _undecodable(path: Path) -> None:
    Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff.png")).write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "place", "said"),
    [
        (os.mkfifo, "train/rose/1.png", "is no file"),
        (_socket, "train/rose/1.png", "is no file"),
        (_link("1.png"), "train/rose/1.png", "which is no file"),
        (_link("/dev/zero"), "train/rose/1.png", "which is no file"),
        (_link("1"), "train/rose/1", "train/rose/1 is a link to 1 and leads nowhere"),
        (_link("nowhere"), "train/tulip", "train/tulip is a link to nowhere and leads nowhere"),
        (_link("tulip"), "train/tulip", "train/tulip is a link to tulip and leads nowhere"),
        (_undecodable, "train/rose/1.png", "\\xff.png is not UTF-8"),
    ],
)
def test_what_lies_in_class_folders(
    here: Path, refused: Callable[..., str], make: Callable[[Path], None], place: str, said: str
) -> None:
    make(here / place)
    os.chdir(here)
    for arguments in (VERIFY, ("data", "constants", "flowers.toml"), FLOWERS):
        assert said in refused(*arguments)
    assert not (here / "BENCH_CACHE").exists()


@pytest.mark.parametrize("to", ["train", "nowhere"])
def test_a_split_that_is_a_link_to_nowhere(here: Path, refused: Callable[..., str], to: str) -> None:
    (here / "train").rename(here / "elsewhere")
    (here / "train").symlink_to(to)
    assert f"train is a link to {to} and leads nowhere" in refused(*VERIFY)


def test_pipes_beside_the_classes_are_left_out_and_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(here / "train/tulip")
    os.mkfifo(here / "train/rose/notes.txt")
    monkeypatch.setattr("sys.argv", ["bench", *VERIFY])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "left out 2 files without the suffix of an image (train/rose/notes.txt, ...)" in capfd.readouterr().out
