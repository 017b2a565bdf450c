"""Parameter groups and optimisers."""

import pytest
import torch
from torch import nn

from bench.training import optimizers
from bench.training.recipes import TrainingRecipe


def recipe(**changes: object) -> TrainingRecipe:
    return TrainingRecipe.model_validate({"epochs": 2, "batch_size": 4, "lr": 0.1, "weight_decay": 0.01, **changes})


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_all_weights_decay_by_default() -> None:
    optimizer = optimizers.build(recipe(), network())
    assert isinstance(optimizer, torch.optim.SGD)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [(6, 0.01)]


def test_biases_and_norm_scales_can_be_exempt() -> None:
    optimizer = optimizers.build(recipe(optimizer="adamw", decay_all=False), network())
    assert isinstance(optimizer, torch.optim.AdamW)
    decayed, exempt = optimizer.param_groups
    assert (decayed["weight_decay"], {weight.dim() for weight in decayed["params"]}) == (0.01, {2, 4})
    assert (exempt["weight_decay"], {weight.dim() for weight in exempt["params"]}) == (0.0, {1})


def test_adam_s_decay_is_a_part_of_the_gradient() -> None:
    """At a gradient of 0 AdamW shrinks a weight by rate x decay; Adam sees decay x weight, and steps by its rate."""
    found = {}
    for name in ("adam", "adamw"):
        net = nn.Linear(1, 1, bias=False)
        net.weight.data.fill_(2.0)
        net.weight.grad = torch.zeros(1, 1)
        optimizers.build(recipe(optimizer=name), net).step()
        found[name] = net.weight.item()
    assert found == {"adam": pytest.approx(1.9, abs=1e-5), "adamw": pytest.approx(2.0 * (1 - 0.001), abs=1e-5)}


@pytest.mark.parametrize(
    ("changes", "second"),
    [
        ({"optimizer": "sgd", "momentum": 0.5}, 0.5),
        ({"optimizer": "adam", "betas": (0.5, 0.9)}, (1 / 3) / (9 / 19) ** 0.5),
        ({"optimizer": "adamw", "betas": (0.5, 0.9)}, (1 / 3) / (9 / 19) ** 0.5),
    ],
)
def test_what_is_remembered_of_gradients_is_what_the_recipe_says(changes: dict[str, object], second: float) -> None:
    """A gradient of 1, then one of 0: the first step is the rate; the second, of it, half, or m / sqrt(v) by hand.

    m = 0.5 x 0.5 / (1 - 0.5^2) = 1/3, v = 0.9 x 0.1 / (1 - 0.9^2) = 9/19.
    """
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(2.0)
    optimizer = optimizers.build(recipe(weight_decay=0.0, **changes), net)
    for gradient in (1.0, 0.0):
        net.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    assert net.weight.item() == pytest.approx(2.0 - 0.1 * (1 + second), abs=1e-6)


def test_frozen_weights_are_left_out() -> None:
    net = network()
    net[0].requires_grad_(False)  # type: ignore[index]
    assert len(optimizers.build(recipe(), net).param_groups[0]["params"]) == 4


def test_restored_moments_take_the_layout_of_their_weights() -> None:
    net = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = optimizers.build(recipe(), net)
    moment = torch.randn(4, 3, 3, 3)
    optimizer.state[net.weight]["momentum_buffer"] = moment
    optimizers.match_layout(optimizer)
    assert optimizer.state[net.weight]["momentum_buffer"].stride() == net.weight.stride() != moment.stride()
    assert torch.equal(optimizer.state[net.weight]["momentum_buffer"], moment)
