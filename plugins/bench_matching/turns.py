"""SGD with momentum over images whose classes are updated one after the other, computed for all classes at once.

IDC's release has one optimiser over all images and steps it after each class: momentum then moves the images of every
other class, too. Classes share nothing in a round but the network, which stands still, so what k such steps do to a
class without a gradient has a closed form, and no class need wait for another:

    x <- x - lr v (m + ... + m^k),    v <- m^k v
"""

import torch
from torch import Tensor


class Turns:
    """The momentum of images (classes, ...), which take turns in the order of their classes.

    Attributes:
        velocity: what moves, of the images' shape; with them the whole state.
    """

    def __init__(self, images: Tensor, lr: float, momentum: float) -> None:
        self.images, self.velocity = images, torch.zeros_like(images)
        self._lr, self._momentum = lr, momentum
        before = torch.arange(len(images), dtype=torch.float64)
        self._before, self._after = self._coasting(before), self._coasting(before.flip(0))

    def to_turns(self) -> None:
        """Each class as it is when its turn comes: after the steps of those before it."""
        self._coast(*self._before)

    def step(self, gradient: Tensor) -> None:
        """Each class's own step, and those of the classes after it."""
        self.velocity.mul_(self._momentum).add_(gradient)
        self.images.sub_(self._lr * self.velocity)
        self._coast(*self._after)

    def _coasting(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """How far a velocity carries images in so many steps, and what is left of it: (classes, 1, ...) each."""
        left = self._momentum**steps
        carried = self._momentum * (1 - left) / (1 - self._momentum)
        shape = (-1, *[1] * (self.images.dim() - 1))
        return carried.to(self.images).view(shape), left.to(self.images).view(shape)

    def _coast(self, carried: Tensor, left: Tensor) -> None:
        self.images.sub_(self._lr * carried * self.velocity)
        self.velocity.mul_(left)
