"""The weights of a network in a file that somebody else saved: a table of tensors by name, alone or within another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import UsageError, why
from bench.sets.tensor_files import NUMBERS, load_plain
from bench.storage.users_files import require_content

PARALLEL = "module."  # how names begin that DataParallel gives
COUNTER = "num_batches_tracked"  # of BatchNorm, which old files lack and nothing is computed from
Shapes = Mapping[str, tuple[int, ...]]


def weights_in(path: Path) -> dict[str, Tensor]:
    """The tensors by name, of a safetensors file or of a PyTorch file, which is read without running anything.

    A checkpoint that holds them under one name, as "model" or "state_dict", beside other things, is looked into.

    Raises:
        UsageError: no such file, none of the two, or no one table of tensors in it.
    """
    require_content(path)
    try:
        held = load_file(path) if path.suffix == ".safetensors" else load_plain(path, NUMBERS)
    except UsageError:
        raise
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error
    except Exception as error:  # each library has errors of its own for a damaged file
        raise UsageError(f"{path} is not a readable file of weights: {why(error)}") from error
    return {name.removeprefix(PARALLEL): tensor for name, tensor in _table(held, path).items()}


def _table(held: Any, path: Path) -> Mapping[str, Tensor]:  # noqa: ANN401 - whatever was saved
    if _are_weights(held):
        return dict(held)
    tables = {name: each for name, each in held.items() if _are_weights(each)} if isinstance(held, Mapping) else {}
    if len(tables) != 1:
        found = f"{len(tables)}, {', '.join(map(repr, tables))}" if tables else "none"
        raise UsageError(f"{path} must hold one table of tensors by name, alone or within another; it has {found}")
    return dict(next(iter(tables.values())))


def _are_weights(held: object) -> bool:
    return (
        isinstance(held, Mapping)
        and bool(held)
        and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in held.items())
    )


def by_our_names(network: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """What is known by others' names for a network's weights by its own, which its `own_name` gives, if it has one."""
    own = getattr(network, "own_name", str)
    return {own(name): each for name, each in weights.items()}


def difference(found: Shapes, wanted: Shapes) -> str:
    """The first tensor that only one of them has, or that has another shape; "" for none."""
    for name in dict.fromkeys([*wanted, *found]):
        if name not in found and not name.endswith(COUNTER):
            return f"it lacks {name}"
        if name not in wanted:
            return f"it has {name}, which that network lacks"
        if name in found and found[name] != wanted[name]:
            return f"{name} has shape {found[name]}, not {wanted[name]}"
    return ""
