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
INDEXED = {"aten::index", "aten::index_put_"}  # an index on the host is copied, and waited for
ACROSS = {"aten::copy_", "aten::_to_copy", *INDEXED}  # may be given tensors of two devices


class Watch(TorchDispatchMode):
    """Within it an operator that is given tensors of two devices fails; `waits` counts copies there that wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: int = 0
        self._constants = _Constants(self)

    def __enter__(self) -> Self:
        self._constants.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:  # noqa: ANN401 - as torch's
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._constants.__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        named = kwargs or {}
        tensors = [each for each in tree_leaves((args, named)) if isinstance(each, Tensor) and each.ndim]
        operator, devices = func._schema.name, {each.device for each in tensors}
        if len(devices) > 1 and operator not in ACROSS:
            raise RuntimeError(f"{operator} was given tensors on {', '.join(sorted(map(str, devices)))}")
        sent = operator == "aten::_to_copy" and named.get("device") == ELSEWHERE != args[0].device
        self.waits += sent and not named.get("non_blocking")
        self.waits += len(devices) > 1 and operator in INDEXED
        return func(*args, **named)


class _Constants(TorchFunctionMode):
    """Tells a watch of tensors that are made there from Python's numbers, lists in an index among them.

    The host waits until these have arrived.
    """

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        made = func(*args, **(kwargs or {}))
        if func in (torch.tensor, Tensor.new_tensor):
            self._watch.waits += made.device == ELSEWHERE
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].device == ELSEWHERE:
            self._watch.waits += any(isinstance(each, list) for each in (args[1], *_parts(args[1])))
        return made


def _parts(index: Any) -> tuple[Any, ...]:  # noqa: ANN401 - what stands in brackets
    return index if isinstance(index, tuple) else ()


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
