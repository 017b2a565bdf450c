"""A benchmark suite that compares dataset-condensation methods.

`bench.run`, `evaluate`, `records`, `compare`, `export` and `load_set` are the command line by calls (docs/python.md);
what a plugin needs is imported from the modules. Nothing heavy is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.version import __version__ as __version__

if TYPE_CHECKING:
    from bench.errors import UsageError as UsageError
    from bench.interface.pairs import compare as compare
    from bench.interface.pairs import export as export
    from bench.interface.runs import Result as Result
    from bench.interface.runs import evaluate as evaluate
    from bench.interface.runs import records as records
    from bench.interface.runs import run as run
    from bench.interface.sets import LoadedSet as LoadedSet
    from bench.interface.sets import load_set as load_set
    from bench.reporting.compared import Comparison as Comparison

OFFERED = {
    "run": "bench.interface.runs",
    "evaluate": "bench.interface.runs",
    "records": "bench.interface.runs",
    "Result": "bench.interface.runs",
    "compare": "bench.interface.pairs",
    "export": "bench.interface.pairs",
    "Comparison": "bench.reporting.compared",
    "load_set": "bench.interface.sets",
    "LoadedSet": "bench.interface.sets",
    "UsageError": "bench.errors",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has the name
    if name not in OFFERED:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *OFFERED])
