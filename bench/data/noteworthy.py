"""What is worth knowing of images that can be read: what decoding leaves out of them, and which are there twice."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from PIL import Image

from bench.data.cards import SplitName
from bench.data.decoding import Decoder

_ORIENTATION, _UPRIGHT = 0x0112, 1  # EXIF's tag, and its value for an image that needs no turning
_OPAQUE = 255
_TURNED, _FRAMED, _SEEN_THROUGH = "turned", "framed", "seen through"
_SAID = {
    _TURNED: "no image is rotated, though {} have an EXIF orientation that says so",
    _FRAMED: "of images of several frames the first is taken: {}",
    _SEEN_THROUGH: "alpha is dropped, and what lies under transparent pixels shows: {}",
}


@dataclass(frozen=True)
class Contents:
    """The images of a split that can be read, in its order.

    Attributes:
        indices: int64 (N,), in the split that the decoder reads.
        labels: int64 (N,).
        digests: uint64 (N,), of their encoded bytes.
    """

    decoder: Decoder
    indices: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint64]

    def name(self, position: int) -> str:
        """What messages call an image."""
        decoder, index = self.decoder, int(self.indices[position])
        ((name, _),) = decoder.reader.encoded(decoder.source, decoder.split, [index])
        return name


def left_out(encoded: Any) -> Counter[str]:  # noqa: ANN401 - bytes or an array, see Reader.encoded
    """What decoding leaves out of an image that can be decoded, for `notes_of`."""
    found = Counter[str]()
    if isinstance(encoded, bytes):
        with suppress(Exception):  # what decoding had no use for may be damaged, and decoders raise nearly anything
            found.update(_left_out(encoded))
    return found


def digest_of(encoded: Any) -> int:  # noqa: ANN401 - as above
    """64 bits of what an image's bytes are."""
    return xxhash.xxh3_64_intdigest(encoded if isinstance(encoded, bytes) else encoded.tobytes())


def notes_of(found: Counter[str], contents: Mapping[SplitName, Contents]) -> Iterator[str]:
    """What its user should know of a dataset's images, counted, a line each; nothing of what is nowhere.

    Args:
        found: of all images together, as `left_out` says it of one.
    """
    total = sum(len(each.digests) for each in contents.values())
    yield from (said.format(f"{found[what]} of {total}") for what, said in _SAID.items() if found[what])
    if len(contents) > 1:
        yield from _tested_and_trained_on(contents["train"], contents["test"])
    yield from _of_several_classes(list(contents.values()))


def _left_out(encoded: bytes) -> Iterator[str]:
    with Image.open(io.BytesIO(encoded)) as image:
        if image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
            yield _TURNED
        if _is_seen_through(image):
            yield _SEEN_THROUGH
        if getattr(image, "n_frames", 1) > 1:
            yield _FRAMED


def _is_seen_through(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    return int(np.asarray(image.convert("RGBA").getchannel("A")).min()) < _OPAQUE


def _tested_and_trained_on(train: Contents, test: Contents) -> Iterator[str]:
    known = np.isin(test.digests, train.digests)
    if known.any():
        first = int(known.argmax())
        twin = int((train.digests == test.digests[first]).argmax())
        count = f"{int(known.sum())} of {len(known)} test images are training images byte for byte"
        yield f"{count} ({test.name(first)} is {train.name(twin)})"


def _of_several_classes(contents: Sequence[Contents]) -> Iterator[str]:
    """Images whose bytes lie in two classes or more, of one split or of both."""
    labels = np.concatenate([each.labels for each in contents])
    digests, which = np.unique(np.concatenate([each.digests for each in contents]), return_inverse=True)
    lowest, highest = np.full(len(digests), labels.max(initial=0)), np.zeros(len(digests), np.int64)
    np.minimum.at(lowest, which, labels)
    np.maximum.at(highest, which, labels)
    several = (lowest != highest)[which]
    if several.any():
        first = int(several.argmax())
        twin = int(((which == which[first]) & (labels != labels[first])).argmax())
        pair = f"{_name(contents, first)} is {_name(contents, twin)}"
        yield f"{int(several.sum())} images lie in several classes byte for byte ({pair})"


def _name(contents: Sequence[Contents], position: int) -> str:
    """That of an image by its position in all of them."""
    for each in contents:
        if position < len(each.indices):
            break
        position -= len(each.indices)
    return each.name(position)
