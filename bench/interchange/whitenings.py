"""The whitening that a set belongs to: in a file beside it, or to be fitted where it is evaluated."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.interchange.handwritten import ZcaSource
from bench.sets.tensor_files import named, type_of
from bench.whitening import LARGEST, Whitening

WORST_CONDITION = 1e10  # of a whitening matrix; with eps = 1e-8 that of 32 x 32 x 3 pixels has 1e7 at most


def check_fit(dataset: Dataset, where: str) -> None:
    """Refuses images that are too large for one matrix over all their pixels."""
    if dataset.resolution > LARGEST:
        raise UsageError(
            f"{where}: 'zca' is fitted for images of up to {LARGEST} pixels a side, and {dataset.name} has "
            f"{dataset.resolution}; name the file that holds the whitening"
        )


def from_file(folder: Path, zca: ZcaSource, dataset: Dataset) -> Whitening:
    """The whitening that a manifest names.

    Raises:
        UsageError: it is not for images of the dataset's shape, or not finite.
    """
    path, shape = folder / zca.file, (dataset.channels, dataset.resolution, dataset.resolution)
    size = math.prod(shape)

    def fits(shapes: Mapping[str, tuple[int, ...]]) -> str:
        mean, matrix = shapes[zca.mean], shapes[zca.matrix]
        right = math.prod(mean) == size and matrix == (size, size)
        expected = f"mean and matrix must have {size} and ({size}, {size}) numbers"
        return "" if right else f"{expected}, not {mean} and {matrix}"

    mean, matrix = named(path, zca.mean, zca.matrix, fits=fits)
    if not (mean.is_floating_point() and matrix.is_floating_point()):
        raise UsageError(f"{path}: mean and matrix are {type_of(mean)} and {type_of(matrix)}; floats are expected")
    mean, matrix = mean.float(), matrix.float()
    if not bool(torch.isfinite(mean).all() & torch.isfinite(matrix).all()):
        raise UsageError(f"{path} holds NaN or infinity")
    if _is_singular(matrix):
        raise UsageError(f"{path}: the matrix is singular: unlike any ZCA whitening, it makes different images one")
    return Whitening(mean.reshape(shape), matrix.contiguous())


def _is_singular(matrix: Tensor) -> bool:
    """Whether a matrix has no inverse, or, by its condition (1-norm), none but by rounding."""
    exact = matrix.double()
    inverse, failed = torch.linalg.inv_ex(exact)
    condition = torch.linalg.matrix_norm(exact, 1) * torch.linalg.matrix_norm(inverse, 1)
    return bool(failed) or not float(condition) < WORST_CONDITION
