"""Named tensors of a file that somebody else wrote, read without running anything that it holds.

Shapes and types are known before a value is read: a small compressed file may hold any number of them.
"""

import _codecs as codecs
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from bench.errors import UsageError, why
from bench.sets.flax_files import is_flax, read_flax
from bench.sets.held import Held, Shape
from bench.sets.npz_files import opened_npz
from bench.storage import paging
from bench.storage.regular_files import machine_memory
from bench.storage.users_files import require_content

SHOWN = 10  # names of what a file has
ALONE = "tensor"  # the name of what is all of a file
NUMBERS = (  # of NumPy, which DC's and DM's releases keep beside their images; no code runs to make one
    *(np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType, codecs.encode),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
)
Fits = Callable[[Mapping[str, Shape]], str]  # what is wrong with the shapes of tensors by name; "" for nothing

INTEGERS = {
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
}
FLOATS = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
}


def named(path: Path, *names: str, fits: Fits) -> list[Tensor]:
    """The tensors of a safetensors, NumPy (.npz), flax or PyTorch file that have these names, dense and on the CPU.

    Args:
        fits: says what is wrong with their shapes, which are looked at first.

    Raises:
        UsageError: no such file, not one of those, no such tensor in it, or shapes that do not fit; one line.
    """
    with _opened(path) as held:
        shapes = {name: _shape(path, held, name) for name in names}
        if wrong := fits(shapes):
            raise UsageError(f"{path}: {wrong}")
        found = [_plain(path, name, held.read(name)) for name in names]
    return found


def first_held(path: Path, choices: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The first of these groups of names of which a file has all. Raises as `named`, for what is no such file."""
    with _opened(path) as held:
        return next((names for names in choices if all(name in held for name in names)), None)


def shapes_held(path: Path) -> dict[str, Shape]:
    """The tensors of a file by name, the first few of many. Raises as `named`, for what is no such file."""
    found: dict[str, Shape] = {}
    with _opened(path) as held:
        for name in held.names():
            with suppress(ValueError):  # it is no tensor
                found[name] = held.about(name)[0]
            if len(found) == SHOWN:
                break
    return found


def _shape(path: Path, held: Held, name: str) -> Shape:
    if name not in held:
        known = held.names()
        shown = ", ".join(sorted(known)[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
        raise UsageError(f"{path} holds no {name!r}; it has {shown or 'nothing'}")
    try:
        shape, size = held.about(name)
    except ValueError as error:
        raise UsageError(f"{path}: {name!r} {why(error)}") from error
    if size > (most := machine_memory()):
        raise UsageError(f"{path}: {name!r} has {size:,} bytes, more than the {most:,} of this machine's memory")
    return shape


def _plain(path: Path, name: str, tensor: Tensor) -> Tensor:
    if strange := not_plain(tensor):
        raise UsageError(f"{path}: {name!r} is {strange} tensor; a plain dense one is expected")
    return tensor.detach()


def not_plain(tensor: Tensor) -> str:
    """What keeps ordinary arithmetic from a tensor, as in "a sparse"; "" for nothing."""
    if tensor.is_nested:
        return "a nested"
    if tensor.layout != torch.strided:
        return "a sparse"
    if tensor.is_quantized:
        return "a quantised"
    if tensor.is_meta:
        return "a valueless (meta)"
    if tensor.is_complex():
        return "a complex"
    return "" if tensor.dtype in {*INTEGERS, *FLOATS, torch.bool} else f"a {type_of(tensor)}"


def type_of(tensor: Tensor) -> str:
    """As in "int64"."""
    return str(tensor.dtype).removeprefix("torch.")


@contextmanager
def _opened(path: Path) -> Iterator[Held]:
    require_content(path)
    kinds = {".safetensors": _safetensors, ".npz": opened_npz}
    try:
        kind = kinds.get(path.suffix) or (_flax if is_flax(path) else _pytorch)
        with kind(path) as held:
            yield held
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error
    except Exception as error:  # each library has errors of its own for a damaged file
        raise UsageError(f"{path} is not a readable tensor file: {why(error)}") from error


class _Safetensors(Held):
    def __init__(self, file: Any) -> None:  # noqa: ANN401 - the library has no type for it
        self._file = file

    def names(self) -> list[str]:
        return list(self._file.keys())

    def about(self, name: str) -> tuple[Shape, int]:
        return tuple(self._file.get_slice(name).get_shape()), 0  # never more than the file, which is on the disk

    def read(self, name: str) -> Tensor:
        found: Tensor = self._file.get_tensor(name)
        return found


@contextmanager
def _safetensors(path: Path) -> Iterator[Held]:
    with safe_open(path, framework="pt") as file:
        yield _Safetensors(file)


class _Tensors(Held):
    """PyTorch's file, which is read whole: tensors as they were saved, and whatever lies beside them."""

    def __init__(self, held: Mapping[Any, Any]) -> None:
        self._held = {name: each for name, each in held.items() if isinstance(name, str)}

    def names(self) -> list[str]:
        return list(self._held)

    def about(self, name: str) -> tuple[Shape, int]:
        tensor = self._at(name)
        if not isinstance(tensor, Tensor):
            raise ValueError(f"is a {type(tensor).__name__}, not a tensor")
        if strange := not_plain(tensor):
            raise ValueError(f"is {strange} tensor; a plain dense one is expected")
        return tuple(tensor.shape), tensor.numel() * tensor.element_size()  # which views of few values may exceed

    def read(self, name: str) -> Tensor:
        found: Tensor = self._at(name)
        return found

    def __contains__(self, name: str) -> bool:
        try:
            self._at(name)
        except LookupError:
            return False
        return True

    def _at(self, name: str) -> Any:  # noqa: ANN401 - whatever was saved
        return self._held[name] if name in self._held else _inside(self._held, name.split("."))


def _inside(held: Any, parts: Sequence[str]) -> Any:  # noqa: ANN401 - whatever was saved
    """What lies within lists and tables under these names and places. Raises LookupError: nothing."""
    for part in parts:
        if isinstance(held, Mapping):
            held = held[part]
        elif isinstance(held, list | tuple) and part.isascii() and part.isdecimal():
            held = held[int(part)]
        else:
            raise LookupError(part)
    return held


@contextmanager
def _pytorch(path: Path) -> Iterator[Held]:
    found = load_plain(path, NUMBERS)
    if isinstance(found, float):  # a step size, which some releases save by `syn_lr.item()`
        found = torch.tensor(found, dtype=torch.float64)
    if isinstance(found, Tensor):
        found = {ALONE: found}
    if isinstance(found, list | tuple):
        found = {str(place): each for place, each in enumerate(found)}
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds a {type(found).__name__}; a dict of named tensors is expected")
    yield _Tensors(found)


@contextmanager
def _flax(path: Path) -> Iterator[Held]:
    if (size := path.stat().st_size) > (most := machine_memory()):
        raise UsageError(f"{path} has {size:,} bytes, more than the {most:,} of this machine's memory")
    yield _Tensors(read_flax(path))


def load_plain(path: Path, allowed: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - whatever was saved
    """What a file of torch.save holds, without running anything: tensors, numbers, text and collections of them.

    Args:
        allowed: what else may be in it, as for `torch.serialization.safe_globals`.

    Raises:
        UsageError: no regular file, or an archive that expands to more than the machine's memory.
        Exception: one of torch's many, for any other file.
    """
    require_content(path)
    if path.suffix == ".npy":
        raise ValueError("an array without names; numpy.savez keeps several in one .npz file, each by its name")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > (most := machine_memory()):
            raise UsageError(f"{path} expands to {size:,} bytes, more than the {most:,} of this machine's memory")
    with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle's age; what is wrong with it is raised
        return _loaded(path)


def _loaded(path: Path) -> Any:  # noqa: ANN401 - as above
    mapped = path.stat().st_size >= paging.LARGE and zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (EOFError, IndexError, KeyError) as error:  # of what is no pickle, with a number or nothing as its message
        raise ValueError("it is not as torch.save writes files") from error
