"""Recovery, training and the pass that measures statistics neither wait for their device nor mix it with the host."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elsewhere import ELSEWHERE, FETCHED, Counted, Watch, let_it_run

from bench.condensation import Task
from bench.labels import StoredLabels, TeacherRef
from bench.labels.forms import FLOAT16, Int8, LogitForm, TopK
from bench.recovery import real
from bench.recovery.curves import LossCurve
from bench.recovery.engine import Batch
from bench.recovery.engines import engine_for
from bench.recovery.recipes import EngineName, MatchingRecipe
from bench.testing import tiny_dataset, tiny_task
from bench.training import loop
from bench.training.committees import together
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.losses import SoftLoss
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import (
    HardSupervision,
    SoftSupervision,
    StoredSupervision,
    Supervision,
    TeacherSupervision,
)
from bench.training.views import Views

RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "resized crop": {"crop": "resized", "flip": True},
    "padded crop": {"crop": "padded", "flip": True},
    "DSA": {"dsa": "color_crop_cutout_flip_scale_rotate"},
    "CutMix": {"mix": "cutmix"},
    "Mixup": {"mix": "mixup"},
    "shuffled patches": {"shuffle_patches": 2},
    "DeiT": {"randaugment": 2, "erasing": 0.25, "mix": "switch", "optimizer": "adamw", "label_smoothing": 0.1},
    "RDED": {"bn_updates": 2, "ema": 0.99},
    "EDC": {"ema": 0.99, "ema_buffers": "live", "randaugment": 9, "randaugment_policy": "torchvision"},
    "G-VBSM": {"accumulation": 2, "mix": "cutmix"},
}
REF = TeacherRef("0" * 32, "small", None, 0)
FORMS = {"stored": FLOAT16, "bytes": Int8(), "the largest": TopK(2, 3)}


def stored_in(form: LogitForm) -> Callable[[Task], Supervision]:
    """Learning from logits that are kept in a form."""

    def supervision(task: Task) -> Supervision:
        views = (2, len(task.dataset.train))
        logits = np.random.default_rng(0).random((views[0] * views[1], 3)).astype(np.float16)
        kept = {name: torch.from_numpy(each).unflatten(0, views) for name, each in form.encode(logits, 20.0).items()}
        labels = StoredLabels(REF, 20.0, 0, {}, kept.pop("logits"), form=form, beside=kept)
        return StoredSupervision(labels, SoftLoss(20.0, t_squared=True))

    return supervision


SUPERVISIONS: dict[str, Callable[[Task], Supervision]] = {
    "hard": lambda task: HardSupervision(),
    "soft": lambda task: SoftSupervision(torch.rand(len(task.dataset.train), task.classes, device=ELSEWHERE)),
    "teacher": lambda task: TeacherSupervision(task.network(3).eval().requires_grad_(False), SoftLoss(20.0)),
    "logits": lambda task: TeacherSupervision(
        task.network(3).eval().requires_grad_(False), SoftLoss(20.0, kind="mse", hard_weight=0.1)
    ),
    **{name: stored_in(form) for name, form in FORMS.items()},
}


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    let_it_run(monkeypatch)
    dataset = tiny_dataset(resolution=16, per_class=8)
    return replace(tiny_task(tmp_path, dataset=dataset, backbone="convnet3-bn"), device=ELSEWHERE)


def test_a_value_that_is_asked_for_is_seen() -> None:
    images = torch.ones(2, device=ELSEWHERE)
    for read in (lambda: images.sum().item(), lambda: bool(images.sum() > 0), lambda: images[images > 0], images.cpu):
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            read()


def test_two_devices_and_a_copy_that_waits_are_seen() -> None:
    here, there = torch.ones(2, 2), torch.ones(2, 2, device=ELSEWHERE)
    with Watch() as watch:
        with pytest.raises(RuntimeError, match="aten::mm was given tensors on cpu, meta"):
            there @ here
        here.to(ELSEWHERE, non_blocking=True)
        assert watch.waits == 0
        here.to(ELSEWHERE)
        assert watch.waits == 1
        torch.tensor([1.0, 2.0], device=ELSEWHERE)
        there.new_tensor([1.0, 2.0])
        assert watch.waits == 3
        there[[0, 1]], there[:, [0, 1]], there[torch.tensor([0, 1])], there[0]
        assert watch.waits == 6


def waits_of_recovery(
    task: Task,
    engine: EngineName,
    iterations: int,
    monkeypatch: pytest.MonkeyPatch,
    joins: tuple[int, ...] | None = None,
    **changes: float,
) -> int:
    pace = Counted(iterations)
    fields = {"iterations": 99, "lr": 0.1, "bn_weight": 1.0, "roll": (-2, 2), "engine": engine, **changes}
    recipe = MatchingRecipe.model_validate(fields)
    batches = [Batch(torch.zeros(4, dtype=torch.int64), seed, joins=joins) for seed in (0, 1)]
    monkeypatch.setattr(LossCurve, "ended", lambda curve: curve)  # the one look at it, when the loop has ended
    with Watch() as watch:
        engine_for(task.network(0), recipe).recover(replace(task, pace=pace), batches)
    assert pace.made["recover"] == iterations
    return int(watch.waits)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_a_recovery_does_not_wait(task: Task, engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    few, more = (waits_of_recovery(task, engine, iterations, monkeypatch) for iterations in (2, 5))
    assert few == more, "iterations copy to the device and wait"


@pytest.mark.parametrize("changes", [{"joins": (0, 0, 1, 1)}, {"densification": 0.1}], ids=["joining", "densified"])
def test_a_recovery_of_more_does_not_wait(task: Task, changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    """Images that join later, and their spread; its eigenvalues are what a GPU is waited for, which this cannot see."""
    few, more = (waits_of_recovery(task, "fast", iterations, monkeypatch, **changes) for iterations in (2, 5))
    assert few == more


def test_teachers_that_count_by_shares_do_not_wait(task: Task) -> None:
    networks = together([task.network(seed) for seed in (3, 4)], shares=(0.25, 0.75))
    images = torch.ones(2, 3, 16, 16, device=ELSEWHERE)
    with Watch() as watch:
        networks(images)
    assert watch.waits == 0


@pytest.mark.parametrize("released", [(), ("within-image-variance",), ("moving-classes",)])
def test_a_pass_over_real_images_does_not_wait(task: Task, released: tuple[str, ...]) -> None:
    changes = {"match": ["batchnorm"], "global_share": 0.0, "as_released": released}
    recipe = MatchingRecipe.model_validate({"iterations": 1, "lr": 1.0, "bn_weight": 1.0, **changes})
    shown = TrainingRecipe(epochs=1, batch_size=8, lr=1.0, weight_decay=0.0, crop="resized", flip=True)
    views = Views(shown, 0, len(task.dataset.train), task.dataset.resolution)
    measured = real._Pass(task, loop.place(task.network(0), task).eval(), recipe, views)
    with Watch() as watch:
        for step in range(views.batches):
            measured._add(step)
    assert watch.waits == 0


@pytest.mark.parametrize("supervision", SUPERVISIONS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_step_does_not_wait(task: Task, recipe: str, supervision: str) -> None:
    changes = {"epochs": 2, "batch_size": 8, "lr": 0.1, "weight_decay": 1e-4, **RECIPES[recipe]}
    lesson = TrainingJob(
        recipe=TrainingRecipe.model_validate(changes),
        feed=Feed(task.dataset.train, task.dataset.normalisation, task.device),
        supervision=SUPERVISIONS[supervision](task),
        view_seed=0,
        checkpoint=task.workspace / "unused",
        what="train",
    )
    training = loop._Training(task, loop.place(task.network(0), task), lesson)
    with Watch() as watch:
        for batch in range(training.views.batches - 1):
            training._step(0, batch)
    assert watch.waits == 0


def test_an_epoch_ends_with_one_look(task: Task) -> None:
    recipe = TrainingRecipe(epochs=1, batch_size=8, lr=0.1, weight_decay=0.0)
    feed = Feed(task.dataset.train, task.dataset.normalisation, task.device)
    lesson = TrainingJob(recipe, feed, HardSupervision(), 0, task.workspace / "unused", "train")
    training = loop._Training(task, loop.place(task.network(0), task), lesson)
    with pytest.raises(RuntimeError, match=FETCHED):
        training._end(0)
