"""Pixels of a foreign tensor: held against the range that its manifest declares, then brought into the suite's own.

What is told apart are mistakes of a unit, never of taste: learned images leave the box of valid pixels a little
(distribution matching) or a lot (trajectory matching with large steps), and must pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bench.data.datasets import Dataset, Normalisation, Preprocessing
from bench.errors import UsageError
from bench.interchange.handwritten import HandWritten, TensorSource
from bench.sets.tensor_files import INTEGERS, type_of
from bench.sets.wellformed import DEVIATIONS, LEARNED, SHARE, like_levels_of_one
from bench.storage.paging import converted, parts

HALF_LEVEL = 0.5  # of 255: what rounds to a valid level is one
ONE_LEVEL = 1.001 / 255  # with room for rounding
WIDER = 1.2  # normalised values of white from which on an end at 1 is that of other constants: -1 to 1 is "half"
OUTSIDE = 1.0  # so far may values of "0..1" leave it. Normalised images reach -2.2 to 2.7 where pixels have 0 to 1


def check_labels(labels: Tensor, where: str) -> None:
    """Refuses labels that are not integers: floats may be anything, and truth values are no classes."""
    if labels.dtype not in INTEGERS:
        raise UsageError(f"the labels of {where} are {type_of(labels)}; class indices are integers")


def check_range(
    pixels: Tensor, source: TensorSource, normalisation: Normalisation, where: str, *, stated: bool = False
) -> None:
    """Refuses pixels that cannot be what their manifest declares.

    Args:
        normalisation: what "normalised" means for them.
        stated: whether the manifest says so, and no dataset's constants were taken for granted.

    Raises:
        UsageError: truth values, NaN or infinity, or values that belong to another range; one line that says which.
    """
    if pixels.dtype == torch.bool or (source.range != "0..255" and not pixels.is_floating_point()):
        raise UsageError(f"the images of {where} are {type_of(pixels)}, which range {source.range!r} cannot be")
    found = [_Values.of(part) for part in parts(pixels, unchanged=True) if part.numel()]
    if not all(math.isfinite(part.low) and math.isfinite(part.high) for part in found):
        raise UsageError(f"the images of {where} hold NaN or infinity")
    if found and (wrong := _wrong(values := _Values.together(found), source, normalisation, stated=stated)):
        lie = f"{values.low:.4g}..{values.high:.4g}"
        raise UsageError(f"the images of {where} lie in {lie}, declared as range {source.range!r}: {wrong}")


@dataclass(frozen=True)
class _Values:
    """The least and the most of some values, which are NaN where one is, and how many are outside [0, 1], and `far`."""

    low: float
    high: float
    outside: int
    far: int
    count: int

    @classmethod
    def of(cls, pixels: Tensor) -> "_Values":
        values = pixels.float()
        outside = int(((values < 0) | (values > 1)).sum())
        return cls(float(values.min()), float(values.max()), outside, far_outside(values), values.numel())

    @classmethod
    def together(cls, some: Sequence["_Values"]) -> "_Values":
        low, high = min(each.low for each in some), max(each.high for each in some)
        sums = (sum(getattr(each, name) for each in some) for name in ("outside", "far", "count"))
        return cls(low, high, *sums)

    @property
    def share(self) -> float:
        """Of values outside [0, 1]."""
        return self.outside / self.count


def far_outside(values: Tensor) -> int:
    """How many values are no pixels of 0..1, not even learned ones: black may lie a hair below 0 after any step."""
    return int(((values < -LEARNED) | (values > 1 + LEARNED)).sum())


def _wrong(values: _Values, source: TensorSource, normalisation: Normalisation, *, stated: bool) -> str:
    match source.range:
        case "0..255":
            return _wrong_levels(values.low, values.high)
        case "0..1":
            return _wrong_unit(values)
        case "normalised":
            return _wrong_normalised(values, normalisation, stated=stated)
        case "whitened":
            return "" if values.low < 0 else "whitened values lie around 0"


def _wrong_levels(low: float, high: float) -> str:
    if low < -HALF_LEVEL or high > 255 + HALF_LEVEL:
        return "they leave it; are they normalised?"
    return "all of it black; are they 0..1?" if high <= 1 + OUTSIDE else ""


def _wrong_unit(values: _Values) -> str:
    if values.high > 1 + OUTSIDE:
        return "are they 0..255?" if values.low >= 0 else "are they normalised?"
    if values.low < -OUTSIDE or values.far > SHARE * values.count:
        return f"{values.share:.0%} of the values are outside; are they normalised?"
    return "all of it black; was it divided by 255 twice?" if values.high <= ONE_LEVEL else ""


def _wrong_normalised(values: _Values, normalisation: Normalisation, *, stated: bool) -> str:
    if max(-values.low, values.high) > DEVIATIONS:
        return "that is no normalised pixel; are they 0..255?"
    black, white = (float(bounds.max()) for bounds in normalisation.box(torch.empty(0)))
    if like_levels_of_one(values.low, values.high, values.share, black):
        return "hardly a pixel is darker than the mean; are they 0..1?"
    if not stated and white > WIDER and max(abs(values.low + 1), abs(values.high - 1)) < ONE_LEVEL:
        return "they end at -1 and 1; by which constants are they normalised? State 'mean' and 'std', 0.5 each perhaps"
    return ""


def in_range(pixels: Tensor, source: TensorSource, theirs: Normalisation, preprocessing: Preprocessing) -> Tensor:
    """Checked pixels as uint8, or as floats of the preprocessing."""
    return converted(pixels, partial(_in_range, source=source, theirs=theirs, preprocessing=preprocessing))


def _in_range(pixels: Tensor, source: TensorSource, theirs: Normalisation, preprocessing: Preprocessing) -> Tensor:
    match source.range:
        case "0..255":
            return pixels.float().round().clamp(0, 255).to(torch.uint8)
        case "0..1":
            return preprocessing.apply(pixels.float() * 255)
        case "whitened":
            return pixels.float()
        case "normalised":
            floats = pixels.float()
            return floats if theirs == preprocessing else preprocessing.apply(255 * theirs.invert(floats))


def declared_normalisation(hand: HandWritten, dataset: Dataset) -> Normalisation:
    """What "normalised" means in a manifest: by its own constants, or else the dataset's.

    Raises:
        UsageError: one of the two alone, not as many constants as channels, or others than the dataset's for images
            that are not normalised.
    """
    if (hand.mean is None) != (hand.std is None):
        stated, lacking = ("mean", "std") if hand.std is None else ("std", "mean")
        raise UsageError(f"the manifest states {stated!r} and no {lacking!r}; images are normalised by both")
    own = dataset.own_normalisation
    assert isinstance(own, Normalisation)
    theirs = Normalisation(hand.mean or own.mean, hand.std or own.std)
    if {len(theirs.mean), len(theirs.std)} != {dataset.channels}:
        raise UsageError(f"'mean' and 'std' must have {dataset.channels} numbers each, one a channel of {dataset.name}")
    if theirs != own and not (isinstance(hand.source, TensorSource) and hand.source.range == "normalised"):
        raise UsageError(
            f"'mean' and 'std' say what range 'normalised' means, and these images have none; "
            f"students see them by the constants of {dataset.name}: leave both out"
        )
    return theirs
