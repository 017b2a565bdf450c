"""How a student is trained on each kind of labels: what it learns from, its views, what tells it from others."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bench import seeds
from bench.condensation import Images, Task
from bench.labels import (
    KINDS,
    HardLabels,
    Labels,
    OnlineLabels,
    RegressionLabels,
    SoftLabels,
    StoredLabels,
    TeacherRef,
)
from bench.labels.forms import Int8, TopK
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.targets import TARGETS, targets_of
from bench.training.supervision import (
    HardSupervision,
    RegressionSupervision,
    SoftSupervision,
    StoredSupervision,
    TeacherSupervision,
)
from bench.training.teachers import load_teacher, squeeze

MakeTask = Callable[..., Task]
RECIPE = TrainingRecipe(epochs=2, batch_size=4, lr=0.05, weight_decay=0.0)
FIRST, SECOND = TeacherRef("a" * 32, "small", None, 0), TeacherRef("b" * 32, "other", None, 0)
SOFT = SoftLabels(torch.tensor([[0.5, 0.25, 0.25]] * 4))
AIMED = RegressionLabels(SOFT.probabilities - 0.5)
STORED = StoredLabels(FIRST, 4.0, 77, RECIPE.model_dump(mode="json"), torch.zeros(2, 4, 3).half())
ONE_OF_EACH: tuple[Labels, ...] = (HardLabels(), SOFT, AIMED, OnlineLabels(FIRST, 4.0), STORED)


def images(task: Task, first: int = 0) -> Images:
    chosen = torch.arange(first, first + 4)
    return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])


def test_every_kind_of_labels_can_be_trained_on() -> None:
    assert set(TARGETS) == set(KINDS.values()) == {type(labels) for labels in ONE_OF_EACH}


def test_what_a_student_learns_from(make_task: MakeTask) -> None:
    task = make_task()
    online = OnlineLabels(squeeze(task, RECIPE, seed=0).ref, 4.0)
    of_each = [
        targets_of(labels).supervision(task, RECIPE, 4) for labels in (HardLabels(), SOFT, AIMED, online, STORED)
    ]
    assert [type(each) for each in of_each] == [
        HardSupervision,
        SoftSupervision,
        RegressionSupervision,
        TeacherSupervision,
        StoredSupervision,
    ]


def test_stored_labels_alone_decide_the_views() -> None:
    seeds_of = [targets_of(labels).view_seed(5) for labels in ONE_OF_EACH]
    assert seeds_of == [*[seeds.derive("views", 5)] * 4, 77]
    other = RECIPE.model_copy(update={"epochs": 9, "flip": True, "lr": 0.3})
    shown = [targets_of(labels).in_views(other) for labels in ONE_OF_EACH]
    assert shown == [other, other, other, other, RECIPE.model_copy(update={"lr": 0.3})]
    assert [labels.of_views for labels in ONE_OF_EACH] == [False, False, False, False, True]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_student_of_several_teachers_learns_from_the_mean_of_their_logits(make_task: MakeTask, mode: str) -> None:
    task = make_task()
    refs = [squeeze(task, RECIPE, seed=seed).ref for seed in (0, 1)]
    labels = OnlineLabels(refs[0], 4.0, "train" if mode == "train" else "eval", others=(refs[1],))
    teacher = targets_of(labels).supervision(task, RECIPE, 4).teacher
    batch = task.dataset.normalisation.apply(images(task).pixels)
    networks = [load_teacher(task, ref) for ref in refs]
    with torch.no_grad():
        alone = [(network.train() if mode == "train" else network)(batch).double() for network in networks]
    assert teacher is not None
    torch.testing.assert_close(teacher(batch).double(), (alone[0] + alone[1]) / 2, atol=1e-5, rtol=1e-5)


def test_trainings_on_other_labels_are_told_apart() -> None:
    online = OnlineLabels(FIRST, 4.0)
    others = [*ONE_OF_EACH, replace(online, mode="train"), replace(online, others=(SECOND,)), OnlineLabels(SECOND, 4.0)]
    others += [SoftLabels(SOFT.probabilities.flip(1)), replace(STORED, others=(SECOND,))]
    others += [RegressionLabels(SOFT.probabilities), RegressionLabels(AIMED.targets.flip(1))]
    others += [replace(online, others=(SECOND,), combine="equal-norm"), replace(STORED, mode="train")]
    others += [replace(online, mode="train-halves"), replace(online, others=(SECOND,), shares=(0.75, 0.25))]
    others += [replace(STORED, form=Int8()), replace(STORED, form=TopK(1, 3)), replace(STORED, keep=0.5)]
    told = [str(targets_of(labels).identity) for labels in others]
    assert len(set(told)) == len(others)
    assert targets_of(HardLabels()).identity == ["hard", None]
    assert targets_of(online).identity == ["online", FIRST.stage]
    assert targets_of(STORED).identity == ["stored", FIRST.stage]


def test_labels_for_other_images_are_as_good_as_can_be_had(make_task: MakeTask) -> None:
    task = make_task()
    ref = squeeze(task, RECIPE, seed=0).ref
    online, stored = OnlineLabels(ref, 4.0), replace(STORED, teacher=ref)
    others = images(task, 8)
    assert targets_of(HardLabels()).of_images(task, others, own=False) == HardLabels()
    assert targets_of(online).of_images(task, others, own=False) is online
    assert targets_of(SOFT).of_images(task, others, own=False) == HardLabels()
    followed = targets_of(SOFT).of_images(task, replace(others, soft=SOFT.probabilities), own=True)
    assert torch.equal(followed.tensors["probabilities"], SOFT.probabilities)
    assert targets_of(AIMED).of_images(task, others, own=False) == HardLabels()
    followed = targets_of(AIMED).of_images(task, replace(others, targets=AIMED.targets), own=True)
    assert followed.kind == "regression" and torch.equal(followed.tensors["targets"], AIMED.targets)
    assert targets_of(stored).of_images(task, others, own=True) is stored
    again = targets_of(stored).of_images(task, others, own=False)
    assert again.facts == stored.facts and not torch.equal(again.tensors["logits"], stored.logits)
    for changes in ({"keep": 0.5}, {"form": Int8()}, {"mode": "train"}):
        other = replace(stored, **changes)
        again = targets_of(other).of_images(task, others, own=False)
        assert again.facts == other.facts, "a control's labels are made and kept as those of the set"
    written_down = replace(stored, views={"flips": torch.ones(2, 4)})
    assert targets_of(written_down).of_images(task, others, own=False) == HardLabels()
