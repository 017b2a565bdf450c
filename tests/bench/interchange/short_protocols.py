"""Protocols that take a second, for tests that look at what stands beside a score."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

RECIPE = {
    "source": "ours: three epochs, for tries",
    **{"epochs": 3, "batch_size": 64, "lr": 0.01, "weight_decay": 5e-4, "schedule": "constant"},
}
RECIPES = {"recipes": {"small": RECIPE, "large": RECIPE}}
SHORT = TrainingProtocol("short", "hard", RecipeBook(RECIPES))
OWN = TrainingProtocol("short-own", "own", RecipeBook(RECIPES))


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("short", SHORT, "three epochs"), Offer("short-own", OWN, "the same on labels of the set")]
