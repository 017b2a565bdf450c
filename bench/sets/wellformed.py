"""Whether images and labels are what their types promise: one rule for what a method makes and what somebody brings.

Nothing else would tell: a network that pools all positions takes images of every size, and arithmetic takes any type.
"""

import math
from typing import Any

import torch
from torch import Tensor

from bench.condensation import Images
from bench.data.datasets import Preprocessing
from bench.labels import not_distributions, not_targets
from bench.sets.tensor_files import FLOATS, not_plain, type_of
from bench.storage.paging import parts

LEARNED = 0.25  # so far do learned images of 0..1 leave it where hardly any of their values do
SHARE = 0.1  # of values that may leave it: those of the "half" constants, -1 to 1, have far more below -0.25
DEVIATIONS = 50.0  # so many standard deviations may normalised values reach: pixels of 255 levels reach 255


def malformed(images: Images, shape: tuple[int, int, int], classes: int, *, unchanged: bool = False) -> str:
    """What is wrong with the types, shapes and values of images and their labels, in words; "" for nothing.

    Args:
        shape: (C, H, W) of every image.
        classes: how many there are.
        unchanged: see `bench.storage.paging.release`; what a method made may have been written in place.
    """
    wrong = (
        _wrong_pixels(images.pixels, shape, unchanged=unchanged)
        or _wrong_classes(images, classes)
        or _wrong_soft(images, classes)
        or _wrong_targets(images, classes)
    )
    return wrong or _wrong_step_size(images.learned_lr)


def _wrong_pixels(pixels: Any, shape: tuple[int, int, int], *, unchanged: bool) -> str:  # noqa: ANN401 - whatever a method returned
    if strange := _not_a_tensor(pixels):
        return f"pixels are {strange}"
    if pixels.dtype != torch.uint8 and pixels.dtype not in FLOATS:
        return f"pixels are {type_of(pixels)}; uint8 or floats are expected"
    if pixels.ndim != 4 or tuple(pixels.shape[1:]) != shape:
        return f"pixels have shape {tuple(pixels.shape)}, not (N, {', '.join(map(str, shape))})"
    if not all_finite(pixels, unchanged=unchanged):
        return "pixels hold NaN or infinity"
    return ""


def all_finite(pixels: Tensor, *, unchanged: bool = False) -> bool:
    """Whether no value is NaN or infinite; pixels may be larger than the memory."""
    return not pixels.is_floating_point() or all(
        bool(torch.isfinite(part).all()) for part in parts(pixels, unchanged=unchanged)
    )


def _wrong_classes(images: Images, classes: int) -> str:
    labels: Any = images.classes
    if strange := _not_a_tensor(labels):
        return f"classes are {strange}"
    if labels.dtype != torch.int64:
        return f"classes are {type_of(labels)}; int64 is expected"
    if labels.ndim == 1 and len(labels) != len(images.pixels):
        return uneven(len(images.pixels), len(labels))
    if labels.ndim != 1:
        return f"classes have shape {tuple(labels.shape)}, not ({len(images.pixels)},)"
    if len(labels) == 0:
        return "there are no images"
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        return f"classes are {int(labels.min())} to {int(labels.max())}, not indices of {classes} classes"
    return ""


def uneven(images: int, labels: int) -> str:
    """What to say of images and labels that are not as many."""
    return f"{images} image{'s' if images != 1 else ''} but {labels} label{'s' if labels != 1 else ''}"


def _wrong_step_size(learned: Any) -> str:  # noqa: ANN401 - whatever a method returned
    if learned is None:
        return ""
    if isinstance(learned, bool) or not isinstance(learned, float | int):
        return f"learned_lr is a {type(learned).__name__}; a float is expected"
    return "" if 0 < learned < math.inf else f"learned_lr is {learned}; a number above 0 is expected"


def _wrong_soft(images: Images, classes: int) -> str:
    if images.soft is None:
        return ""
    if strange := _not_a_tensor(images.soft):
        return f"soft labels are {strange}"
    wrong = not_distributions(images.soft, len(images.pixels), classes)
    return f"soft labels {wrong}" if wrong else ""


def _wrong_targets(images: Images, classes: int) -> str:
    if images.targets is None:
        return ""
    if images.soft is not None:
        return "there are soft labels and regression targets; an image is labelled in one way"
    if strange := _not_a_tensor(images.targets):
        return f"regression targets are {strange}"
    wrong = not_targets(images.targets, len(images.pixels), classes)
    return f"regression targets {wrong}" if wrong else ""


def _not_a_tensor(value: Any) -> str:  # noqa: ANN401 - as above
    """As in "a list, not a tensor"; "" for a plain tensor."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}, not a tensor"
    strange = not_plain(value)
    return f"{strange} tensor; a plain dense one is expected" if strange else ""


def like_levels_of_one(low: float, high: float, outside: float, black: float) -> bool:
    """Whether values that are said to be normalised are pixels of 0..1: hardly one is darker than the mean.

    Args:
        outside: the share of values outside [0, 1].
        black: the normalised value of a black pixel; where it is near the mean, nothing can be told.
    """
    return low >= -LEARNED and high <= 1 + LEARNED and outside <= SHARE and black < -LEARNED


def not_normalised(pixels: Tensor, preprocessing: Preprocessing) -> str:
    """What to say of floats that a method returned and that look like pixels of 0..1; "" for nothing."""
    if not pixels.is_floating_point() or not preprocessing.bounded or not pixels.numel():
        return ""
    low, high, outside = math.inf, -math.inf, 0
    for part in parts(pixels):
        low, high = min(low, float(part.min())), max(high, float(part.max()))
        outside += int(((part < 0) | (part > 1)).sum())
    if not like_levels_of_one(low, high, outside / pixels.numel(), float(preprocessing.box(torch.empty(0))[0].max())):
        return ""
    return f"pixels lie in {low:.4g}..{high:.4g}, hardly one darker than the mean: are they 0..1, and not normalised?"


def far_out(pixels: Tensor, preprocessing: Preprocessing) -> str:
    """What no normalised image reaches, in words; "" for nothing. Whitened values have no such bound."""
    if pixels.dtype == torch.uint8 or not preprocessing.bounded or not pixels.numel():
        return ""
    most = max(float(part.abs().max()) for part in parts(pixels))
    if most <= DEVIATIONS:
        return ""
    return f"pixels reach {most:.4g} standard deviations; are they 0..255, or did the synthesis diverge?"
