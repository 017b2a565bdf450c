"""Faults of plugins while work is planned: one line that names the plugin, as in a failed row later on."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchError, UsageError, fault
from bench.extensions.registry import Registry

PLANNED = "be planned with"


@contextmanager
def answers_of(registry: Registry, kind: str, name: str, cannot: str = PLANNED) -> Iterator[None]:
    """Within the context a plugin's code is called, and what it returns is used.

    Args:
        kind, name: as for `Registry.find`.
        cannot: what cannot be done for the fault.

    Raises:
        UsageError: for whatever is raised but our own errors, of a thing that is registered; sys.exit too.
    """
    try:
        yield
    except (BenchError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise misfit(registry, kind, name, fault(error), cannot) from error


def misfit(registry: Registry, kind: str, name: str, said: str, cannot: str = PLANNED) -> UsageError:
    """The error for a thing of a plugin that is not what it must be."""
    plugin = registry.find(kind, name).plugin
    return UsageError(f"{kind} {name!r} of plugin {plugin!r} cannot {cannot}: {said}")


def held(registry: Registry, kind: str, name: str, wrong: Iterator[str]) -> None:
    """Raises UsageError: `misfit`, of the first of what is wrong."""
    if (said := next(wrong, None)) is not None:
        raise misfit(registry, kind, name, said)
