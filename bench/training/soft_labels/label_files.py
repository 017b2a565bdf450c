"""The files that stored labels are written to: memory-mapped, reserved in full, verified by hashes.

1,000 classes x 50 images x 300 epochs are 30 GB in fp16: what is written is given back to the system piece by piece.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from bench.labels.forms import LOGITS, LogitForm
from bench.storage.paging import Passage, reserve

READ = 1 << 24  # bytes at a time
HALF = np.dtype(np.float16)


class LabelFiles:
    """What a form keeps of rows of views, a file a tensor, written in order.

    Args:
        stem: of their names.
        rows: how many views: two dimensions.
    """

    def __init__(self, stem: Path, form: LogitForm, rows: tuple[int, int], classes: int) -> None:
        self._rows, self._parts = rows, form.parts(classes)
        store = {LOGITS: form.store}
        self._paths = {name: stem.with_suffix(f".{store.get(name, name)}") for name in self._parts}
        self._seen = {name: xxhash.xxh3_128() for name in self._parts}  # of all that is written up to here
        self.arrays: dict[str, np.memmap[tuple[int, ...], np.dtype[Any]]] = {}
        self._passage = Passage()

    def are_there(self) -> bool:
        """Whether each is, and is as large as it must be."""
        return all(path.is_file() and path.stat().st_size == self._bytes(name) for name, path in self._paths.items())

    def reserve(self) -> None:
        """Opens `arrays`. Raises OSError where there is no room."""
        for name, (dtype, shape) in self._parts.items():
            self.arrays[name] = reserved(self._paths[name], (*self._rows, *shape), dtype)

    def write(self, epoch: int, start: int, kept: Mapping[str, np.ndarray]) -> None:
        """Writes the next views."""
        for name, array in kept.items():
            self.arrays[name][epoch, start : start + len(array)] = array
            self._seen[name].update(array.tobytes())
            self._passage.use(array.nbytes, map(torch.from_numpy, self.arrays.values()))

    def flush(self) -> str:
        """Flushes all that was written to disk; returns its hashes."""
        for array in self.arrays.values():
            array.flush()
        return " ".join(seen.hexdigest() for seen in self._seen.values())

    def hold(self, views: int, voucher: str) -> bool:
        """Whether the first `views` views are there as written; hashing goes on after them, or begins anew."""
        for name, path in self._paths.items():
            _read_into(self._seen[name], path, self._bytes(name) // math.prod(self._rows) * views)
        if " ".join(seen.hexdigest() for seen in self._seen.values()) == voucher:
            return True
        self.forget()
        return False

    def forget(self) -> None:
        """Begins the hashes again."""
        for seen in self._seen.values():
            seen.reset()

    def _bytes(self, name: str) -> int:
        dtype, shape = self._parts[name]
        return dtype.itemsize * math.prod((*self._rows, *shape))


def _read_into(seen: xxhash.xxh3_128, path: Path, left: int) -> None:
    with path.open("rb") as file:
        while left and (content := file.read(min(left, READ))):
            seen.update(content)
            left -= len(content)


def reserved(
    path: Path, shape: Sequence[int], dtype: "np.dtype[Any]" = HALF
) -> "np.memmap[tuple[int, ...], np.dtype[Any]]":
    """A memory-mapped file whose blocks exist (see `bench.storage.paging.reserve`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("ab") as file:
            reserve(file, dtype.itemsize * math.prod(shape))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return np.memmap(path, dtype, "r+", shape=tuple(shape))
