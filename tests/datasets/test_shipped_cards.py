"""Every card that ships is complete, and says what its sources are known to say."""

import pytest

from bench.data.opening import load_card
from bench.extensions.registry import Registry

NAMES = ["cifar10", "cifar100", "digits", "fashion-mnist", "imagenet-1k", "mnist", "svhn", "tiny-imagenet"]


def test_these_ship(registry: Registry) -> None:
    assert set(NAMES) <= set(registry.names("dataset"))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_says_all_that_a_user_must_know(registry: Registry, name: str) -> None:
    card = load_card(registry, name)
    assert card.name == name
    assert card.title
    assert card.homepage
    assert "not stated" not in (card.licence, card.citation)
    assert set(card.images) == {"train", "test"}
    assert card.class_ids is None or list(card.class_ids) == sorted(card.class_ids)


@pytest.mark.parametrize("name", NAMES)
def test_every_source_has_a_reader_that_takes_its_options(registry: Registry, name: str) -> None:
    card = load_card(registry, name)
    for source in card.sources:
        reader = registry.load("reader", source.layout)()
        reader.Options.model_validate(source.options)
        assert reader.looked_for(card, source)


def test_tiny_imagenet_names_its_classes_and_its_archive(registry: Registry) -> None:
    card = load_card(registry, "tiny-imagenet")
    assert card.class_ids is not None
    assert set(card.class_names) == set(card.class_ids)
    assert card.class_names["n01443537"] == "goldfish, Carassius auratus"
    fetch = card.sources[-1].fetch
    assert fetch is not None
    assert (fetch.bytes, fetch.checksum) == (248_100_043, "md5:90528d7ca1a48142e341f4ef8d21d0de")
