"""Rows beside the numbers that were published for their cells."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.results.differences import differing
from bench.results.rows import Row

if TYPE_CHECKING:
    from bench.extensions.registry import Registry
    from bench.results.claims import Claims


def beside_claims(registry: "Registry", rows: Sequence[Row], *, claims: bool) -> list[Row]:
    """The rows as formats take them: with `claims`, each with the published number for its cell, where there is one.

    Raises:
        UsageError: claims that cannot be read.
    """
    return claims_reader(registry, claims=claims)(rows)


def claims_reader(registry: "Registry", *, claims: bool) -> Callable[[Sequence[Row]], list[Row]]:
    """What `beside_claims` does with rows, where they are yet to be made. Raises as `beside_claims`."""
    from bench.results.claims import load

    published = load(registry) if claims else None
    return lambda rows: [_beside(registry, published, row) for row in rows]


def _beside(registry: "Registry", published: "Claims | None", row: Row) -> Row:
    """The row with the published number for its cell, and what differs from the paper there; else with neither."""
    claim = published.find(row) if published else None
    return {**row, "claim": claim, "differs": differing(registry, row, claim["label_type"]) if claim else []}
