"""`bench data`: what it prints where, and with which status it ends."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import cli
from bench.cards import Fetch
from bench.data import downloads
from bench.errors import RunFailure

CARD = """
name = "flowers"
resolution = 8
normalisation = "imagenet"
images = { train = 8 }
[[sources]]
layout = "image-folder"
"""


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    for name in ("daisy", "rose"):
        for number in range(4):
            path = tmp_path / "train" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(path)
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

    def fetch(wanted: Fetch, root: Path, progress: object) -> Path:
        asked.append(wanted)
        return root / wanted.file

    monkeypatch.setattr(downloads, "fetch", fetch)
    status, out, _ = run("data", "fetch", "tiny-imagenet", "--data-root", tmp_path)
    assert (status, out) == (0, f"tiny-imagenet is there: {tmp_path / 'tiny-imagenet-200.zip'}\n")
    assert [wanted.url for wanted in asked] == ["http://cs231n.stanford.edu/tiny-imagenet-200.zip"]


def test_a_failed_download_is_one_line_and_status_1(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*given: object) -> Path:
        raise RunFailure("http://... cannot be fetched: 404 Not Found")

    monkeypatch.setattr(downloads, "fetch", fetch)
    status, out, err = run("data", "fetch", "tiny-imagenet", "--data-root", tmp_path)
    assert (status, out, err) == (1, "", "bench: http://... cannot be fetched: 404 Not Found\n")
