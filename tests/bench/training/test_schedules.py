"""Schedules against torch's own schedulers and their formulas."""

import math
from collections.abc import Callable

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR

from bench.training.recipes import TrainingRecipe
from bench.training.schedules import multiplier, resets_momentum


def recipe(**changes: object) -> TrainingRecipe:
    return TrainingRecipe.model_validate({"epochs": 12, "batch_size": 4, "lr": 1.0, "weight_decay": 0, **changes})


def test_warm_up_and_cosine_are_torchs_sequence() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    warm = LinearLR(optimizer, start_factor=0.01, total_iters=5)
    schedule = SequentialLR(optimizer, [warm, CosineAnnealingLR(optimizer, T_max=7)], milestones=[5])
    ours = recipe(warmup_epochs=5)
    for epoch in range(12):
        assert multiplier(ours, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_cosine_from_the_first_epoch() -> None:
    for epoch in range(12):
        assert multiplier(recipe(), epoch) == pytest.approx(0.5 * (1 + math.cos(math.pi * epoch / 12)))


def test_half_cosine_heads_for_a_half() -> None:
    long = recipe(epochs=10_000, schedule="half-cosine")
    assert multiplier(long, 0) == 1
    assert multiplier(long, 9_999) == pytest.approx(0.5, abs=1e-4)


def test_step_drops_once_after_the_middle_and_resets_the_momentum_there() -> None:
    ours = recipe(schedule="step")
    assert [multiplier(ours, epoch) for epoch in range(12)] == [1.0] * 7 + [0.1] * 5
    assert [epoch for epoch in range(12) if resets_momentum(ours, epoch)] == [7]


def test_constant_neither_moves_nor_resets() -> None:
    ours = recipe(schedule="constant")
    assert {multiplier(ours, epoch) for epoch in range(12)} == {1.0}
    assert not any(resets_momentum(ours, epoch) for epoch in range(12))


def torchs(epochs: int, scheduler: Callable[[torch.optim.Optimizer], LRScheduler]) -> list[float]:
    """The rates of a training by one of torch's schedulers, stepped once an epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, rates = scheduler(optimizer), []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("zeta", [1.0, 1.5, 2.0, 3.0])
def test_zeta_stretches_the_cosine(zeta: float) -> None:
    """SC-DD's code for CIFAR runs 200 epochs of a cosine of 600, EDC's and CV-DD's of twice the epochs."""
    ours = [multiplier(recipe(zeta=zeta), epoch) for epoch in range(12)]
    assert ours == pytest.approx([0.5 * (1 + math.cos(math.pi * epoch / zeta / 12)) for epoch in range(12)])
    if zeta == 2:
        assert ours == [multiplier(recipe(schedule="half-cosine"), epoch) for epoch in range(12)]


def test_cosine_linear_is_edcs_cos2() -> None:
    """EDC's release, at zeta 2: the half-cosine to 5/6, then a line to 0 that begins at a sixth of it."""
    ours = [multiplier(recipe(schedule="cosine-linear", zeta=2.0), epoch) for epoch in range(12)]
    assert ours[:11] == pytest.approx([0.5 * (1 + math.cos(math.pi * epoch / 24)) for epoch in range(11)])
    turned = 0.5 * (1 + math.cos(5 * math.pi / 12))
    assert ours[10] == pytest.approx(turned) and ours[11] == pytest.approx(turned / 12)


def test_multistep_is_torchs() -> None:
    milestones = {"milestones": (0.8, 0.9, 0.95), "milestone_factor": 0.5, "schedule": "multistep"}
    long = recipe(epochs=1000, **milestones)
    theirs = torchs(1000, lambda optimizer: MultiStepLR(optimizer, [800, 900, 950], 0.5))
    assert [multiplier(long, epoch) for epoch in range(1000)] == pytest.approx(theirs)
    quick = [multiplier(recipe(epochs=200, **milestones), epoch) for epoch in range(200)]
    assert [epoch for epoch in range(1, 200) if quick[epoch] < quick[epoch - 1]] == [160, 180, 190]


@pytest.mark.parametrize("half", [{"schedule": "multistep"}, {"milestones": (0.5,)}])
def test_milestones_and_multistep_go_together(half: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="milestones belong to the schedule multistep"):
        recipe(**half)


def test_a_cosine_with_a_floor_ends_there_and_may_move_with_every_batch() -> None:
    ours = recipe(floor=0.1, warmup_epochs=2, warmup_factor=0, every_step=True)
    assert [multiplier(ours, epoch) for epoch in (0, 0.5, 1.25, 2)] == pytest.approx([0, 0.25, 0.625, 1])
    for epoch in (3, 4.75, 11.5):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * (epoch - 2) / 10)) / 2
        assert multiplier(ours, epoch) == pytest.approx(expected)
    with pytest.raises(ValueError, match="floor belongs to the schedule cosine"):
        recipe(floor=0.1, schedule="constant")
