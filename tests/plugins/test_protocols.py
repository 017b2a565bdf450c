"""The shared protocols: exactly the recipes that their names promise, at both budgets."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from bench.errors import UsageError
from bench.evaluation import PAPER, Protocol
from bench.plugins import Registry
from bench.recipes import Budget, Setting
from bench.training.protocol import Plan, TrainingProtocol
from bench.training.recipes import TrainingRecipe

REGISTRY = Registry()
SETTING = Setting("tiny-imagenet", 64, 3, 10, 10, "convnet4-bn")
SETTINGS = [
    SETTING,
    replace(SETTING, dataset="digits", resolution=8, channels=1),
    replace(SETTING, dataset="imagenet-1k", resolution=224, classes=1000),
    replace(SETTING, dataset="photographs", resolution=128),
]


def load(name: str) -> TrainingProtocol:
    protocol = REGISTRY.load("protocol", name)
    assert isinstance(protocol, TrainingProtocol)
    return protocol


def test_offers_say_what_they_are() -> None:
    offered = {registered.offer.name for registered in REGISTRY.registered("protocol")}
    assert {"hard", "soft", PAPER} <= offered
    for name in ("hard", "soft", PAPER):
        protocol = REGISTRY.load("protocol", name)
        assert isinstance(protocol, Protocol) and protocol.name == name and protocol.version == 1


def test_paper_is_a_word_and_says_so(make_nothing: Any) -> None:  # noqa: ANN401 - never looked at
    with pytest.raises(UsageError, match="stands for the method's own protocol"):
        REGISTRY.load("protocol", PAPER).evaluate(make_nothing, make_nothing, "convnet3", 0)


@pytest.fixture
def make_nothing() -> None:
    return None


def test_hard_is_eval_dsa() -> None:
    """METHODS section 2, EVAL-DSA."""
    plan = load("hard").plan(SETTING)
    expected = TrainingRecipe(
        epochs=1000,
        batch_size=256,
        optimizer="sgd",
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="step",
        dsa="color_crop_cutout_flip_scale_rotate",
    )
    assert plan == Plan(expected, None, None) and load("hard").labels == "hard"


def test_soft_is_eval_rethink_soft_with_srel2s_squeeze() -> None:
    """METHODS section 2, EVAL-RETHINK-SOFT; its teacher is card 1's squeezed network for Tiny-ImageNet."""
    plan = load("soft").plan(SETTING)
    assert plan.training == TrainingRecipe(
        epochs=300,
        batch_size=128,
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.01,
        decay_all=False,
        schedule="cosine",
        crop="resized",
        crop_scale=(0.08, 1.0),
        flip=True,
        mix="cutmix",
        mix_alpha=1.0,
        t_squared=False,
    )
    assert plan.temperature == 20.0 and load("soft").labels == "teacher"
    assert plan.teacher is not None and TrainingRecipe(**plan.teacher) == TrainingRecipe(
        epochs=50,
        batch_size=256,
        optimizer="sgd",
        lr=0.2,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_epochs=5,
        warmup_factor=0.01,
        crop="resized",
        flip=True,
    )


@pytest.mark.parametrize("name", ["hard", "soft"])
def test_digits_are_never_mirrored(name: str) -> None:
    plan = load(name).plan(SETTINGS[1])
    assert not plan.training.flip and "flip" not in plan.training.dsa
    assert plan.teacher is None or not TrainingRecipe(**plan.teacher).flip


@pytest.mark.parametrize("name", ["hard", "soft"])
def test_one_recipe_for_all_differs_over_datasets_in_the_flip_alone(name: str) -> None:
    protocol = load(name)
    plans = [protocol.plan(setting).training.model_dump() for setting in SETTINGS]
    for plan in plans:
        plan["flip"] = plan["dsa"] = None
    assert all(plan == plans[0] for plan in plans)


@pytest.mark.parametrize("name", ["hard", "soft"])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.dataset)
@pytest.mark.parametrize("budget", get_args(Budget))
def test_every_recipe_is_valid_at_every_budget(name: str, setting: Setting, budget: Budget) -> None:
    protocol = load(name)
    recipe, plan = protocol.recipe(setting), protocol.plan(replace(setting, budget=budget))
    assert recipe.source
    if plan.teacher is not None and "weights" not in plan.teacher:
        TrainingRecipe(**plan.teacher)
    if budget == "quick":
        assert plan.training.epochs < protocol.plan(setting).training.epochs
