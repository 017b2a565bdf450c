"""NumPy's archives (.npz), whose arrays are looked at before they are read."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from bench.sets.held import Held, Shape


class _Arrays(Held):
    """NumPy's archive: a file of its own for each array, whose head says what it is."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        self._archive = archive

    def names(self) -> list[str]:
        return list(self._members)

    def about(self, name: str) -> tuple[Shape, int]:
        with self._archive.open(self._members[name]) as file:
            shape, kind = _head(file)
        if kind.hasobject or kind.kind not in "biufc":
            raise ValueError(f"is an array of {kind}, not of numbers")
        return shape, math.prod(shape) * kind.itemsize

    def read(self, name: str) -> Tensor:
        with self._archive.open(self._members[name]) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _head(file: IO[bytes]) -> tuple[Shape, np.dtype[Any]]:
    """Shape and type of an array, from the first bytes of its file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"has the shape {shape}, which no array has")
    return shape, kind


@contextmanager
def opened_npz(path: Path) -> Iterator[Held]:
    """What an archive holds."""
    with zipfile.ZipFile(path) as archive:
        yield _Arrays(archive)
