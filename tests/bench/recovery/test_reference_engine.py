"""The reference engine against the paper's equations (5) and (7), written out here on their own."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.condensation import Task
from bench.errors import RunFailure
from bench.loops.iterations import GUARD_EVERY
from bench.recovery.engine import Batch, Engine, initial_images, rate
from bench.recovery.engines import engine_for
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.reference import ReferenceEngine
from bench.recovery.views import Box, RecoveryView

WHOLE = RecoveryView(None, False, (0, 0))
TARGETS = torch.tensor([0, 1, 2])
shared_network = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)


def recipe(**changes: object) -> RecoveryRecipe:
    return RecoveryRecipe.model_validate({"iterations": 12, "lr": 0.1, "bn_weight": 1.0, "roll": (-2, 2)} | changes)


def recovered_by(engine: Engine, task: Task, seed: int = 0) -> Tensor:
    return engine.recover(task, [Batch(TARGETS, seed)])[0]


def start(task: Task, seed: int) -> Tensor:
    return initial_images(task, [Batch(TARGETS, seed)])[0]


def by_hand(weights: dict[str, Tensor], images: Tensor, targets: Tensor, alpha: float, first: float) -> Tensor:
    """Equation (5) with equation (7), from sums, products and roots of the network's weights alone."""
    total = images.new_zeros(())
    hidden = images
    for number, (convolution, norm) in enumerate((("0", "1"), ("3", "4"))):
        hidden = convolved(hidden, weights[f"{convolution}.weight"], weights.get(f"{convolution}.bias"))
        batch, channels, height, width = hidden.shape
        count = batch * height * width
        mean = hidden.sum((0, 2, 3)) / count
        variance = (hidden - mean.view(1, channels, 1, 1)).pow(2).sum((0, 2, 3)) / count
        running_mean, running_variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        distance = (mean - running_mean).pow(2).sum().sqrt() + (variance - running_variance).pow(2).sum().sqrt()
        total = total + (first if number == 0 else 1.0) * distance
        scale = weights[f"{norm}.weight"] / (running_variance + 1e-5).sqrt()
        shift = weights[f"{norm}.bias"] - running_mean * scale
        hidden = (hidden * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).clamp(min=0)
    logits = hidden.mean((2, 3)) @ weights["8.weight"].T + weights["8.bias"]
    likelihood = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -likelihood[torch.arange(len(targets)), targets].log().mean() + alpha * total


def convolved(images: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """3x3, one pixel of zeros around, as a sum of nine shifted products."""
    height, width = images.shape[2:]
    padded = images.new_zeros(*images.shape[:2], height + 2, width + 2)
    padded[:, :, 1:-1, 1:-1] = images
    shifted = [
        torch.einsum(
            "bchw,oc->bohw", padded[:, :, row : row + height, column : column + width], kernel[:, :, row, column]
        )
        for row in range(3)
        for column in range(3)
    ]
    out = torch.stack(shifted).sum(0)
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def doubles(seed: int) -> Tensor:
    return torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@shared_network
@given(seed=st.integers(0, 2**32), alpha=st.floats(0, 10), first=st.floats(0, 20))
def test_loss_and_gradient_are_the_papers_in_float64(network: nn.Module, seed: int, alpha: float, first: float) -> None:
    engine = ReferenceEngine(network.double(), recipe(bn_weight=alpha, first_bn_multiplier=first))
    images = doubles(seed).requires_grad_()
    ours = engine.loss(images, TARGETS, WHOLE)
    expected = by_hand(network.state_dict(), images, TARGETS, alpha, first)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    (our_gradient,) = torch.autograd.grad(ours, [images])
    (gradient,) = torch.autograd.grad(expected, [images])
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-8, atol=1e-10)


def test_gradient_agrees_with_finite_differences_through_the_view(network: nn.Module) -> None:
    engine = ReferenceEngine(network.double(), recipe())
    view = RecoveryView(Box(1, 0, 3, 4), flipped=True, roll=(1, -2))
    images = doubles(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: engine.loss(x, TARGETS, view), (images,), fast_mode=True)


def test_loss_is_taken_of_the_view(network: nn.Module) -> None:
    engine = ReferenceEngine(network, recipe())
    images = doubles(2).float()
    view = RecoveryView(Box(0, 1, 3, 3), flipped=True, roll=(2, 0))
    torch.testing.assert_close(engine.loss(images, TARGETS, view), engine.loss(view.of(images), TARGETS, WHOLE))
    assert not torch.allclose(engine.loss(images, TARGETS, view), engine.loss(images, TARGETS, WHOLE))


def test_training_mode_does_not_matter_because_the_engine_ends_it(network: nn.Module) -> None:
    network.train().requires_grad_(True)
    engine = ReferenceEngine(network, recipe())
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert engine.loss(doubles(3).float(), TARGETS, WHOLE).isfinite()


def test_images_follow_adam_on_the_papers_loss(network: nn.Module, task: Task) -> None:
    """A whole recovery, against Adam (betas 0.5, 0.9) and the cosine written out, over the loss by hand."""
    plain = recipe(crop="none", flip=False, roll=(0, 0), first_bn_multiplier=10.0, iterations=6)
    recovered = recovered_by(ReferenceEngine(network, plain), task, seed=4)
    weights = {name: tensor.double() for name, tensor in network.state_dict().items()}
    images = start(task, 4).double()
    lower, upper = (bound.double() for bound in task.dataset.normalisation.box(images))
    momentum, squares = torch.zeros_like(images), torch.zeros_like(images)
    for step in range(6):
        images.requires_grad_()
        (gradient,) = torch.autograd.grad(by_hand(weights, images, TARGETS, 1.0, 10.0), [images])
        momentum = 0.5 * momentum + 0.5 * gradient
        squares = 0.9 * squares + 0.1 * gradient**2
        step_size = 0.1 * (1 + math.cos(math.pi * step / 6)) / 2
        unbiased, unbiased_squares = momentum / (1 - 0.5 ** (step + 1)), squares / (1 - 0.9 ** (step + 1))
        moved = images.detach() - step_size * unbiased / (unbiased_squares.sqrt() + 1e-8)
        images = torch.minimum(torch.maximum(moved, lower), upper)
    torch.testing.assert_close(recovered, images.float(), atol=2e-3, rtol=0)


def test_the_rate_falls_along_a_cosine_without_warm_up() -> None:
    rates = [rate(recipe(lr=0.25, iterations=100), iteration) for iteration in range(101)]
    assert rates[0] == 0.25
    assert rates[50] == pytest.approx(0.125)
    assert rates[100] == pytest.approx(0)
    assert rates == sorted(rates, reverse=True)


def test_pixels_stay_valid(network: nn.Module, task: Task) -> None:
    images = recovered_by(ReferenceEngine(network, recipe(lr=5.0)), task)
    pixels = task.dataset.normalisation.invert(images)
    assert pixels.min() >= -1e-6 and pixels.max() <= 1 + 1e-6
    assert (pixels < 1e-6).any() and (pixels > 1 - 1e-6).any(), "a rate of 5 must reach both ends of the box"


def test_recovery_lowers_the_loss(network: nn.Module, task: Task) -> None:
    still = recipe(crop="none", flip=False, roll=(0, 0), iterations=100)
    engine = ReferenceEngine(network, still)
    before = engine.loss(start(task, 1), TARGETS, WHOLE)
    after = engine.loss(recovered_by(engine, task, seed=1), TARGETS, WHOLE)
    assert after < 0.5 * before


def test_the_network_is_as_it_was(network: nn.Module, task: Task) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recovered_by(engine_for(network, recipe()), task)
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not any(module.training or module._forward_pre_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_seeds_decide_the_images(network: nn.Module, task: Task, tmp_path: Path) -> None:
    engine = ReferenceEngine(network, recipe(iterations=3))
    tasks = [replace(task, workspace=tmp_path / str(number)) for number in range(3)]
    first, same, other = (recovered_by(engine, each, seed) for each, seed in zip(tasks, (5, 5, 6), strict=True))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_nan_in_the_network_fails_the_run(network: nn.Module, task: Task) -> None:
    engine = ReferenceEngine(network, recipe(iterations=GUARD_EVERY))
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    with pytest.raises(RunFailure, match="images held NaN"):
        recovered_by(engine, task)


def test_in_bf16_statistics_and_loss_stay_fp32(network: nn.Module, task: Task) -> None:
    halved = replace(task, precision="bf16")
    engine = ReferenceEngine(network, recipe())
    images = start(halved, 0)
    with halved.autocast():
        assert network(images).dtype == torch.bfloat16
        loss = engine.loss(images, TARGETS, WHOLE)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, engine.loss(images, TARGETS, WHOLE), rtol=2e-2, atol=0)
    assert recovered_by(engine, halved).dtype == torch.float32


def test_a_network_without_batchnorm_is_refused() -> None:
    with pytest.raises(RunFailure, match="Flatten has no BatchNorm"):
        engine_for(nn.Flatten(), recipe())
