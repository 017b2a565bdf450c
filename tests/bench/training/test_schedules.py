"""Schedules against torch's own schedulers and their formulas."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

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
