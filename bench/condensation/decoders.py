"""What a stored image stands for where a set keeps several images in each: they are decoded before anything is trained.

A set of ipc images a class then costs the bytes of ipc images and trains on more of them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

GRAY = 0.5  # of pixels in [0, 1]: what a side is filled up with that the factor does not divide (IDC's release)


@dataclass(frozen=True)
class Grid:
    """An image is cut into factor x factor cells, each enlarged to the whole size: multi-formation.

    Kim et al., ICML 2022 (arXiv 2205.14959), section 3.2. Enlargement is bilinear in the half-pixel convention
    (`align_corners=False`). Cells of an image follow each other, row by row, and the images of a set stay in order.

    Attributes:
        factor: cells of a row, at least 2. Where it does not divide the side, gray is added below and on the right.
    """

    kind: ClassVar[str] = "grid"
    factor: int

    @property
    def count(self) -> int:
        """How many images a stored one decodes into."""
        return self.factor**2

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"kind": self.kind, "factor": self.factor}

    def unfit(self, side: int) -> str:
        """Why images of so many pixels a side are not of such cells, or ""."""
        beyond = -(-side // self.factor) * (self.factor - 1) >= side
        return f"{side} pixels do not go into {self.factor} cells: the last would be gray all over" if beyond else ""

    def decode(self, images: Tensor, gray: Tensor | float = GRAY) -> Tensor:
        """Float (N, C, S, S) -> (N * count, C, S, S). Differentiable, and the same on every run of a device.

        Args:
            gray: what `GRAY` is among the images' values; a tensor has the shape (C, 1, 1).
        """
        side = images.shape[-1]
        cell = -(-side // self.factor)
        if missing := cell * self.factor - side:
            images = F.pad(images - gray, (0, missing, 0, missing)) + gray
        cells = images.unflatten(3, (self.factor, cell)).unflatten(2, (self.factor, cell))
        larger = _enlarging(cell, side, images)
        return torch.einsum("ncaibj,io,jp->nabcop", cells, larger, larger).flatten(0, 2)

    def repeated(self, rows: Tensor) -> Tensor:
        """One row for each stored image, (N, ...) -> one for each decoded one, (N * count, ...)."""
        return rows.repeat_interleave(self.count, dim=0)

    def places(self, images: Tensor) -> Tensor:
        """Positions (N,) of stored images -> those (N * count,) of what they decode into."""
        return (images[:, None] * self.count + torch.arange(self.count, device=images.device)).flatten()


def _enlarging(cell: int, side: int, like: Tensor) -> Tensor:
    """(cell, side): the share of each pixel of a cell in each pixel of an axis that it is enlarged to."""
    every = torch.eye(cell, dtype=like.dtype, device=like.device)
    return F.interpolate(every[None], size=side, mode="linear", align_corners=False)[0]
