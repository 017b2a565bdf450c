"""Saving and restoring the state of a loop (tensors, optimisers, networks) without pickle."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bench.errors import RunFailure, understood
from bench.progress import Progress, Silent
from bench.storage.artefacts import UNSTAMPED, Kind, Part, unchanged, whole_or_aside
from bench.storage.tensor_files import read_tensors, write_tensors


@runtime_checkable
class Stateful(Protocol):
    """Anything with a state dict: modules, optimisers, schedules."""

    def state_dict(self) -> Any:  # noqa: ANN401 - torch's own signature
        """Its state as nested dicts and lists of tensors and plain values."""

    def load_state_dict(self, state_dict: Any) -> Any:  # noqa: ANN401 - torch's own signature
        """Takes a state back."""


State = Mapping[str, Tensor | Stateful]


class Checkpoint(Part):
    """Beside a checkpoint's tensors: the trees that hold them, and small facts."""

    trees: dict[str, dict[str, Any]]
    facts: dict[str, Any]


CHECKPOINT_FILE = Kind("a checkpoint", 1, Checkpoint, {UNSTAMPED: unchanged})
SUFFIX = ".checkpoint.safetensors"  # of the names of their files
SPARING = 20  # a pause is so many times as long as the saving before it, or longer


class CheckpointSchedule:
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


def check_state(state: State) -> None:
    """Refuses what no checkpoint could hold, before a loop has run for as long as it takes to save one.

    Raises:
        RunFailure: a value that is no tensor and has no state dict; it names the key.
    """
    for name, part in state.items():
        if not isinstance(part, Tensor | Stateful):
            rule = "values are tensors, or have state_dict and load_state_dict"
            raise RunFailure(f"the state of a loop: {name!r} is a {type(part).__name__}; {rule}")


def save(path: Path, state: State, facts: Mapping[str, Any]) -> None:
    """Writes the state and small JSON facts (position, times) as one verified file."""
    tensors: dict[str, Tensor] = {}
    trees = {name: _pack(_content(part), name, tensors) for name, part in state.items()}
    write_tensors(path, tensors, CHECKPOINT_FILE.stamped({"trees": trees, "facts": dict(facts)}))


def restore(path: Path, state: State, progress: Progress | None = None) -> dict[str, Any] | None:
    """Puts a saved state back in place and returns its facts; None (state untouched) where there is none to trust.

    One that is damaged, of another schema, or of another state is set aside, which `progress` is told.
    """
    warning = "checkpoint set aside as {}, its loop begins anew"
    return whole_or_aside(lambda: _restored(path, state), path, progress or Silent(), warning)


def _restored(path: Path, state: State) -> dict[str, Any]:
    tensors, content = read_tensors(path)
    about = CHECKPOINT_FILE.checked(content, path)
    with understood(path):
        if set(about.trees) != set(state):
            raise ValueError(f"it is of {', '.join(sorted(about.trees))}, not of {', '.join(sorted(state))}")
        contents = {name: _unpack(about.trees[name], tensors) for name in state}
        for name, part in state.items():
            _check_fits(part, contents[name], name)
        for name, part in sorted(state.items(), key=lambda named: _is_plain(named[1])):
            _put(part, contents[name])
    return about.facts


def _is_plain(part: Tensor | Stateful) -> bool:
    """Whether all of a part was held against what is restored. The others refuse before they take anything; first."""
    return isinstance(part, Tensor | nn.Module)


def _check_fits(part: Tensor | Stateful, content: Any, name: str) -> None:  # noqa: ANN401 - any nested state
    """Raises ValueError: tensors of other shapes, or a network's of other names."""
    if not _is_plain(part):
        return
    ours, theirs = _shapes(name, _content(part)), _shapes(name, content)
    if wrong := [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]:
        raise ValueError(f"{name} has {wrong[0]} of shape {theirs.get(wrong[0])}, not {ours.get(wrong[0])}")


def _shapes(name: str, content: Any) -> dict[str, tuple[int, ...]]:  # noqa: ANN401 - a tensor, or some by name
    """Of all tensors of a part."""
    named = {name: content} if isinstance(content, Tensor) else content
    return {key: tuple(tensor.shape) for key, tensor in named.items()}


def _put(part: Tensor | Stateful, content: Any) -> None:  # noqa: ANN401 - any nested state
    if isinstance(part, Tensor):
        with torch.no_grad():
            part.copy_(content)
    else:
        part.load_state_dict(content)


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
