"""Sharpness-aware steps: SAM, ASAM and GSAM against their equations in float64, and within the training loop."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from stopping import StopAfter
from torch import Tensor, nn
from torch.nn import functional as F

from bench.condensation import Task
from bench.errors import Interrupted
from bench.training import loop
from bench.training.curves import Curve
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TeacherRecipe, TrainingRecipe
from bench.training.sharpness import Sharpness
from bench.training.supervision import HardSupervision
from bench.training.views import Views, apply

MakeTask = Callable[..., Task]
SHAPES = ((4, 3), (4,), (2, 2, 3))
GSAM: dict[str, Any] = {"sam_rho": 0.05, "sam_adaptive": True, "gsam_alpha": 0.3}
FORMS: list[dict[str, Any]] = [{"sam_rho": 0.05}, {"sam_rho": 0.05, "sam_adaptive": True}, GSAM]


def recipe(**changes: object) -> TrainingRecipe:
    fields = {"epochs": 2, "batch_size": 16, "lr": 0.05, "weight_decay": 1e-3, "schedule": "constant", **changes}
    return TrainingRecipe.model_validate(fields)


def job(task: Task, training: TrainingRecipe, curve: Curve | None = None) -> TrainingJob:
    path = task.workspace / "training.checkpoint.safetensors"
    return TrainingJob(training, Feed.of(task), HardSupervision(), 11, path, "test", curve=curve)


def vector(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def drawn(seed: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=draws, dtype=torch.float64) for shape in SHAPES]


# --- equations -------------------------------------------------------------------------------------------------------


def test_uphill_is_along_the_gradient_and_as_far_as_rho() -> None:
    weights, gradients = drawn(0), drawn(1)
    shift = vector(Sharpness(0.3).uphill(weights, gradients))
    torch.testing.assert_close(shift, 0.3 * vector(gradients) / vector(gradients).norm())


def test_adaptively_it_is_as_far_as_rho_where_each_weight_is_measured_by_its_size() -> None:
    weights, gradients = drawn(0), drawn(1)
    shift = vector(Sharpness(0.3, adaptive=True).uphill(weights, gradients))
    w, g = vector(weights), vector(gradients)
    torch.testing.assert_close(shift, 0.3 * w**2 * g / (w.abs() * g).norm())
    torch.testing.assert_close((shift / w.abs()).norm(), torch.tensor(0.3, dtype=torch.float64))


def test_the_part_of_the_first_gradient_that_is_vertical_to_the_second_is_taken_off() -> None:
    here, above = drawn(1), drawn(2)
    step = vector(Sharpness(0.3, 0.4, adaptive=True).direction(here, above))
    g, h = vector(here), vector(above)
    vertical = g - (g @ h) / (h @ h) * h
    torch.testing.assert_close(step, h - 0.4 * vertical)
    torch.testing.assert_close((step - h) @ h, torch.zeros((), dtype=torch.float64), atol=1e-9, rtol=0)


def test_without_alpha_the_step_is_the_second_gradient() -> None:
    here, above = drawn(1), drawn(2)
    assert all(map(torch.equal, Sharpness(0.3).direction(here, above), above))


# --- in a training ---------------------------------------------------------------------------------------------------


def by_hand(task: Task, training: TrainingRecipe) -> nn.Module:
    """Plain torch: two backward passes a step, all weights as one vector, no momentum forgotten."""
    network = task.network(5).double().train()
    views, feed, moved = Views(training, 11, len(task.dataset.train), 8), job(task, training).feed, Tensor()
    weights = list(network.parameters())

    def gradient(at: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        nn.utils.vector_to_parameters(at, weights)
        return vector(torch.autograd.grad(F.cross_entropy(network(images), labels), weights))

    w = vector([weight.detach() for weight in weights]).clone()
    for epoch in range(training.epochs):
        for batch in range(views.batches):
            view = views.at(epoch, batch)
            images, labels = apply(view, feed.images(view.indices)).double(), feed.labels(view.indices)
            g = gradient(w, images, labels)
            statistics = [buffer.clone() for buffer in network.buffers()]
            e = w**2 * g / (w.abs() * g).norm() if training.sam_adaptive else g / g.norm()
            h = gradient(w + training.sam_rho * e, images, labels)
            for buffer, value in zip(network.buffers(), statistics, strict=True):
                buffer.copy_(value)
            step = h - training.gsam_alpha * (g - (g @ h) / (h @ h) * h) + training.weight_decay * w
            moved = step if not len(moved) else training.momentum * moved + step
            w = w - training.lr * moved
    nn.utils.vector_to_parameters(w, weights)
    return network


@pytest.mark.parametrize("form", FORMS)
def test_a_training_is_that_of_two_passes_written_plainly(make_task: MakeTask, form: dict[str, Any]) -> None:
    """With BatchNorm's running statistics, which move by the first pass of each step alone."""
    task, training = make_task(), recipe(**form, dsa="color_crop")
    ours = loop.train(task, task.network(5), job(task, training)).state_dict()
    theirs, start = by_hand(task, training).state_dict(), task.network(5).state_dict()
    plain = loop.train(task, task.network(5), job(task, recipe(dsa="color_crop"))).state_dict()
    assert any("running_var" in name for name in ours)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name].to(tensor.dtype), tensor, rtol=1e-4, atol=1e-5)
    weights = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    apart = vector([ours[name] - plain[name] for name in weights]).norm()
    assert float(apart) > 0.01 * float(vector([ours[name] - start[name] for name in weights]).norm())


def test_an_interrupted_training_ends_with_the_same_weights(make_task: MakeTask) -> None:
    unbroken = loop.train(make_task(), make_task().network(5), job(make_task(), recipe(**GSAM)))
    stopped = make_task(should_stop=StopAfter(4))
    with pytest.raises(Interrupted):
        loop.train(stopped, stopped.network(5), job(stopped, recipe(**GSAM)))
    continued = loop.train(make_task(), make_task().network(5), job(make_task(), recipe(**GSAM)))
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(continued.state_dict()[name], tensor), name


def test_both_passes_of_a_step_see_one_batch_and_drop_the_same(make_task: MakeTask) -> None:
    task, seen = make_task(), list[Tensor]()
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 64, 3))
    network[2].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    loop.train(task, network, job(task, recipe(**GSAM, dsa="color_crop_cutout")))
    assert all(torch.equal(first, second) for first, second in zip(seen[::2], seen[1::2], strict=True))
    assert not torch.equal(seen[0], seen[2])


def test_a_curve_counts_each_image_once(make_task: MakeTask) -> None:
    counted = list[int]()

    class Counting(Curve):
        def count(self, logits: Tensor, classes: Tensor) -> None:
            counted.append(len(classes))
            super().count(logits, classes)

    task = make_task()
    loop.train(task, task.network(5), job(task, recipe(**GSAM), Counting(2, 0, lambda _: 0.0, task.device)))
    assert sum(counted) == 2 * len(task.dataset.train)


def test_weights_that_take_no_part_stay(make_task: MakeTask) -> None:
    task = make_task()
    network = task.network(5)
    frozen = next(network.parameters()).requires_grad_(False)
    before = frozen.clone()
    loop.train(task, network, job(task, recipe(**GSAM)))
    assert torch.equal(frozen, before)


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_recipes_that_leave_it_alone_are_called_what_they_were() -> None:
    for kind in (TrainingRecipe, TeacherRecipe):
        plain = kind.model_validate({"epochs": 1, "batch_size": 2, "lr": 0.1, "weight_decay": 0})
        assert not {"sam_rho", "sam_adaptive", "gsam_alpha"} & set(plain.model_dump())
        assert Sharpness.of(plain) is None
    assert Sharpness.of(recipe(**GSAM)) == Sharpness(0.05, 0.3, adaptive=True)


@pytest.mark.parametrize("fields", [{"gsam_alpha": 0.3}, {"sam_adaptive": True}])
def test_what_belongs_to_a_radius_needs_one(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="belong to a sam_rho above 0"):
        recipe(**fields)
