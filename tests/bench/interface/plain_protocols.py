"""A protocol without augmentation, which ten lines of anybody's follow."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

RECIPE = {
    "source": "ours: forty plain epochs, for tries",
    **{"epochs": 40, "batch_size": 8, "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": "constant",
}
PLAIN = TrainingProtocol("plain", "hard", RecipeBook({"recipes": {"small": RECIPE, "large": RECIPE}}))


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("plain", PLAIN, "forty plain epochs")]
