"""Every recipe of every method and protocol is valid for every dataset at both budgets, and says where it is from."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.data.finding import load_card
from bench.extensions.registry import Registry
from bench.recipes import Setting, value_at
from bench.training.protocol import TrainingProtocol
from bench.training.recipes import TrainingRecipe

REGISTRY = Registry()
METHODS = [name for name in REGISTRY.names("method") if REGISTRY.load("method", name).made_here]
PROTOCOLS = [
    name for name in REGISTRY.names("protocol") if isinstance(REGISTRY.load("protocol", name), TrainingProtocol)
]


def settings() -> Iterator[Setting]:
    """Every dataset that is offered, and one of the user's own in several sizes, with few images a class and many."""
    cards = [load_card(REGISTRY, name) for name in REGISTRY.names("dataset")]
    shapes = [(card.like or card.name, card.resolution, card.channels, card.classes or 10) for card in cards]
    for shape in (*shapes, *(("mine", side, 3, 10) for side in (8, 32, 64, 96, 224))):
        for ipc in (1, 10, 50):
            yield Setting(*shape, ipc, "resnet18")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_a_valid_recipe_for_every_dataset(name: str) -> None:
    method = REGISTRY.load("method", name)
    for at in settings():
        recipe = method.recipe(at)
        assert recipe.source
        config = method.Config.model_validate(recipe.at("paper"))
        assert method.Config.model_validate(config.model_dump(mode="json")) == config
        quick = method.Config.model_validate(recipe.at("quick"))
        assert (quick != config) == bool(recipe.taken())
        for each in (config, quick):
            method(each).check(at)
        assert all(value_at(recipe.at("quick"), key) <= value_at(recipe.values, key) for key in recipe.quick)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_has_a_valid_recipe_for_every_dataset(name: str) -> None:
    protocol: TrainingProtocol = REGISTRY.load("protocol", name)
    for at in settings():
        recipe, paper, quick = protocol.recipe(at), protocol.plan(at), protocol.plan(replace(at, budget="quick"))
        assert recipe.source and recipe.taken() and quick != paper and quick.training.epochs <= paper.training.epochs
        assert (paper.teacher is None) == (protocol.labels != "teacher"), "own labels need no other teacher"
        for plan in (paper, quick):
            if plan.teacher is not None and "weights" not in plan.teacher:
                TrainingRecipe(**{key: value for key, value in plan.teacher.items() if key != "backbone"})
