"""What a recipe and a set's labels say of losses and tests reaches the trainings, by numbers worked out by hand.

A student that says (2, 0, 0) of an image of class 0 has the cross-entropy log(e^2 + 2) - 2 = 0.239545. Against a
teacher that says (0, 0, 0) it has the mean squared difference 4/3 and the divergence of `divergence`.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as tv

from bench.condensation import Images, Task
from bench.labels import HardLabels, Labels, OnlineLabels, StoredLabels
from bench.recipes import RecipeBook
from bench.sets.condensed import CondensedSet
from bench.training.loop import TrainingJob
from bench.training.protocol import TrainingProtocol
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import Supervision
from bench.training.teachers import squeeze
from bench.training.views import BatchView

MakeTask = Callable[..., Task]
PLAIN: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "weight_decay": 1e-4}
CROSS_ENTROPY = 0.239545


def divergence(temperature: float) -> float:
    """KL((1, 1, 1) / 3 || (e^(2/T), 1, 1) / (e^(2/T) + 2)): 0.009336 at 7, 0.029098 at 4."""
    return math.log(math.exp(2 / temperature) + 2) - 2 / temperature / 3 - math.log(3)


LOSSES = pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"soft_loss": "mse", "hard_weight": 0.15, "t_squared": True}, lambda _: 4 / 3 + 0.15 * CROSS_ENTROPY),
        ({"t_squared": True, "hard_weight": 0.15}, lambda t: t**2 * divergence(t) + 0.15 * CROSS_ENTROPY),
        ({}, divergence),
    ],
    ids=["mse", "kl-squared", "kl"],
)


def protocol(labels: Any, **changes: Any) -> TrainingProtocol:  # noqa: ANN401 - fields of a recipe
    return TrainingProtocol(
        "mine", labels, RecipeBook({"recipes": {"small": {"source": "a test", **PLAIN, **changes}}})
    )


def condensed(task: Task, labels: Labels | None = None) -> CondensedSet:
    chosen = torch.arange(4)
    images = Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])
    return CondensedSet(images, labels or HardLabels(), task.dataset.classes, task.dataset.normalisation)


def loss_of(supervision: Supervision) -> float:
    """Of four such images, to all of which a teacher that is asked says (0, 0, 0)."""
    logits = torch.tensor([[2.0, 0.0, 0.0]]).expand(4, 3)
    view = BatchView(0, 0, torch.arange(4))
    return supervision.loss(logits, torch.zeros(4, 3), view, torch.zeros(4, dtype=torch.int64)).item()


@LOSSES
def test_the_loss_on_a_set_s_own_soft_labels_is_the_recipe_s_at_the_labels_temperature(
    make_task: MakeTask, lessons: list[TrainingJob], changes: dict[str, Any], expected: Callable[[float], float]
) -> None:
    task, recipe = make_task(), TrainingRecipe(**PLAIN, **changes)
    teacher = squeeze(task, TrainingRecipe(**PLAIN), seed=0).ref
    stored = StoredLabels(teacher, 7.0, 77, recipe.model_dump(mode="json"), torch.zeros(1, 4, 3).half())
    for labels in (OnlineLabels(teacher, 7.0), stored):
        protocol("own", **changes).evaluate(condensed(task, labels), task, "small", 1)
        assert loss_of(lessons[-1].supervision) == pytest.approx(expected(7.0), abs=1e-5), labels.kind


@LOSSES
def test_the_loss_on_the_shared_teacher_s_labels_is_the_recipe_s_at_its_temperature(
    make_task: MakeTask, lessons: list[TrainingJob], changes: dict[str, Any], expected: Callable[[float], float]
) -> None:
    task = make_task()
    soft = protocol("teacher", **changes, temperature=4.0, teacher=PLAIN)
    soft.evaluate(condensed(task), task, "small", 1)
    assert loss_of(lessons[-1].supervision) == pytest.approx(expected(4.0), abs=1e-5)


def test_smoothing_of_hard_labels_reaches_students_and_teachers(
    make_task: MakeTask, lessons: list[TrainingJob]
) -> None:
    """The target (0.8, 0.1, 0.1): log(e^2 + 2) - 0.8 x 2 = 0.639545."""
    task = make_task()
    for smoothing in (0.0, 0.3):
        protocol("hard", label_smoothing=smoothing).evaluate(condensed(task), task, "small", 1)
        squeeze(task, TrainingRecipe(**PLAIN, label_smoothing=smoothing), seed=0)
    assert [job.what for job in lessons] == ["evaluate", "squeeze"] * 2
    expected = [CROSS_ENTROPY, CROSS_ENTROPY, 0.639545, 0.639545]
    assert [loss_of(job.supervision) for job in lessons] == pytest.approx(expected, abs=1e-5)


def test_test_images_are_enlarged_as_the_recipe_says(make_task: MakeTask) -> None:
    tested = list[Tensor]()

    def note(network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not network.training:
            tested.append(inputs[0])

    def build(*shape: int) -> nn.Module:
        network = make_task().networks("small")(*shape)
        network.register_forward_pre_hook(note)
        return network

    task = make_task(networks=lambda _: build)
    test, side = task.dataset.test, task.dataset.resolution
    plain = task.dataset.normalisation.apply(test.take(torch.arange(len(test))))
    larger = tv.center_crop(tv.resize(plain, [side + 4], antialias=True), [side])
    for resize, expected in (({}, plain), ({"test_resize": side + 4}, larger)):
        protocol("hard", **resize).evaluate(condensed(task), task, "small", 1)
        torch.testing.assert_close(tested[-1], expected)
    assert not torch.allclose(plain, larger, atol=0.1)
