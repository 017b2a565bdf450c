"""`bench data`: what it prints where, and with which status it ends."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import cli
from bench.data import downloads
from bench.data import verification as verifying
from bench.data.cards import Fetch
from bench.errors import RunFailure

CARD = """
name = "flowers"
resolution = 8
normalisation = "imagenet"
images = { train = 8 }
[[sources]]
layout = "image-folder"
"""


def _picture(path: Path, level: int, **saved: Any) -> None:  # noqa: ANN401 - PIL's
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path, **saved)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    for name in ("daisy", "rose"):
        for number in range(4):
            _picture(tmp_path / "train" / name / f"{number}.png", 20 * number)
        _picture(tmp_path / "test" / name / "0.png", 100)
    card = tmp_path / "flowers.toml"
    card.write_text(CARD)
    return card


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> "Run":
    return Run(monkeypatch, capfd)


class Run:
    """`bench ARGUMENTS` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        self._monkeypatch.setattr("sys.argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        found = self._capfd.readouterr()
        return int(ended.value.code or 0), found.out, found.err


def test_a_whole_dataset(run: Run, flowers: Path) -> None:
    status, out, _ = run("data", "verify", flowers)
    assert status == 0
    assert out.startswith("flowers: whole\n")
    assert "8 images, 4 a class, 0 broken" in out


def test_progress_ends_with_all_images(run: Run, flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_PIECE", 3)
    lines = [line.strip() for line in run("data", "verify", flowers)[2].splitlines()]
    assert [line for line in lines if line.endswith(("2/2", "8/8"))] == [
        "verify test images 2/2",
        "verify train images 8/8",
    ]


def _without_test(folder: Path) -> str:
    shutil.rmtree(folder / "test")
    looked = r"has no test images below .*: looked for test, val, valid, validation; "
    return looked + r"a card may cut it out of train: split = \{ test = 0\.2, seed = 0 \}"


def _misspelt_test(folder: Path) -> str:
    (folder / "test").rename(folder / "tests")
    return r"has no test images below .*: looked for test, val"


def _without_train(folder: Path) -> str:
    shutil.rmtree(folder / "train")
    return "has no train images below"


def _empty_class(folder: Path) -> str:
    (folder / "train" / "tulip").mkdir()
    return "no train image of class tulip"


def _class_without_test(folder: Path) -> str:
    shutil.rmtree(folder / "test" / "rose")
    return "no test image of class rose"


def _class_of_test_alone(folder: Path) -> str:
    shutil.copytree(folder / "test" / "rose", folder / "test" / "tulip")
    return "no train image of class tulip"


def _flat_test(folder: Path) -> str:
    shutil.copytree(folder / "test" / "rose", folder / "test" / "images")
    for name in ("daisy", "rose"):
        shutil.rmtree(folder / "test" / name)
    return "no class has images in every split: train has daisy, rose; test has images"


LACKS = [
    _without_test,
    _misspelt_test,
    _without_train,
    _empty_class,
    _class_without_test,
    _class_of_test_alone,
    _flat_test,
]


@pytest.mark.parametrize("spoil", LACKS)
def test_what_no_run_can_use_is_not_whole(run: Run, flowers: Path, spoil: Callable[[Path], str]) -> None:
    lacking = spoil(flowers.parent)
    flowers.write_text(CARD.replace("images = { train = 8 }\n", ""))
    status, out, _ = run("data", "verify", flowers)
    assert status == 1
    assert re.match(f"flowers: not whole\n  lacking  .*{lacking}", out)


@pytest.mark.parametrize("spoil", [each for each in LACKS if each is not _without_train])
def test_planning_refuses_it_in_one_line(run: Run, flowers: Path, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    lacking = spoil(flowers.parent)
    flowers.write_text(CARD.replace("images = { train = 8 }\n", ""))
    arguments = ("-m", "random", "-d", flowers, "--ipc", 1, "--backbone", "convnet3", "--device", "cpu")
    status, out, err = run("run", *arguments, "--runs", tmp_path / "runs")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(lacking, err)
    assert not (tmp_path / "runs").exists()


def test_what_is_left_out_and_not_turned_is_counted(run: Run, flowers: Path) -> None:
    flowers.write_text(CARD.replace("train = 8", "train = 10"))
    exif = Image.Exif()
    for number, orientation in enumerate((1, 6)):
        exif[0x0112] = orientation
        _picture(flowers.parent / "train" / "rose" / f"photo-{number}.jpg", 50, exif=exif)
    _picture(flowers.parent / "train" / ".ipynb_checkpoints" / "0.png", 50)
    status, out, _ = run("data", "verify", flowers)
    assert status == 0
    assert "  note     left out 1 hidden or system name (train/.ipynb_checkpoints)\n" in out
    assert "  note     no image is rotated, though 1 of 12 have an EXIF orientation that says so\n" in out


def test_what_decoding_leaves_out_is_counted(run: Run, flowers: Path) -> None:
    """Of an opaque image with alpha nothing is; a file whose later frames are damaged is read like any other."""
    flowers.write_text(CARD.replace("images = { train = 8 }\n", ""))
    folder = flowers.parent / "train" / "rose"
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (10, 200)]
    for name in ("a.tif", "b.gif"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    for alpha, name in ((0, "c.png"), (254, "d.png"), (255, "e.png")):
        Image.new("RGBA", (8, 8), (200, 0, 0, alpha)).save(folder / name)
    Image.new("P", (8, 8)).save(folder / "f.png", transparency=0)
    status, out, _ = run("data", "verify", flowers)
    assert status == 0
    assert "  note     of images of several frames the first is taken: 2 of 16\n" in out
    assert "  note     alpha is dropped, and what lies under transparent pixels shows: 3 of 16\n" in out


def test_images_that_are_there_twice_are_counted(run: Run, flowers: Path) -> None:
    """Each class of the fixture has the same pictures; whole it is all the same."""
    folder = flowers.parent
    for number in range(4):
        _picture(folder / "train" / "rose" / f"{number}.png", 20 * number + 1)
    _picture(folder / "test" / "rose" / "0.png", 101)
    status, out, _ = run("data", "verify", flowers)
    assert (status, out.count("byte for byte")) == (0, 0)
    shutil.copy(folder / "train" / "rose" / "2.png", folder / "test" / "rose" / "1.png")
    status, out, _ = run("data", "verify", flowers)
    twins = f"({folder}/test/rose/1.png is {folder}/train/rose/2.png)"
    assert (status, out.count("byte for byte")) == (0, 1)
    assert f"  note     1 of 3 test images are training images byte for byte {twins}\n" in out
    for split in ("train", "test"):
        shutil.copy(folder / "train" / "daisy" / "3.png", folder / split / "rose" / "3.png")
    status, out, _ = run("data", "verify", flowers)
    assert f"  note     2 of 4 test images are training images byte for byte {twins}\n" in out
    twins = f"({folder}/test/rose/3.png is {folder}/train/daisy/3.png)"
    assert f"  note     3 images lie in several classes byte for byte {twins}\n" in out


def test_a_cut_test_split_is_verified_and_said(run: Run, flowers: Path) -> None:
    shutil.rmtree(flowers.parent / "test")
    flowers.write_text(CARD.replace("train = 8 }", "train = 6 }\nsplit = { test = 0.25 }"))
    status, out, _ = run("data", "verify", flowers)
    assert status == 0
    assert "  split    25 % of train, by class, seed 0\n  test     2 images, 1 a class, 0 broken\n" in out


def test_a_name_that_is_no_utf8_is_refused_by_verify_and_run_alike(run: Run, flowers: Path) -> None:
    folder = flowers.parent / "train"
    (folder / "rose").rename(folder / os.fsdecode(b"caf\xe9"))
    arguments = ("-m", "random", "-d", flowers, "--ipc", 1, "--backbone", "convnet3", "--device", "cpu")
    verified, ran = run("data", "verify", flowers), run("run", *arguments)
    assert verified == ran
    assert (verified[0], verified[1], verified[2].count("\n")) == (2, "", 1)
    assert r"train/caf\xe9 is not UTF-8" in verified[2]


def test_constants_are_lines_for_a_card(run: Run, flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(flowers.parent / "cache"))
    status, out, _ = run("data", "constants", flowers)
    levels = np.repeat([0.0, 20.0, 40.0, 60.0], 2) / 255
    mean, std = (f"[{', '.join([f'{value:.4f}'] * 3)}]" for value in (levels.mean(), levels.std()))
    assert (status, out) == (0, f"mean = {mean}\nstd = {std}\n")
    flowers.write_text(CARD.replace('normalisation = "imagenet"\n', out))
    assert run("data", "verify", flowers)[0] == 0


def test_every_broken_image_is_listed(run: Run, flowers: Path) -> None:
    bad = [flowers.parent / "train" / "daisy" / "1.png", flowers.parent / "train" / "rose" / "3.png"]
    for path in bad:
        path.write_bytes(path.read_bytes()[:50])
    status, out, _ = run("data", "verify", flowers)
    assert status == 1
    assert out.startswith("flowers: not whole\n")
    assert "2 broken" in out
    assert all(str(path) in out for path in bad)


def test_a_missing_image_is_wrong_usage_of_this_card(run: Run, flowers: Path) -> None:
    (flowers.parent / "train" / "daisy" / "1.png").unlink()
    status, out, err = run("data", "verify", flowers)
    assert (status, out) == (2, "")
    assert "7 train images" in err


def test_nothing_there_is_one_line(run: Run, tmp_path: Path) -> None:
    status, out, err = run("data", "verify", "cifar10", "--data-root", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "looked for cifar-10-batches-py or cifar-10-python.tar.gz" in err


def test_what_needs_no_fetching(run: Run, flowers: Path, tmp_path: Path) -> None:
    assert run("data", "fetch", "digits", "--data-root", tmp_path)[:2] == (0, "digits is there already: scikit-learn\n")
    assert run("data", "fetch", flowers)[:2] == (0, f"flowers is there already: {flowers.parent}\n")


def test_what_cannot_be_fetched(run: Run, tmp_path: Path) -> None:
    status, out, err = run("data", "fetch", "imagenet-1k", "--data-root", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "https://www.image-net.org/download.php" in err
    status, _, err = run("data", "fetch", "cifar-10", "--data-root", tmp_path)
    assert status == 2
    assert "did you mean 'cifar10'" in err


def test_fetching_asks_for_the_official_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Fetch] = []
    allowed: list[bool] = []

    def fetch(wanted: Fetch, root: Path, progress: object, *, private: bool) -> Path:
        asked.append(wanted)
        allowed.append(private)
        return root / wanted.file

    monkeypatch.setattr(downloads, "fetch", fetch)
    status, out, _ = run("data", "fetch", "tiny-imagenet", "--data-root", tmp_path)
    assert (status, out) == (0, f"tiny-imagenet is there: {tmp_path / 'tiny-imagenet-200.zip'}\n")
    assert [wanted.url for wanted in asked] == ["http://cs231n.stanford.edu/tiny-imagenet-200.zip"]
    run("data", "fetch", "tiny-imagenet", "--data-root", tmp_path, "--allow-private")
    monkeypatch.setenv("BENCH_ALLOW_PRIVATE", "1")
    run("data", "fetch", "tiny-imagenet", "--data-root", tmp_path)
    assert allowed == [False, True, True]


def test_a_failed_download_is_one_line_and_status_1(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*given: object, private: bool) -> Path:
        raise RunFailure("http://... cannot be fetched: 404 Not Found")

    monkeypatch.setattr(downloads, "fetch", fetch)
    status, out, err = run("data", "fetch", "tiny-imagenet", "--data-root", tmp_path)
    assert (status, out, err) == (1, "", "bench: http://... cannot be fetched: 404 Not Found\n")


def test_the_name_of_a_broken_image_is_one_line_without_what_a_terminal_obeys(run: "Run", flowers: Path) -> None:
    name = "bad\x1b[31m\u202egnp\n  classes  all.png"
    (flowers.parent / "train" / "rose" / name).write_bytes(b"no image")
    (flowers.parent / "train" / "rose" / "0.png").unlink()
    status, out, err = run("data", "verify", flowers)
    assert status == 1
    (line,) = (line for line in out.splitlines() if "bad" in line)
    assert r"bad\u001b[31m\u202egnp classes all.png" in line
    assert "\x1b" not in out + err and "\u202e" not in out + err
