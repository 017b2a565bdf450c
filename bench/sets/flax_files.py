"""Checkpoints of flax: tables by name whose leaves are arrays, packed by msgpack; nothing that they hold is run.

An array is an extension of type 1, a number with a type of NumPy's one of type 3, whose bytes are msgpack again: shape,
name of the type and the values in C order (`flax.serialization`). Arrays above 1 GiB, which flax cuts, stay cut.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

STARTS = (*range(0x81, 0x90), 0xDE, 0xDF)  # a table that is not empty; an old pickle starts with 0x80
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = {
    **{0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"},
    **{0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"},
}
SIZED = {  # the number that says how large it is, and what it is
    **{0xC4: (">B", "bytes"), 0xC5: (">H", "bytes"), 0xC6: (">I", "bytes")},
    **{0xC7: (">B", "extension"), 0xC8: (">H", "extension"), 0xC9: (">I", "extension")},
    **{0xD9: (">B", "text"), 0xDA: (">H", "text"), 0xDB: (">I", "text")},
    **{0xDC: (">H", "list"), 0xDD: (">I", "list"), 0xDE: (">H", "table"), 0xDF: (">I", "table")},
}
SHORT = {0x90: "table", 0xA0: "list", 0xC0: "text"}  # up to which byte it says its size itself
FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}  # bytes of an extension
ARRAYS = (1, 3)  # types of extensions


def is_flax(path: Path) -> bool:
    """Whether a file starts as a checkpoint of flax does, and no other kind that is known here."""
    with path.open("rb") as file:
        start = file.read(1)
    return bool(start) and start[0] in STARTS


def read_flax(path: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors, numbers, text, bytes, and tables and lists of them.

    Raises:
        ValueError: it is none, or damaged.
    """
    packed = _Packed(path.read_bytes())
    found = packed.read()
    if not isinstance(found, dict) or not packed.ended:
        raise ValueError("it is not as flax writes checkpoints")
    return found


class _Packed:
    def __init__(self, content: bytes | memoryview) -> None:
        self._content, self._at = memoryview(content), 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._content)

    def read(self) -> Any:  # noqa: ANN401 - whatever was packed
        """What comes next. Raises ValueError: nothing does, or what msgpack does not know."""
        kind = self._take(1)[0]
        if kind < 0x80 or kind >= 0xE0:
            return kind if kind < 0x80 else kind - 0x100
        if kind < 0xC0:
            short = next(what for end, what in SHORT.items() if kind < end)
            return self._sized(short, kind & (31 if short == "text" else 15))
        if kind in CONSTANTS:
            return CONSTANTS[kind]
        if kind in NUMBERS:
            return self._number(NUMBERS[kind])
        if kind in FIXED:
            return self._sized("extension", FIXED[kind])
        if kind in SIZED:
            form, what = SIZED[kind]
            return self._sized(what, int(self._number(form)))
        raise ValueError(f"it holds the byte {kind:#x}, which msgpack does not know")

    def _take(self, size: int) -> memoryview:
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("it ends before what it says that it holds")
        self._at += size
        return taken

    def _number(self, form: str) -> float:
        found: float = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return found

    def _sized(self, what: str, size: int) -> Any:  # noqa: ANN401 - as above
        match what:
            case "table":
                return {str(self.read()): self.read() for _ in range(size)}
            case "list":
                return [self.read() for _ in range(size)]
            case "text":
                return str(self._take(size), "utf-8")
            case "bytes":
                return bytes(self._take(size))
        kind = self._take(1)[0]
        return _array(self._take(size)) if kind in ARRAYS else None


def _array(packed: memoryview) -> Any:  # noqa: ANN401 - as above
    """A tensor; the name of its type where torch has no such numbers."""
    shape, name, values = _Packed(packed).read()
    try:
        kind = np.dtype(name)
    except TypeError:
        return name
    return torch.from_numpy(np.frombuffer(values, kind).reshape(shape).copy()) if kind.kind in "biuf" else name
