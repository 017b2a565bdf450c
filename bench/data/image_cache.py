"""Decoded images kept as one memory-mapped file of uint8 pixels a split, made once and verified when opened.

`<cache>/images/<name>-<key>/` holds, for each split, `<split>.u8` (N × C × H × W bytes) and `<split>.safetensors`
(labels, shape and the checksum of every piece of the pixels), written in that order: without the second the first is
a leftover of a killed run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import xxhash
from pydantic import Field
from torch import Tensor

from bench.data.cards import SplitName
from bench.data.decoding import Decoder, in_threads
from bench.errors import CorruptArtefact, RunFailure, UnreadableArtefact, understood, why
from bench.progress import Progress, Throttled
from bench.storage.artefacts import UNSTAMPED, Kind, Part, unchanged
from bench.storage.files import clean_leftovers, quarantine, whole
from bench.storage.shapes import Count
from bench.storage.shared.leases import forget_dead, locked
from bench.storage.tensor_files import read_tensors, write_tensors


class Decoded(Part):
    """What lies beside decoded pixels."""

    shape: Annotated[list[Count], Field(min_length=4, max_length=4)]
    piece: Annotated[int, Field(ge=1)]
    checksums: list[str]


INDEX_FILE = Kind("decoded images", 1, Decoded, {UNSTAMPED: unchanged})
PIECE = 16 << 20  # bytes of pixels that are decoded, written and checked at a time


@dataclass(frozen=True)
class Cached:
    """Decoded images of one split: uint8 (N, C, H, W), memory-mapped copy-on-write, and int64 labels (N,).

    `made` says that they were decoded just now.
    """

    images: Tensor
    labels: Tensor
    made: bool = False


class ImageCache:
    """The decoded images of one dataset, in a folder that its content names."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder, self._progress = folder, progress

    def labels(self, split: SplitName) -> Tensor | None:
        """The labels of a split that has been decoded, or None. Touches no pixel."""
        try:
            return self._indexed(split)[0]
        except (FileNotFoundError, CorruptArtefact, UnreadableArtefact):
            return None

    def open(self, decoder: Decoder, labels: Tensor) -> Cached:
        """The split's images, decoded now if nobody has; while another process decodes them, waits for that one.

        Raises:
            RunFailure: an image that cannot be decoded (named), or no room on the disk.
        """
        split = decoder.split
        lock = self._folder / f"{split}.lock"
        try:
            found = self._read(split)
        except (FileNotFoundError, CorruptArtefact):
            pass  # looked at again once nobody else can be writing it
        else:
            forget_dead(lock)
            return found
        with locked(lock, self._progress, wait=True):
            try:
                return self._read(split)
            except FileNotFoundError:
                clean_leftovers(self._folder)
            except CorruptArtefact as error:
                self._set_aside(split, error)
            self._make(decoder, labels)
            return replace(self._read(split), made=True)

    def _pixels(self, split: SplitName) -> Path:
        return self._folder / f"{split}.u8"

    def _index(self, split: SplitName) -> Path:
        return self._folder / f"{split}.safetensors"

    def _read(self, split: SplitName) -> Cached:
        labels, facts = self._indexed(split)
        pixels = _mapped(self._pixels(split), facts.shape)
        if _checksums(self._pixels(split), facts.piece * math.prod(facts.shape[1:])) != facts.checksums:
            raise CorruptArtefact(f"{self._pixels(split)} was altered: its checksum does not match")
        return Cached(pixels, labels)

    def _indexed(self, split: SplitName) -> tuple[Tensor, Decoded]:
        """The labels of a split, and where its pixels' checksums are."""
        path = self._index(split)
        tensors, content = read_tensors(path)
        with understood(path):
            labels, facts = tensors["labels"], INDEX_FILE.checked(content, path)
        if labels.dtype != torch.int64 or tuple(labels.shape) != (facts.shape[0],):
            held = f"{tuple(labels.shape)} of {labels.dtype}"
            raise CorruptArtefact(f"{path} has labels {held}, not an int64 for each of {facts.shape[0]} images")
        return labels, facts

    def _set_aside(self, split: SplitName, error: CorruptArtefact) -> None:
        aside = [quarantine(path).name for path in (self._index(split), self._pixels(split)) if path.exists()]
        self._progress.warn(f"decoded images set aside as {', '.join(aside)} and made again: {error}")

    def _make(self, decoder: Decoder, labels: Tensor) -> None:
        shape = (len(labels), *decoder.view.shape)
        piece = max(1, PIECE // math.prod(decoder.view.shape))
        try:
            with whole(self._pixels(decoder.split)) as part:
                checksums = _decode_into(part, decoder, shape, piece, self._progress)
            facts = {"shape": shape, "piece": piece, "checksums": checksums}
            write_tensors(self._index(decoder.split), {"labels": labels}, INDEX_FILE.stamped(facts))
        except OSError as error:
            raise RunFailure(f"decoded images cannot be kept in {self._folder}: {why(error)}") from error


def _decode_into(path: Path, decoder: Decoder, shape: Sequence[int], piece: int, progress: Progress) -> list[str]:
    """Writes all pixels to `path`, decoding `piece` images at a time in threads; returns the pieces' checksums."""
    count, size = shape[0], math.prod(shape[1:])
    watcher, checksums = Throttled(progress), {}

    def decode(start: int) -> tuple[Tensor, str]:
        images = decoder.decode(range(start, min(start + piece, count)))
        return images, _checksum(images)

    with path.open("wb") as handle:
        for start, (images, checksums[start]) in in_threads(decode, range(0, count, piece)):
            handle.seek(start * size)
            handle.write(images.numpy().data)
            watcher.advance(f"decode {decoder.split} images", min(len(checksums) * piece, count), count)
    return [checksums[start] for start in sorted(checksums)]


def _mapped(path: Path, shape: Sequence[int]) -> Tensor:
    """The file's bytes, mapped copy-on-write: what a careless user writes to the tensor never reaches the disk."""
    size = math.prod(shape)
    if not path.exists() or path.stat().st_size != size:
        raise CorruptArtefact(f"{path} is missing or truncated: it should have {size} bytes")
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).view(*shape)


def _checksums(path: Path, step: int) -> list[str]:
    """Of every `step` bytes. Read, not mapped: pages touched here would count as memory of the run that is measured."""

    def checksum(start: int) -> str:
        with path.open("rb") as file:
            file.seek(start)
            return xxhash.xxh3_128_hexdigest(file.read(step))

    found = dict(in_threads(checksum, range(0, path.stat().st_size, step)))
    return [found[start] for start in sorted(found)]


def _checksum(images: Tensor) -> str:
    return xxhash.xxh3_128_hexdigest(images.numpy().reshape(-1).data)
