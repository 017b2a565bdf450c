"""The colours of contrastive views: jitter, grey and blur, drawn for each image and applied to a whole batch.

torchvision's ColorJitter, RandomGrayscale and PIL's GaussianBlur as MoCo's code strings them together, on values in
[0, 1]. Of images with one channel brightness and contrast alone change. The blur is a Gaussian cut off at three
standard deviations; PIL's is an approximation of it by boxes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import conv2d, pad

from bench.condensation import MethodConfig
from bench.data.datasets import Preprocessing

Fraction = Annotated[float, Field(ge=0, le=1)]
GREY = (0.2989, 0.587, 0.114)  # of red, green and blue in luminance (ITU-R 601, torchvision)
SIGMAS = (0.1, 2.0)  # of the blur, in pixels
CUT = 3  # standard deviations


class ColourRecipe(MethodConfig):
    """How colours are changed.

    Attributes:
        jitter: how far brightness, contrast, saturation (each times U(1 - j, 1 + j)) and hue (+ U(-h, h) of a turn) go.
        jitter_share, grey_share, blur_share: the probability that an image is jittered, made grey, blurred.
    """

    jitter: tuple[Fraction, Fraction, Fraction, Annotated[float, Field(ge=0, le=0.5)]] = (0.4, 0.4, 0.4, 0.1)
    jitter_share: Fraction = 0.8
    grey_share: Fraction = 0.2
    blur_share: Fraction = 0.5


@dataclass(frozen=True)
class Colours:
    """What happens to the colours of B images.

    Attributes:
        jittered, grey, blurred: bool (B,).
        order: int64 (B, 4), which of brightness, contrast, saturation and hue comes first, second, ...
        amounts: float32 (B, 4), of each of these.
        sigmas: float32 (B,).
    """

    jittered: Tensor
    grey: Tensor
    blurred: Tensor
    order: Tensor
    amounts: Tensor
    sigmas: Tensor

    def apply(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """(B, C, S, S) as networks see them, with these colours; rounded to whole pixels."""
        seen = self.of_pixels(preprocessing.invert(images).clamp(0, 1))
        return preprocessing.apply((seen * 255).round().to(torch.uint8))

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """The same of values in [0, 1]."""
        pixels, coloured = pixels.clone(), pixels.shape[1] == len(GREY)
        for turn in range(self.order.shape[1]):
            for operation, change in enumerate(CHANGES if coloured else CHANGES[:2]):
                chosen = self.jittered & (self.order[:, turn] == operation)
                _change(pixels, chosen, change, self.amounts[:, operation])
        if coloured:
            _change(pixels, self.grey, more_colour, torch.zeros(len(pixels)))
        _change(pixels, self.blurred, blurred, self.sigmas)
        return pixels


def draw(recipe: ColourRecipe, count: int, rng: np.random.Generator) -> Colours:
    """The colours of `count` images."""
    coins = torch.from_numpy(rng.random((3, count)))
    shares = torch.tensor([recipe.jitter_share, recipe.grey_share, recipe.blur_share])[:, None]
    jittered, grey, blurry = (coins < shares).unbind(0)
    order = torch.from_numpy(rng.random((count, 4)).argsort(1))
    reach = np.array(recipe.jitter)
    amounts = rng.uniform(np.array([1, 1, 1, 0]) - reach, np.array([1, 1, 1, 0]) + reach, (count, 4))
    sigmas = rng.uniform(*SIGMAS, count)
    return Colours(jittered, grey, blurry, order, _single(amounts), _single(sigmas))


def _single(drawn: np.ndarray) -> Tensor:
    return torch.from_numpy(drawn.astype(np.float32))


def _change(pixels: Tensor, chosen: Tensor, change: "Change", amounts: Tensor) -> None:
    """Changes the chosen images in place. Which they are lies on the CPU, so nothing waits for the device."""
    places = chosen.nonzero()[:, 0]
    if len(places):
        there = places.to(pixels.device, non_blocking=True)
        how_much = amounts[places].to(pixels.device, non_blocking=True)
        pixels[there] = change(pixels[there], how_much.view(-1, 1, 1, 1))


def luminance(pixels: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, 1, S, S); of one channel itself."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels.split(1, dim=1)
    grey: Tensor = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    return grey


def brighter(pixels: Tensor, factor: Tensor) -> Tensor:
    """Times the factor (B, 1, 1, 1)."""
    return (pixels * factor).clamp(0, 1)


def more_contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    """Away from the image's mean luminance."""
    mean = luminance(pixels).mean((1, 2, 3), keepdim=True)
    return (factor * pixels + (1 - factor) * mean).clamp(0, 1)


def more_colour(pixels: Tensor, factor: Tensor) -> Tensor:
    """Away from each pixel's luminance."""
    return (factor * pixels + (1 - factor) * luminance(pixels)).clamp(0, 1)


def other_hue(pixels: Tensor, turn: Tensor) -> Tensor:
    """Hue shifted by a part of a whole turn, (B, 1, 1, 1), in HSV (B, 3, S, S)."""
    highest = pixels.amax(1)
    chroma = highest - pixels.amin(1)
    hue = (_sextant(pixels, highest, chroma) + 6 * turn[:, 0]) % 6
    channels = [(place + hue) % 6 for place in (5, 3, 1)]
    return torch.stack([highest - chroma * torch.minimum(each, 4 - each).clamp(0, 1) for each in channels], 1)


def _sextant(pixels: Tensor, highest: Tensor, chroma: Tensor) -> Tensor:
    """(B, S, S): the hue, six to a turn; 0 for grey."""
    red, green, blue = pixels.unbind(1)
    whole = torch.where(chroma > 0, chroma, 1.0)
    of_blue = (red - green) / whole + 4
    of_green = torch.where(highest == green, (blue - red) / whole + 2, of_blue)
    return torch.where(highest == red, (green - blue) / whole, of_green)


Change = Callable[[Tensor, Tensor], Tensor]  # images and how much of it, (n, 1, 1, 1) -> images
CHANGES: tuple[Change, ...] = (brighter, more_contrast, more_colour, other_hue)


def blurred(pixels: Tensor, sigmas: Tensor) -> Tensor:
    """(B, C, S, S), each image blurred by a Gaussian of its own deviation (B, 1, 1, 1), the border repeated."""
    count, channels, side = pixels.shape[:3]
    reach = math.ceil(CUT * SIGMAS[1])
    steps = torch.arange(-reach, reach + 1, device=pixels.device)
    weights = torch.exp(-0.5 * (steps / sigmas.view(-1, 1)).square())
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = pad(pixels.reshape(1, count * channels, side, -1), [reach] * 4, mode="replicate")
    down = conv2d(planes, weights[:, None, :, None], groups=count * channels)
    return conv2d(down, weights[:, None, None, :], groups=count * channels).view_as(pixels)
