"""What `bench speed` may set of a method: its batch size and its engine (see `bench.condensation.Condenser.knobs`)."""

from typing import Any, get_args

from bench.condensation import Condenser
from bench.errors import UsageError
from bench.planning.configuring import field_of
from bench.reporting import REFERENCE

OPTIONS = {"batch_size": "--batch-size", "engine": "--engine"}

Method = type[Condenser[Any]]


def engines_of(method: Method) -> tuple[str, ...]:
    """The names of its engines, the reference first; none where it has no such knob."""
    if "engine" not in method.knobs:
        return ()
    names: tuple[str, ...] = get_args(field_of(method.Config, method.knobs["engine"]).annotation)
    return tuple(sorted(names, key=lambda name: name != REFERENCE))


def key_of(name: str, method: Method, option: str) -> str:
    """The key of Config that an option (a key of `OPTIONS`) sets.

    Raises:
        UsageError: the method `name` has no such knob; says which it has.
    """
    if option not in method.knobs:
        has = " and ".join(OPTIONS[each] for each in method.knobs) or "none"
        raise UsageError(f"{name} has no knob for {OPTIONS[option]} (of {' and '.join(OPTIONS.values())} it has {has})")
    return method.knobs[option]
