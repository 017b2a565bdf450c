"""From encoded images to uint8 tensors of one shape. PIL decodes, so that pixels are those everybody trains on."""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from torch import Tensor

from bench.data.cards import DatasetCard, SplitName
from bench.data.datasets import Reader, Source
from bench.errors import RunFailure
from bench.hardware.cores import cores

VERSION = 2  # raised where the same bytes come to give other pixels, or none: what was decoded before is left alone

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]

# What PIL warns of (metadata that it cannot read, say) changes no pixel and would interrupt the terminal once a file;
# `warnings.catch_warnings` is not for threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

_MODES = {1: "L", 3: "RGB"}
AS_ENCODED = "the bytes of an image file, or uint8 (C, H, W) of one or three channels, are expected"
MOST_PIXELS = 89_478_485  # of a picture: a quarter of a gibibyte in RGB, as PIL warns of more; each thread decodes one
# What PIL calls channels of 16 bits (RGB;16B, LA;16B), of which it keeps the high 8. BGR;16 is three in 16 bits.
_OF_16_BITS = re.compile(";16[BLN]")
_WHITE, _WHITE_OF_16 = 2**8 - 1, 2**16 - 1


@dataclass(frozen=True)
class DecodedForm:
    """What every image is made to be: its channels, then shorter side `resize`, then the central `resolution` square.

    Images that have that size already keep their pixels exactly. Gray images of more than 8 bits a pixel are refused
    unless `depth` says how many of them count: 0 to 2^depth - 1 then becomes 0 to 255, before anything else. Those of
    more that have colours or alpha are always refused.
    """

    channels: int
    resolution: int
    resize: int
    depth: int | None = None

    @classmethod
    def of(cls, card: DatasetCard) -> "DecodedForm":
        """What a card makes every image be."""
        return cls(card.channels, card.resolution, card.resize or card.resolution, card.depth)

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
    view: DecodedForm

    def decode(self, indices: Sequence[int], seen: Callable[[Any], object] = lambda encoded: None) -> Tensor:
        """uint8 (len(indices), C, H, W), for ascending indices.

        Args:
            seen: is shown each image in turn as it is encoded.

        Raises:
            RunFailure: an image that cannot be read; the message names it.
        """
        images = np.empty((len(indices), *self.view.shape), np.uint8)
        for position, (name, encoded) in enumerate(self.encoded(indices)):
            images[position] = decoded(name, encoded, self.view)
            seen(encoded)
        return torch.from_numpy(images)

    def originals(self, indices: Sequence[int]) -> list[Tensor]:
        """uint8 (C, h, w) each, as large as the files have them; for ascending indices. Raises as `decode`."""
        encoded = self.encoded(indices)
        return [torch.from_numpy(decoded(name, each, self.view, whole=True).copy()) for name, each in encoded]

    def encoded(self, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """What the reader has for each index, exactly as many (see `Reader.encoded`). Raises RunFailure: it has not."""
        count = 0
        for each in self.reader.encoded(self.source, self.split, indices):
            count += 1
            if count > len(indices):
                break
            yield each
        if count != len(indices):
            gave = f"{'more' if count > len(indices) else count} images for {len(indices)} indices"
            raise RunFailure(f"the reader of the layout {self.source.layout!r} gave {gave} of {self.split}")


def decoded(name: str, encoded: Any, view: DecodedForm, *, whole: bool = False) -> Pixels:  # noqa: ANN401 - see Reader.encoded
    """One image as uint8 (C, H, W).

    Args:
        name: what messages call it.
        encoded: the bytes of an image file, or a uint8 array (C, H, W).
        whole: as large as it is, in the view's channels and depth alone.

    Raises:
        RunFailure: bytes that are no readable image of 8 bits a channel, or of the view's depth.
    """
    if isinstance(encoded, np.ndarray):
        _refuse_other(name, encoded)
        return encoded if encoded.shape == view.shape else _fitted(_image_of(encoded), view, whole=whole)
    if not isinstance(encoded, bytes | bytearray | memoryview):
        raise RunFailure(f"{name}: its reader gives a {type(encoded).__name__}; {AS_ENCODED}")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            _refuse_huge(image)
            _refuse_cut(image)
            return _fitted(_of_8_bits(image, view.depth), view, whole=whole)
    except UnidentifiedImageError as error:
        raise RunFailure(f"corrupt image: {name} is in no known image format") from error
    except (MemoryError, RunFailure):
        raise
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise RunFailure(f"corrupt image: {name} cannot be decoded: {error}") from error


def _refuse_other(name: str, array: npt.NDArray[Any]) -> None:
    """What would be taken for pixels and is none: floats of 0..1 would become black."""
    if array.dtype != np.uint8:
        raise RunFailure(f"{name}: its reader gives {array.dtype} arrays; {AS_ENCODED}")
    if array.ndim != 3 or len(array) not in _MODES:
        raise RunFailure(f"{name}: its reader gives an array of shape {array.shape}; {AS_ENCODED}")


def _refuse_huge(image: Image.Image) -> None:
    """Before its pixels are decoded: a file of some kilobytes can say that it has any number of them."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{image.width} × {image.height} pixels are more than {MOST_PIXELS:,}")


def _refuse_cut(image: ImageFile) -> None:
    """Before it is decoded: pixels that PIL would cut or stretch by itself, and nothing would show it afterwards."""
    for _, _, _, stored in image.tile:
        raw, *further = (stored,) if isinstance(stored, str) else (stored or ("",))
        if image.mode[0] not in "IF" and _OF_16_BITS.search(str(raw)):
            raise ValueError(f"its pixels have mode {raw}; 8 bits a channel are expected, and depth is for gray alone")
        if (
            image.format == "PPM"
            and further
            and further[0] > _WHITE
            and (image.mode, further[0]) != ("I", _WHITE_OF_16)
        ):
            raise ValueError(
                f"its white is {further[0]}; {_WHITE} is expected, or {_WHITE_OF_16} and gray with a depth"
            )


def size_of(encoded: Any) -> tuple[int, int]:  # noqa: ANN401 - bytes or an array, see Reader.encoded
    """Width and height of an image that can be decoded, as it is encoded."""
    if isinstance(encoded, np.ndarray):
        return encoded.shape[2], encoded.shape[1]
    with Image.open(io.BytesIO(encoded)) as image:
        return image.size


def form_of(encoded: Any) -> str:  # noqa: ANN401 - bytes or an array, see Reader.encoded
    """As what an image that can be decoded is encoded: "jpeg", "png"; "uint8" for an array."""
    if isinstance(encoded, np.ndarray):
        return "uint8"
    with Image.open(io.BytesIO(encoded)) as image:
        return str(image.format).lower()


def _of_8_bits(image: Image.Image, depth: int | None) -> Image.Image:
    """The image, scaled from `depth` bits if it has more than 8.

    Raises:
        ValueError: it has more and no depth is known, or more than the depth, or is no picture of whole numbers.
    """
    if image.mode[0] not in "IF":
        return image
    if depth is None or image.mode == "F":
        remedy = "; a card that says depth = 16 scales them" if image.mode != "F" else ""
        raise ValueError(f"its pixels have mode {image.mode}; 8 bits a channel are expected{remedy}")
    pixels, highest = np.asarray(image).astype(np.int64), 2**depth - 1
    if pixels.min() < 0 or pixels.max() > highest:
        raise ValueError(f"its pixels are {pixels.min()} to {pixels.max()}; depth = {depth} means 0 to {highest}")
    return Image.fromarray(((2 * 255 * pixels + highest) // (2 * highest)).astype(np.uint8))  # rounded to the nearest


def _image_of(array: Pixels) -> Image.Image:
    return Image.fromarray(array[0] if len(array) == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def _fitted(image: Image.Image, view: DecodedForm, *, whole: bool) -> Pixels:
    mode = _MODES[view.channels]
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours; converted at once, PIL would warn on the terminal
    if image.mode != mode:
        image = image.convert(mode)
    if not whole and image.size != (view.resolution, view.resolution):
        image = _cropped(image, view)
    pixels = np.asarray(image)
    return pixels[None] if view.channels == 1 else pixels.transpose(2, 0, 1)


def _cropped(image: Image.Image, view: DecodedForm) -> Image.Image:
    """The test view of ImageNet's papers, by torchvision's own functions: Resize, then CenterCrop."""
    from torchvision.transforms.v2 import functional

    resized = functional.resize(image, [view.resize])
    cropped: Image.Image = functional.center_crop(resized, [view.resolution])
    return cropped


def in_threads(work: Callable[[int], T], starts: range) -> Iterator[tuple[int, T]]:
    """`(start, work(start))` for all starts, as they finish, with only a few under way: memory stays bounded.

    The first failure is raised at once, and what had not begun is dropped.
    """
    count = cores()  # PIL decodes without holding the interpreter
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
