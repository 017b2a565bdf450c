"""Stored images as training sees them: by what they belong to, and, where a set has a decoder, what they stand for."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bench.condensation import Grid, Images
from bench.condensation.decoders import GRAY
from bench.data.datasets import Preprocessing
from bench.storage.paging import assembled, parts


def as_seen(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Stored pixels (N, C, H, W), levels or floats, as networks see them: float32."""
    return preprocessing.apply(pixels) if pixels.dtype == torch.uint8 else pixels.float()


def decoded(images: Images, decoder: Grid | None, preprocessing: Preprocessing) -> Images:
    """What the images decode into, float32 as networks see it, in place of each, with its class and its own label.

    Without a decoder they are what they were.
    """
    if decoder is None:
        return images
    count, gray = len(images) * decoder.count, _gray(images.pixels, preprocessing)
    soft, targets = (None if each is None else decoder.repeated(each) for each in (images.soft, images.targets))

    def some() -> Iterator[tuple[Tensor, Tensor]]:
        places = torch.arange(count).view(len(images), decoder.count)
        done = 0
        for part in parts(images.pixels, unchanged=True):
            yield places[done : done + len(part)].flatten(), decoder.decode(as_seen(part, preprocessing), gray)
            done += len(part)

    pixels, classes = assembled(some(), count), decoder.repeated(images.classes)
    return replace(images, pixels=pixels, classes=classes, soft=soft, targets=targets)


def _gray(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(C, 1, 1): gray as networks see it; between two levels, so no pixel has it."""
    level = torch.full(pixels.shape[1:], 255 * GRAY, device=pixels.device)
    return preprocessing.apply(level)[:, -1:, -1:]
