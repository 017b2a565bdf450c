"""Networks of cross-architecture tables: norms, stems, first weights and stochastic depth as in the releases."""

import pytest
import timm
import torch
from timm.layers.drop import DropPath
from torch import nn
from torchvision import models
from torchvision.ops import StochasticDepth

from bench.extensions.registry import Registry

REGISTRY = Registry()


def build(name: str, classes: int, resolution: int, channels: int = 3) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = REGISTRY.load("backbone", name)(classes, resolution, channels)
    return network


def test_swin_leaves_out_as_much_as_timm_s_and_half_of_torchvision_s() -> None:
    def depths(network: nn.Module) -> list[float]:
        return [module.p for module in network.modules() if isinstance(module, StochasticDepth)]

    ours = build("swin-tiny", 10, 32)
    drops = [
        module for module in timm.create_model("swin_tiny_patch4_window7_224").modules() if isinstance(module, DropPath)
    ]
    assert ours.facts == {"stochastic_depth": 0.1}
    assert sorted({*depths(ours)} - {0.0}) == pytest.approx(sorted({module.drop_prob for module in drops}))
    assert depths(models.swin_t()) == pytest.approx([2 * each for each in depths(ours)])


def test_the_imagenet_stem_stays_at_64_pixels() -> None:
    network = build("resnet18-imagenet-stem", 10, 64, 1)
    stem = network.conv1
    assert isinstance(stem, nn.Conv2d) and (stem.in_channels, stem.kernel_size, stem.stride) == (1, (7, 7), (2, 2))
    assert isinstance(network.maxpool, nn.MaxPool2d)


@pytest.mark.parametrize(("name", "norms"), [("resnet18-instance", 20), ("resnet18-ap", 20), ("vgg11-instance", 8)])
@pytest.mark.parametrize("resolution", [32, 128])
def test_instance_norm_stands_for_every_batchnorm(name: str, norms: int, resolution: int) -> None:
    modules = list(build(name, 10, resolution).modules())
    found = [module for module in modules if isinstance(module, nn.GroupNorm)]
    assert len(found) == norms and all(norm.num_groups == norm.num_channels and norm.affine for norm in found)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules)


def test_the_instance_normed_resnet_is_drawn_as_the_dc_family_s() -> None:
    """By nn.Conv2d's default, U(-1/sqrt(fan-in), 1/sqrt(fan-in)); torchvision's draws are wider."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = REGISTRY.load("backbone", "resnet18-instance")(10, 32, 3)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            assert 0.95 * bound < float(module.weight.detach().abs().max()) <= bound


def test_lenet_and_mlp_are_as_wide_as_in_the_release() -> None:
    def widths(name: str, resolution: int, channels: int) -> list[tuple[int, int]]:
        modules = build(name, 10, resolution, channels).modules()
        return [(module.in_features, module.out_features) for module in modules if isinstance(module, nn.Linear)]

    for resolution, channels in ((32, 3), (28, 1)):
        pixels = channels * resolution**2
        assert widths("lenet", resolution, channels) == [(16 * 5 * 5, 120), (120, 84), (84, 10)]
        assert widths("mlp", resolution, channels) == [(pixels, 128), (128, 128), (128, 10)]


def test_alexnet_with_batchnorm_has_it_before_each_relu() -> None:
    kinds = [type(module) for module in build("alexnet-bn", 10, 128).modules()][1:]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [*block, nn.MaxPool2d, *block, nn.MaxPool2d, *block * 3, nn.MaxPool2d, nn.Flatten, nn.Linear]
