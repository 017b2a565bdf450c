"""Statistics of training data: those of all images at once, of all data and of each class; a pass that goes on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reals import training_images
from torch import nn
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Task
from bench.errors import Interrupted
from bench.labels import TeacherRef
from bench.recovery import real
from bench.recovery.batches import Batch
from bench.recovery.layers import laid_out, layers_of, watched
from bench.recovery.pool import Member
from bench.recovery.real import class_goals, real_statistics
from bench.recovery.recipes import MatchingRecipe
from bench.testing import tiny_dataset, tiny_task
from bench.training.recipes import TrainingRecipe
from bench.training.teachers import Teacher
from bench.training.views import Views

BOTH = MatchingRecipe(iterations=1, lr=1.0, bn_weight=1.0, match=("batchnorm", "convolution"), global_share=0.5)
UNTOUCHED = TrainingRecipe(epochs=1, batch_size=8, lr=1.0, weight_decay=0.0)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3)


def teacher(task: Task) -> Teacher:
    network = task.network(1, "convnet3-bn")
    with torch.no_grad():
        network(task.dataset.normalisation.apply(task.dataset.train.take(torch.arange(20))))
    ref = TeacherRef("a" * 32, "convnet3-bn", 50.0, 1)
    return Teacher(network.double().eval().float(), ref)


@pytest.mark.parametrize("released", [(), ("within-image-variance",)])
def test_statistics_are_those_of_all_training_images_at_once(task: Task, released: tuple[str, ...]) -> None:
    """In float64, in one pass over all images together, of the first convolution (the images) and of the first norm."""
    recipe = BOTH.model_copy(update={"as_released": released, "patch": 2})
    known = teacher(task)
    found = real_statistics(task, known, recipe, UNTOUCHED)
    images = training_images(task).double()
    labels = task.dataset.train.labels
    first = next(module for module in known.network.modules() if isinstance(module, nn.Conv2d))
    assert first.weight.dtype == torch.float32
    inputs = [
        images,
        F.conv2d(images, first.weight.double(), first.bias.double() if first.bias is not None else None, padding=1),
    ]
    for place, each in enumerate(inputs):
        mean, variance = each.mean((0, 2, 3)), each.var((0, 2, 3), correction=0)
        close(found.overall[place][:2], (mean, variance))
        for label in range(3):
            own = each[labels == label]
            within = own.var((2, 3), correction=0).mean(0) if released else own.var((0, 2, 3), correction=0)
            close([kept[label] for kept in found.by_class[place][:2]], (own.mean((0, 2, 3)), within))
    squares = images.unflatten(-1, (4, 2)).unflatten(-3, (4, 2))
    of_patches = squares.mean((0, 1, 3, 5)).flatten(), squares.var((0, 1, 3, 5), correction=0).flatten()
    close(found.overall[0][2:], of_patches)


def test_batchnorm_between_tokens_is_measured_image_by_image(tmp_path: Path) -> None:
    """BN-ViT's BatchNorm is given the tokens of a batch: an image has its own, and a layer those of all images."""
    task = tiny_task(tmp_path, backbone="bn-vit-tiny", dataset=tiny_dataset(channels=3, resolution=8, per_class=2))
    network, recipe = task.network(0).eval(), BOTH.model_copy(update={"class_goals": "batch"})
    images = training_images(task)
    batch = Batch(task.dataset.train.labels, 0, real=images)
    found = class_goals(task, Member(network), [batch], recipe)
    with torch.no_grad(), watched(layers_of(network, recipe.match), recipe.patch) as measured:
        network(images)
    for place, wanted in measured.items():
        close([each[0] for each in found[place][:2]], [each.double() for each in wanted[:2]])
    known = Teacher(network, TeacherRef("a" * 32, "bn-vit-tiny", 50.0, 1))
    kept = real_statistics(task, known, BOTH, UNTOUCHED)
    for place, wanted in measured.items():
        close(kept.overall[place][:2], [each.double() for each in wanted[:2]])


@pytest.mark.parametrize("broken", [False, True])
def test_moving_statistics_of_classes_are_those_of_the_release_s_loop(task: Task, *, broken: bool) -> None:
    """ClassAwareBatchNorm2d: class by class, batch by batch, `(1 - 0.1) * old + 0.1 * of the batch's images`."""
    recipe = BOTH.model_copy(update={"as_released": ("moving-classes",), "match": ("batchnorm",), "global_share": 0.0})
    known = teacher(task)
    if broken:
        answers = iter([False, True])
        with pytest.raises(Interrupted):
            real_statistics(replace(task, should_stop=lambda: next(answers)), known, recipe, UNTOUCHED)
    found = real_statistics(task, known, recipe, UNTOUCHED)
    first = next(module for module in known.network.modules() if isinstance(module, nn.BatchNorm2d))
    means, variances = torch.zeros(3, first.num_features), torch.ones(3, first.num_features)
    views = Views(UNTOUCHED, task.seed_for("statistics"), len(task.dataset.train), 8)
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for batch in range(views.batches):
        indices = views.at(0, batch).indices
        with torch.no_grad():
            known.network(task.dataset.normalisation.apply(task.dataset.train.take(indices)))
        labels, inputs = task.dataset.train.labels[indices], seen.pop()
        for label in labels.unique().tolist():
            own = inputs[labels == label]
            means[label] = 0.9 * means[label] + 0.1 * own.mean([0, 2, 3])
            variances[label] = 0.9 * variances[label] + 0.1 * own.var([0, 2, 3], unbiased=False)
    close(found.by_class[0], (means.double(), variances.double()))


def close(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-4)


def test_a_pass_that_was_broken_off_goes_on_to_the_same_bits(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "BATCH", 8)
    known, elsewhere = teacher(task), tiny_task(task.workspace / "other", dataset=task.dataset, ipc=3)
    whole = real_statistics(task, known, BOTH, UNTOUCHED)
    answers = iter([False, False, True])
    with pytest.raises(Interrupted):
        real_statistics(replace(elsewhere, should_stop=lambda: next(answers)), known, BOTH, UNTOUCHED)
    again = real_statistics(elsewhere, known, BOTH, UNTOUCHED)
    assert torch.equal(laid_out(again.overall), laid_out(whole.overall))
    assert torch.equal(laid_out(again.by_class), laid_out(whole.by_class))


LOCAL = BOTH.model_copy(update={"class_goals": "batch", "patch": 2})


def test_goals_of_real_images_are_those_of_all_of_them_at_once(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """EDC's code, `tea_tag`: mean and biased variance over images and pixels, of channels and of patches."""
    monkeypatch.setattr(real, "BATCH", 4)  # the last part has two
    member = Member(teacher(task).network)
    images = torch.randn(10, 3, 8, 8, generator=seeds.generator("met"))
    batches = [Batch(torch.tensor([0, 1]), 1, real=some) for some in (images, images.flip(0)[:7])]
    found = class_goals(task, member, batches, LOCAL)
    layers = layers_of(member.network, LOCAL.match)
    for group, some in enumerate((images, images.flip(0)[:7])):
        with watched(layers, LOCAL.patch) as at_once, torch.no_grad():
            member.network(some)
        assert found.keys() == at_once.keys()
        for place, expected in at_once.items():
            close([each[group] for each in found[place]], [each.double() for each in expected])
    with pytest.raises(ValueError, match="the batch comes with none"):
        class_goals(task, member, [Batch(torch.tensor([0]), 1)], LOCAL)


def test_goals_of_a_batch_want_no_statistics_of_classes(task: Task) -> None:
    assert not real_statistics(task, teacher(task), LOCAL, UNTOUCHED).by_class
    with pytest.raises(ValueError, match="classes do not count"):
        MatchingRecipe(iterations=1, lr=1.0, bn_weight=1.0, class_goals="batch")
    assert not {"class_goals", "goal_images"} & set(BOTH.model_dump())
