"""Names that a user typed, looked up before torch is imported: a slip of the pen is answered at once."""

from collections.abc import Iterable

from bench.data.cards import check_dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry

GENERAL = {"method": ("all",), "protocol": ("paper",)}  # words that stand for others
TABLES = {  # kinds that are called alike, in words, and the command that takes each
    "table": ("a published table of results", "bench reproduce"),
    "speed table": ("a published table of costs", "bench speed --table"),
    "ladder": ("a ladder", "bench run --ladder"),
}


def check_names(registry: Registry, **typed: Iterable[str]) -> None:
    """Looks each name up among those of its kind, as in check_names(registry, method=["dm"]); cards' paths are none.

    Raises:
        UsageError: nobody offers it; the nearest is named, or the command that takes what is called so.
    """
    for kind, names in typed.items():
        for name in names:
            if kind == "dataset":
                check_dataset(registry, name)
            elif name not in GENERAL.get(kind, ()):
                if kind in TABLES and not registry.has(kind, name):
                    _point_elsewhere(registry, name)
                registry.find(kind, name)


def _point_elsewhere(registry: Registry, name: str) -> None:
    for kind, (what, command) in TABLES.items():
        if registry.has(kind, name):
            raise UsageError(f"{name!r} is {what}: {command} {name}")
