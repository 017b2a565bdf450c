"""What a GPU computes is what the CPU computes, and what the harness measures there. Without one these say so."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import QUICK, Bench
from matching import SMALL
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.condensation import Condenser, Task
from bench.data.opening import open_dataset
from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.hardware.devices import computing_in
from bench.loops.pace import FirstSteps
from bench.planning.configuring import build, configure
from bench.progress import Silent
from bench.recovery.engine import Batch, Engine, initial_images
from bench.recovery.engines import engine_for
from bench.recovery.recipes import EngineName, RecoveryRecipe
from bench.testing import tiny_dataset, tiny_task
from bench.training import loop
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import HardSupervision
from bench.training.views import Views, apply

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
BACKBONES = ("convnet3-bn", "resnet18", "bn-vit-tiny")
AUGMENTATIONS: list[dict[str, Any]] = [
    {"crop": "resized", "flip": True},
    {"crop": "padded", "pad": 2, "flip": True},
    {"dsa": "color_crop_cutout_flip_scale_rotate"},
    {"mix": "cutmix"},
    {"mix": "mixup"},
    {"shuffle_patches": 2},
]
TRAININGS: list[dict[str, Any]] = [
    *AUGMENTATIONS,
    {"randaugment": 9},
    {"randaugment": 9, "randaugment_policy": "torchvision"},
    {"erasing": 1.0},
    {"jitter": 0.4, "lighting": 0.1},
    {"augmax": "flip_color_crop_rotate_translate_cutout"},
    {"dsa": "color_crop_cutout_flip_scale_rotate", "dsa_reading": "layered"},
    {"sam_rho": 0.05},
    {"sam_rho": 0.05, "gsam_alpha": 0.2},
    {"ema": 0.9},
    {"optimizer": "adamw"},
    {"accumulation": 2},
]
METERED = ("synthesis", "match", "recover", "regress")  # loops of `Task.iterations`


@contextmanager
def waiting_for_nothing() -> Iterator[None]:
    """Within it whatever makes the host wait for the device raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def close(ours: Tensor, theirs: Tensor) -> float:
    """||ours - theirs|| / ||theirs||, in float64 on the CPU."""
    ours, theirs = ours.detach().double().cpu(), theirs.detach().double().cpu()
    return float((ours - theirs).norm() / theirs.norm())


def task_on(device: torch.device, folder: Path, **changes: Any) -> Task:  # noqa: ANN401 - the fields of Task
    dataset = tiny_dataset(classes=4, resolution=32)
    task = tiny_task(folder, dataset=dataset, backbone="resnet18", workspace=f"work-{device.type}")
    return replace(task, device=device, **changes)


def gradient(task: Task, backbone: str, engine_name: EngineName, *, double: bool = False) -> Tensor:
    """Of two batches of four images each at iteration 3."""
    recipe = RecoveryRecipe(iterations=8, lr=0.1, bn_weight=0.1, roll=(-2, 2), engine=engine_name)
    network = task.network(3, backbone).to(task.device)
    engine: Engine = engine_for(network.double() if double else network, recipe)
    batches = [Batch(torch.arange(4), 5), Batch(torch.arange(4), 6)]
    images = initial_images(task, batches)
    with computing_in(task.precision):
        return engine.gradient(task, batches)(images.double() if double else images, 3)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("engine_name", ["reference", "fast"])
@pytest.mark.parametrize(("precision", "error"), [("fp32", 3e-3), ("tf32", 5e-2), ("bf16", 0.15)])
def test_gradients_are_those_of_float64_on_the_cpu(
    backbone: str, engine_name: EngineName, precision: Precision, error: float, tmp_path: Path
) -> None:
    """An untrained ResNet turns the last bit of an activation into some per mille of the gradient, on a CPU too."""
    exact = gradient(task_on(CPU, tmp_path), backbone, "reference", double=True)
    ours = gradient(task_on(CUDA, tmp_path, precision=precision), backbone, engine_name)
    assert close(ours, exact) < error


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_compiled_step_is_the_plain_one(precision: Precision, tmp_path: Path) -> None:
    plain = gradient(task_on(CUDA, tmp_path, precision=precision), "resnet18", "fast")
    compiled = gradient(task_on(CUDA, tmp_path, precision=precision, compile="always"), "resnet18", "fast")
    assert float(cosine_similarity(plain.flatten(), compiled.flatten(), dim=0)) > (
        0.99 if precision == "bf16" else 0.9999
    )


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_views_are_the_cpus(augmentation: dict[str, Any]) -> None:
    dataset = tiny_dataset(resolution=32)
    recipe = TrainingRecipe.model_validate(
        {"epochs": 2, "batch_size": 12, "lr": 0.1, "weight_decay": 0.0, "schedule": "step", **augmentation}
    )
    view = Views(recipe, 1, len(dataset.train), 32).at(1, 1)
    seen = []
    for device in (CPU, CUDA):
        feed = Feed(dataset.train, dataset.normalisation, device)
        images = feed.images(view.indices)
        with computing_in("fp32"):
            seen.append(apply(view, images, dataset.normalisation.blank(images), dataset.normalisation))
    assert close(seen[1], seen[0]) < 1e-5


@pytest.mark.parametrize("changes", TRAININGS, ids=lambda fields: "-".join(map(str, fields)))
def test_a_training_step_waits_for_nothing(changes: dict[str, Any], tmp_path: Path) -> None:
    task = task_on(CUDA, tmp_path)
    recipe = TrainingRecipe.model_validate(
        {"epochs": 2, "batch_size": 8, "lr": 0.1, "weight_decay": 0.0, "schedule": "step", **changes}
    )
    job = TrainingJob(recipe, Feed.of(task), HardSupervision(), 11, task.workspace / "training", "test")
    training = loop._Training(task, loop.place(task.network(5, "convnet3-bn"), task), job)
    training._step(0, 0)
    with waiting_for_nothing():
        training._step(0, 1)


def test_images_that_were_decoded_into_the_cache_lie_on_the_device(tmp_path: Path) -> None:
    dataset = open_dataset(Registry(), "digits", tmp_path, tmp_path / "cache", Silent())
    feed, places = Feed(dataset.train, dataset.normalisation, CUDA), torch.tensor([3, 1])
    with waiting_for_nothing():
        there = feed.images(places)
    assert close(there, dataset.normalisation.apply(dataset.train.take(places))) < 1e-6


def change(device: torch.device, folder: Path, precision: Precision) -> Tensor:
    """What six steps of training change in the weights."""
    task = task_on(device, folder, precision=precision)
    dataset = task.dataset
    recipe = TrainingRecipe(epochs=2, batch_size=16, lr=0.01, weight_decay=1e-3, schedule="step", flip=True)
    feed = Feed(dataset.train, dataset.normalisation, device)
    checkpoint = task.workspace / "training.checkpoint.safetensors"
    before, network = task.network(5, "convnet3-bn"), task.network(5, "convnet3-bn")
    with computing_in(precision):
        loop.train(task, network, TrainingJob(recipe, feed, HardSupervision(), 11, checkpoint, "test"))
    pairs = zip(network.parameters(), before.parameters(), strict=True)
    return torch.cat([(now.detach() - was.detach()).flatten().cpu() for now, was in pairs])


@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-2), ("tf32", 0.1), ("bf16", 0.3)])
def test_a_training_is_the_cpus(precision: Precision, error: float, tmp_path: Path) -> None:
    assert close(change(CUDA, tmp_path, precision), change(CPU, tmp_path, "fp32")) < error


def test_peak_memory_and_steps_are_measured_on_the_device(bench: Bench) -> None:
    """As the user types it: `--device cuda` names no number, and the child process finds its device all the same."""
    changes = [part for change in QUICK for part in ("--set", change)]
    told = bench.typed("-m", "sre2l", *changes, "--no-control", "--device", "cuda", "--precision", "auto")
    assert told.returncode == 0, told.stderr
    (row,) = rows(bench)
    assert row["device"] == "cuda"
    assert row["precision"] == "bf16"
    assert row["peak_memory_bytes"]["allocated"] > 0
    assert row["peak_memory_bytes"]["reserved"] >= row["peak_memory_bytes"]["allocated"]
    assert row["ms_per_image_iteration"]["median"] > 0


class _Unwaiting(FirstSteps):
    """A few steps, of which none of a metered loop but its first may wait for the device.

    Other loops may: DATM's choice of its first images looks at what experts say of them.
    """

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        for step in super().walk(what, start, stop, once=once):
            torch.cuda.set_sync_debug_mode("error" if what in METERED and step > start else "default")
            yield step
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["sre2l", "dc", "dsa", "dm", "idc", "idc-i", "mtt", "tesla", "datm"])
def test_updates_of_images_wait_for_nothing(name: str, tmp_path: Path) -> None:
    dataset = tiny_dataset(classes=4, resolution=32)
    backbone = "resnet18" if name == "sre2l" else "convnet3"
    here = replace(tiny_task(tmp_path, dataset=dataset, backbone=backbone), device=CUDA, compile="never")
    changed = ["squeeze.epochs=1", "squeeze.warmup_epochs=0", "recover.iterations=99"] if name == "sre2l" else []
    choice = configure(Registry(), name, here.setting, changed)
    if name in ("mtt", "tesla", "datm"):
        growing = {"current_max_start_epoch": 1, "expansion_end": 4} if name == "datm" else {}
        choice = replace(choice, config={**choice.config, **SMALL, **growing, "iterations": 99})
    _check_updates(build(Registry(), choice), here)


@pytest.mark.parametrize("name", ["cda", "lpld", "fadrm", "sc-dd", "cv-dd", "sre2l-plus-plus", "edc", "delt", "frepo"])
def test_updates_in_pools_of_networks_wait_for_nothing(name: str, tmp_path: Path) -> None:
    """Of networks that have learned next to nothing. G-VBSM's eigenvalues and DREAM's clustering do wait."""
    dataset = tiny_dataset(classes=4, resolution=16, per_class=12)
    task = replace(tiny_task(tmp_path, dataset=dataset, backbone="convnet3-bn"), device=CUDA, compile="never")
    method = build(Registry(), configure(Registry(), name, task.setting, []))
    _check_updates(method, replace(task, pace=FirstSteps(4)))


def _check_updates(method: Condenser[Any], task: Task) -> None:
    """A few updates of the first unit's images, none of which waits for the device."""
    there = replace(method.prepare(task) or task, pace=_Unwaiting(4))
    try:
        images = method.synthesize(there, method.units(there)[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(images.pixels.isfinite().all())


def rows(bench: Bench) -> list[dict[str, Any]]:
    told = bench.spoken("report", str(bench.runs), "--format", "json")
    assert told.returncode == 0, told.stderr
    return list(json.loads(told.stdout))


def test_a_stopped_recovery_continues_where_it_was(tmp_path: Path) -> None:
    def recovered(task: Task) -> Tensor:
        recipe = RecoveryRecipe(iterations=40, lr=0.1, bn_weight=0.1)
        engine = engine_for(task.network(3).to(CUDA), recipe)
        return engine.recover(task, [Batch(torch.arange(4), 5)])

    whole = recovered(task_on(CUDA, tmp_path / "whole"))
    asked = count()
    broken = task_on(CUDA, tmp_path / "broken", should_stop=lambda: next(asked) == 20)
    with pytest.raises(Interrupted):
        recovered(broken)
    assert close(recovered(task_on(CUDA, tmp_path / "broken")), whole) < 1e-3


def test_memory_that_is_not_there_is_a_failed_row(bench: Bench) -> None:
    changed = ("squeeze.epochs=1", "recover.iterations=4", "squeeze.batch_size=30")
    (job,) = bench.jobs(device="cuda", changes=changed, backbones=("resnet18",))
    torch.cuda.set_per_process_memory_fraction(0.0005)
    try:
        record = bench.run(job, device=CUDA)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert record.status == "failed"
    assert "memory" in str(record.reason)
