"""LPLD, whose batches hold a class; FADRM, whose stages mix images in; DELT, whose images join in rounds."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pool_methods import ALONE, batches, method, setting
from torch import nn

from bench import seeds
from bench.condensation import Task
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.planning.configuring import build, configure
from bench.recipes import Setting
from bench.recovery.batches import Batch
from bench.recovery.views import draw_view
from bench.testing import tiny_dataset, tiny_task
from bench_statistics.delt import joined
from bench_statistics.method import PoolCondenser


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3)


# --- LPLD's classes ---------------------------------------------------------------------------------------------------


def test_a_batch_of_lpld_s_holds_one_class(task: Task) -> None:
    found = batches(method("lpld", task, ALONE, "recover.batch_size=2").units(task))
    assert found == [((label, 0), (label, 1)) if part == 0 else ((label, 2),) for label in range(3) for part in (0, 1)]
    with pytest.raises(UsageError, match="a batch has images of one class"):
        method("lpld", task, ALONE, "recover.order=image-major")


@pytest.mark.parametrize("released", ["moving-classes", ""])
def test_lpld_matches_the_statistics_of_the_batch_s_class_alone(task: Task, released: str) -> None:
    """L = CE + r sum of w (||mean - mean_c|| + ||var - var_c||), w = 10 for the first and 1 for the others."""
    made = method("lpld", task, ALONE, f'recover.as_released=["{released}"]' if released else "recover.as_released=[]")
    made.prepare(task)
    member, recipe = made._engine.pool[0], made.config.recover
    batch = Batch(torch.tensor([1, 1, 1]), 7)
    images = torch.randn(3, 3, 8, 8, generator=seeds.generator("lpld"))
    found = made._engine.gradient(task, [batch])(images[None], 0)[0]
    leaf, seen = images.clone().requires_grad_(), list[torch.Tensor]()
    norms = [module for module in member.network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [each.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for each in norms]
    logits = member.network(draw_view(recipe, 8, 7, 0).of(leaf))
    for handle in handles:
        handle.remove()
    loss = nn.functional.cross_entropy(logits, batch.targets)
    assert member.real is not None
    for place, inputs in enumerate(seen):
        mean, variance = (each[1] for each in member.real.by_class[place])
        apart = (inputs.mean((0, 2, 3)) - mean).norm() + (inputs.var((0, 2, 3), correction=0) - variance).norm()
        loss = loss + recipe.bn_weight * (10 if place == 0 else 1) * apart
    torch.testing.assert_close(found, torch.autograd.grad(loss, [leaf])[0], atol=1e-4, rtol=1e-3)


# --- FADRM's stages, and DELT's rounds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "pool", "mode"),
    [
        (setting("tiny-imagenet", 64, 200, 1), ("resnet18", "shufflenetv2", "mobilenetv2-1.0"), "train-halves"),
        (setting("tiny-imagenet", 64, 200), ("resnet18", "shufflenetv2", "densenet121", "mobilenetv2-1.0"), None),
        (setting("cifar100", 32, 100), ("resnet18", "densenet121", "shufflenetv2", "mobilenetv2-1.0"), None),
        (setting("imagenet-1k", 224, 1000, 1), ("resnet18", "mobilenetv2-1.0", "shufflenetv2"), None),
        (setting("imagewoof", 224, 10, 1), ("resnet18", "shufflenetv2", "mobilenetv2-1.0", "densenet121"), None),
        (setting("imagewoof", 224, 10), ("resnet18", "densenet121", "shufflenetv2", "mobilenetv2-1.0"), None),
    ],
)
def test_fadrm_plus_s_networks_take_turns_in_the_release_s_order(
    at: Setting, pool: tuple[str, ...], mode: str | None
) -> None:
    config = configure(Registry(), "fadrm-plus", at, ()).config
    assert config["pool"] == list(pool) and config["relabel"]["teacher_mode"] == (mode or "train-halves")
    alone = configure(Registry(), "fadrm", at, ()).config
    assert alone["pool"] == [] and (alone["relabel"]["teacher_mode"] == "eval") == (at.dataset == "tiny-imagenet")


@pytest.mark.parametrize("name", ["fadrm", "fadrm-plus"])
@pytest.mark.parametrize("dataset", ["imagenet-1k", "imagenette", "imagewoof", "imagenet-10", "imagenet-100"])
def test_above_64_pixels_stages_have_200_and_224_in_turn(name: str, dataset: str) -> None:
    """--input-size-lis 200 224 200 224 --optimization-budgets 500 500 500 500, in all scripts for ImageNet."""
    at = setting(dataset, 224, 1000 if dataset == "imagenet-1k" else 10)
    made = build(Registry(), configure(Registry(), name, at, ()))
    assert isinstance(made, PoolCondenser)
    recover = made.config.recover
    assert [recover.side(stage * 500, 224) for stage in range(4)] == [200, 224, 200, 224]
    smaller = (200**2 + 224**2) / (2 * 224**2)  # of the pixels that all at 224 would have
    assert sum(made.passes(at).values()) == pytest.approx(smaller)
    whole = configure(Registry(), name, replace(at, backbone="convnet5-bn"), ["squeeze.weights=", "pool=[]"]).config
    assert "scales" not in whole["recover"], "a ConvNet takes images of one size"


@pytest.mark.parametrize("backbone", ["convnet3-bn", "bn-vit-tiny"])
def test_a_network_of_one_size_is_told_of_before_anything_is_squeezed(tmp_path: Path, backbone: str) -> None:
    """A ConvNet's classifier raises RuntimeError for images of another size, timm's patches AssertionError."""
    task = tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3, backbone=backbone)
    made = method("fadrm", task, "pool=[]", "recover.scales=[0.5, 1.0]", "recover.stages=2")
    with pytest.raises(RunFailure, match=rf"^{backbone} takes images of 8 pixels and none of 4; --set recover.scales="):
        made.prepare(task)
    assert not task.used_stages


BATCHNORM = [each.offer.name for each in Registry().registered("backbone") if "batchnorm" in each.offer.traits]


@pytest.mark.parametrize("backbone", BATCHNORM)
def test_stages_are_smaller_for_the_networks_that_take_smaller_images(backbone: str) -> None:
    at = replace(setting("imagenette", 224, 10), backbone=backbone)
    recover = configure(Registry(), "fadrm", at, ()).config["recover"]
    with torch.device("meta"), torch.no_grad():
        network = Registry().load("backbone", backbone)(10, 224, 3).eval()
        try:
            network(torch.zeros(1, 3, 200, 200))
        except (RuntimeError, AssertionError):
            assert "scales" not in recover
        else:
            assert recover["scales"] == [0.892857, 1.0]


def test_stages_need_something_to_mix_in(task: Task) -> None:
    with pytest.raises(UsageError, match="start must not be 'noise'"):
        method("fadrm", task, "recover.start=noise")


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (50, [round_ for round_ in range(8) for _ in range(7 if round_ < 2 else 6)]),
        (10, [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]),
        (1, [0]),
        (3, [0, 1, 2]),
    ],
)
def test_images_of_a_class_join_as_the_release_slices_them(images: int, expected: list[int]) -> None:
    """get_round_imgs_indx: ipc // rounds a round, one more in each of the first ipc % rounds."""
    assert joined(images, 8, 4000) == [500 * round_ for round_ in expected]


def test_delt_s_batches_hold_whole_classes_whose_images_join_alike(task: Task) -> None:
    made = method("delt", task, ALONE, "recover.batch_size=7", "recover.rounds=2", "recover.iterations=10")
    found = batches(made.units(task))
    assert found == [tuple((label, number) for label in chunk for number in range(3)) for chunk in ((0, 1), (2,))]
    assert [made._joins(task, members) for members in found] == [(0, 0, 5, 0, 0, 5), (0, 0, 5)]
    assert made._sizes(task, found[0]) == [4, 6]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("recover.order=image-major", "order must be 'class-major'"),
        ("recover.smoothing=0.5", "neither smoothing nor flatness"),
    ],
)
def test_rounds_are_of_a_class_and_remember_nothing(task: Task, change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        method("delt", task, change)


def test_a_batch_of_delt_holds_a_class(task: Task) -> None:
    with pytest.raises(UsageError, match=r"is 2 for --ipc 3; --set recover.batch_size=3"):
        method("delt", task, ALONE, "recover.batch_size=2").check(task.setting)
