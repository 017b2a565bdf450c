"""MNIST, Fashion-MNIST and SVHN in their official files, held against torchvision's own readers on small ones."""

import gzip
import hashlib
import struct
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import readers, write_manifest
from scipy.io import savemat
from torchvision import datasets
from torchvision.datasets import VisionDataset

from bench import cli
from bench.data import downloads
from bench.data.cards import Fetch
from bench.data.datasets import Dataset, Normalisation, Source
from bench.data.finding import fetchable, load_card
from bench.data.opening import open_dataset
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.interchange.importing import read_foreign
from bench.progress import Silent
from bench.testing import tiny_dataset
from bench_datasets.idx import IdxReader

IDX = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}
COUNTS = {"train": 30, "t10k": 20}
FOLDERS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}


def idx(values: np.ndarray) -> bytes:
    """An IDX file of uint8."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def idx_files(seed: int) -> dict[str, bytes]:
    """The four files of 30 and 20 images of 28 x 28, as names without .gz and contents."""
    draws, files = np.random.default_rng(seed), {}
    for split, count in COUNTS.items():
        files[f"{split}-images-idx3-ubyte"] = idx(draws.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        labels = draws.permutation(np.arange(count) % 10).astype(np.uint8)
        files[f"{split}-labels-idx1-ubyte"] = idx(labels)
    return files


@pytest.fixture(params=list(IDX))
def idx_root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A data root with gzipped and plain files; their checksums and counts stand in for the published."""
    name: str = request.param
    folder = tmp_path / FOLDERS[name]
    folder.mkdir(parents=True)
    sums = []
    for file, content in idx_files(1).items():
        (folder / file).write_bytes(content)
        (folder / f"{file}.gz").write_bytes(packed := gzip.compress(content, mtime=0))
        sums.append((f"{file}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(IDX[name], "resources", sums)
    return name, tmp_path


def opened(registry: Registry, name: str, root: Path, train: int = 30, test: int = 20) -> Dataset:
    """The dataset by the shipped card, but for how many images there are."""
    text = Path(registry.load("dataset", name)).read_text(encoding="utf-8")
    counts = next(line for line in text.splitlines() if line.startswith("images = "))
    path = root / "card.toml"
    path.write_text(text.replace(counts, f"images = {{ train = {train}, test = {test} }}"), encoding="utf-8")
    return open_dataset(registry, str(path), root, root / "cache", Silent())


def assert_as_torchvision(dataset: Dataset, splits: Sequence[VisionDataset]) -> None:
    """Every image and label of both splits."""
    for split, theirs in zip((dataset.train, dataset.test), splits, strict=True):
        images = split.take(torch.arange(len(split)))
        assert len(theirs) == len(images) > 0
        for number, image in enumerate(images):
            picture, label = theirs[number]
            pixels = np.asarray(picture).reshape(dataset.resolution, dataset.resolution, dataset.channels)
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pixels)
            assert split.labels[number] == label


@pytest.mark.parametrize("gzipped", [True, False])
def test_idx_files_are_read_as_torchvision_does(registry: Registry, idx_root: tuple[str, Path], gzipped: bool) -> None:
    name, root = idx_root
    splits = [IDX[name](root, train=train) for train in (True, False)]
    for path in (root / FOLDERS[name]).iterdir():
        if (path.suffix == ".gz") != gzipped:
            path.unlink()
    dataset = opened(registry, name, root)
    assert dataset.classes == tuple("0123456789")
    assert_as_torchvision(dataset, splits)


def test_an_idx_file_with_another_checksum_is_refused(registry: Registry, idx_root: tuple[str, Path]) -> None:
    name, root = idx_root
    path = root / FOLDERS[name] / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((30, 28, 28), np.uint8))))
    dataset = opened(registry, name, root)
    with pytest.raises(RunFailure, match=r"corrupt file: .*train-images-idx3-ubyte\.gz has md5.*bench data fetch"):
        dataset.train.take(torch.tensor([0]))
    assert len(dataset.test) == 20, "the other split is not concerned"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no IDX file of uint8 in 3 dimensions"),
        (idx(np.zeros((30, 28, 28), np.uint8))[:-1], "or not all of it"),
        (idx(np.zeros(30, np.uint8)), "no IDX file of uint8 in 3 dimensions"),
        (idx(np.zeros((29, 28, 28), np.uint8)), "29 train images and 30 labels"),
    ],
    ids=["empty", "cut", "labels", "fewer"],
)
def test_a_damaged_idx_file_is_named(registry: Registry, idx_root: tuple[str, Path], content: bytes, said: str) -> None:
    name, root = idx_root
    folder = root / FOLDERS[name]
    for path in folder.glob("*.gz"):
        path.unlink()
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(RunFailure, match=said):
        opened(registry, name, root).train.take(torch.tensor([0]))


def labels_of(folder: Path, images: str) -> torch.Tensor:
    """As the reader gives them, of 30 labels and the images in a file of that name."""
    (folder / "labels.gz").write_bytes(gzip.compress(idx(np.zeros(30, np.uint8))))
    classes, files = tuple("0123456789"), (folder / images, folder / "labels.gz")
    return IdxReader().labels(Source("idx", folder, {"train": files}, classes, {"class_ids": classes}), "train")


def test_a_file_that_expands_further_than_it_says_is_not_expanded(tmp_path: Path) -> None:
    whole, more = idx(np.zeros((30, 8, 8), np.uint8)), 1 << 26
    (tmp_path / "whole").write_bytes(whole)
    assert labels_of(tmp_path, "whole").tolist() == [0] * 30
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(whole + bytes(more)))
    tracemalloc.start()
    with pytest.raises(RunFailure, match=r"bomb\.gz is no IDX file of uint8 in 3 dimensions, or not all of it"):
        labels_of(tmp_path, "bomb.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < more / 8


def test_a_file_that_says_more_than_the_memory_holds_is_not_read(tmp_path: Path) -> None:
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 1)
    (tmp_path / "head").write_bytes(head)
    with pytest.raises(RunFailure, match=r"speaks of 18,446,744,065,119,617,025 bytes, more than the [0-9,]+ of this"):
        labels_of(tmp_path, "head")


def test_a_label_that_is_no_class_is_named(registry: Registry, idx_root: tuple[str, Path]) -> None:
    name, root = idx_root
    folder = root / FOLDERS[name]
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    labels = np.arange(30) % 10
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.where(np.arange(30) == 17, 10, labels).astype(np.uint8)))
    with pytest.raises(RunFailure, match=r"train-labels-idx1-ubyte: row 17 has the label 10, of no class"):
        opened(registry, name, root).train.take(torch.tensor([0]))


def write_few(folder: Path, labels: Sequence[int]) -> None:
    """Training images all of whose pixels are 10 times their label."""
    folder.mkdir(exist_ok=True)
    values = np.array(labels, np.uint8)
    (folder / "train-images-idx3-ubyte").write_bytes(
        idx(np.broadcast_to(10 * values[:, None, None], (len(values), 8, 8)))
    )
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(values))


def test_label_i_is_the_ith_id_as_the_card_has_them(registry: Registry, tmp_path: Path) -> None:
    write_few(tmp_path, [0, 2, 10])
    ids = ", ".join(f'"{number}"' for number in range(12))
    fields = f'name = "few"\nresolution = 8\nchannels = 1\nnormalisation = "half"\nclass_ids = [{ids}]\n'
    (tmp_path / "few.toml").write_text(f'{fields}[[sources]]\nlayout = "idx"\noptions = {{ path = "." }}\n')
    dataset = open_dataset(registry, str(tmp_path / "few.toml"), tmp_path, tmp_path / "cache", Silent())
    assert [dataset.classes[label] for label in dataset.train.labels.tolist()] == ["0", "2", "10"]


def test_a_set_in_idx_files_has_labels_that_are_positions(tmp_path: Path) -> None:
    write_few(tmp_path / "set", [0, 1, 2])
    source = {"layout": "idx", "options": {"path": "."}}
    dataset = replace(tiny_dataset(classes=3, resolution=8, channels=1), classes=("a", "b", "c"))
    told = write_manifest(tmp_path / "set", source=source, classes=["c", "a", "b"])
    found = read_foreign(told, dataset, readers)
    assert (found.class_order, found.condensed.images.classes.tolist()) == ("stated", [2, 0, 1])
    plain = read_foreign(write_manifest(tmp_path / "set", source=source), dataset, readers)
    assert plain.class_order.startswith("inferred: labels are positions")


def test_images_without_labels_are_refused(registry: Registry, idx_root: tuple[str, Path]) -> None:
    name, root = idx_root
    for path in (root / FOLDERS[name]).glob("t10k-labels-*"):
        path.unlink()
    with pytest.raises(UsageError, match=r"has t10k-images-idx3-ubyte\.gz and no t10k-labels-idx1-ubyte"):
        opened(registry, name, root)


@pytest.fixture
def svhn_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with two small MATLAB files, whose checksums stand in for the published."""
    draws = np.random.default_rng(2)
    folder = tmp_path / "svhn"
    folder.mkdir()
    known = dict(datasets.SVHN.split_list)
    for split, count in (("train", 30), ("test", 20)):
        url, name, _ = known[split]
        digits = draws.permutation(1 + np.arange(count) % 10).astype(np.uint8)[:, None]  # 1 to 10: 10 is the digit 0
        images = draws.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        savemat(folder / name, {"X": images, "y": digits}, do_compression=True)
        known[split] = [url, name, hashlib.md5((folder / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", known)
    return tmp_path


def test_svhn_is_read_as_torchvision_does(registry: Registry, svhn_root: Path) -> None:
    dataset = opened(registry, "svhn", svhn_root)
    assert_as_torchvision(dataset, [datasets.SVHN(svhn_root / "svhn", split=split) for split in ("train", "test")])
    assert torch.bincount(dataset.train.labels).tolist() == [3] * 10


def test_svhn_is_also_found_where_torchvision_puts_it(registry: Registry, svhn_root: Path) -> None:
    for path in (svhn_root / "svhn").iterdir():
        path.rename(svhn_root / path.name)
    assert len(opened(registry, "svhn", svhn_root).test) == 20


def test_a_matlab_file_without_images_is_named(
    registry: Registry, svhn_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = svhn_root / "svhn" / "test_32x32.mat"
    for content, said in ((b"no MATLAB file", "cannot be read"), (b"", "cannot be read")):
        path.write_bytes(content)
        known = dict(datasets.SVHN.split_list)
        known["test"] = [*known["test"][:2], hashlib.md5(content).hexdigest()]
        monkeypatch.setattr(datasets.SVHN, "split_list", known)
        with pytest.raises(RunFailure, match=f"corrupt file: .*{said}"):
            opened(registry, "svhn", svhn_root).test.take(torch.tensor([0]))


@pytest.mark.parametrize(("name", "files"), [("mnist", 4), ("fashion-mnist", 4), ("svhn", 2)])
def test_addresses_and_checksums_are_those_of_torchvision(registry: Registry, name: str, files: int) -> None:
    found = fetchable(registry, load_card(registry, name))
    if name == "svhn":
        expected = [tuple(datasets.SVHN.split_list[split]) for split in ("train", "test")]
    else:
        expected = [(IDX[name].mirrors[0] + file, file, md5) for file, md5 in IDX[name].resources]
    assert [(each.url, Path(each.file).name, each.checksum.removeprefix("md5:")) for each in found] == expected
    assert len(found) == files


def test_all_files_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also those that are missing where one is there already: it is verified, the others come."""
    asked: list[str] = []

    def fetch(wanted: Fetch, root: Path, progress: object, *, private: bool) -> Path:
        asked.append(wanted.file)
        return root / wanted.file

    monkeypatch.setattr(downloads, "fetch", fetch)
    monkeypatch.setattr("sys.argv", ["bench", "data", "fetch", "svhn", "--data-root", str(tmp_path)])
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert asked == ["svhn/train_32x32.mat", "svhn/test_32x32.mat"]
    out = capfd.readouterr().out
    assert all(str(tmp_path / file) in out for file in asked)


def test_constants_and_words_are_those_of_the_sources(registry: Registry) -> None:
    """Constants of DC's release (utils.py), words of torchvision's class lists in label order."""
    cards = {name: load_card(registry, name) for name in ("mnist", "fashion-mnist", "svhn")}
    constants = {name: Normalisation(card.mean, card.std) for name, card in cards.items()}
    assert constants == {
        "mnist": Normalisation((0.1307,), (0.3081,)),
        "fashion-mnist": Normalisation((0.2861,), (0.3530,)),
        "svhn": Normalisation((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    }
    words = {name: [card.class_names[each] for each in card.order or ()] for name, card in cards.items()}
    assert words["fashion-mnist"] == datasets.FashionMNIST.classes
    assert [f"{digit} - {word}" for digit, word in enumerate(words["mnist"])] == datasets.MNIST.classes
    assert words["svhn"] == words["mnist"]
