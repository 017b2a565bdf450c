"""Which layers' inputs are measured, and what is measured of each.

Of the input of a BatchNorm: mean and biased variance of each channel. Of that of a convolution besides: mean and biased
variance of each square of `patch` x `patch` pixels, over the images, the channels and the pixels of the square (G-VBSM
section 3.2 and code). A map whose sides are no multiple of `patch` is resized to the next one before, bilinearly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.errors import RunFailure
from bench.recovery.recipes import LayerKind
from bench.recovery.statistics import batchnorms, is_batchnorm, moments

Measured = tuple[Tensor, ...]  # of a layer: mean and variance of channels, and of patches where it has such
ByLayer = Mapping[int, Measured]  # by the layer's place in `layers_of`
Take = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Layer:
    """A layer whose input is measured."""

    module: nn.Module
    kind: LayerKind


def layers_of(network: nn.Module, kinds: Sequence[LayerKind]) -> list[Layer]:
    """The network's layers of these kinds, in the order of `network.modules()`.

    Raises:
        RunFailure: it has none, so there is nothing to recover images from.
    """
    kept = {module: kind for module in network.modules() if (kind := _kind(module)) in kinds}
    if not kept and kinds == ("batchnorm",):
        batchnorms(network)  # says so
    if not kept:
        raise RunFailure(f"{type(network).__name__} has no layer of those that recovery matches: {', '.join(kinds)}")
    return [Layer(module, kind) for module, kind in kept.items() if kind]


def _kind(module: nn.Module) -> LayerKind | None:
    if is_batchnorm(module):
        return "batchnorm"
    return "convolution" if isinstance(module, nn.Conv2d) else None


def measured_input(layer: Layer, inputs: Tensor, patch: int) -> Measured:
    """What is measured of a layer's input (B, C, ...): tensors of one axis."""
    return moments(inputs) if layer.kind == "batchnorm" else (*moments(inputs), *patch_moments(inputs, patch))


def patch_moments(inputs: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each square of (B, C, H, W), (P,) each, the squares row by row."""
    variance, mean = torch.var_mean(in_patches(inputs, patch), (0, 1, 3, 5), correction=0)
    return mean.flatten(), variance.flatten()


def in_patches(inputs: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) -> (B, C, rows of squares, patch, columns of squares, patch), in fp32 or better."""
    precise = divisible(inputs.to(torch.promote_types(inputs.dtype, torch.float32)), patch)
    squares: Tensor = precise.unflatten(-1, (-1, patch)).unflatten(-3, (-1, patch))
    return squares


def divisible(maps: Tensor, patch: int) -> Tensor:
    """(..., C, H, W) with sides that are multiples of `patch`: resized to the next ones, bilinearly."""
    sides = [-(-side // patch) * patch for side in maps.shape[-2:]]
    if sides == list(maps.shape[-2:]):
        return maps
    resized = interpolate(maps.flatten(0, -4), size=sides, mode="bilinear", align_corners=False)
    whole: Tensor = resized.unflatten(0, maps.shape[:-3])
    return whole


@contextmanager
def watched(
    layers: Sequence[Layer], patch: int, left_out: frozenset[int] = frozenset()
) -> Iterator[dict[int, Measured]]:
    """Within the context, each forward pass leaves in the dict what is measured, by the layer's place.

    A layer that forward passes do not reach (an auxiliary head) stays out of it, as do those that are `left_out`.
    """
    found: dict[int, Measured] = {}

    def measure(place: int, inputs: Tensor) -> None:
        if place not in left_out:
            found[place] = measured_input(layers[place], inputs, patch)

    with inputs_given(layers, measure):
        yield found


@contextmanager
def inputs_given(layers: Sequence[Layer], take: Take) -> Iterator[None]:
    """Within the context, `take` gets the place and the input of each layer that a forward pass reaches."""
    handles = [layer.module.register_forward_pre_hook(_taking(take, place)) for place, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _taking(take: Take, place: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    return lambda _, inputs: take(place, inputs[0])


def laid_out(statistics: ByLayer) -> Tensor:
    """(..., D): all that was measured end to end, layer by layer in the order of their places."""
    return torch.cat([each for place in sorted(statistics) for each in statistics[place]], -1)


Sizes = Mapping[int, tuple[int, ...]]  # of what is measured of each layer, as ints


def sizes_of(statistics: ByLayer) -> dict[int, tuple[int, ...]]:
    """How long each measurement of each layer is."""
    return {place: tuple(each.shape[-1] for each in statistics[place]) for place in sorted(statistics)}


def by_layer(flat: Tensor, sizes: Sizes) -> dict[int, Measured]:
    """The inverse of `laid_out`."""
    pieces = iter(flat.split([size for place in sorted(sizes) for size in sizes[place]], -1))
    return {place: tuple(next(pieces) for _ in sizes[place]) for place in sorted(sizes)}
