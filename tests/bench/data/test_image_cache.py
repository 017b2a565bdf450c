"""The image cache: made once, whole or absent, verified, made again when damaged, shared by processes."""

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damage import altered, damaged
from ears import Ear
from leasing import killed_with
from pydantic import BaseModel
from torch import Tensor

from bench.data import image_cache
from bench.data.datasets import DatasetCard, Reader, Source, SourceCard, SplitName
from bench.data.decoding import DecodedForm, Decoder
from bench.data.image_cache import ImageCache
from bench.data.splits import CachedSplit, StreamedSplit, UnavailableSplit
from bench.errors import RunFailure
from bench.progress import Silent
from bench.storage.shared.leases import is_of_dead
from bench.storage.tensor_files import read_tensors, write_tensors

COUNT = 50


class _Options(BaseModel):
    """None."""


class Numbered(Reader):
    """Images whose pixels follow from their index. It counts how many it gave, and writes that beside the cache."""

    Options = _Options

    def __init__(self, wait: float = 0.0, damaged: int | None = None, tally: Path | None = None) -> None:
        self.given, self.wait, self.damaged, self.tally = 0, wait, damaged, tally

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        return "nothing"

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        return None

    def labels(self, source: Source, split: SplitName) -> Tensor:
        return torch.arange(COUNT) % 5

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        if self.tally is not None:
            with self.tally.open("a") as file:
                file.write("made\n")
        for index in indices:
            time.sleep(self.wait)
            self.given += 1
            yield f"image {index}", b"damaged" if index == self.damaged else pixels_of(index)


def pixels_of(index: int) -> Any:  # noqa: ANN401 - a uint8 array (3, 4, 4)
    return ((np.arange(48) * (index + 1)) % 256).astype(np.uint8).reshape(3, 4, 4)


EXPECTED = torch.stack([torch.from_numpy(pixels_of(index)) for index in range(COUNT)])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven images a piece, the last one smaller."""
    monkeypatch.setattr(image_cache, "PIECE", 7 * 48)


def _decoder(reader: Reader) -> Decoder:
    source = Source("numbered", Path(), {"train": ()}, tuple("abcde"))
    return Decoder(reader, source, "train", DecodedForm(3, 4, 4))


def _split(folder: Path, reader: Reader, watcher: Silent | None = None) -> CachedSplit:
    decoder = _decoder(reader)
    return CachedSplit(decoder, reader.labels(decoder.source, "train"), ImageCache(folder, watcher or Silent()))


def test_images_are_decoded_when_first_taken_and_only_once(tmp_path: Path) -> None:
    reader, watcher = Numbered(), Ear()
    split = _split(tmp_path, reader, watcher)
    assert (len(split), reader.given, list(tmp_path.iterdir())) == (COUNT, 0, [])
    assert torch.equal(split.take(torch.tensor([3, 0, 49])), EXPECTED[[3, 0, 49]])
    assert torch.equal(split.images, EXPECTED)
    assert watcher.seen[-1][1:] == (COUNT, COUNT)
    again = Numbered()
    assert torch.equal(_split(tmp_path, again).images, EXPECTED)
    assert (reader.given, again.given) == (COUNT, 0)


def test_the_name_of_a_process_that_was_killed_once_all_was_decoded_goes(tmp_path: Path) -> None:
    _ = _split(tmp_path, Numbered()).images
    killed_with(tmp_path / "train.lock")
    assert torch.equal(_split(tmp_path, Numbered(damaged=0)).images, EXPECTED)
    assert not is_of_dead(tmp_path / "train.lock")


def test_a_split_that_is_ready_decodes_nothing_more(tmp_path: Path) -> None:
    reader = Numbered()
    few = _split(tmp_path, reader).of_classes([2, 0])
    few.ready()
    assert reader.given == COUNT
    reader.given = 0
    assert len(few.take(torch.arange(3))) == 3 and reader.given == 0


def test_labels_come_from_the_cache_once_it_is_made(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, Silent())
    assert cache.labels("train") is None
    _ = _split(tmp_path, Numbered()).images
    found = cache.labels("train")
    assert found is not None
    assert torch.equal(found, torch.arange(COUNT) % 5)


def test_writing_to_the_images_never_reaches_the_disk(tmp_path: Path) -> None:
    _split(tmp_path, Numbered()).images.zero_()
    assert torch.equal(_split(tmp_path, Numbered(damaged=0)).images, EXPECTED)


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["train.u8", "train.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_seen_set_aside_and_mended_with_a_warning(tmp_path: Path, name: str, damage: str) -> None:
    _ = _split(tmp_path, Numbered()).images
    path = tmp_path / name
    if damage == "flip":
        _flip(path, path.stat().st_size - 20)
    elif damage == "truncate":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
    reader, watcher = Numbered(), Ear()
    assert torch.equal(_split(tmp_path, reader, watcher).images, EXPECTED)
    assert reader.given == COUNT
    without_index = (name, damage) == ("train.safetensors", "remove")  # as a killed run leaves it: nothing is wrong
    assert bool(watcher.heard) is not without_index
    assert bool(list(tmp_path.glob("*.corrupt-1"))) is not without_index


def test_whatever_stands_in_the_index_the_images_and_labels_are_the_same(tmp_path: Path) -> None:
    _ = _split(tmp_path, Numbered()).images
    index = tmp_path / "train.safetensors"
    pixels, good, (mapped, facts) = (tmp_path / "train.u8").read_bytes(), index.read_bytes(), read_tensors(index)
    tensors = {name: each.clone() for name, each in mapped.items()}
    others = [{}, {"labels": tensors["labels"][:-1]}, {"labels": tensors["labels"].float()}]
    wrong = [*((tensors, changed) for _, changed in altered(facts)), *((other, facts) for other in others)]
    for what, bad in damaged(good):
        index.write_bytes(bad)
        _assert_as_they_were(tmp_path, what)
    for held, said in wrong:
        (tmp_path / "train.u8").write_bytes(pixels)
        write_tensors(index, held, said)
        _assert_as_they_were(tmp_path, f"{held.keys()} {said}")


def _assert_as_they_were(folder: Path, what: str) -> None:
    split, cache = _split(folder, Numbered()), ImageCache(folder, Silent())
    before = cache.labels("train")
    assert before is None or torch.equal(before, split.labels), what
    assert torch.equal(split.images, EXPECTED) and torch.equal(split.labels, torch.arange(COUNT) % 5), what
    assert cache.labels("train") is not None, what


def test_a_damaged_image_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="corrupt image: image 23 is in no known image format"):
        _split(tmp_path, Numbered(damaged=23)).take(torch.tensor([0]))
    assert [path.name for path in tmp_path.iterdir()] == [".leases"]
    assert torch.equal(_split(tmp_path, Numbered()).images, EXPECTED)


def test_a_full_disk_is_a_failure_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(image_cache, "_decode_into", full)
    with pytest.raises(RunFailure, match=f"cannot be kept in {tmp_path}: No space left"):
        _split(tmp_path, Numbered()).take(torch.tensor([0]))


def _take(folder: Path, tally: Path, wait: float) -> None:
    image_cache.PIECE = 7 * 48
    if not torch.equal(_split(folder, Numbered(wait=wait, tally=tally)).images, EXPECTED):
        raise SystemExit(1)


def _start(folder: Path, tally: Path, wait: float) -> Any:  # noqa: ANN401 - a process of the spawn context
    process = multiprocessing.get_context("spawn").Process(target=_take, args=(folder, tally, wait))
    process.start()
    return process


def test_two_processes_decode_once(tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    both = [_start(tmp_path / "cache", tally, 0.005) for _ in range(2)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(tally.read_text().splitlines()) == -(-COUNT // 7)


def test_after_a_kill_in_the_middle_nothing_half_made_is_used(tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    process = _start(tmp_path / "cache", tally, 0.05)
    deadline = time.monotonic() + 120
    while not (tally.exists() and len(tally.read_text().splitlines()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "cache" / "train.u8").exists()
    watcher = Ear()
    assert torch.equal(_split(tmp_path / "cache", Numbered(), watcher).images, EXPECTED)
    assert watcher.heard == []
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_streamed_split_gives_the_same_images_in_any_order() -> None:
    reader = Numbered()
    split = StreamedSplit(_decoder(reader), torch.arange(COUNT) % 5)
    order = torch.tensor([40, 3, 3, 17, 0, 49, *range(COUNT)])
    assert torch.equal(split.take(order), EXPECTED[order])
    assert reader.given == len(order)
    chosen = split.of_classes([4, 1])
    assert torch.equal(chosen.take(torch.arange(4)), EXPECTED[[1, 4, 6, 9]])
    assert chosen.labels[:4].tolist() == [1, 0, 1, 0]


def test_a_missing_split_says_so_only_when_images_are_taken() -> None:
    split = UnavailableSplit("no train images below here", damaged=False)
    assert len(split.of_classes([0, 3])) == 0
    with pytest.raises(RunFailure, match="no train images below here"):
        split.of_classes([0]).take(torch.tensor([0]))
    with pytest.raises(RunFailure, match="no train images below here"):
        next(iter(split.chunks(10)))
    with pytest.raises(RunFailure, match="no train images below here"):
        _ = split.labels
