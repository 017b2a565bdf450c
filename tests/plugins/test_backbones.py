"""Backbones: exact sizes, shapes, norms, and what does not fit."""

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.extensions.registry import Registry

REGISTRY = Registry()
OURS = [registered.offer for registered in REGISTRY.registered("backbone") if registered.plugin == "backbones"]
NAMES = {
    *("convnet3", "convnet4", "convnet5", "convnet3-bn", "convnet4-bn", "convnet5-bn"),
    *("convnet3-none", "convnet4-none", "resnet18", "resnet50", "resnet101"),
}


def build(name: str, classes: int, resolution: int, channels: int = 3) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = REGISTRY.load("backbone", name)(classes, resolution, channels)
    return network


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_all_are_offered() -> None:
    assert {offer.name for offer in OURS} == NAMES


@pytest.mark.parametrize(
    ("name", "classes", "resolution", "expected"),
    [
        ("convnet3", 10, 32, 320_010),
        ("convnet3", 100, 32, 504_420),
        ("convnet4", 200, 64, 857_160),
        ("convnet5", 10, 128, 615_690),
        ("convnet3-bn", 10, 32, 320_010),
        ("convnet3-none", 10, 32, 320_010 - 3 * 256),
        ("resnet18", 10, 32, 11_173_962),
        ("resnet18", 100, 32, 11_220_132),
        ("resnet18", 200, 64, 11_271_432),
        ("resnet18", 1000, 224, 11_689_512),
        ("resnet50", 1000, 224, 25_557_032),
        ("resnet101", 1000, 224, 44_549_160),
    ],
)
def test_parameter_counts(name: str, classes: int, resolution: int, expected: int) -> None:
    assert parameters(build(name, classes, resolution)) == expected


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize(("resolution", "channels"), [(32, 3), (64, 3), (28, 1), (65, 1)])
def test_logits_have_a_column_a_class(name: str, resolution: int, channels: int) -> None:
    logits = build(name, 7, resolution, channels)(torch.empty(2, channels, resolution, resolution, device="meta"))
    assert logits.shape == (2, 7)


@pytest.mark.parametrize("offer", OURS, ids=lambda offer: offer.name)
def test_the_batchnorm_trait_is_true(offer: object) -> None:
    name, traits = offer.name, offer.traits  # type: ignore[attr-defined]
    has = any(isinstance(module, nn.BatchNorm2d) for module in build(name, 10, 32).modules())
    assert ("batchnorm" in traits) == has


def test_instance_norm_is_one_group_a_channel_with_affine_parameters() -> None:
    norms = [module for module in build("convnet3", 10, 32).modules() if isinstance(module, nn.GroupNorm)]
    assert [(norm.num_groups, norm.num_channels, norm.affine) for norm in norms] == [(128, 128, True)] * 3


def test_a_block_is_convolution_norm_relu_average_pool() -> None:
    network = build("convnet3-bn", 10, 32)
    kinds = [type(module) for module in network.modules() if not list(module.children())]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.AvgPool2d] * 3 + [nn.Linear]


def test_gray_28_is_treated_as_32() -> None:
    assert parameters(build("convnet3", 10, 28, 1)) == 320_010 - 2 * 128 * 9
    assert build("convnet3", 10, 28, 3).classifier.in_features == 128 * 3 * 3  # type: ignore[union-attr]


def test_digits_of_8_pixels_fit_three_blocks() -> None:
    network = build("convnet3-bn", 10, 8, 1)
    assert network.classifier.in_features == 128  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "resolution", "message"),
    [
        ("convnet4", 8, "convnet4 needs images of at least 16 pixels a side, not 8; the deepest that fits is convnet3"),
        ("convnet5-bn", 31, "at least 32 pixels a side, not 31; the deepest that fits is convnet4-bn"),
        ("convnet3-none", 7, "no ConvNet fits"),
    ],
)
def test_too_deep_for_the_resolution_names_what_fits(name: str, resolution: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, 10, resolution)


@pytest.mark.parametrize(("resolution", "small"), [(32, True), (64, True), (65, False), (224, False)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_stem_follows_the_resolution(resolution: int, small: bool, channels: int) -> None:
    network = build("resnet18", 10, resolution, channels)
    stem = network.conv1
    assert isinstance(stem, nn.Conv2d) and stem.bias is None and stem.in_channels == channels
    assert (stem.kernel_size, stem.stride) == (((3, 3), (1, 1)) if small else ((7, 7), (2, 2)))
    assert isinstance(network.maxpool, nn.Identity if small else nn.MaxPool2d)


def test_average_pool_and_flatten_keep_the_field_s_order() -> None:
    """The classifier reads channel-major features, so released weights would fit."""
    network: nn.Module = REGISTRY.load("backbone", "convnet3-none")(2, 8, 3)
    seen: list[Tensor] = []
    network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    images = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    network(images)
    features = network.blocks(images)  # type: ignore[operator]
    assert torch.equal(seen[0], features.flatten(1))
