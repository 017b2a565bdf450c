"""Backbones: exact sizes, shapes, norms, and what does not fit."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.training.published import AT_TORCHVISION

REGISTRY = Registry()
OURS = [registered.offer for registered in REGISTRY.registered("backbone") if registered.plugin == "backbones"]
NAMES = {
    *("convnet3", "convnet4", "convnet5", "convnet3-bn", "convnet4-bn", "convnet5-bn"),
    *("convnet1", "convnet2", "convnet1-bn", "convnet2-bn", "convnet3-w32", "convnet3-w32-bn", "convnet3-w128"),
    *("convnet4-w32", "convnet4-w32-bn"),
    *("convnet3-none", "convnet4-none", "resnet18", "resnet50", "resnet101"),
    *("mobilenetv2", "shufflenetv2-0.5", "efficientnet-b0", "wrn-16-2", "alexnet", "vgg11-bn", "swin-tiny"),
    *("mobilenetv2-1.0", "shufflenetv2", "densenet121", "frepo-conv", "frepo-conv-bn", "resnet10-ap"),
    *("resnet18-imagenet-stem", "resnet50-imagenet-stem", "resnet101-imagenet-stem"),
    *(
        "resnet18-ap",
        "resnet18-ap-bn",
        "resnet18-instance",
        "vgg11-instance",
        "alexnet-bn",
        "mlp",
        "lenet",
        "convnext-tiny",
    ),
}
NEEDS_32 = {"swin-tiny", "convnext-tiny"}  # and not 28, gray or not


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
        # Of shaoshitong/EDC: `recover/models`, and `recover/networks.py` of Branch_CIFAR_100 and -_Tiny_ImageNet;
        # EfficientNet-B0 as Branch_CIFAR_10's `recover.py` changes torchvision's.
        ("mobilenetv2", 10, 32, 697_546),
        ("mobilenetv2", 100, 32, 812_836),
        ("mobilenetv2", 200, 64, 940_936),
        # of `models/resnet_ap.py` of snu-mllab/Efficient-Dataset-Condensation
        ("resnet10-ap", 10, 224, 4_910_922),
        ("resnet10-ap", 10, 128, 4_903_242),
        ("resnet10-ap", 200, 64, 5_000_712),
        ("wrn-16-2", 10, 32, 691_674),
        ("wrn-16-2", 100, 32, 703_284),
        ("wrn-16-2", 200, 64, 716_184),
        ("shufflenetv2-0.5", 10, 32, 351_466),
        ("shufflenetv2-0.5", 100, 32, 443_716),
        ("shufflenetv2-0.5", 200, 64, 546_216),
        ("efficientnet-b0", 10, 32, 4_020_358),
        ("vgg11-bn", 10, 32, 9_231_114),
        ("vgg11-bn", 100, 32, 9_277_284),
        ("alexnet", 10, 32, 1_872_202),
        ("alexnet", 100, 32, 2_148_772),
        ("convnet3-w128", 10, 32, 320_010),
        ("convnet3-w128", 200, 64, 1_938_120),
        ("convnet1", 10, 32, 331_530),
        ("convnet1", 100, 32, 3_280_740),
        ("convnet2", 10, 32, 233_610),
        ("convnet2", 100, 32, 970_980),
        ("convnet3-w32", 10, 32, 24_714),
        ("convnet3-w32", 100, 32, 70_884),
        ("convnet3-w32-bn", 100, 32, 70_884),
        ("convnet4-w32", 20, 64, 39_156),
        ("convnet4-w32-bn", 20, 64, 39_156),
        # Of Jiacheng8/CV-DD: `models`, which CIFAR and Tiny-ImageNet have; above they are torchvision's.
        ("densenet121", 10, 32, 6_956_298),
        ("densenet121", 100, 32, 7_048_548),
        ("densenet121", 200, 64, 7_151_048),
        ("shufflenetv2", 10, 32, 352_042),
        ("shufflenetv2", 200, 64, 546_792),
        ("mobilenetv2-1.0", 10, 32, 2_296_922),
        ("mobilenetv2-1.0", 200, 64, 2_540_312),
        ("densenet121", 1000, 224, 7_978_856),
        ("shufflenetv2", 1000, 224, 2_278_604),
        ("mobilenetv2-1.0", 1000, 224, 3_504_872),
        # Of yongchao97/FRePo, `lib/models/networks.py`, built with flax for these shapes.
        ("frepo-conv", 10, 32, 1_560_842),
        ("frepo-conv", 100, 32, 2_298_212),
        ("frepo-conv", 200, 64, 9_475_528),
        ("frepo-conv-bn", 10, 32, 1_561_610),
        ("frepo-conv-bn", 200, 64, 9_477_320),
        # Of VICO-UoE/DatasetCondensation, `networks.py`, and RDED's `synthesize/models.py` (conv6); SRe2L's Table 9 and
        # EDC take torchvision's.
        ("resnet18-instance", 10, 32, 11_173_962),
        ("resnet18-ap", 10, 32, 11_173_962 + 10 * 512 * 15),
        ("resnet18-ap-bn", 10, 32, 11_173_962 + 10 * 512 * 15),
        ("resnet18-ap-bn", 10, 28, 11_173_962 + 10 * 512 * 8),
        ("vgg11-instance", 10, 32, 9_231_114),
        ("alexnet-bn", 10, 32, 1_872_202 + 2 * (128 + 192 + 256 + 192 + 192)),
        ("mlp", 10, 32, 411_146),
        ("lenet", 10, 32, 62_006),
        ("convnet6-bn", 100, 128, 794_340),
        ("convnet6-bn", 100, 224, 858_340),
        ("convnext-tiny", 1000, 224, 28_589_128),
        ("resnet18-imagenet-stem", 1000, 64, 11_689_512),
        ("resnet101-imagenet-stem", 1000, 64, 44_549_160),
    ],
)
def test_networks_are_as_large_as_those_of_the_releases(
    name: str, classes: int, resolution: int, expected: int
) -> None:
    assert parameters(build(name, classes, resolution)) == expected


@pytest.mark.parametrize(
    ("name", "known"),
    [(name, name) for name in ("resnet18", "resnet50", "resnet101", "alexnet", "densenet121")]
    + sorted(AT_TORCHVISION.items()),
)
def test_torchvision_s_weights_fit_at_224_pixels(name: str, known: str) -> None:
    """The same tensors as torchvision's network, whose published weights are taken as they are."""
    with torch.device("meta"):
        theirs = models.get_model(known, weights=None).state_dict()
    ours = build(name, 1000, 224).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    assert hasattr(models.get_model_weights(known), "IMAGENET1K_V1")


def convolutions(name: str, resolution: int) -> list[nn.Conv2d]:
    return [module for module in build(name, 10, resolution).modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(
    ("name", "kernel_size", "halvings", "features"),
    [
        ("mobilenetv2", 3, 4, 1280),
        ("shufflenetv2-0.5", 1, 3, 1024),
        ("efficientnet-b0", 3, 4, 1280),
        ("wrn-16-2", 3, 2, 128),
        ("mobilenetv2-1.0", 3, 3, 1280),
        ("shufflenetv2", 3, 3, 1024),
        ("densenet121", 3, 3, 1024),
    ],
)
def test_small_images_are_halved_as_often_as_in_the_releases(
    name: str, kernel_size: int, halvings: int, features: int
) -> None:
    """The side of what the last layer averages tells how often a network halves; the channels, that it is the last."""
    network, seen = build(name, 10, 64), list[torch.Size]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.num_features == features:
            module.register_forward_hook(lambda _, inputs, output: seen.append(output.shape))
    network(torch.empty(2, 3, 64, 64, device="meta"))
    assert seen[-1] == (2, features, 64 >> halvings, 64 >> halvings)
    assert convolutions(name, 64)[0].kernel_size == (kernel_size, kernel_size)


def test_mobilenet_is_half_as_wide_on_small_images() -> None:
    assert [convolutions("mobilenetv2", side)[0].out_channels for side in (64, 65)] == [16, 32]
    assert not [
        module for module in build("mobilenetv2", 10, 64).modules() if isinstance(module, nn.Dropout | nn.ReLU6)
    ]


SHAPES = [(32, 3), (64, 3), (28, 1), (65, 1), (224, 3)]


@pytest.mark.parametrize(
    ("name", "resolution", "channels"),
    [(name, *shape) for name in sorted(NAMES) for shape in SHAPES if shape[0] >= 32 or name not in NEEDS_32],
)
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


def test_a_block_of_frepo_normalises_what_enters_every_convolution_but_the_first() -> None:
    def kinds(name: str) -> list[type[nn.Module]]:
        return [type(module) for module in build(name, 10, 32).modules() if not list(module.children())]

    block = [nn.Conv2d, nn.ReLU, nn.AvgPool2d]
    assert kinds("frepo-conv") == block * 3 + [nn.Linear]
    assert kinds("frepo-conv-bn") == block + [nn.BatchNorm2d, *block] * 2 + [nn.Linear]
    widths = [[module.out_channels for module in convolutions("frepo-conv", side)] for side in (32, 64, 128)]
    assert widths == [[128, 256, 512], [128, 256, 512, 1024], [128, 256, 512, 1024, 2048]]
    norms = [module for module in build("frepo-conv-bn", 10, 32).modules() if isinstance(module, nn.BatchNorm2d)]
    assert [(norm.num_features, norm.momentum, norm.eps) for norm in norms] == [(128, 0.9, 1e-5), (256, 0.9, 1e-5)]


def test_frepo_is_drawn_as_flax_draws() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = REGISTRY.load("backbone", "frepo-conv")(10, 32, 3)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            assert float(module.weight.detach().var() * fan_in) == pytest.approx(1, rel=0.05)
            assert float(module.weight.detach().abs().max()) <= 2 / (0.8796 * fan_in**0.5)
            assert module.bias is not None and not module.bias.any()


def test_gray_28_is_treated_as_32() -> None:
    assert parameters(build("convnet3", 10, 28, 1)) == 320_010 - 2 * 128 * 9
    assert build("convnet3", 10, 28, 3).classifier.in_features == 128 * 3 * 3  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["mobilenetv2", "shufflenetv2-0.5", "efficientnet-b0", "wrn-16-2", "alexnet"])
def test_digits_of_8_pixels_fit(name: str) -> None:
    assert build(name, 10, 8, 1)(torch.empty(2, 1, 8, 8, device="meta")).shape == (2, 10)


def test_digits_of_8_pixels_fit_three_blocks() -> None:
    network = build("convnet3-bn", 10, 8, 1)
    assert network.classifier.in_features == 128  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "resolution", "message"),
    [
        ("convnet4", 8, "convnet4 needs images of at least 16 pixels a side, not 8; the deepest that fits is convnet3"),
        ("convnet5-bn", 31, "at least 32 pixels a side, not 31; the deepest that fits is convnet4-bn"),
        ("convnet3", 7, "the deepest that fits is convnet2"),
        ("convnet3-w32-bn", 7, "convnet3-w32-bn needs .* the deepest that fits is convnet2-w32-bn"),
        ("convnet1", 1, "no ConvNet fits"),
        ("convnet3-none", 7, "the deepest that fits is convnet2-none"),
        ("convnet6-bn", 32, "at least 64 pixels a side, not 32; the deepest that fits is convnet5-bn"),
        ("convnet3-w6-gn", 32, "convnet3-w6-gn: group norm has 4 groups, and a width of 6 is no multiple"),
        ("vgg11-instance", 31, "vgg11-instance needs images of at least 32 pixels a side, not 31"),
        ("alexnet-bn", 7, "alexnet-bn needs images of at least 8 pixels a side, not 7"),
        ("resnet18-ap-bn", 15, "resnet18-ap-bn needs images of at least 16 pixels a side, not 15"),
        ("resnet18-instance", 8, "resnet18-instance needs images of at least 9 pixels a side, not 8"),
        ("lenet", 15, "lenet needs images of at least 16 pixels a side, not 15"),
        ("convnext-tiny", 31, "convnext-tiny needs images of at least 32 pixels a side, not 31"),
        ("vgg11-bn", 31, "vgg11-bn needs images of at least 32 pixels a side, not 31"),
        ("resnet10-ap", 15, "resnet10-ap needs images of at least 16 pixels a side, not 15"),
        ("swin-tiny", 31, "swin-tiny needs images of at least 32 pixels a side, not 31"),
        ("alexnet", 7, "alexnet needs images of at least 8 pixels a side, not 7"),
        ("frepo-conv-bn", 7, "frepo-conv-bn needs images of at least 8 pixels a side, not 7"),
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
