"""DATM's settings: those of its release, and what is said of ours."""

from dataclasses import replace
from typing import Any

import pytest

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.configuring import configure
from bench.recipes import Setting
from bench_matching.datm import DATM, DATMConfig

# configs/*/ConvIN: N, M, min start, current max, max, expansion end, lr_img, lr_lr, lr_y, threshold, batch, init
PUBLISHED = {
    ("cifar10", 1): (80, 2, 0, None, 4, None, 100, 1e-7, 5, 1.1, 10, "recognised"),
    ("cifar10", 10): (80, 2, 0, 10, 20, 1000, 100, 1e-5, 2, 1.0, 100, "recognised"),
    ("cifar10", 50): (80, 2, 0, 20, 40, 2000, 1000, 1e-5, 2, 1.0, 500, "recognised"),
    ("cifar10", 500): (40, 2, 40, None, 60, None, 50, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar10", 1000): (100, 2, 40, None, 60, None, 50, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar100", 1): (40, 3, 0, 10, 20, 1000, 1000, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar100", 10): (80, 2, 0, 30, 50, 2000, 1000, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar100", 50): (80, 2, 20, None, 70, None, 1000, 1e-5, 10, 1.0, 1000, "real"),
    ("cifar100", 100): (80, 2, 30, None, 70, None, 50, 1e-5, 10, 1.0, 1000, "recognised"),
    ("tiny-imagenet", 1): (40, 2, 0, 15, 20, 2000, 1e4, 1e-4, 10, 1.0, 1000, "recognised"),
    ("tiny-imagenet", 10): (40, 2, 10, None, 50, None, 100, 1e-4, 10, 1.0, 500, "recognised"),
    ("tiny-imagenet", 50): (20, 2, 40, None, 70, None, 100, 1e-4, 10, 1.0, 1000, "recognised"),
}
CLASSES = {"cifar10": 10, "cifar100": 100, "tiny-imagenet": 200}


def setting(dataset: str, ipc: int) -> Setting:
    return Setting(dataset, 64 if dataset == "tiny-imagenet" else 32, 3, CLASSES.get(dataset, 10), ipc, "convnet3")


@pytest.mark.parametrize(("dataset", "ipc"), PUBLISHED)
def test_settings_are_those_of_the_release(dataset: str, ipc: int) -> None:
    recipe = DATM.recipe(setting(dataset, ipc))
    config = DATMConfig.model_validate(recipe.values)
    grows = config.current_max_start_epoch is not None
    starts = (config.min_start_epoch, config.current_max_start_epoch, config.max_start_epoch)
    rates = (config.lr_img, config.lr_lr, config.lr_y, config.threshold)
    found = (config.steps, config.expert_epochs, *starts, config.expansion_end if grows else None, *rates)
    assert (*found, config.batch_size, config.init) == PUBLISHED[dataset, ipc]
    assert (config.iterations, config.lr_init, config.momentum, config.momentum_y) == (10_000, 0.01, 0.5, 0.9)
    assert config.zca and config.dsa == "color_crop_cutout_flip_scale_rotate"
    assert recipe.source.startswith("DATM release") and "at IPC" not in recipe.source


@pytest.mark.parametrize("dataset", CLASSES)
def test_experts_are_those_of_the_readmes_command(dataset: str) -> None:
    experts = DATMConfig.model_validate(DATM.recipe(setting(dataset, 10)).values).experts
    assert (experts.count, experts.epochs, experts.batch_size, experts.lr) == (100, 100, 256, 0.01)
    assert (experts.momentum, experts.weight_decay, experts.schedule) == (0, 0, "constant")
    assert (experts.sam_rho, experts.gsam_alpha, experts.sam_adaptive) == (0.01, 0.3, True)
    assert experts.dsa == "color_crop_cutout_flip_scale_rotate"


@pytest.mark.parametrize(("dataset", "ipc"), PUBLISHED)
def test_the_quick_budget_keeps_the_shape_of_the_starts(dataset: str, ipc: int) -> None:
    """A fifth of the experts' epochs, and of all starts."""
    paper, quick = (DATMConfig.model_validate(DATM.recipe(setting(dataset, ipc)).at(each)) for each in BUDGETS)
    assert quick.experts.epochs == 20 and quick.last_target <= 20
    assert quick.min_start_epoch == paper.min_start_epoch / 5 and quick.max_start_epoch == max(
        1, paper.max_start_epoch // 5
    )
    share = quick.iterations / paper.iterations
    assert quick.expansion_end == max(1, round(paper.expansion_end * share))


BUDGETS: Any = ("paper", "quick")


@pytest.mark.parametrize("ipc", [1, 10, 50])
def test_few_classes_have_smaller_rates(ipc: int) -> None:
    few = DATM.recipe(replace(setting("tiny-imagenet", ipc), classes=10))
    config = DATMConfig.model_validate(few.values)
    assert (config.lr_img, config.lr_lr, config.lr_y) == (1e3 if ipc == 1 else 1e2, 1e-6, 2.0)
    assert few.source.startswith("ours for fewer")


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "svhn", "digits", "small", "large"])
def test_settings_that_datm_did_not_publish_say_so(dataset: str) -> None:
    assert DATM.recipe(replace(setting(dataset, 10), resolution=32 if dataset != "large" else 224)).source.startswith(
        "ours"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["min_start_epoch=20"], "min_start_epoch 20 must be below current_max_start_epoch, which is 10"),
        (["current_max_start_epoch=21"], "current_max_start_epoch 21 must not be above max_start_epoch, which is 20"),
        (["max_start_epoch=100"], "ask for experts of 101 epochs; experts.epochs is 100"),
        (["lr_y=-1"], "lr_y"),
        (["threshold=0"], "threshold"),
        (["init=noise"], "init"),
        (["experts.sam_rho=0"], "sam_adaptive and gsam_alpha belong to a sam_rho above 0"),
    ],
)
def test_what_can_never_work_is_refused_at_planning(changes: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        configure(Registry(), "datm", setting("cifar10", 10), changes)


def test_without_expansion_the_one_range_must_hold_something() -> None:
    with pytest.raises(UsageError, match="min_start_epoch 70 must be below max_start_epoch, which is 70"):
        configure(Registry(), "datm", setting("cifar100", 100), ["min_start_epoch=70"])
