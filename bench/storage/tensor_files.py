"""Tensor files: safetensors that are whole or absent, and that know when they were altered."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import safe_open
from torch import Tensor

from bench.storage.array_files import read_sealed
from bench.storage.files import SEAL, canonical, whole
from bench.storage.paging import passed

# Names of types, in the order in which the library aligns them: the largest first.
_TYPES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_RANKS = {dtype: rank for rank, dtype in enumerate(_TYPES)}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Writes tensors (any device and layout; stored contiguous on the CPU) and JSON metadata as safetensors.

    The file is what the library writes, its header sorted. Tensors in mapped files may be larger than the memory: they
    are gone through a piece at a time, of which the library keeps all.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = canonical(dict(metadata or {}))
    ordered = dict(sorted(plain.items(), key=lambda named: (_RANKS[named[1].dtype], named[0])))
    with whole(path) as part, part.open("wb") as file:
        file.write(_header(ordered, {"bench": text, SEAL: _tensors_digest(plain, text)}))
        for tensor in ordered.values():
            file.writelines(passed(tensor))


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Length, then JSON with sorted names, which the library writes in another order each time; spaces fill it up."""
    ends = list(accumulate((tensor.nbytes for tensor in tensors.values()), initial=0))
    about: dict[str, Any] = {
        name: {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        for (name, tensor), start, end in zip(tensors.items(), ends, ends[1:], strict=False)
    }
    listed = {**about, "__metadata__": dict(metadata)}
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    padded = text.ljust(-(-len(text) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads and verifies what `write_tensors` wrote; tensors are memory-mapped on the CPU.

    Raises:
        CorruptArtefact: truncated, altered, or not one of ours.
        FileNotFoundError: there is no such file.
        UnreadableArtefact: the system does not let it be read.
    """
    return read_sealed(path, "pt", partial(_tensors_digest, unchanged=True))


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


def _tensors_digest(tensors: Mapping[str, Tensor], metadata: str, *, unchanged: bool = False) -> str:
    """xxh3 over names, types, shapes and bytes; it reads memory at several GB/s, so a load stays cheap.

    Args:
        unchanged: see `bench.storage.paging.release`.
    """
    state = xxhash.xxh3_128(metadata.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        state.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        for piece in passed(tensor, unchanged=unchanged):
            state.update(piece)
    return state.hexdigest()
