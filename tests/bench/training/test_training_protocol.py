"""Protocols that train: which labels, which recipe, which seeds; and what they refuse."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from stopping import StopAfter

from bench.condensation import Images, Task
from bench.errors import Interrupted, RunFailure
from bench.labels import HardLabels, Labels, OnlineLabels, SoftLabels, StoredLabels
from bench.labels.forms import FLOAT16, Int8, LogitForm, TopK
from bench.recipes import RecipeBook
from bench.sets.condensed import CondensedSet
from bench.training import loop
from bench.training.protocol import TrainingProtocol
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.stored import store_labels
from bench.training.soft_labels.targets import check_views
from bench.training.supervision import (
    HardSupervision,
    SoftSupervision,
    StoredSupervision,
    Supervision,
    TeacherSupervision,
)
from bench.training.teachers import squeeze
from bench.training.views import apply
from bench.whitening import Whitening, fit

MakeTask = Callable[..., Task]
SQUEEZE: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "weight_decay": 1e-4}
TRAIN: dict[str, Any] = {
    **{"source": "a test", "epochs": 10, "batch_size": 256, "lr": 0.05, "weight_decay": 1e-4},
    **{"crop": "resized", "flip": True, "quick": {"epochs": 0.2}},
}


def training(labels: Any, **changes: Any) -> TrainingProtocol:  # noqa: ANN401 - fields of a recipe
    return TrainingProtocol("mine", labels, RecipeBook({"recipes": {"small": {**TRAIN, **changes}}}))


def condensed(task: Task, labels: Labels | None = None, **changes: Any) -> CondensedSet:  # noqa: ANN401 - any field
    chosen = torch.arange(12)
    images = Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])
    dataset = task.dataset
    made = CondensedSet(images, labels or HardLabels(), dataset.classes, dataset.normalisation)
    return replace(made, **changes)


def test_scores_repeat_with_the_seed_and_are_above_chance(make_task: MakeTask) -> None:
    task = make_task()
    first, again = (training("hard", epochs=30).evaluate(condensed(task), task, "small", 1) for _ in range(2))
    assert first.value == again.value > 60 and first.top5 is None
    assert first.epochs == 30 and first.seconds > 0 and first.best_top1 is None


def test_deits_views_are_drawn_from_the_seed_alone(make_task: MakeTask) -> None:
    task = make_task()
    deit = training("hard", epochs=5, randaugment=9, erasing=0.5, mix="switch", label_smoothing=0.1)
    before = torch.get_rng_state()
    first, again = (deit.evaluate(condensed(task), task, "small", 1) for _ in range(2))
    assert first.top1 == again.top1
    assert torch.equal(before, torch.get_rng_state())


def test_stored_labels_for_other_views_of_deits_are_refused(make_task: MakeTask) -> None:
    task = make_task()
    teacher, plain = squeeze(task, TrainingRecipe(**SQUEEZE), seed=0), condensed(task)
    recipe = training("own", epochs=2, randaugment=9, mix="switch").plan(task.setting).training
    labels = store_labels(task, teacher, plain.images, recipe, temperature=20.0, view_seed=77)
    training("own", epochs=2, randaugment=9, mix="switch").evaluate(condensed(task, labels), task, "small", 1)
    with pytest.raises(RunFailure, match="randaugment 9 not 5"):
        training("own", epochs=2, randaugment=5, mix="switch").evaluate(condensed(task, labels), task, "small", 1)


def test_seeds_decide_weights_and_views(make_task: MakeTask, lessons: list[loop.TrainingJob]) -> None:
    task = make_task()
    for seed in (1, 2):
        training("hard", epochs=1).evaluate(condensed(task), task, "small", seed)
    assert lessons[0].view_seed != lessons[1].view_seed


def test_the_quick_budget_scales_the_recipe(make_task: MakeTask) -> None:
    task = make_task(budget="quick")
    assert training("hard").evaluate(condensed(task), task, "small", 1).epochs == 2


def test_hard_ignores_soft_labels_and_own_uses_them(make_task: MakeTask, lessons: list[loop.TrainingJob]) -> None:
    task = make_task()
    teacher = squeeze(task, TrainingRecipe(**SQUEEZE), seed=0)
    online = condensed(task, OnlineLabels(teacher.ref, 20.0))
    training("hard", epochs=1).evaluate(online, task, "small", 1)
    training("own", epochs=1).evaluate(online, task, "small", 1)
    training("own", epochs=1).evaluate(condensed(task), task, "small", 1)
    kinds = [type(job.supervision) for job in lessons if job.what == "evaluate"]
    assert kinds == [HardSupervision, TeacherSupervision, HardSupervision]


def test_a_teacher_labels_in_the_mode_that_the_set_names(make_task: MakeTask, lessons: list[loop.TrainingJob]) -> None:
    task = make_task()
    teacher = squeeze(task, TrainingRecipe(**SQUEEZE), seed=0)
    scores = {}
    for mode in ("eval", "train"):
        own = condensed(task, OnlineLabels(teacher.ref, 20.0, mode))
        scores[mode] = training("own", epochs=1).evaluate(own, task, "small", 1)
    by_statistics, by_batch = (job.supervision.teacher for job in lessons if job.what == "evaluate")
    assert by_statistics is not None and by_batch is not None
    assert "features.1.running_mean" in by_statistics.state_dict()
    assert "features.1.running_mean" not in by_batch.state_dict()
    first, second = (job.checkpoint for job in lessons if job.what == "evaluate")
    assert first != second, "neither goes on from the other's checkpoint"


def test_a_shared_teacher_is_squeezed_once_for_all_methods(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    soft = training("teacher", epochs=1, temperature=20.0, teacher=SQUEEZE)
    first, second = make_task(seed=0), make_task(seed=5)
    scores = [
        soft.evaluate(condensed(first), first, "small", 1),
        soft.evaluate(condensed(second, learned_lr=3.0), second, "small", 2),
    ]
    assert [job.what for job in lessons] == ["squeeze", "evaluate", "evaluate"]
    assert first.used_stages.keys() == second.used_stages.keys()
    (stage,) = first.used_stages.values()
    assert [each.teacher_top1 for each in scores] == [stage.facts["top1"]] * 2 and stage.facts["top1"] is not None


@pytest.mark.parametrize(("student", "teacher"), [("small", "small"), ("small", "other"), ("other", "small")])
def test_student_and_shared_teacher_are_each_trained_by_the_recipe_for_their_own_network(
    make_task: MakeTask, lessons: list[loop.TrainingJob], student: str, teacher: str
) -> None:
    differing = {"other": {"lr": 0.03, "teacher": {"lr": 0.07}}}
    soft = training("teacher", epochs=1, temperature=20.0, teacher=SQUEEZE, backbones=differing)
    small = make_task()
    task = replace(small, backbone=teacher, networks=lambda name: small.networks("small"))
    soft.evaluate(condensed(task), task, student, 1)
    rates = {job.what: job.recipe.lr for job in lessons}
    assert rates == {"squeeze": 0.07 if teacher == "other" else 0.05, "evaluate": 0.03 if student == "other" else 0.05}


def test_a_learned_step_size_belongs_to_the_methods_own_protocol(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    task = make_task()
    for labels in ("own", "hard"):
        training(labels, epochs=1).evaluate(condensed(task, learned_lr=0.02), task, "small", 1)
    assert [job.recipe.lr for job in lessons] == [0.02, 0.05]


def test_stored_labels_are_trained_on_with_their_own_views(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    task, own = make_task(), training("own")
    plain, teacher = condensed(task), squeeze(task, TrainingRecipe(**SQUEEZE), seed=0)
    recipe = own.plan(task.setting).training
    labels = store_labels(task, teacher, plain.images, recipe, temperature=20.0, view_seed=77)
    own.evaluate(replace(plain, labels=labels), task, "small", 1)
    assert lessons[-1].view_seed == 77 and isinstance(lessons[-1].supervision, StoredSupervision)
    with pytest.raises(RunFailure, match="flip True not False"):
        training("own", flip=False).evaluate(replace(plain, labels=labels), task, "small", 1)
    cut = replace(labels, logits=labels.logits[:, :-1])
    with pytest.raises(RunFailure, match=r"shape \(10, 11, 3\), not \(10, 12, 3\)"):
        own.evaluate(replace(plain, labels=cut), task, "small", 1)


@pytest.mark.parametrize("form", [FLOAT16, Int8(), TopK(2, 3)], ids=lambda form: form.store)
def test_students_of_a_part_of_the_labels_see_what_was_labelled_and_go_on_after_a_stop(
    make_task: MakeTask,
    lessons: list[loop.TrainingJob],
    form: LogitForm,
) -> None:
    """What a student learns of a view is what the teacher says of it, within the error of the form."""
    task, own = make_task(), training("own")
    plain, teacher = condensed(task), squeeze(task, TrainingRecipe(**SQUEEZE), seed=0)
    recipe = own.plan(task.setting).training
    labels = store_labels(*(task, teacher, plain.images, recipe), temperature=20.0, view_seed=77, form=form, keep=0.3)
    made = replace(plain, labels=labels)
    whole = own.evaluate(made, task, "small", 1)
    for calls in (3, 5):
        with pytest.raises(Interrupted):
            own.evaluate(made, make_task(should_stop=StopAfter(calls)), "small", 1)
    assert replace(own.evaluate(made, make_task(), "small", 1), seconds=whole.seconds) == whole
    own.evaluate(made, task, "small", 2)
    drawn = [(job, job.views) for job in lessons if job.views is not None]
    (job, views), (_, others), places = drawn[0], drawn[-1], set()
    for epoch in range(recipe.epochs):
        view = views.at(epoch, 0)
        seen = apply(view, job.feed.images(view.indices), None, job.feed.normalisation)
        kept = labels.read(view.epoch, slice(view.start, view.start + len(view)), task.device).float()
        torch.testing.assert_close(kept.softmax(1), teacher.network(seen).softmax(1), atol=0.02, rtol=0)
        places.add(view.epoch)
    assert len(places) > 1
    assert any(views.at(epoch, 0).epoch != others.at(epoch, 0).epoch for epoch in range(9)), "by the student's own seed"


def test_another_rate_on_the_same_views_is_no_reason_to_refuse(make_task: MakeTask) -> None:
    recipe = training("own").plan(make_task().setting).training
    labels = StoredLabels(
        *(squeeze(make_task(), TrainingRecipe(**SQUEEZE), seed=0).ref, 20.0, 0),
        recipe=recipe.model_dump(mode="json"),
        logits=torch.zeros(10, 12, 3).half(),
    )
    check_views(labels, recipe.model_copy(update={"lr": 0.3}), images=12, classes=3)


def test_a_set_of_another_class_order_is_refused(make_task: MakeTask) -> None:
    task = make_task()
    with pytest.raises(RunFailure, match="class order"):
        training("hard").evaluate(condensed(task, classes=task.dataset.classes[::-1]), task, "small", 1)


def distributions(made: CondensedSet, of_the_class: float) -> torch.Tensor:
    """So much for each image's class, the rest for the others."""
    rest = (1 - of_the_class) / 2
    return rest + (of_the_class - rest) * torch.nn.functional.one_hot(made.images.classes, 3).float()


def test_soft_labels_that_come_with_the_set_are_the_own_protocols(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    task, plain = make_task(), condensed(make_task())
    soft = replace(plain, labels=SoftLabels(distributions(plain, 0.9)))
    wrong = replace(plain, labels=SoftLabels(distributions(plain, 0.0)))
    top1 = [training("own", epochs=30).evaluate(each, task, "small", 1).value for each in (soft, wrong)]
    assert top1[0] > 60 and top1[1] < 20, "labels decide what is learned"
    training("hard", epochs=1).evaluate(soft, task, "small", 1)
    kinds = [type(job.supervision) for job in lessons]
    assert kinds == [SoftSupervision, SoftSupervision, HardSupervision]
    assert len({job.checkpoint for job in lessons}) == 3


def whitened(task: Task) -> CondensedSet:
    """A set that belongs to whitened data, as floats."""
    plain, whitening = condensed(task), fit(task)
    pixels = whitening.apply(plain.images.pixels)
    return replace(plain, images=replace(plain.images, pixels=pixels), preprocessing=whitening)


def test_a_whitened_set_is_tested_on_whitened_images(make_task: MakeTask) -> None:
    """The same numbers trained on, but tested without the whitening, are wrong: MTT's issue 18."""
    task = make_task()
    made = whitened(task)
    forgotten = replace(made, preprocessing=task.dataset.normalisation)
    right, wrong = (training("hard", epochs=30).evaluate(each, task, "small", 1).value for each in (made, forgotten))
    assert right > 60 and wrong < right - 20, (right, wrong)


def test_bytes_of_a_whitened_set_are_whitened_as_its_floats_are(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    task = make_task()
    made = whitened(task)
    levels = replace(made, images=condensed(task).images)
    scores = [training("hard", epochs=3).evaluate(each, task, "small", 1) for each in (made, levels)]
    assert scores[0].top1 == scores[1].top1
    fed = [job.feed.images(torch.arange(12)) for job in lessons]
    assert torch.equal(fed[0], fed[1])


def test_the_shared_teacher_of_a_whitened_set_is_squeezed_on_whitened_images(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    soft = training("teacher", epochs=1, temperature=20.0, teacher=SQUEEZE)
    task = make_task()
    for made in (condensed(task), whitened(task), whitened(task)):
        soft.evaluate(made, task, "small", 1)
    assert [job.what for job in lessons] == ["squeeze", "evaluate", "squeeze", "evaluate", "evaluate"]
    seen = [job.feed.normalisation for job in lessons if job.what == "squeeze"]
    assert seen[0] == task.dataset.normalisation and seen[1].kind == "zca"
    assert task.dataset.normalisation == seen[0], "the task is as it was"


def test_the_whitening_tells_checkpoints_apart(make_task: MakeTask, lessons: list[loop.TrainingJob]) -> None:
    task = make_task()
    made = whitened(task)
    for each in (made, replace(made, preprocessing=fit(task, 0.2))):
        training("hard", epochs=1).evaluate(each, task, "small", 1)
    assert lessons[0].checkpoint != lessons[1].checkpoint


def test_a_whitening_for_other_images_is_refused(make_task: MakeTask) -> None:
    task = make_task()
    wide = Whitening(torch.zeros(3, 4, 4), torch.eye(48))
    with pytest.raises(RunFailure, match=r"is for images of \(3, 4, 4\), not \(3, 8, 8\)"):
        training("hard").evaluate(condensed(task, preprocessing=wide), task, "small", 1)


def shared(**changes: Any) -> TrainingProtocol:  # noqa: ANN401 - fields of a recipe
    book = RecipeBook({"recipes": {"small": {**TRAIN, **changes}}})
    return TrainingProtocol("ours", "own", book, shared=True)


def test_one_recipe_for_all_own_labels_takes_each_kind_and_leaves_a_learned_step_size(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    task = make_task()
    teacher, plain = squeeze(task, TrainingRecipe(**SQUEEZE), seed=0), condensed(task)
    probabilities = torch.eye(3)[plain.images.classes]
    kinds: list[tuple[Labels, type[Supervision]]] = [
        (HardLabels(), HardSupervision),
        (SoftLabels(probabilities), SoftSupervision),
        (OnlineLabels(teacher.ref, 4.0), TeacherSupervision),
    ]
    lessons.clear()
    for labels, supervision in kinds:
        shared(epochs=2).evaluate(condensed(task, labels, learned_lr=0.7), task, "small", 1)
        assert isinstance(lessons[-1].supervision, supervision)
        assert lessons[-1].recipe.lr == TRAIN["lr"]


def test_stored_labels_bring_their_views_to_a_shared_recipe(
    make_task: MakeTask, lessons: list[loop.TrainingJob]
) -> None:
    """Epochs, batches, crops, flips and mixes of the labels; optimiser and rates of the recipe."""
    task = make_task()
    teacher, plain = squeeze(task, TrainingRecipe(**SQUEEZE), seed=0), condensed(task)
    views = {"epochs": 3, "batch_size": 5, "crop": "padded", "pad": 2, "mix": "cutmix"}
    labelled = TrainingRecipe(**views, lr=9.0, weight_decay=0.0)  # type: ignore[arg-type]
    labels = store_labels(task, teacher, plain.images, labelled, temperature=4.0, view_seed=7)
    lessons.clear()
    scores = shared(optimizer="adamw", warmup_epochs=4).evaluate(replace(plain, labels=labels), task, "small", 1)
    (job,) = lessons
    assert isinstance(job.supervision, StoredSupervision)
    assert {name: getattr(job.recipe, name) for name in views} == views
    assert (job.recipe.optimizer, job.recipe.lr, job.recipe.warmup_epochs) == ("adamw", TRAIN["lr"], 2)
    assert (job.view_seed, scores.epochs) == (7, 3)
