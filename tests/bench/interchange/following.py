"""A plugin for tests: a protocol on a set's own labels, with the views that stored labels of others have."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

RECIPE = {
    **{"source": "of tests", "epochs": 8, "batch_size": 5, "lr": 0.05, "weight_decay": 0.0},
    **{"crop": "resized", "flip": True, "schedule": "constant"},
}


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """`following`."""
    book = RecipeBook({"recipes": {"small": RECIPE, "large": RECIPE}})
    return [Offer("following", TrainingProtocol("following", "own", book), "stored labels without mixes")]
