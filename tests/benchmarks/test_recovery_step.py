"""A recovery step: loss and gradient, the plain engine in fp32 against the fast one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from racing import Race, Step

from bench.compiling import missing_compiler
from bench.hardware.choices import Precision
from bench.recovery.engine import ADAM_BETAS, ADAM_EPS, Batch, Engine, initial_images
from bench.recovery.engines import engine_for
from bench.recovery.recipes import EngineName, RecoveryRecipe
from bench.testing import tiny_dataset, tiny_task


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("backbone", "batch"), [("convnet4-bn", 50), ("resnet18", 50), ("resnet50", 20)])
def test_recovery_step(race: Race, backbone: str, batch: int, precision: Precision, tmp_path: Path) -> None:
    size = batch if race.in_earnest else 2
    task = tiny_task(tmp_path, dataset=tiny_dataset(resolution=64), backbone=backbone)
    if race.in_earnest and missing_compiler(task.device) is None:
        task = replace(task, compile="always")

    def step(engine_name: EngineName, precision: Precision) -> Step:
        recipe = RecoveryRecipe(iterations=20, lr=0.1, bn_weight=1.0, roll=(-4, 4), engine=engine_name)
        mine = replace(task, precision=precision)
        engine: Engine = engine_for(mine.network(0), recipe)
        batches = [Batch(torch.zeros(size, dtype=torch.int64), 0)]
        images, gradient = initial_images(mine, batches), engine.gradient(mine, batches)
        return lambda: gradient(images, 7)

    what = f"recovery step, {backbone}, 64 px, batch {batch}"
    race.run(what, f"fast, {precision}", step("fast", precision), step("reference", "fp32"), rounds=5)


def test_harness_overhead(race: Race, tmp_path: Path) -> None:
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
            images.grad = gradient(images, iteration).contiguous()
            adam.step()
            with torch.no_grad():
                images.clamp_(lower, upper)

    what = f"recovery loop, convnet4-bn, 64 px, batch 20, {iterations} iterations"
    race.run(what, "in the harness", lambda: engine.recover(task, batches), bare, rounds=9)
