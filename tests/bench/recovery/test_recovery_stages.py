"""Stages that mix the start back in, and images that join later."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from pools import BATCHES, continued, images_of, recipe
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from bench.condensation import Task
from bench.recovery.batches import initial_images
from bench.recovery.engine import Batch, rate
from bench.recovery.engines import engine_for
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.reference import ReferenceEngine
from bench.recovery.views import draw_view


def by_hand(chosen: MatchingRecipe, network: nn.Module, task: Task, batch: Batch, begins: Sequence[int]) -> Tensor:
    """FADRM's loop, in plain torch: a new Adam a stage, the start mixed in by half before each but the first."""
    gradient = ReferenceEngine(network, chosen).gradient(task, [batch])
    start = initial_images(task, [batch])
    images, (lower, upper) = start.clone(), task.dataset.normalisation.box(start)
    first, second, steps = torch.zeros_like(start), torch.zeros_like(start), 0
    for iteration in range(chosen.iterations):
        if iteration in begins:
            images, first, second, steps = 0.5 * images + 0.5 * start, first * 0, second * 0, 0
        found, steps = gradient(images, iteration), steps + 1
        first, second = 0.5 * first + 0.5 * found, 0.9 * second + 0.1 * found**2
        step = first / (1 - 0.5**steps) / ((second / (1 - 0.9**steps)).sqrt() + 1e-8)
        images = (images - rate(chosen, iteration) * step).clamp(lower, upper)
    return images


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_after_a_stage_the_start_is_mixed_in_and_adam_is_new(network: nn.Module, task: Task, engine: str) -> None:
    chosen = recipe(iterations=7, stages=3, residual=0.5, engine=engine)
    batch = replace(BATCHES[0], start=images_of(4).float().clamp(-1, 1))
    expected = by_hand(chosen, network, task, batch, begins=(2, 4))
    found = engine_for(network, chosen).recover(task, [batch])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    apart = replace(task, workspace=task.workspace / "other")
    assert not torch.allclose(engine_for(network, recipe(iterations=7, engine=engine)).recover(apart, [batch]), found)


def test_a_recipe_without_stages_dumps_as_it_did() -> None:
    assert not {"stages", "residual"} & set(recipe().model_dump())
    assert recipe(stages=2).model_dump()["stages"] == 2
    assert recipe(iterations=1, stages=4).stage_begins == frozenset()


def as_released(chosen: MatchingRecipe, network: nn.Module, task: Task, batch: Batch, sides: Sequence[int]) -> Tensor:
    """FADRM's loop over --input-size-lis with as many iterations each: a tensor of its own and an Adam a stage."""
    engine, patches = ReferenceEngine(network, chosen), initial_images(task, [batch])[0]
    lower, upper = task.dataset.normalisation.box(patches)
    images, each = F.interpolate(patches, size=(sides[0],) * 2, mode="bilinear"), chosen.iterations // len(sides)
    for stage, side in enumerate(sides):
        if stage:
            images, start = (F.interpolate(some, size=(side, side), mode="bilinear") for some in (images, patches))
            images = chosen.residual * images + (1 - chosen.residual) * start
        images = images.clone().requires_grad_()
        adam = torch.optim.Adam([images], betas=(0.5, 0.9), eps=1e-8)
        for iteration in range(stage * each, (stage + 1) * each):
            adam.param_groups[0]["lr"] = rate(chosen, iteration)
            view = draw_view(chosen, side, batch.seed, iteration)
            (images.grad,) = torch.autograd.grad(engine.loss(images, batch.targets, view), [images])
            adam.step()
            images.data.clamp_(lower, upper)
        images = images.detach()
    return images


CHANGING = {"iterations": 8, "stages": 4, "scales": (0.75, 1.0), "residual": 0.3}


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_images_change_their_size_from_stage_to_stage(network: nn.Module, task: Task, engine: str) -> None:
    chosen = recipe(**CHANGING, engine=engine)
    batches = [
        replace(batch, start=images_of(4).float().clamp(-1, 1) * (place + 1) / 2) for place, batch in enumerate(BATCHES)
    ]
    found = engine_for(network, chosen).recover(task, batches)
    for place, batch in enumerate(batches):
        expected = as_released(chosen, network, task, batch, (6, 8, 6, 8))
        torch.testing.assert_close(found[place], expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("looks", [1, 3, 4, 5])
def test_changing_sizes_go_on_to_the_same_bits(network: nn.Module, task: Task, engine: str, looks: int) -> None:
    chosen = recipe(**CHANGING, engine=engine)
    make = partial(engine_for, network, chosen)
    assert torch.equal(continued(make, task, BATCHES, looks), make().recover(task, BATCHES))


def test_sizes_go_round_and_end_at_the_set_s() -> None:
    changing = recipe(iterations=2000, stages=4, scales=(0.892857, 1.0))
    assert [changing.side(each, 224) for each in (0, 499, 500, 999, 1000, 1500, 1999)] == [
        200,
        200,
        224,
        224,
        200,
        224,
        224,
    ]
    assert changing.sides(224) == {200: 1000, 224: 1000}
    few = recipe(iterations=3, stages=4, scales=(0.892857, 1.0))
    assert [few.side(each, 224) for each in range(3)] == [224, 200, 224]
    assert "scales" not in recipe(stages=4).model_dump()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages": 3, "scales": (0.9, 1.0)}, "the last of 3 stages must have the set's resolution"),
        ({"stages": 2, "scales": (0.9, 1.0), "flatness": 0.5}, "can be had at changing sizes"),
        ({"stages": 2, "scales": (0.9, 1.0), "match": ("convolution",)}, "can be had at changing sizes"),
    ],
)
def test_what_cannot_change_its_size_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        recipe(**changes)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("looks", [1, 4, 6])
def test_stages_and_joining_go_on_to_the_same_bits(network: nn.Module, task: Task, engine: str, looks: int) -> None:
    chosen = recipe(stages=3, engine=engine)
    joining = [replace(batch, joins=(0, 3, 0, 6)) for batch in BATCHES]
    make = partial(engine_for, network, chosen)
    assert torch.equal(continued(make, task, joining, looks), make().recover(task, joining))


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_the_gradient_is_that_of_the_images_that_have_joined(network: nn.Module, task: Task, engine: str) -> None:
    made = engine_for(network, recipe(engine=engine))
    images = images_of(8).view(2, 4, 2, 8, 8).float()
    gradient = made._gradient_of_all(task, [replace(batch, joins=(0, 6, 3, 0)) for batch in BATCHES])
    for iteration, there in ((0, [0, 3]), (2, [0, 3]), (3, [0, 2, 3]), (5, [0, 2, 3]), (6, [0, 1, 2, 3])):
        found = gradient(images, iteration)
        alone = made.gradient(task, [replace(batch, targets=batch.targets[there]) for batch in BATCHES])
        torch.testing.assert_close(found[:, there], alone(images[:, there], iteration))
        assert not found[:, sorted({0, 1, 2, 3} - {*there})].any()


def test_images_stay_where_they_start_until_they_join(network: nn.Module, task: Task) -> None:
    start = images_of(4).float().clamp(-1, 1)
    batch = replace(BATCHES[0], start=start, joins=(0, 0, 9, 2))
    found = engine_for(network, recipe(iterations=9)).recover(task, [batch])
    assert torch.equal(found[0, 2], start[2])
    assert not any(torch.equal(found[0, place], start[place]) for place in (0, 1, 3))


@pytest.mark.parametrize(
    ("joins", "said"),
    [(((0, 0, 0, 1), None), "join alike"), (((1, 2, 2, 2), (1, 2, 2, 2)), "from iteration 0 on; the first joins at 1")],
)
def test_images_join_alike_and_some_at_once(
    network: nn.Module, task: Task, joins: tuple[tuple[int, ...] | None, ...], said: str
) -> None:
    batches = [replace(batch, joins=each) for batch, each in zip(BATCHES, joins, strict=True)]
    with pytest.raises(ValueError, match=said):
        engine_for(network, recipe()).recover(task, batches)


def test_nothing_is_remembered_where_images_join(network: nn.Module, task: Task) -> None:
    with pytest.raises(ValueError, match="neither smoothed statistics nor flatness"):
        engine_for(network, recipe(flatness=0.5)).recover(task, [replace(BATCHES[0], joins=(0, 0, 0, 1))])
