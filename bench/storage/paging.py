"""Giving memory back: pages of mapped files, which count as a process's memory from their first use to its end.

A tensor on disk may be larger than the memory. Whoever goes through one gives back what lies behind; pages that are
used again come from the system's own copy of the file, or from the disk where that had to make room.
"""

import ctypes
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

PIECE = 64 << 20  # bytes that are gone through before they are given back


def passed(tensor: Tensor, *, unchanged: bool = False) -> Iterator[memoryview]:
    """The bytes of a contiguous CPU tensor, at most `PIECE` at a time; each piece of that size is given back once used.

    Args:
        unchanged: see `release`.
    """
    for piece in tensor.reshape(-1).view(torch.uint8).split(PIECE) if tensor.numel() else ():
        yield piece.numpy().data
        if piece.nbytes == PIECE:  # less is not worth the asking
            release(piece, unchanged=unchanged)


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
    """Gives back the pages of a contiguous CPU tensor that lie in a mapped file; those in plain memory stay.

    What was written through a shared mapping is in the file and is kept.

    Args:
        unchanged: that nobody wrote to it. Pages of a private mapping are then given back as well: what was written to
            those would be lost.
    """
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
