"""What the harness itself offers through its hooks."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_executors() -> Sequence[Offer]:
    """Processes of this machine."""
    made_by = "bench.running.executors.side_by_side:local"
    return [Offer("local", made_by, "processes of this machine; with --workers N several side by side")]
