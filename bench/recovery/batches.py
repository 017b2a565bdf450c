"""Images that are recovered together: their classes, their start, which networks count, and when each image joins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench import seeds
from bench.condensation import Task


@dataclass(frozen=True)
class Batch:
    """Images that are recovered together.

    Attributes:
        targets: int64 (B,), class indices, one an image.
        seed: of the initial noise and of every view.
        start: float32 (B, C, H, W) in normalised space, where the images start from; None for noise.
        shares: how much the loss in each network of the pool counts in every iteration, 0 for those that have no part
            in the batch; None where networks take part as the recipe says.
        real: float32 (n, C, H, W) in normalised space, on the CPU: images whose statistics the batch is to have, where
            the recipe wants such (`MatchingRecipe.class_goals`).
        joins: (B,), the iteration from which on each image is updated and seen, 0 for some (DELT); None for 0 for all.
    """

    targets: Tensor
    seed: int
    start: Tensor | None = None
    shares: tuple[float, ...] | None = None
    joins: tuple[int, ...] | None = None
    real: Tensor | None = None

    def only(self, places: Sequence[int]) -> "Batch":
        """Some of its images, all of them there from the first iteration on."""
        chosen = list(places)
        start = None if self.start is None else self.start[chosen]
        return replace(self, targets=self.targets[chosen], start=start, joins=None)


@dataclass(frozen=True)
class Phase:
    """Iterations, from `begin` to the next phase, in which the same images are there.

    Attributes:
        places: of these images in their batch.
    """

    begin: int
    places: tuple[int, ...]


def phases_of(joins: Sequence[int]) -> list[Phase]:
    """The phases of a batch whose images join so.

    Raises:
        ValueError: no image is there at first.
    """
    begins = sorted(set(joins))
    if begins[0] != 0:
        raise ValueError(f"some image must be there from iteration 0 on; the first joins at {begins[0]}")
    return [Phase(begin, tuple(at for at, joined in enumerate(joins) if joined <= begin)) for begin in begins]


def joins_of(batches: Sequence[Batch]) -> tuple[int, ...] | None:
    """When the images of batches that are recovered at once join. Raises ValueError: they do not join alike."""
    joins = {batch.joins for batch in batches}
    if len(joins) > 1:
        raise ValueError("images of batches that are recovered at once join alike")
    return joins.pop()


def shares_of(batches: Sequence[Batch], device: torch.device) -> dict[int, Tensor] | None:
    """By the place of each network that has a part in some batch, how much it counts in each: (G, 1, 1, 1, 1).

    Raises:
        ValueError: some batches have shares and others none.
    """
    given = [batch.shares for batch in batches if batch.shares is not None]
    if not given:
        return None
    if len(given) < len(batches):
        raise ValueError("batches that are recovered at once have shares all, or none of them")
    by_place = enumerate(zip(*given, strict=True))
    return {place: torch.tensor(each, device=device).view(-1, 1, 1, 1, 1) for place, each in by_place if any(each)}


def initial_images(task: Task, batches: Sequence[Batch]) -> Tensor:
    """Where the batches start, float32 (G, B, C, H, W): their own start, or N(0, 1) in normalised space.

    Noise is drawn on the CPU, so every device starts alike.
    """
    _, _, *shape = shape_of(task, batches)
    starts = [_noise(batch, shape) if batch.start is None else batch.start.float().cpu() for batch in batches]
    return torch.stack(starts).to(task.device)


def shape_of(task: Task, batches: Sequence[Batch]) -> tuple[int, int, int, int, int]:
    """(G, B, C, H, W) of their images."""
    dataset = task.dataset
    return len(batches), len(batches[0].targets), dataset.channels, dataset.resolution, dataset.resolution


def _noise(batch: Batch, shape: Sequence[int]) -> Tensor:
    return torch.randn((len(batch.targets), *shape), generator=seeds.generator("initial images", batch.seed))
