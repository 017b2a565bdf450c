"""Coresets: real training images, chosen and not made. `random` is the control that every table has."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The methods."""
    return [Offer("random", "bench_coresets.uniform:Random", "real images drawn uniformly: the control")]
