"""A training step with its views, against the eager loop in fp32; and the views against torchvision, image by image."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from racing import Race, Step
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from bench.compiling import missing_compiler
from bench.condensation import Task
from bench.hardware.choices import Compile, Precision
from bench.testing import tiny_dataset, tiny_task
from bench.training import loop
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import HardSupervision
from bench.training.views import BatchView, Views, apply

COMPETITORS: dict[str, Compile] = {"bf16": "never", "bf16, compiled": "always"}


def training_of(task: Task, batch: int) -> loop._Training:
    dataset = task.dataset
    job = TrainingJob(
        recipe=TrainingRecipe(epochs=9, batch_size=batch, lr=0.1, weight_decay=1e-4, crop="resized", flip=True),
        feed=Feed(dataset.train, dataset.normalisation, task.device),
        supervision=HardSupervision(),
        view_seed=0,
        checkpoint=task.workspace / "unused",
        what="train",
    )
    return loop._Training(task, loop.place(task.network(0), task), job)


@pytest.mark.parametrize("competitor", COMPETITORS)
@pytest.mark.parametrize(("backbone", "batch"), [("convnet4-bn", 128), ("resnet18", 64)])
def test_training_step(race: Race, backbone: str, batch: int, competitor: str, tmp_path: Path) -> None:
    size = batch if race.in_earnest else 4
    dataset = tiny_dataset(resolution=64, per_class=size)
    task = tiny_task(tmp_path, dataset=dataset, backbone=backbone)

    def step(precision: Precision, compile_: Compile) -> Step:
        possible = race.in_earnest and missing_compiler(task.device) is None
        training = training_of(replace(task, precision=precision, compile=compile_ if possible else "never"), size)
        training.compile(steps=1)
        return lambda: training._step(0, 0)

    what = f"training step, {backbone}, 64 px, batch {batch}"
    race.run(what, competitor, step("bf16", COMPETITORS[competitor]), step("fp32", "never"), rounds=5)


def one_by_one(view: BatchView, images: Tensor) -> Tensor:
    """The same views by torchvision."""
    assert view.boxes is not None and view.flips is not None
    seen = []
    for image, box, flipped in zip(images, view.boxes.tolist(), view.flips.tolist(), strict=True):
        crop = F.resized_crop(image, *box, size=[images.shape[-1]] * 2)
        seen.append(F.horizontal_flip(crop) if flipped else crop)
    return torch.stack(seen)


def test_augmentation(race: Race) -> None:
    batch = 256 if race.in_earnest else 4
    recipe = TrainingRecipe(epochs=1, batch_size=batch, lr=0.1, weight_decay=0, crop="resized", flip=True)
    images = torch.randn(batch, 3, 64, 64)
    view = Views(recipe, 0, batch, 64).at(0, 0)
    what = "augmentation, 256 images, 64 px"
    race.run(what, "batched", lambda: apply(view, images), lambda: one_by_one(view, images), rounds=20)
