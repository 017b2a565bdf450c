"""What the methods and protocols do with MNIST, Fashion-MNIST and SVHN: digits are never mirrored, clothes may be."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.data.opening import open_dataset
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.recipes import Recipe, Setting
from bench_datasets import __file__ as cards

REGISTRY = Registry()
SHAPES = {"digits": (8, 1), "mnist": (28, 1), "fashion-mnist": (28, 1), "svhn": (32, 3), "cifar10": (32, 3)}
BACKBONES = ("convnet3", "convnet3-bn", "resnet18", "deit-tiny", "bn-vit-tiny")
NO_FLIP, FLIP = "color_crop_cutout_scale_rotate", "color_crop_cutout_flip_scale_rotate"


def setting(dataset: str, ipc: int = 10, backbone: str = "convnet3") -> Setting:
    return Setting(dataset, *SHAPES[dataset], 10, ipc, backbone)


def recipes(at: Setting) -> Iterator[tuple[str, Recipe]]:
    """Of every method and every protocol that trains."""
    for name in REGISTRY.names("method"):
        yield name, REGISTRY.load("method", name).recipe(at)
    for name in REGISTRY.names("protocol"):
        if (recipe := REGISTRY.load("protocol", name).recipe(at)) is not None:
            yield name, recipe


def mirrored(values: Mapping[str, Any]) -> bool:
    """Whether any table in the values flips images."""
    below = any(mirrored(value) for value in values.values() if isinstance(value, Mapping))
    families = "_".join(str(values.get(name, "")) for name in ("dsa", "augmax")).split("_")
    return below or bool(values.get("flip")) or "flip" in families


@pytest.mark.parametrize("dataset", ["digits", "mnist", "svhn"])
@pytest.mark.parametrize("ipc", [1, 10, 50])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_digit_is_mirrored(dataset: str, ipc: int, backbone: str) -> None:
    assert [name for name, recipe in recipes(setting(dataset, ipc, backbone)) if mirrored(recipe.values)] == []


def test_clothes_are_mirrored_where_cifar_is() -> None:
    for at in (setting("fashion-mnist", 10, backbone) for backbone in BACKBONES):
        flipping = [name for name, recipe in recipes(at) if mirrored(recipe.values)]
        assert {"dsa", "dm", "mtt", "tesla", "datm", "sre2l", "cda", "rded", "hard", "soft", "sre2l-c100"} <= set(
            flipping
        )


@pytest.mark.parametrize("method", ["dsa", "dm", "mtt", "tesla", "datm"])
@pytest.mark.parametrize(("dataset", "strategy"), [("mnist", NO_FLIP), ("svhn", NO_FLIP), ("fashion-mnist", FLIP)])
def test_siamese_augmentation_is_that_of_dsas_readme(method: str, dataset: str, strategy: str) -> None:
    values = REGISTRY.load("method", method).recipe(setting(dataset)).values
    assert values["dsa"] == strategy
    assert values.get("experts", values)["dsa"] == strategy


@pytest.mark.parametrize(
    ("dataset", "epochs", "dsa"),
    [("mnist", 1000, "crop_scale_rotate"), ("fashion-mnist", 300, ""), ("svhn", 300, ""), ("cifar10", 300, "")],
)
def test_dc_evaluates_as_its_release(dataset: str, epochs: int, dsa: str) -> None:
    """`get_daparam` and `main.py`: only MNIST is augmented, and what is augmented is trained 1,000 epochs."""
    training = REGISTRY.load("protocol", "dc").plan(setting(dataset)).training
    assert (training.epochs, training.dsa, training.flip) == (epochs, dsa, False)
    batchnorm = REGISTRY.load("protocol", "dc").plan(setting(dataset, backbone="convnet3-bn")).training
    assert (batchnorm.epochs, batchnorm.dsa) == (1000, "crop")


@pytest.mark.parametrize("ipc", [1, 10, 50])
def test_dc_condenses_all_its_datasets_alike(ipc: int) -> None:
    """The release has one set of defaults."""
    values = [REGISTRY.load("method", "dc").recipe(setting(name, ipc)).values for name in SHAPES if name != "digits"]
    assert values == [values[0]] * 4


@pytest.mark.parametrize("method", ["mtt", "tesla", "datm"])
@pytest.mark.parametrize("ipc", [1, 10, 50])
def test_trajectories_are_cifars_without_whitening(method: str, ipc: int) -> None:
    ours, cifar = (REGISTRY.load("method", method).recipe(setting(name, ipc)) for name in ("fashion-mnist", "cifar10"))
    assert ours.values == {**cifar.values, "zca": False}
    assert ours.source.startswith("ours")
    assert REGISTRY.load("method", method).recipe(setting("mnist", ipc)).source.startswith("ours")


def test_a_card_that_is_like_mnist_takes_its_recipes(tmp_path: Path) -> None:
    """The digits of scikit-learn, padded in words alone to MNIST's shape by a card of one's own."""
    text = Path(cards).with_name("digits.toml").read_text(encoding="utf-8")
    text = text.replace('name = "digits"', 'name = "mine"\nlike = "mnist"').replace("resolution = 8", "resolution = 28")
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    dataset = open_dataset(REGISTRY, str(path), tmp_path, tmp_path / "cache", Silent())
    assert (dataset.name, dataset.known_as) == ("mine", "mnist")
