"""What still differs from a paper in a row that a published number stands beside."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.results.protocol_names import base_of

if TYPE_CHECKING:
    from bench.extensions.registry import Registry

BEST = "the last epoch counts here, in the paper the best on the test split"


def differing(registry: "Registry", row: Mapping[str, Any]) -> list[str]:
    """A few words each: what the method says of itself, the images, what the protocol's paper reports, the arithmetic.

    Released code computes in fp32, on NVIDIA GPUs from Ampere on in tf32: both are taken for the paper's.
    """
    best = [BEST] if (row.get("paper_reports") or _reported(registry, row)) == "best" else []
    images = filter(None, [row.get("source_differs")])
    return [*row.get("differs", ()), *images, *best, *_arithmetic(row)]


def _reported(registry: "Registry", row: Mapping[str, Any]) -> str | None:
    """What the row's protocol says, for records that do not; None where its plugin is gone."""
    name = base_of(row)
    if name not in registry.names("protocol"):
        return None
    reports: str = registry.load("protocol", name).paper_reports
    return reports


def _arithmetic(row: Mapping[str, Any]) -> list[str]:
    iterated = row.get("iterations") is not None
    made_in = row.get("synthesis_precision", row["precision"]) if iterated else None
    parts = {"synthesis": made_in, "evaluation": row["precision"]}
    in_bf16 = [name for name, precision in parts.items() if precision == "bf16"]
    return [f"{' and '.join(in_bf16)} in bf16"] if in_bf16 else []
