"""Small pools of networks with statistics to match, for the tests of recovery."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.errors import Interrupted
from bench.recovery.engine import Batch, Engine
from bench.recovery.layers import ByLayer, layers_of, sizes_of, watched
from bench.recovery.pool import Member, RealStatistics
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.views import RecoveryView

WHOLE = RecoveryView(None, flipped=False, roll=(0, 0))
TARGETS = torch.tensor([0, 0, 1, 2])
BATCHES = [Batch(TARGETS, 3), Batch(TARGETS.flip(0), 4)]
EVERYTHING = {
    "match": ("batchnorm", "convolution"),
    "patch": 4,
    "global_share": 0.25,
    "smoothing": 0.8,
    "drop": 0.4,
    "densification": 0.5,
    "flatness": 0.3,
    "flatness_decay": 0.9,
    "crop": "padded",
    "pad": 2,
    "tv": 1e-3,
    "l2": 1e-2,
}


def recipe(**changes: object) -> MatchingRecipe:
    plain = {"iterations": 9, "lr": 0.1, "bn_weight": 0.5, "roll": (-2, 2)}
    return MatchingRecipe.model_validate(plain | changes)


def statistics(network: nn.Module, chosen: MatchingRecipe, classes: int = 3) -> RealStatistics:
    """Statistics that no images have, of the shapes of those that images have."""
    draws = seeds.generator("goals", type(network[1]).__name__)  # type: ignore[index]
    layers = layers_of(network, chosen.match)
    images = torch.zeros(1, 2, 8, 8, dtype=next(network.parameters()).dtype)
    with watched(layers, chosen.patch) as found, torch.no_grad():
        network(images)
    sizes = sizes_of(found)

    def drawn(*lead: int) -> ByLayer:
        return {
            place: tuple(torch.randn(*lead, size, generator=draws).abs().to(images.dtype) for size in lengths)
            for place, lengths in sizes.items()
        }

    return RealStatistics(drawn(), drawn(classes))


def pool(chosen: MatchingRecipe, *networks: nn.Module) -> list[Member]:
    return [Member(network, statistics(network, chosen)) for network in networks]


def continued(make: Callable[[], Engine], task: Task, batches: Sequence[Batch], looks: int) -> Tensor:
    """The images of a recovery that is stopped when it looks for the time after `looks`, and goes on."""
    answers = iter([False] * looks + [True])
    stopped = replace(task, workspace=task.workspace / "stopped", should_stop=lambda: next(answers))
    with pytest.raises(Interrupted):
        make().recover(stopped, batches)
    return make().recover(replace(stopped, should_stop=lambda: False), batches)


def images_of(count: int) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=seeds.generator("images", count), dtype=torch.float64)
