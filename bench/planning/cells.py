"""The images per class of a run that names no number: those of the paper's own cell."""

from collections.abc import Sequence
from typing import Any

from bench.condensation import Condenser
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registry
from bench.recipes import Setting

USUAL = 10


def usual_ipc(registry: Registry, methods: Sequence[str], setting: Setting) -> tuple[int, str]:
    """The one number that the recipes of all methods name for the dataset, or else `USUAL`; and where it is from.

    Args:
        setting: its own `ipc` plays no part.
    """
    named = {_papers(registry, method, setting) for method in methods}
    ipc = named.pop() if len(named) == 1 else None
    return (USUAL, "the default") if ipc is None else (ipc, f"the paper's own for {' and '.join(methods)}")


def _papers(registry: Registry, name: str, setting: Setting) -> int | None:
    method: type[Condenser[Any]] = registry.load("method", name)
    with answers_of(registry, "method", name):
        return method.recipe(setting).ipc
