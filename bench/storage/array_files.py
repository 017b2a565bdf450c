"""Tensor files read without torch, by who only looks at small ones: torch takes seconds to load, and 1 ms a file."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open

from bench.errors import MISFITS, CorruptArtefact, understood
from bench.storage.files import SEAL, reading

Array = np.ndarray[Any, np.dtype[Any]]


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """As `bench.storage.tensor_files.read_tensors`, of numbers that numpy has; the arrays are in memory.

    Raises:
        CorruptArtefact, FileNotFoundError, UnreadableArtefact: as that.
    """
    return read_sealed(path, "np", _digest)


def read_sealed(
    path: Path, framework: str, digest: Callable[[dict[str, Any], str], str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors of a file, as a framework of safetensors has them, and what its header says, both verified.

    Args:
        digest: of the tensors and the header's text.

    Raises:
        CorruptArtefact: truncated, altered, or not one of ours.
        FileNotFoundError: there is no such file.
        UnreadableArtefact: the system does not let it be read.
    """
    try:
        with reading(path), safe_open(path, framework=framework) as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, struct.error, *MISFITS) as error:
        raise CorruptArtefact(f"{path} is not a readable safetensors file: {error}") from error
    text = header.get("bench")
    if text is None or header.get(SEAL) != digest(tensors, text):
        raise CorruptArtefact(f"{path} was altered: its checksum does not match")
    with understood(path):
        return tensors, dict(json.loads(text))


def _digest(arrays: dict[str, Array], metadata: str) -> str:
    """That of the same tensors, whose types have the names of numpy's."""
    state = xxhash.xxh3_128(metadata.encode())
    for name in sorted(arrays):
        state.update(f"{name}:torch.{arrays[name].dtype}:{arrays[name].shape}".encode())
        state.update(np.ascontiguousarray(arrays[name]).data)
    return state.hexdigest()
