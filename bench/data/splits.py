"""Splits over a source: decoded once and mapped from the cache, decoded as asked, or not to be had."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.data.datasets import Split
from bench.data.decoding import Decoder, in_threads
from bench.data.image_cache import Cached, ImageCache
from bench.errors import RunFailure
from bench.storage.paging import Passage, room, taken

_BATCH = 32  # images that a thread decodes at a time


@dataclass
class CachedSplit(Split):
    """A split whose images are decoded into the cache when the first are taken, and mapped from there.

    Attributes:
        large: that the memory of what was taken is given back, so that the split may be larger than all there is.
    """

    decoder: Decoder
    labels: Tensor
    cache: ImageCache
    large: bool = False
    _passage: Passage = field(default_factory=lambda: Passage(unchanged=True), repr=False)
    _cached: Cached | None = field(default=None, repr=False)

    def _opened(self) -> Cached:
        self._cached = self._cached or self.cache.open(self.decoder, self.labels)
        return self._cached

    @property
    def images(self) -> Tensor:
        """All images, uint8 (N, C, H, W), memory-mapped."""
        return self._opened().images

    def take(self, indices: Tensor) -> Tensor:
        """uint8 (len(indices), C, H, W)."""
        images = taken(self.images, indices)
        if self.large:
            self._passage.use(images.nbytes, [self.images])
        return images

    def held(self) -> Tensor:
        """See `Split`."""
        return self.images

    def originals(self, indices: Tensor) -> list[Tensor]:
        """See `Split`."""
        return _originals(self.decoder, indices)

    def ready(self) -> bool:
        """Decodes them, if that was never done; whether it was this process that did."""
        return self._opened().made


@dataclass
class StreamedSplit(Split):
    """A split too large to keep decoded: images are decoded when they are taken, in as many threads as cores."""

    decoder: Decoder
    labels: Tensor

    def take(self, indices: Tensor) -> Tensor:
        """uint8 (len(indices), C, H, W); read in the order they lie in, given back in the order asked for."""
        passage, asked = Passage(), room((len(indices), *self.decoder.view.shape), torch.uint8)
        ascending, places = indices.sort()

        def decode(start: int) -> Tensor:
            return self.decoder.decode(ascending[start : start + _BATCH].tolist())

        for start, images in in_threads(decode, range(0, len(indices), _BATCH)):
            asked[places[start : start + _BATCH]] = images
            passage.use(images.nbytes, [asked])
        return asked

    def originals(self, indices: Tensor) -> list[Tensor]:
        """See `Split`."""
        return _originals(self.decoder, indices)


def _originals(decoder: Decoder, indices: Tensor) -> list[Tensor]:
    """Read in the order they lie in, given back in the order asked for."""
    ascending, places = indices.sort()
    found = decoder.originals(ascending.tolist())
    return [found[place] for place in places.argsort().tolist()]


class UnavailableSplit(Split):
    """A split that is not on disk, or damaged: an error only for those who want its images or labels.

    Recovery from published weights (ImageNet-1K) needs the classes and the test split alone; and one dataset's damaged
    file fails that dataset's runs with its reason, while the others are planned and done. Its length is 0.
    """

    def __init__(self, reason: str, *, damaged: bool) -> None:
        self.reason, self.damaged = reason, damaged

    def __len__(self) -> int:
        return 0

    @property
    def labels(self) -> Tensor:  # type: ignore[override]  # nobody sets the labels of what is not there
        """Always raises RunFailure with the reason."""
        raise RunFailure(self.reason)

    def take(self, indices: Tensor) -> Tensor:
        """Always raises RunFailure with the reason."""
        raise RunFailure(self.reason)

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Always raises RunFailure with the reason."""
        raise RunFailure(self.reason)

    def of_classes(self, classes: Sequence[int]) -> Split:
        """Itself: no class of it is there."""
        return self
