"""Giving memory back: pages of mapped files, which count as a process's memory from their first use to its end.

A tensor on disk may be larger than the memory. Whoever goes through one gives back what lies behind; pages that are
used again come from the system's own copy of the file, or from the disk where that had to make room. A tensor that is
made, and may be as large, gets a file to lie in (`room`).
"""

import ctypes
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from bench.storage.settings import machine_cache

PIECE = 64 << 20  # bytes that are gone through before they are given back
LARGE = 1 << 29  # bytes from which on a tensor that is made lies in a file; below them memory is quicker


def passed(tensor: Tensor, *, unchanged: bool = False) -> Iterator[memoryview]:
    """The bytes of a contiguous CPU tensor, at most `PIECE` at a time; each piece of that size is given back once used.

    Args:
        unchanged: see `release`.
    """
    for piece in tensor.reshape(-1).view(torch.uint8).split(PIECE) if tensor.numel() else ():
        yield piece.numpy().data
        if piece.nbytes == PIECE:  # less is not worth the asking
            release(piece, unchanged=unchanged)


def parts(tensor: Tensor, *, unchanged: bool = False) -> Iterator[Tensor]:
    """The rows of a tensor, as many at a time as a piece holds; those of a large tensor are given back once used.

    Args:
        unchanged: see `release`.
    """
    for part in tensor.split(in_a_piece(tensor[:1].nbytes)):
        yield part
        if tensor.nbytes >= LARGE:
            release(part, unchanged=unchanged)


def in_a_piece(size: int) -> int:
    """How many rows of so many bytes a piece holds, at least one."""
    return max(1, PIECE // max(1, size))


def room(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor to be filled: in memory, or from `LARGE` on in a mapped file without a name in this machine's cache.

    Raises:
        OSError: the disk has no room for it.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return torch.empty(*shape, dtype=dtype)
    with tempfile.TemporaryFile(dir=_scratch()) as file:
        reserve(file, size)
        return _mapped(file, size).view(dtype).view(*shape)


def joined(contents: Iterable[bytes], expected: int) -> Tensor:
    """Bytes one after the other, uint8 (n,); in a file, as `room` has it, where so many are expected."""
    if expected < LARGE:
        return torch.frombuffer(bytearray(b"".join(contents)), dtype=torch.uint8)
    with tempfile.TemporaryFile(dir=_scratch()) as file:
        file.writelines(contents)
        file.flush()
        return _mapped(file, file.tell())


def _scratch() -> Path:
    """Not in /tmp, which may be memory."""
    (folder := machine_cache()).mkdir(parents=True, exist_ok=True)
    return folder


def _mapped(file: IO[bytes], size: int) -> Tensor:
    return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=torch.uint8)


def reserve(file: IO[bytes], size: int) -> None:
    """Gives a file its size with all its blocks: without them a full disk would kill the process at a later write.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(file.fileno(), 0, size)
    file.truncate(size)


def assembled(rows: Iterable[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """A tensor of `count` rows, in `room`, that come some at a time: their places, int64 (n,), and what lies there."""
    passage, whole = Passage(), torch.empty(0)
    for places, some in rows:
        if not len(whole):
            whole = room((count, *some.shape[1:]), some.dtype)
        shares = places.split(in_a_piece(some[:1].nbytes))
        for where, part in zip(shares, parts(some, unchanged=True), strict=True):
            whole[where] = part
            passage.use(part.nbytes, [whole])
    return whole


def taken(tensor: Tensor, chosen: Tensor) -> Tensor:
    """`tensor[chosen]`, rows that may be larger than the memory; those of a mapped file must not have been changed.

    Args:
        chosen: int64 (n,).
    """
    size = tensor[:1].nbytes
    if len(chosen) * size < LARGE or tensor.device.type != "cpu":
        # indices on a CPU would wait for the GPU; those on a GPU must be waited for
        return tensor[chosen.to(tensor.device, non_blocking=tensor.device.type != "cpu")]
    passage = Passage(unchanged=True)

    def rows() -> Iterator[tuple[Tensor, Tensor]]:
        for places in torch.arange(len(chosen)).split(in_a_piece(size)):
            yield places, tensor[chosen[places]]
            passage.use(PIECE, [tensor])

    return assembled(rows(), len(chosen))


def converted(tensor: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
    """`work(tensor)`, which makes a row of each row; of a large tensor some at a time. As `taken`."""
    if tensor.nbytes < LARGE or tensor.device.type != "cpu":
        return work(tensor)
    places = torch.arange(len(tensor)).split(in_a_piece(tensor[:1].nbytes))
    return assembled(zip(places, map(work, parts(tensor, unchanged=True)), strict=True), len(tensor))


class Passage:
    """Going through tensors in no order that is known here.

    Args:
        unchanged: see `release`.
    """

    def __init__(self, *, unchanged: bool = False) -> None:
        self._unchanged, self._used = unchanged, 0

    def use(self, used: int, tensors: Iterable[Tensor]) -> None:
        """Counts bytes that were used, and gives all tensors back once they are a piece."""
        self._used += used
        if self._used >= PIECE:
            self._used = 0
            for tensor in tensors:
                release(tensor, unchanged=self._unchanged)


def release(tensor: Tensor, *, unchanged: bool = False) -> None:
    """Gives back the pages of a contiguous tensor that lie in a mapped file; those in plain memory stay.

    What was written through a shared mapping is in the file and is kept.

    Args:
        unchanged: that nobody wrote to it. Pages of a private mapping are then given back as well: what was written to
            those would be lost.
    """
    if tensor.device.type != "cpu":
        return
    start, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    for first, last, private in _file_mappings():
        low, high = _up(max(start, first)), min(end, last) & -mmap.PAGESIZE
        if low < high and (unchanged or not private):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(low), ctypes.c_size_t(high - low), mmap.MADV_DONTNEED)


def _up(address: int) -> int:
    """The next address where a page begins."""
    return -(-address // mmap.PAGESIZE) * mmap.PAGESIZE


def _file_mappings() -> Iterator[tuple[int, int, bool]]:
    """Where this process has files mapped: first address, the one after the last, whether privately. On Linux alone."""
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        addresses, permissions, _, _, inode, *_ = line.split(maxsplit=5)
        if inode != "0":
            first, last = (int(each, 16) for each in addresses.split("-"))
            yield first, last, permissions[3] == "p"
