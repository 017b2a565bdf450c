"""Whether a set holds images that it is tested on."""

from collections.abc import Callable, Iterator

import torch
import xxhash
from torch import Tensor

from bench.data.datasets import Split
from bench.storage.paging import parts

CHUNK = 256


def count_in(split: Split, pixels: Tensor, shown: Callable[[Tensor], Tensor]) -> int:
    """How many images of a set are, in levels of 8 bits, images of a split; no more is looked for than equal pixels.

    Args:
        pixels: (N, C, H, W) of the set.
        shown: makes some of the pixels float (n, C, H, W), in [0, 1] for images that pixels can show.
    """
    mine = [each for some in parts(pixels) for each in _digests(shown(some).mul(255).round().clamp(0, 255))]
    chunks = torch.arange(len(split)).split(CHUNK)
    theirs = {each for chosen in chunks for each in _digests(split.take(chosen))}
    return sum(each in theirs for each in mine)


def _digests(images: Tensor) -> Iterator[bytes]:
    for image in images.to(device="cpu", dtype=torch.uint8).contiguous().numpy():
        yield xxhash.xxh3_128_digest(image.tobytes())
