"""Learning curves of a training: loss and accuracy of each epoch, test accuracy after a few of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.evaluation import Curves
from bench.loops.checkpoints import State


class Curve:
    """The curves of one training, kept while it runs. Nothing is chosen by them.

    Args:
        epochs: how many there will be.
        looks: after how many of them, evenly apart and before the last, the test split is looked at.
        top1: percent of it that a network gets right.
        device: where sums stay until an epoch ends.
    """

    def __init__(self, epochs: int, looks: int, top1: Callable[[nn.Module], float], device: torch.device) -> None:
        self.tested_after, self._top1 = spaced(looks, epochs), top1
        self.train_loss = _unknown(epochs)
        self.train_top1 = _unknown(epochs)
        self.test_top1 = _unknown(len(self.tested_after))
        self._right = torch.zeros((), dtype=torch.int64, device=device)
        self._shown = torch.zeros((), dtype=torch.int64)

    @property
    def state(self) -> State:
        """What a checkpoint holds."""
        names = ("train_loss", "train_top1", "test_top1", "_right", "_shown")
        return {f"curve {name.strip('_')}": getattr(self, name) for name in names}

    def count(self, logits: Tensor, classes: Tensor) -> None:
        """A batch: what the network said, (B, K), and the images' own classes, (B,)."""
        self._right += (logits.detach().argmax(dim=1) == classes).sum()
        self._shown += len(classes)

    def end(self, epoch: int, loss: float, network: nn.Module) -> None:
        """An epoch, from 0, ends, of that mean loss; the network is what would be tested were it the last."""
        self.train_loss[epoch], self.train_top1[epoch] = loss, 100 * int(self._right) / int(self._shown)
        self._right.zero_()
        self._shown.zero_()
        if epoch + 1 in self.tested_after:
            self.test_top1[self.tested_after.index(epoch + 1)] = self._top1(network)

    def ended(self, confusion: Tensor) -> Curves:
        """All of it, with what the network confuses at the end."""
        after = torch.tensor(self.tested_after, dtype=torch.int64)
        return Curves(self.train_loss, self.train_top1, after, self.test_top1, confusion)


def spaced(count: int, epochs: int) -> tuple[int, ...]:
    """So many of the epochs before the last, evenly apart: (25, 50, 75) for 3 of 100."""
    count = max(0, min(count, epochs - 1))
    return tuple(dict.fromkeys(max(1, round(number * epochs / (count + 1))) for number in range(1, count + 1)))


def _unknown(count: int) -> Tensor:
    return torch.full((count,), torch.nan, dtype=torch.float64)
