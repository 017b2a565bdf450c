"""Crops, translations and enlargements of a batch, one box per image, as two batched matrix products.

Bilinear resampling is separable: every output row is a weighted sum of two input rows, every output column of two
columns. With the weights written as matrices (B, S, S) a batch with a different box for each image needs no loop.
"""

import torch
from torch import Tensor


def resample(images: Tensor, boxes: Tensor) -> Tensor:
    """Each image's box, enlarged to the image's size. What lies outside the image is 0. Differentiable.

    Equals torchvision's `resized_crop(..., interpolation=BILINEAR)` for boxes inside the image; with and without
    `antialias`, because a box never exceeds the image and the filter of an enlargement is the same for both.

    Args:
        images: float (B, C, S, S).
        boxes: (B, 4), in pixels: top, left, height, width; heights and widths in 1..S.
    """
    top, left, height, width = boxes.to(images.device, non_blocking=True).unbind(1)
    rows = weights(top, height, images.shape[2]).to(images.dtype)
    columns = weights(left, width, images.shape[3]).to(images.dtype)
    return torch.einsum("boi,bcij,bpj->bcop", rows, images, columns)


def resized_crops(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Several boxes of each image, each resized to `size` pixels a side, enlarged or shrunk.

    Equals torchvision's `resized_crop(..., interpolation=BILINEAR, antialias=True)`.

    Args:
        images: float (B, C, S, S).
        boxes: (B, K, 4), in pixels and inside the image: top, left, height, width.
        size: pixels a side of the results.

    Returns:
        (B, K, C, size, size).
    """
    top, left, height, width = boxes.to(images.device, non_blocking=True).unbind(2)
    rows = antialiased(top, height, images.shape[2], size).to(images.dtype)
    columns = antialiased(left, width, images.shape[3], size).to(images.dtype)
    return torch.einsum("bkoi,bcij,bkpj->bkcop", rows, images, columns)


def antialiased(start: Tensor, length: Tensor, inputs: int, outputs: int) -> Tensor:
    """float32 (..., outputs, inputs): the share of input pixel j in output pixel o of an axis.

    A triangle as wide as two output pixels, and at least as two input pixels; what of it lies outside the piece is left
    out and the rest made up to 1.

    Args:
        start, length: (...), the piece of the axis that is resized.
        inputs, outputs: pixels of input and output.
    """
    start, length = start.float()[..., None, None], length.float()[..., None, None]
    pixels = torch.arange(inputs, device=start.device) - start
    scale = length / outputs
    centres = (torch.arange(outputs, device=start.device)[:, None] + 0.5) * scale - 0.5
    shares = (1 - (pixels - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    shares = shares * ((pixels >= 0) & (pixels < length))
    return shares / shares.sum(-1, keepdim=True)


def weights(start: Tensor, length: Tensor, size: int, sources: Tensor | None = None) -> Tensor:
    """float32 (B, size, size): the share of input pixel j in output pixel o of an axis, in the half-pixel convention.

    Args:
        start, length: (B,), the piece of the axis that is enlarged to `size` pixels.
        size: pixels of input and output.
        sources: int64 (B, size) or (size,), which pixel of the enlarged axis output pixel o shows (default: o).
    """
    pixels = torch.arange(size, device=start.device)
    shown = (pixels if sources is None else sources).float()
    start, length = start.float()[:, None], length.float()[:, None]
    centres = (shown + 0.5) * (length / size) - 0.5
    centres = torch.minimum(centres.clamp(min=0), length - 1) + start
    return (1 - (centres[:, :, None] - pixels).abs()).clamp(min=0)
