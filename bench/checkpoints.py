"""Saving and restoring the state of a loop (tensors, optimisers, networks) without pickle."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from bench.errors import CorruptArtefact
from bench.files import read_tensors, set_aside, write_tensors


@runtime_checkable
class Stateful(Protocol):
    """Anything with a state dict: modules, optimisers, schedules."""

    def state_dict(self) -> Any:  # noqa: ANN401 - torch's own signature
        """Its state as nested dicts and lists of tensors and plain values."""

    def load_state_dict(self, state_dict: Any) -> Any:  # noqa: ANN401 - torch's own signature
        """Takes a state back."""


State = Mapping[str, Tensor | Stateful]

SPARING = 20  # a pause is so many times as long as the saving before it, or longer


class Rhythm:
    """When a loop saves its state: `seconds` after it last did.

    Where saving itself is slow (an expert's checkpoint holds the weights after every epoch: gigabytes) the pause
    is `SPARING` times what the last one took, and at most `SPARING` times `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._shortest = self._pause = seconds
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether the pause is over."""
        return time.monotonic() - self._saved > self._pause

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Within the context the loop saves; the next pause begins at its end."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        longest = SPARING * self._shortest
        self._pause = min(max(self._shortest, SPARING * (self._saved - began)), longest)


def save(path: Path, state: State, facts: Mapping[str, Any]) -> None:
    """Writes the state and small JSON facts (position, times) as one verified file."""
    tensors: dict[str, Tensor] = {}
    trees = {name: _pack(_content(part), name, tensors) for name, part in state.items()}
    write_tensors(path, tensors, {"trees": trees, "facts": dict(facts)})


def restore(path: Path, state: State) -> dict[str, Any] | None:
    """Puts a saved state back in place and returns its facts; None (state untouched) where there is none to trust."""
    try:
        tensors, about = read_tensors(path)
    except FileNotFoundError:
        return None
    except CorruptArtefact:
        set_aside(path)
        return None
    if set(about["trees"]) != set(state):
        return None
    for name, part in state.items():
        content = _unpack(about["trees"][name], tensors)
        if isinstance(part, Tensor):
            with torch.no_grad():
                part.copy_(content)
        else:
            part.load_state_dict(content)
    facts: dict[str, Any] = about["facts"]
    return facts


def _content(part: Tensor | Stateful) -> Any:  # noqa: ANN401 - any nested state
    return part if isinstance(part, Tensor) else part.state_dict()


def _pack(node: Any, name: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - any nested state
    """Nested state -> JSON, its tensors moved to `tensors` under the path at which they stood."""
    if isinstance(node, Tensor):
        tensors[name] = node
        return {"tensor": name}
    if isinstance(node, Mapping):
        return {"items": [[key, _pack(value, f"{name}/{key}", tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"list": [_pack(value, f"{name}/{index}", tensors) for index, value in enumerate(node)]}
    return {"value": node}


def _unpack(node: Any, tensors: Mapping[str, Tensor]) -> Any:  # noqa: ANN401 - any nested state
    """The inverse of `_pack`; tensors are cloned so that no memory map of the file stays in use."""
    if "tensor" in node:
        return tensors[node["tensor"]].clone()
    if "items" in node:
        return {key: _unpack(value, tensors) for key, value in node["items"]}
    if "list" in node:
        return [_unpack(value, tensors) for value in node["list"]]
    return node["value"]
