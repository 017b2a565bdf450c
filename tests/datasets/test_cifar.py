"""CIFAR through torchvision, on small archives of the official form; their checksums stand in for the published."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_layouts import write_files
from torchvision import datasets

from bench.data.archives import extract
from bench.data.datasets import Dataset
from bench.data.finding import fetchable, load_card
from bench.data.opening import open_dataset
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.progress import Silent

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CARD = """
name = "small-cifar"
resolution = 32
normalisation = "half"
class_ids = {ids}
[[sources]]
layout = "cifar"
options = {{ variant = "cifar10" }}
"""


def _batch(seed: int) -> dict[str, Any]:
    draws = np.random.default_rng(seed)
    return {"data": draws.integers(0, 256, (10, 3072), dtype=np.uint8), "labels": draws.permutation(10).tolist()}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """cifar-10-python.tar.gz with two training batches and a test batch of ten images."""
    contents = {"data_batch_1": _batch(1), "data_batch_2": _batch(2), "test_batch": _batch(3)}
    files = {name: pickle.dumps(content) for name, content in contents.items()}
    files["batches.meta"] = pickle.dumps({"label_names": CLASSES})
    path = tmp_path / str(datasets.CIFAR10.filename)
    with tarfile.open(path, "w:gz") as written:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{datasets.CIFAR10.base_folder}/{name}")
            member.size = len(content)
            written.addfile(member, io.BytesIO(content))
    sums = [[name, hashlib.md5(content).hexdigest()] for name, content in files.items()]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums[:2])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", sums[2:3])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": sums[3][1]})
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def _open(registry: Registry, root: Path, ids: list[str] = CLASSES) -> Dataset:
    card = root / "card.toml"
    card.write_text(CARD.format(ids=ids))
    return open_dataset(registry, str(card), root, root / "cache", Silent())


@pytest.mark.parametrize("extracted", [False, True])
def test_the_archive_and_what_it_holds_give_the_same(registry: Registry, archive: Path, extracted: bool) -> None:
    if extracted:
        extract(archive, archive.parent / datasets.CIFAR10.base_folder)
        archive.unlink()
    dataset = _open(registry, archive.parent)
    pixels = np.concatenate([_batch(seed)["data"] for seed in (1, 2)]).reshape(20, 3, 32, 32)
    assert torch.equal(dataset.train.take(torch.arange(20)), torch.from_numpy(pixels))
    assert dataset.train.labels.tolist() == _batch(1)["labels"] + _batch(2)["labels"]
    assert torch.equal(dataset.test.take(torch.arange(10)).flatten(1), torch.from_numpy(_batch(3)["data"]))
    assert dataset.classes == tuple(CLASSES)


def test_no_pickle_is_read_from_an_archive_with_another_checksum(
    registry: Registry, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    monkeypatch.setattr(pickle, "load", lambda *given, **named: pytest.fail("a pickle was read"))
    with pytest.raises(RunFailure, match=r"corrupt file: .*cifar-10-python\.tar\.gz has md5"):
        _open(registry, archive.parent).train.take(torch.tensor([0]))


def test_no_pickle_is_read_from_a_batch_with_another_checksum(
    registry: Registry, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = archive.parent / datasets.CIFAR10.base_folder
    extract(archive, folder)
    write_files(folder, {"data_batch_2": (folder / "data_batch_2").read_bytes() + b"."})
    monkeypatch.setattr(pickle, "load", lambda *given, **named: pytest.fail("a pickle was read"))
    with pytest.raises(RunFailure, match=r"corrupt file: .*data_batch_2 has md5"):
        _open(registry, archive.parent).train.take(torch.tensor([0]))


def test_a_missing_batch_is_named(registry: Registry, archive: Path) -> None:
    folder = archive.parent / datasets.CIFAR10.base_folder
    extract(archive, folder)
    (folder / "data_batch_2").unlink()
    with pytest.raises(RunFailure, match=r"missing file: .*data_batch_2; bench data fetch"):
        _open(registry, archive.parent).train.take(torch.tensor([0]))


def test_a_class_order_that_is_not_the_archives_is_refused(registry: Registry, archive: Path) -> None:
    with pytest.raises(RunFailure, match=r"class order of .* is not that of the card"):
        _open(registry, archive.parent, [*CLASSES[:9], "zeppelin"]).train.take(torch.tensor([0]))


@pytest.mark.parametrize(("name", "loader"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_address_and_checksum_are_those_of_torchvision(
    registry: Registry, name: str, loader: type[datasets.CIFAR10]
) -> None:
    (found,) = fetchable(registry, load_card(registry, name))
    assert (found.url, found.checksum) == (loader.url, f"md5:{loader.tgz_md5}")
    assert (found.file, found.extract) == (loader.filename, loader.base_folder)
