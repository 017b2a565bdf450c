"""Condensed sets that came from elsewhere, as a method: its images are read, the rest is as for any other."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The method behind `bench evaluate`."""
    return [Offer("imported", "bench_imports.method:Imported", "a set that came from elsewhere (bench evaluate)")]
