"""What a dataset is known as: the name under which recipes and claims know it.

A name on a card is no proof: thirty pictures called "cifar10" are not CIFAR-10. A card stands for a dataset that a
plugin offers where its content is the offered card's, or where it says `like = "..."`.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.data.cards import DatasetCard, read_card
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.storage.names import nearest


def known_as(registry: Registry, card: DatasetCard, classes: int | None) -> str | None:
    """The name under which recipes and claims know a card's dataset; None where its name is another dataset's.

    Args:
        classes: how many the dataset has, where that is known; a card need not say.

    Raises:
        UsageError: `like` names a dataset that nobody offers, or one of another shape.
    """
    if card.like is not None:
        return _stands_for(_alike(registry, card, classes))
    if card.name not in registry.names("dataset"):
        return card.name
    offered = offered_card(registry, card.name)
    return None if differences(card, offered) else _stands_for(offered)


def why_unknown(registry: Registry, card: DatasetCard) -> str:
    """One line for a card whose name is another dataset's: what differs, what follows, what to do."""
    differing = ", ".join(differences(card, offered_card(registry, card.name)))
    return (
        f"this {card.name!r} is not the {card.name} that is known here (its card differs in {differing}): recipes go "
        f'by its size, and no published number stands beside it; like = "{card.name}" in the card says otherwise'
    )


def differences(card: DatasetCard, offered: DatasetCard) -> list[str]:
    """The fields of content in which two cards differ; their titles, licences and sources may.

    A copy of the offered card from before it listed its classes is that card.
    """
    mine, theirs = _content(card), _content(offered)
    unsaid = {name for name in offered.later if getattr(card, name) is None}
    return [name for name in mine if mine[name] != theirs[name] and name not in unsaid]


def _content(card: DatasetCard) -> Mapping[str, Any]:
    fields = ("resolution", "resize", "channels", "mean", "std", "images", "split", "depth")
    return {"class_ids": card.order, "classes": _count(card), **{name: getattr(card, name) for name in fields}}


def _count(card: DatasetCard) -> int | None:
    return len(card.class_ids) if card.class_ids is not None else card.classes


def _stands_for(offered: DatasetCard) -> str:
    return offered.like or offered.name


def _alike(registry: Registry, card: DatasetCard, classes: int | None) -> DatasetCard:
    """The card of the dataset that `like` names, if it has the same shape."""
    assert card.like is not None
    if card.like not in (names := registry.names("dataset")):
        match = nearest(card.like, names)
        hint = f"did you mean {match!r}?" if match else f"choose from {', '.join(names)}"
        raise UsageError(f"the card of {card.name} is like {card.like!r}, which is no dataset; {hint}")
    other = offered_card(registry, card.like)
    pairs = {
        "resolution": (card.resolution, other.resolution),
        "channels": (card.channels, other.channels),
        "classes": (classes, _count(other)),
    }
    for what, (mine, theirs) in pairs.items():
        if None not in (mine, theirs) and mine != theirs:
            raise UsageError(f"the card of {card.name} is like {card.like!r}, which has {what} {theirs}, not {mine}")
    return other


def offered_card(registry: Registry, name: str) -> DatasetCard:
    """The card of a registered dataset, read once: those that plugins bring do not change while a process lives."""
    return _offered(Path(registry.load("dataset", name)))


@cache
def _offered(path: Path) -> DatasetCard:
    return read_card(path)
