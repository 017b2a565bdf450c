"""Conformance of dataset cards."""

import hashlib
import os
from pathlib import Path

import pytest
import torch

from bench.conformance.common import Conformance
from bench.data.cards import DatasetCard
from bench.data.decoding import DecodedForm, Decoder
from bench.data.finding import FoundSource, find_source, load_card
from bench.data.held_out import parts_of
from bench.errors import UsageError
from bench.extensions.registry import Registry

TAKEN = 8  # images decoded of each split


class DatasetConformance(Conformance):
    """Holds a dataset card to its contract and, where its data is present, the data to the card.

    You may override the fixture `data_root`, a class-scoped fixture under `@classmethod`: the folder to look below
    (default: BENCH_DATA, or ./data).
    """

    kind = "dataset"

    @pytest.fixture(scope="class")
    @classmethod
    def data_root(cls) -> Path:
        """Where datasets lie."""
        return Path(os.environ.get("BENCH_DATA", "data"))

    @pytest.fixture(scope="class")
    @classmethod
    def card(cls, registry: Registry, subject: str) -> DatasetCard:
        """The card, which reading has validated."""
        return load_card(registry, subject)

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, registry: Registry, subject: str, card: DatasetCard, data_root: Path) -> FoundSource:
        """Where the data is; tests that need it are skipped, with what was looked for, where it is not."""
        try:
            return find_source(registry, subject, card, data_root)
        except UsageError as error:
            pytest.skip(str(error))

    def test_card_says_what_a_user_must_know(self, card: DatasetCard, subject: str) -> None:
        """Name, licence and citation; constants that are one a channel and plausible."""
        assert card.name == subject
        assert "not stated" not in (card.licence, card.citation)
        assert len(card.mean) == len(card.std) == card.channels
        assert all(0 < mean < 1 for mean in card.mean)
        assert all(0.05 < std <= 0.5 for std in card.std), "the std of pixels in [0, 1]"

    def test_classes_are_in_sorted_order(self, card: DatasetCard) -> None:
        """However the card writes them."""
        if card.order is not None:
            assert list(card.order) == sorted(card.order)
            assert card.classes in (None, len(card.order))
            assert set(card.class_names) <= set(card.order)

    def test_downloads_are_official_and_checked(self, registry: Registry, card: DatasetCard) -> None:
        """With a checksum of a known kind and the right length: some official addresses are plain http."""
        for source in card.sources:
            for fetch in registry.load("reader", source.layout)().fetches(card, source):
                assert fetch.url.startswith(("https://", "http://")), fetch.url
                algorithm, _, digest = fetch.checksum.partition(":")
                assert len(digest) == 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size

    def test_says_what_was_looked_for_where_it_is_absent(
        self, registry: Registry, subject: str, card: DatasetCard, tmp_path: Path
    ) -> None:
        """Naming every layout and the folder, and how to get it; bundled datasets are always there."""
        try:
            found = find_source(registry, subject, card, tmp_path)
        except UsageError as error:
            assert all(source.layout in str(error) for source in card.sources)
            assert str(tmp_path) in str(error)
        else:
            assert not found.source.root.is_relative_to(tmp_path)

    def test_data_is_what_the_card_says(self, found: FoundSource, card: DatasetCard) -> None:
        """Classes in order, labels in range, as many images as the card counts, each class with some."""
        assert list(found.source.classes) == sorted(found.source.classes)
        assert card.order in (None, found.source.classes)
        for split, part in parts_of(card, found.reader, found.source).items():
            assert part.labels.dtype == torch.int64
            assert card.images.get(split, len(part.labels)) == len(part.labels)
            assert torch.bincount(part.labels, minlength=len(found.source.classes)).min() > 0

    def test_images_can_be_taken(self, found: FoundSource, card: DatasetCard) -> None:
        """uint8 of the card's shape, not blank, the same each time."""
        for split in found.source.files:
            count = len(found.reader.labels(found.source, split))
            indices = torch.linspace(0, count - 1, TAKEN).long().unique().tolist()
            decoder = Decoder(found.reader, found.source, split, DecodedForm.of(card))
            images = decoder.decode(indices)
            assert images.dtype == torch.uint8
            assert images.shape == (len(indices), card.channels, card.resolution, card.resolution)
            assert images.float().std() > 1, "the images are blank"
            assert torch.equal(images, decoder.decode(indices))
