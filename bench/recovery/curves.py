"""The loss of a recovery by term, kept at some of its iterations."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from bench.loops.losses import Losses

LOOKS = 64


class Termed(Protocol):
    """What knows the loss of the iteration that it was asked for last."""

    def by_term(self) -> Tensor:
        """(T,), on the device."""


class LossCurve:
    """One loop's loss by term at no more than `LOOKS` iterations, evenly apart, the first and the last among them.

    It stays on the device until the loop ends: nothing waits for a value.
    """

    def __init__(self, terms: Sequence[str], iterations: int, device: torch.device) -> None:
        last, looks = iterations - 1, min(LOOKS, iterations)
        self.terms = list(terms)
        self.iterations = [round(look * last / max(1, looks - 1)) for look in range(looks)]
        self.values = torch.zeros((looks, len(self.terms)), device=device)
        self._places = {iteration: place for place, iteration in enumerate(self.iterations)}

    def keep(self, iteration: int, loss: Termed) -> None:
        """Keeps the loss of an iteration, if it is one of those that are kept."""
        if (place := self._places.get(iteration)) is not None:
            self.values[place] = loss.by_term()

    def ended(self) -> Losses:
        """All of it, where the loop has ended."""
        return Losses(terms=self.terms, iterations=self.iterations, values=self.values.tolist())
