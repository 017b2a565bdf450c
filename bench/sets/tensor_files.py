"""Named tensors of a file that somebody else wrote, read without running anything that it holds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import UsageError, why


def named(path: Path, *names: str) -> list[Tensor]:
    """The tensors of a safetensors, NumPy (.npz) or PyTorch file that have these names, dense and on the CPU.

    Raises:
        UsageError: no such file, not one of those, or no such tensor in it; one line.
    """
    held = _loaded(path)
    for name in names:
        if name not in held:
            raise UsageError(f"{path} holds no {name!r}; it has {', '.join(sorted(held)) or 'nothing'}")
        if not isinstance(held[name], Tensor):
            raise UsageError(f"{path}: {name!r} is a {type(held[name]).__name__}, not a tensor")
        if strange := _strange(held[name]):
            raise UsageError(f"{path}: {name!r} is {strange} tensor; a plain dense one is expected")
    return [held[name].detach() for name in names]


def _strange(tensor: Tensor) -> str:
    """What keeps ordinary arithmetic from a tensor; "" for nothing."""
    if tensor.is_nested:
        return "a nested"
    if tensor.layout != torch.strided:
        return "a sparse"
    if tensor.is_quantized:
        return "a quantised"
    if tensor.is_complex():
        return "a complex"
    return "a valueless (meta)" if tensor.is_meta else ""


def _loaded(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays}
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error
    except Exception as error:  # each library has errors of its own for a damaged file
        raise UsageError(f"{path} is not a readable tensor file: {why(error)}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds a {type(found).__name__}; a dict of named tensors is expected")
    return found
