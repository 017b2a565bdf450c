"""Names that a user typed, looked up before torch is imported: a slip of the pen is answered at once."""

from collections.abc import Iterable

from bench.data.cards import check_dataset
from bench.extensions.registry import Registry

GENERAL = {"method": ("all",), "protocol": ("paper",)}  # words that stand for others


def check_names(registry: Registry, **typed: Iterable[str]) -> None:
    """Looks each name up among those of its kind, as in check_names(registry, method=["dm"]); cards' paths are none.

    Raises:
        UsageError: nobody offers it; the nearest is named.
    """
    for kind, names in typed.items():
        for name in names:
            if kind == "dataset":
                check_dataset(registry, name)
            elif name not in GENERAL.get(kind, ()):
                registry.find(kind, name)
