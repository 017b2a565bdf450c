"""Images whose size changes from stage to stage (FADRM), in one piece of memory.

The piece has the size of the largest, the set's own; smaller images lie at its beginning. So optimiser and checkpoint
hold tensors of one shape, whatever stage it is. What lies behind smaller images has no gradient and is never seen.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def at_side(canvas: Tensor, side: int) -> Tensor:
    """The images of that side, (G, B, C, side, side), that lie in the canvas (G, B, C, S, S): a view of it."""
    if side == canvas.shape[-1]:
        return canvas
    shape = torch.Size((*canvas.shape[:3], side, side))
    return canvas.flatten()[: shape.numel()].view(shape)


def resized(images: Tensor, side: int) -> Tensor:
    """(G, B, C, s, s) -> (G, B, C, side, side), bilinearly and without antialiasing, as the code of FADRM has it."""
    if side == images.shape[-1]:
        return images
    flat = interpolate(images.flatten(0, 1), size=(side, side), mode="bilinear", align_corners=False)
    larger: Tensor = flat.unflatten(0, images.shape[:2])
    return larger


def spread(gradient: Tensor, canvas: Tensor) -> Tensor:
    """The gradient of the images that lie in the canvas as one of the canvas, contiguous as the fused Adam reads it."""
    if gradient.shape == canvas.shape:
        return gradient.contiguous()
    whole = torch.zeros_like(canvas)
    at_side(whole, gradient.shape[-1]).copy_(gradient)
    return whole
