"""Sets that count as larger than memory at the size of a test, and who makes tensors of all their images in memory."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.sets import pixel_formats
from bench.storage import paging


def count_as_large(monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    """Tensors from so many bytes on lie in files, and are gone through a quarter at a time."""
    monkeypatch.setattr(paging, "LARGE", least)
    monkeypatch.setattr(paging, "PIECE", least // 4)
    monkeypatch.setattr(pixel_formats, "AT_ONCE", 3)


def lies_in_a_file(tensor: Tensor) -> bool:
    return any(first <= tensor.data_ptr() < last for first, last, _ in paging._file_mappings())


class MadeWhole(TorchDispatchMode):
    """Within it, `names` are those of the operations that gave so many numbers in plain memory."""

    def __init__(self, numbers: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers, self.names = numbers, list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        given = func(*args, **(kwargs or {}))
        for each in tree_leaves(given):
            if isinstance(each, torch.Tensor) and each.numel() == self.numbers and not lies_in_a_file(each):
                self.names.append(str(func))
        return given
