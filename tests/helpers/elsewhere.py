"""A device that nothing can be read from: it shows on any machine what a loop would wait for on a GPU.

Tensors on torch's meta device have shapes and no values. Whatever reads one on the host fails on it (`.item()`, a
branch on a tensor, a copy back), and it is just that which waits for a GPU. `Watch` adds what this device lets pass.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.loops.iterations import Iterations
from bench.loops.pace import FirstSteps

ELSEWHERE = torch.device("meta")
FETCHED = "meta tensor"  # what torch says where a value was asked for
ACROSS = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_"}  # may be given tensors of two devices


class Watch(TorchDispatchMode):
    """Within it an operator that is given tensors of two devices fails; `waits` counts copies there that wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: int = 0
        self._constants = _Constants(self)

    def __enter__(self) -> Self:
        self._constants.__enter__()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:  # noqa: ANN401 - as torch's
        super().__exit__(*raised)
        self._constants.__exit__(*raised)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        named = kwargs or {}
        tensors = [each for each in tree_leaves((args, named)) if isinstance(each, Tensor) and each.ndim]
        operator, devices = func._schema.name, {each.device for each in tensors}
        if len(devices) > 1 and operator not in ACROSS:
            raise RuntimeError(f"{operator} was given tensors on {', '.join(sorted(map(str, devices)))}")
        sent = operator == "aten::_to_copy" and named.get("device") == ELSEWHERE != args[0].device
        self.waits += sent and not named.get("non_blocking")
        return func(*args, **named)


class _Constants(TorchFunctionMode):
    """Tells a watch of tensors that are made there from Python's numbers: the host waits until these have arrived."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        made = func(*args, **(kwargs or {}))
        self._watch.waits += func in (torch.tensor, Tensor.new_tensor) and made.device == ELSEWHERE
        return made


@dataclass(frozen=True)
class Counted(FirstSteps):
    """Counts the steps that each loop has made to their ends."""

    made: Counter[str] = field(default_factory=Counter)

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        for step in super().walk(what, start, stop, once=once):
            yield step
            self.made[what] += 1


def let_it_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this device has not, and looks that a loop takes now and then and pays for, are left out."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    for optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        _unfuse(monkeypatch, optimizer)
    monkeypatch.setattr(Iterations, "_guard", lambda self, done: None)


def _unfuse(monkeypatch: pytest.MonkeyPatch, optimizer: type[torch.optim.Optimizer]) -> None:
    whole = optimizer.__init__

    def without(self: Any, *given: Any, fused: bool = False, **named: Any) -> None:  # noqa: ANN401 - as torch's
        whole(self, *given, **named)

    monkeypatch.setattr(optimizer, "__init__", without)
