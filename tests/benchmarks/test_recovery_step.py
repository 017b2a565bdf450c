"""A recovery step: loss and gradient, the plain engine in fp32 against the fast one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from racing import REFERENCE, Race

from bench.compiling import missing_compiler
from bench.condensation import Precision
from bench.recovery.engine import ADAM_BETAS, ADAM_EPS, Batch, Engine, initial_images
from bench.recovery.engines import engine_for
from bench.recovery.recipes import EngineName, RecoveryRecipe
from bench.testing import tiny_dataset, tiny_task

COMPETITORS: dict[str, tuple[EngineName, Precision]] = {
    REFERENCE: ("reference", "fp32"),
    "fast, fp32": ("fast", "fp32"),
    "fast, bf16": ("fast", "bf16"),
}


@pytest.mark.parametrize("competitor", COMPETITORS)
@pytest.mark.parametrize(("backbone", "batch"), [("convnet4-bn", 50), ("resnet18", 50), ("resnet50", 20)])
def test_recovery_step(race: Race, backbone: str, batch: int, competitor: str, tmp_path: Path) -> None:
    engine_name, precision = COMPETITORS[competitor]
    size = batch if race.in_earnest else 2
    task = tiny_task(tmp_path, dataset=tiny_dataset(resolution=64), backbone=backbone, precision=precision)
    if race.in_earnest and missing_compiler(task.device) is None:
        task = replace(task, compile="always")
    recipe = RecoveryRecipe(iterations=20, lr=0.1, bn_weight=1.0, roll=(-4, 4), engine=engine_name)
    engine: Engine = engine_for(task.network(0), recipe)
    batches = [Batch(torch.zeros(size, dtype=torch.int64), 0)]
    images, gradient = initial_images(task, batches), engine.gradient(task, batches)
    race.run(f"recovery step, {backbone}, 64 px, batch {batch}", competitor, lambda: gradient(images, 7), rounds=5)


@pytest.mark.parametrize("competitor", [REFERENCE, "in the harness"])
def test_harness_overhead(race: Race, competitor: str, tmp_path: Path) -> None:
    """A recovery through `Task.iterations`, metered and watched, against the bare loop over the same gradient."""
    iterations = 50 if race.in_earnest else 2
    task = tiny_task(tmp_path, dataset=tiny_dataset(resolution=64), backbone="convnet4-bn", precision="bf16")
    if race.in_earnest and missing_compiler(task.device) is None:
        task = replace(task, compile="always")
    engine = engine_for(task.network(0), RecoveryRecipe(iterations=iterations, lr=0.1, bn_weight=1.0))
    batches = [Batch(torch.zeros(20, dtype=torch.int64), 0)]
    engine.ready(task, [(1, 20)])

    def bare() -> None:
        images = initial_images(task, batches).requires_grad_()
        lower, upper = task.dataset.normalisation.box(images)
        adam = torch.optim.Adam([images], lr=0.1, betas=ADAM_BETAS, eps=ADAM_EPS, fused=True)
        gradient = engine.gradient(task, batches)
        for iteration in range(iterations):
            images.grad = gradient(images, iteration)
            adam.step()
            with torch.no_grad():
                images.clamp_(lower, upper)

    step = bare if competitor == REFERENCE else lambda: engine.recover(task, batches)
    race.run(f"recovery loop, convnet4-bn, 64 px, batch 20, {iterations} iterations", competitor, step, rounds=5)
