"""Ray: the pieces of runs spread over the nodes of a cluster (`bench run --executor ray`), with the extra `ray`.

Importing this module imports no Ray.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_executors() -> Sequence[Offer]:
    """`ray`."""
    return [Offer("ray", "bench_ray.workers:hire", "the nodes of a Ray cluster", frozenset({"elsewhere"}))]
