"""From encoded images to uint8 tensors of one shape. PIL decodes, so that pixels are those everybody trains on."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bench.cards import DatasetCard, SplitName
from bench.errors import RunFailure
from bench.imagery import Reader, Source

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]

_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class View:
    """What every image is made to be: its channels, then shorter side `resize`, then the central `resolution` square.

    Images that have that size already keep their pixels exactly.
    """

    channels: int
    resolution: int
    resize: int

    @classmethod
    def of(cls, card: DatasetCard) -> "View":
        """The view a card asks for."""
        return cls(card.channels, card.resolution, card.resize or card.resolution)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return self.channels, self.resolution, self.resolution

    @property
    def image_bytes(self) -> int:
        """Bytes of one decoded image."""
        return self.channels * self.resolution**2


@dataclass(frozen=True)
class Decoder:
    """Decodes the images of one split of one source."""

    reader: Reader
    source: Source
    split: SplitName
    view: View

    def decode(self, indices: Sequence[int]) -> Tensor:
        """uint8 (len(indices), C, H, W), for ascending indices.

        Raises:
            RunFailure: an image that cannot be read; the message names it.
        """
        images = np.empty((len(indices), *self.view.shape), np.uint8)
        for position, (name, encoded) in enumerate(self.reader.encoded(self.source, self.split, indices)):
            images[position] = decoded(name, encoded, self.view)
        return torch.from_numpy(images)


def decoded(name: str, encoded: Any, view: View) -> Pixels:  # noqa: ANN401 - bytes or an array, see Reader.encoded
    """One image as uint8 (C, H, W).

    Args:
        name: what messages call it.
        encoded: the bytes of an image file, or a uint8 array (C, H, W).

    Raises:
        RunFailure: bytes that are no readable 8-bit image.
    """
    if isinstance(encoded, np.ndarray):
        return encoded if encoded.shape == view.shape else _fitted(_image_of(encoded), view)
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            _require_8_bit(image)
            return _fitted(image, view)
    except UnidentifiedImageError as error:
        raise RunFailure(f"corrupt image: {name} is in no known image format") from error
    except (MemoryError, RunFailure):
        raise
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise RunFailure(f"corrupt image: {name} cannot be decoded: {error}") from error


def _require_8_bit(image: Image.Image) -> None:
    if image.mode[0] in "IF":
        raise ValueError(f"its pixels have mode {image.mode}; 8 bits a channel are expected")


def _image_of(array: Pixels) -> Image.Image:
    return Image.fromarray(array[0] if len(array) == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def _fitted(image: Image.Image, view: View) -> Pixels:
    mode = _MODES[view.channels]
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (view.resolution, view.resolution):
        image = _cropped(image, view)
    pixels = np.asarray(image)
    return pixels[None] if view.channels == 1 else pixels.transpose(2, 0, 1)


def _cropped(image: Image.Image, view: View) -> Image.Image:
    """The test view of ImageNet's papers, by torchvision's own functions: Resize, then CenterCrop."""
    from torchvision.transforms.v2 import functional

    resized = functional.resize(image, [view.resize])
    cropped: Image.Image = functional.center_crop(resized, [view.resolution])
    return cropped


def workers() -> int:
    """How many threads decode: one for each core this process may use. PIL decodes without holding the interpreter."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[int], T], starts: range) -> Iterator[tuple[int, T]]:
    """`(start, work(start))` for all starts, as they finish, with only a few under way: memory stays bounded.

    The first failure is raised at once, and what had not begun is dropped.
    """
    count = workers()
    queue = iter(starts)
    with ThreadPoolExecutor(count) as pool:
        running: dict[Future[T], int] = {pool.submit(work, start): start for start in islice(queue, 2 * count)}
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
                    running.update({pool.submit(work, start): start for start in islice(queue, 1)})
        finally:
            pool.shutdown(cancel_futures=True)
