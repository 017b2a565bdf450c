"""The protocols of G-VBSM, EDC, SC-DD, CV-DD, LPLD, FADRM, DELT: by cell what paper or code say; valid everywhere."""

import csv
from pathlib import Path
from typing import Any

import pytest

import bench_reports
from bench.extensions.registry import Registry
from bench.recipes import Budget, Setting
from bench.training.protocol import TrainingProtocol
from bench.training.recipes import TrainingRecipe
from bench_statistics.protocols import PROTOCOLS

RESOLUTIONS = {"cifar10": 32, "cifar100": 32, "tiny-imagenet": 64, "digits": 8, "mnist": 28, "svhn": 32}
CLASSES = {"cifar100": 100, "tiny-imagenet": 200, "imagenet-1k": 1000}


def setting(dataset: str, ipc: int = 10, backbone: str = "resnet18", budget: Budget = "paper") -> Setting:
    return Setting(dataset, RESOLUTIONS.get(dataset, 224), 3, CLASSES.get(dataset, 10), ipc, backbone, budget)


def trained(protocol: str, dataset: str, ipc: int = 10, backbone: str = "resnet18") -> TrainingRecipe:
    return PROTOCOLS[protocol].plan(setting(dataset, ipc, backbone)).training


def said(recipe: TrainingRecipe, expected: dict[str, Any]) -> dict[str, Any]:
    """Of the recipe what is expected, by name."""
    return {name: getattr(recipe, name) for name in expected}


def test_they_are_offered_under_their_names_and_report_the_best() -> None:
    for name, protocol in PROTOCOLS.items():
        found: TrainingProtocol = Registry().load("protocol", name)
        assert found is protocol and (found.name, found.labels, found.paper_reports) == (name, "own", "best")


def test_every_protocol_that_numbers_were_published_under_is_here() -> None:
    lines = csv.DictReader(Path(bench_reports.__file__).with_name("claims.csv").open(encoding="utf-8"))
    claimed = {name for line in lines for name in line["protocol"].split()}
    assert {"g-vbsm", "edc", "sc-dd", "cv-dd", "lpld", "rd3", "fadrm", "delt"} <= claimed & set(
        Registry().names("protocol")
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_signs_are_not_turned(name: str) -> None:
    for dataset in ("digits", "mnist", "svhn"):
        recipe = trained(name, dataset)
        assert not recipe.randaugment


GVBSM = {
    **{"soft_loss": "mse", "schedule": "cosine", "zeta": 1.0, "crop": "resized", "crop_scale": (0.08, 1.0)},
    **{"flip": True, "mix": "cutmix", "decay_all": False, "ema": None, "randaugment": 0},
}
SGD, ADAMW = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4}, {"optimizer": "adamw", "lr": 1e-3}


@pytest.mark.parametrize(
    ("dataset", "backbone", "cell"),
    [
        ("imagenet-1k", "resnet18", {**ADAMW, "weight_decay": 0.01, "epochs": 300, "batch_size": 1024}),
        ("imagenet-1k", "resnet18", {"hard_weight": 0.1, "accumulation": 1}),
        ("imagenet-1k", "resnet50", {"batch_size": 1024, "accumulation": 4}),
        ("imagenet-1k", "resnet101", {"batch_size": 1024, "accumulation": 4}),
        ("tiny-imagenet", "resnet18", {**SGD, "momentum": 0.9, "epochs": 100, "batch_size": 100}),
        ("tiny-imagenet", "resnet18", {"hard_weight": 0.1, "accumulation": 2}),
        ("cifar100", "resnet18", {**SGD, "momentum": 0.9, "epochs": 1000, "batch_size": 64}),
        ("cifar100", "resnet18", {"hard_weight": 0.15, "accumulation": 1}),
        ("cifar10", "resnet18", {**ADAMW, "weight_decay": 0.0, "epochs": 1000, "batch_size": 100}),
        ("cifar10", "resnet18", {"hard_weight": 0.15, "accumulation": 1}),
    ],
)
def test_g_vbsm(dataset: str, backbone: str, cell: dict[str, Any]) -> None:
    expected = {**GVBSM, **cell}
    assert said(trained("g-vbsm", dataset, backbone=backbone), expected) == expected


EDC = {
    **{"soft_loss": "mse", "hard_weight": 0.025, "ema": 0.99, "ema_buffers": "live", "crop": "resized", "flip": True},
    **{"mix": "cutmix", "decay_all": False, "accumulation": 1, "shuffle_patches": 1},
}
HALF = (0.5, 1.0)
AUGMENTED = {"randaugment": 9, "randaugment_policy": "torchvision"}
STEPS = {"schedule": "multistep", "milestones": (0.8, 0.9, 0.95), "milestone_factor": 0.5, "crop_scale": (0.08, 1.0)}
SLOWED = {**SGD, "momentum": 0.875}


@pytest.mark.parametrize(
    ("dataset", "ipc", "cell"),
    [
        ("imagenet-1k", 10, {**ADAMW, "weight_decay": 0.01, "epochs": 300, "batch_size": 100, "randaugment": 0}),
        ("imagenet-1k", 10, {"schedule": "cosine", "zeta": 2.0, "crop_scale": HALF}),
        ("imagenet-10", 10, {**ADAMW, **AUGMENTED, "weight_decay": 0.01, "epochs": 1000, "batch_size": 50}),
        ("imagenet-10", 10, {"schedule": "cosine-linear", "zeta": 2.0, "crop_scale": HALF}),
        ("tiny-imagenet", 10, {**SLOWED, **AUGMENTED, "epochs": 300, "batch_size": 100, "schedule": "cosine"}),
        ("tiny-imagenet", 50, {"epochs": 300, "zeta": 2.0, "crop_scale": HALF}),
        ("tiny-imagenet", 1, {"epochs": 1000, "batch_size": 100, "schedule": "cosine", "zeta": 2.0}),
        ("cifar100", 10, {**SLOWED, **AUGMENTED, "epochs": 1000, "batch_size": 50, "schedule": "cosine-linear"}),
        ("cifar100", 1, {"epochs": 1000, "zeta": 2.0, "crop_scale": HALF}),
        ("cifar10", 10, {**ADAMW, **AUGMENTED, **STEPS, "weight_decay": 0.01, "epochs": 1000, "batch_size": 25}),
        ("cifar10", 50, {**STEPS, "epochs": 1000, "batch_size": 25}),
        ("cifar10", 1, {**STEPS, "epochs": 1000, "batch_size": 10}),
    ],
)
def test_edc(dataset: str, ipc: int, cell: dict[str, Any]) -> None:
    expected = {**EDC, **cell}
    assert said(trained("edc", dataset, ipc), expected) == expected
    assert trained("edc", "imagenet-1k", backbone="swin-tiny").lr == 1e-4


def test_sc_dd_is_the_code_and_has_the_paper_beside_it() -> None:
    code, paper = trained("sc-dd", "cifar100"), trained("sc-dd-paper", "cifar100")
    expected = {"epochs": 200, "batch_size": 64, "optimizer": "adamw", "weight_decay": 0.01, "decay_all": True}
    expected |= {"crop": "padded", "pad": 4, "flip": True, "mix": "mixup", "mix_alpha": 0.8, "soft_loss": "kl"}
    assert said(code, expected) == said(paper, expected) == expected
    assert (code.lr, code.zeta, paper.lr, paper.zeta) == (1e-3, 3.0, 5e-3, 1.0)
    large = {**ADAMW, "epochs": 300, "batch_size": 64, "mix": "cutmix", "decay_all": False, "t_squared": False}
    assert said(trained("sc-dd", "imagenet-1k"), large) == large
    tiny = trained("sc-dd", "tiny-imagenet")
    assert (tiny.epochs, tiny.optimizer, tiny.lr, tiny.t_squared) == (500, "sgd", 0.2, True)
    assert trained("sc-dd-paper", "tiny-imagenet") == tiny


# lr and eta of train_fkd.py, by network, at 1, 10 and 50 images per class
CVDD: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
    "cifar10": {
        "resnet18": ((1e-3, 1), (1e-3, 1), (1e-3, 1)),
        "resnet50": ((1e-3, 1), (1e-3, 1), (1e-3, 1)),
        "resnet101": ((5e-4, 1), (5e-4, 1), (5e-4, 1)),
    },
    "cifar100": {
        "resnet18": ((1e-3, 1), (1e-3, 2), (1e-3, 1)),
        "resnet50": ((1e-3, 1), (1e-3, 2), (1e-3, 1)),
        "resnet101": ((5e-4, 1), (5e-4, 1), (5e-4, 1)),
    },
    "tiny-imagenet": {
        "resnet18": ((1e-3, 2), (1e-3, 1), (1e-3, 2)),
        "resnet50": ((1e-3, 1), (1e-3, 1), (1e-3, 1)),
        "resnet101": ((5e-4, 2), (5e-4, 2), (5e-4, 2)),
    },
    "imagenette": {
        "resnet18": ((5e-4, 2), (5e-4, 1), (5e-4, 2)),
        "resnet50": ((5e-4, 2), (1e-3, 1), (5e-4, 1)),
        "resnet101": ((5e-4, 2), (5e-4, 2), (1e-3, 2)),
    },
    "imagenet-1k": {
        "resnet18": ((1e-3, 2), (1e-3, 2), (1e-3, 1)),
        "resnet50": ((1e-3, 2), (1e-3, 2), (1e-3, 1)),
        "resnet101": ((1e-3, 2), (1e-3, 2), (5e-4, 2)),
    },
}


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "resnet101"])
@pytest.mark.parametrize("dataset", CVDD)
def test_cv_dd(dataset: str, backbone: str) -> None:
    cells = [trained("cv-dd", dataset, ipc, backbone) for ipc in (1, 10, 50)]
    assert tuple((cell.lr, cell.zeta) for cell in cells) == CVDD[dataset][backbone]
    expected = {"epochs": 300, "batch_size": 16, "accumulation": 2, "optimizer": "adamw", "weight_decay": 0.01}
    expected |= {"decay_all": False, "schedule": "cosine", "crop": "resized", "flip": True, "mix": "cutmix"}
    expected |= {"crop_scale": (0.08, 1.0), "soft_loss": "kl", "t_squared": False}
    assert [said(cell, expected) for cell in cells] == [expected] * 3


def test_lpld() -> None:
    large = {**ADAMW, "weight_decay": 0.01, "epochs": 300, "batch_size": 128, "mix": "cutmix", "t_squared": False}
    assert said(trained("lpld", "imagenet-1k"), large) == large
    tiny = {"optimizer": "sgd", "lr": 0.2, "momentum": 0.9, "weight_decay": 1e-4, "decay_all": False, "epochs": 100}
    tiny |= {"batch_size": 64, "warmup_epochs": 5, "warmup_factor": 0.01, "mix": "none", "t_squared": True}
    assert said(trained("lpld", "tiny-imagenet"), tiny) == tiny


# lr and eta of train_fkd.py, by network, at 1, 10 and 50 images per class
FADRM: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
    "cifar100": {
        "resnet18": ((5e-4, 2), (1e-3, 2), (1e-3, 1)),
        "resnet50": ((1e-3, 1), (1e-3, 2), (1e-3, 1)),
        "resnet101": ((5e-4, 1), (5e-4, 1), (5e-4, 1)),
    },
    "tiny-imagenet": {
        "resnet18": ((1e-3, 2), (1e-3, 2), (1e-3, 1)),
        "resnet50": ((5e-4, 2), (5e-4, 2), (5e-4, 1)),
        "resnet101": ((5e-4, 2), (5e-4, 2), (5e-4, 1)),
    },
    "imagewoof": {
        "resnet18": ((5e-4, 2), (5e-4, 1), (1e-3, 2)),
        "resnet50": ((5e-4, 2), (5e-3, 1), (5e-4, 1)),
        "resnet101": ((1e-3, 1), (5e-4, 2), (5e-4, 1)),
    },
    "imagenette": {
        "resnet18": ((5e-4, 2), (5e-4, 1), (5e-4, 2)),
        "resnet50": ((5e-4, 2), (5e-4, 1), (5e-4, 1)),
        "resnet101": ((5e-4, 2), (5e-4, 2), (1e-3, 2)),
    },
    "imagenet-1k": {
        "resnet18": ((1e-3, 2), (1e-3, 2), (1e-3, 1)),
        "resnet50": ((5e-4, 2), (1e-3, 2), (1e-3, 1)),
        "resnet101": ((3.5e-3, 2), (1e-3, 2), (5e-4, 1)),
    },
}


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "resnet101"])
@pytest.mark.parametrize("dataset", FADRM)
def test_fadrm(dataset: str, backbone: str) -> None:
    cells = [trained("fadrm", dataset, ipc, backbone) for ipc in (1, 10, 50)]
    assert tuple((cell.lr, cell.zeta) for cell in cells) == FADRM[dataset][backbone]
    epochs = {"cifar100": (1000, 1000, 1000), "tiny-imagenet": (1000, 300, 300)}.get(dataset, (300, 300, 300))
    assert tuple(cell.epochs for cell in cells) == epochs
    expected: dict[str, Any] = {"batch_size": 10 if dataset in ("imagenette", "imagewoof") else 16}
    expected |= {"accumulation": 2}
    expected |= {"optimizer": "adamw", "weight_decay": 0.01, "decay_all": False, "schedule": "cosine", "flip": True}
    expected |= {"crop": "resized", "mix": "cutmix", "crop_scale": (0.08, 1.0), "soft_loss": "kl", "t_squared": False}
    assert [said(cell, expected) for cell in cells] == [expected] * 3


def test_delt_is_rded_s_with_randaugment_and_larger_crops() -> None:
    expected = {**ADAMW, "weight_decay": 0.01, "epochs": 300, "schedule": "half-cosine", "crop": "resized"}
    expected |= {"crop_scale": (0.25, 1.0), "randaugment": 6, "mix": "cutmix", "bn_updates": 2, "shuffle_patches": 1}
    assert said(trained("delt", "imagenet-1k"), expected) == expected
    sizes = {
        (dataset, ipc): trained("delt", dataset, ipc).batch_size
        for dataset in ("imagenet-1k", "cifar100", "cifar10", "tiny-imagenet")
        for ipc in (1, 10, 20, 30, 50, 100)
    }
    usual = {1: 10, 10: 50, 20: 50, 30: 100, 50: 100, 100: 100}
    for (dataset, ipc), size in sizes.items():
        doubled = usual[ipc] * (1 if dataset == "cifar10" else 2)
        assert size == (100 if dataset == "tiny-imagenet" else doubled), (dataset, ipc)
    for dataset, size in (("imagenet-1k", 50), ("cifar100", 100), ("tiny-imagenet", 100), ("cifar10", 50)):
        assert trained("delt", dataset, 10, "resnet101").batch_size == size
    for mobilenet in ("mobilenetv2", "mobilenetv2-1.0"):  # one network above 64 pixels
        assert trained("delt", "imagenet-1k", backbone=mobilenet).lr == 2.5e-3
    assert PROTOCOLS["delt"].plan(setting("tiny-imagenet")).test_resize == 72
