"""Tensor files: safetensors that are whole or absent, and that know when they were altered."""

import json
import os
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import MISFITS, CorruptArtefact, understood
from bench.storage.files import SEAL, canonical, reading, whole


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Writes tensors (any device and layout; stored contiguous on the CPU) and JSON metadata as safetensors."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = canonical(dict(metadata or {}))
    header = {"bench": text, SEAL: _tensors_digest(plain, text)}
    with whole(path) as part:
        try:
            save_file(plain, part, metadata=header)
            _order_header(part)
        except SafetensorError as error:
            raise _os_error(error, path) from error


def _order_header(path: Path) -> None:
    """Sorts the names in a safetensors header, whose metadata the library writes in another order each time.

    The same text is as long in any order, and spaces may end it.
    """
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(8), "little")
        ordered = json.dumps(json.loads(file.read(length)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        file.seek(8)
        file.write(ordered.encode().ljust(length))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads and verifies what `write_tensors` wrote; tensors are memory-mapped on the CPU.

    Raises:
        CorruptArtefact: truncated, altered, or not one of ours.
        FileNotFoundError: there is no such file.
        UnreadableArtefact: the system does not let it be read.
    """
    try:
        with reading(path), safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, struct.error, *MISFITS) as error:
        raise CorruptArtefact(f"{path} is not a readable safetensors file: {error}") from error
    text = header.get("bench")
    if text is None or header.get(SEAL) != _tensors_digest(tensors, text):
        raise CorruptArtefact(f"{path} was altered: its checksum does not match")
    with understood(path):
        return tensors, dict(json.loads(text))


def tensor_digest(tensor: Tensor) -> str:
    """A 128-bit hash of a tensor's type, shape and values."""
    return _tensors_digest({"": tensor.detach().cpu().contiguous()}, "")


def read_rows(path: Path, name: str, rows: Sequence[int]) -> Tensor:
    """Some rows of one tensor that `write_tensors` wrote: (len(rows), ...), in the order asked for.

    Nothing else of the file is read or kept in memory, so its checksum cannot be verified: read it whole once before.
    """
    with safe_open(path, framework="pt") as handle:
        part = handle.get_slice(name)
        return torch.stack([part[row].clone() for row in rows])


def _os_error(error: SafetensorError, path: Path) -> Exception:
    """The system's own error behind one of safetensors, which keeps only its text; a full disk must be known as one."""
    found = re.search(r"os error (\d+)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1])), str(path)) if found else error


def _tensors_digest(tensors: Mapping[str, Tensor], metadata: str) -> str:
    """xxh3 over names, types, shapes and bytes; it reads memory at several GB/s, so a load stays cheap."""
    state = xxhash.xxh3_128(metadata.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        state.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        state.update(_bytes_view(tensor))
    return state.hexdigest()


def _bytes_view(tensor: Tensor) -> memoryview:
    if tensor.numel() == 0:
        return memoryview(b"")
    return tensor.reshape(-1).view(torch.uint8).numpy().data
