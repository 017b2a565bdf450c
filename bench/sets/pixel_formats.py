"""The forms in which a set's pixels are stored: what a form does to them, and how it lies in a file."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.condensation import Images, PixelFormat
from bench.data.datasets import Preprocessing
from bench.errors import RunFailure
from bench.sets.wellformed import DEVIATIONS, all_finite
from bench.storage.paging import Passage, assembled, joined, parts

LEVELS = 255.5  # up to which values may be 0..255
AT_ONCE = 256  # images that are decoded between two pauses to give memory back
JPEG_QUALITY = 75  # PIL's default, with chroma subsampling: what the decoupled releases save


@dataclass(frozen=True)
class StoredPixels:
    """Pixels as they lie in a file.

    A set is stored once and read from there on, by who labels it as by who trains on it: JPEG changes an image again
    each time that it goes through it.

    Attributes:
        tensors: of the file: "images" as they are, or "jpeg", uint8 (n,), the files one after the other, with their
            "lengths" in bytes, int64 (N,).
    """

    form: PixelFormat
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, pixels: Tensor, form: PixelFormat) -> "StoredPixels":
        """Of pixels (N, C, H, W) in the values that the form holds (`valued`)."""
        return cls(form, _compressed(pixels) if form == "jpeg" else {"images": pixels})

    def read(self) -> Tensor:
        """As whoever reads the file sees them."""
        return unpacked(self.tensors)


def to_stored(images: Images, form: PixelFormat, preprocessing: Preprocessing) -> Images:
    """Images as they are after storage, so that labels are made from what a user will read. Raises as `valued`."""
    values = valued(images, form, preprocessing)
    return replace(values, pixels=StoredPixels.of(values.pixels, form).read())


def valued(images: Images, form: PixelFormat, preprocessing: Preprocessing) -> Images:
    """Images in the values that a form holds: "uint8" rounds to the nearest level, "jpeg" truncates to one.

    "float32" keeps the values. What JPEG itself does is not in it.

    Raises:
        RunFailure: values that are not finite, or outside the box where the format cannot hold them.
    """
    pixels = images.pixels
    if pixels.is_floating_point():
        if not all_finite(pixels):
            raise RunFailure("the synthesised images hold NaN or infinity")
        if form != "float32" and (wrong := outside_box(pixels, preprocessing)):
            raise RunFailure(wrong)
        pixels = pixels.float() if form == "float32" else _quantised(preprocessing.invert(pixels), form)
    return replace(images, pixels=pixels)


def in_box(pixels: Tensor) -> bool:
    """Whether pixels, valid ones of which lie in [0, 1], round to levels that 8 bits have."""
    return -0.5 / 255 <= float(pixels.min()) <= float(pixels.max()) <= 1 + 0.5 / 255


def outside_box(pixels: Tensor, preprocessing: Preprocessing) -> str:
    """What to say of normalised pixels that 8 bits cannot hold; "" where they can."""
    if in_box(preprocessing.invert(pixels)):
        return ""
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and DEVIATIONS < high <= LEVELS:
        return f"values go up to {high:.4g}: return uint8, or normalise them"
    return "pixels leave the valid range, so 8 bits would change them; set pixel_format = 'float32'"


def _quantised(pixels: Tensor, form: PixelFormat) -> Tensor:
    levels = pixels.clamp(0, 1) * 255
    return (levels.floor() if form == "jpeg" else levels.round()).to(torch.uint8)


def _encode_jpeg(image: Tensor) -> bytes:
    array = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array if array.shape[2] > 1 else array[..., 0]).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _decode_jpeg(content: bytes) -> Tensor:
    array = np.array(Image.open(io.BytesIO(content)))
    return torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1).contiguous()


def _compressed(pixels: Tensor) -> dict[str, Tensor]:
    lengths = []

    def files() -> Iterator[bytes]:
        for part in parts(pixels, unchanged=True):
            for image in part:
                yield (content := _encode_jpeg(image))
                lengths.append(len(content))

    return {"jpeg": joined(files(), expected=pixels.nbytes), "lengths": torch.tensor(lengths)}


def unpacked(tensors: Mapping[str, Tensor]) -> Tensor:
    """The pixels that tensors of a file hold (see `StoredPixels`)."""
    if "images" in tensors:
        return tensors["images"]
    content, ends = tensors["jpeg"], tensors["lengths"].cumsum(0)
    starts, passage = ends - tensors["lengths"], Passage(unchanged=True)

    def images() -> Iterator[tuple[Tensor, Tensor]]:
        for places in torch.arange(len(ends)).split(AT_ONCE):
            spans = zip(starts[places].tolist(), ends[places].tolist(), strict=True)
            files = [content[start:end].numpy().tobytes() for start, end in spans]
            yield places, torch.stack([_decode_jpeg(file) for file in files])
            passage.use(sum(map(len, files)), [content])

    return assembled(images(), len(ends))
