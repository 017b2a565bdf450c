"""What still differs from a paper in a row that a published number stands beside."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.data.identity import offered_card
from bench.recipes import Recipe, Setting
from bench.results.protocol_names import base_of

if TYPE_CHECKING:
    from bench.extensions.registry import Registry

BEST = "the last epoch counts here, in the paper the best on the test split"
HARD = "hard"  # of labels, in rows and in claims
SAID = {"teacher": "soft", "ensemble": "an ensemble's"}  # other kinds, where their own names would say little


def differing(registry: "Registry", row: Mapping[str, Any], labels: str = "") -> list[str]:
    """A few words each: labels, what the method says of itself, the images, what its protocol is, the arithmetic.

    Released code computes in fp32, on NVIDIA GPUs from Ampere on in tf32: both are taken for the paper's.

    Args:
        labels: on which the published number's students were trained (`Claim.label_type`); "" where it is not stated.
    """
    images = filter(None, [row.get("source_differs")])
    of_set = [*_labels(row.get("label_kind"), labels), *row.get("differs", ()), *images]
    return [*of_set, *_of_protocol(registry, row), *_arithmetic(row)]


def _labels(kind: str | None, published: str) -> list[str]:
    """That one has the classes alone and the other has not; how soft ones were kept or made decides less."""
    if not (kind and published) or (kind == HARD) == (published == HARD):
        return []
    return [f"{SAID.get(kind, kind)} labels, the paper's are {SAID.get(published, published)}"]


def of_protocol(registry: "Registry", name: str, setting: Setting | None, reported: str | None = None) -> list[str]:
    """What a protocol says of itself: that its recipe is ours, what differs in it, which epoch its paper reports.

    Args:
        setting: of the network that is trained; None where the dataset is none that is known here.
        reported: the epoch, where a record has it: its plugin may be gone, and with it what else is said.
    """
    if not registry.has("protocol", name):
        return [BEST] if reported == "best" else []
    protocol = registry.load("protocol", name)
    recipe = protocol.recipe(setting) if setting else None
    known = [*not_published("the students' recipe", recipe), *recipe.differs] if recipe else []
    return [*known, *([BEST] if (reported or protocol.paper_reports) == "best" else [])]


def not_published(what: str, recipe: Recipe) -> list[str]:
    """That a recipe is ours, where it is."""
    return [f"{what} is {recipe.ours}"] if recipe.ours else []


def _of_protocol(registry: "Registry", row: Mapping[str, Any]) -> list[str]:
    return of_protocol(registry, base_of(row), _setting(registry, row), row.get("paper_reports"))


def _setting(registry: "Registry", row: Mapping[str, Any]) -> Setting | None:
    """Of the network that was trained in a row."""
    known_as = row.get("known_as")
    if known_as is None or not registry.has("dataset", known_as):
        return None
    card = offered_card(registry, known_as)
    return Setting.of(card, known_as, row["classes"], row["ipc"], row["eval_backbone"])


def _arithmetic(row: Mapping[str, Any]) -> list[str]:
    iterated = row.get("iterations") is not None
    made_in = row.get("synthesis_precision", row["precision"]) if iterated else None
    parts = {"synthesis": made_in, "evaluation": row["precision"]}
    in_bf16 = [name for name, precision in parts.items() if precision == "bf16"]
    return [f"{' and '.join(in_bf16)} in bf16"] if in_bf16 else []
