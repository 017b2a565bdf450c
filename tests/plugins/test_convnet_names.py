"""ConvNets by the rule in their names: what each part says, in kinds, sizes and numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.extensions.registry import Registry

REGISTRY = Registry()


def build(name: str) -> nn.Module:
    """For 10 classes of 32 pixels."""
    with torch.device("meta"):
        network: nn.Module = REGISTRY.load("backbone", name)(10, 32, 3)
    return network


@pytest.mark.parametrize(
    ("name", "norm", "activation", "pool", "expected"),
    [
        # Sizes by hand: 3x3 kernels and biases, norms, and a classifier of 10 classes on 4x4 maps
        # (32x32 without pools).
        ("convnet3-w64", nn.GroupNorm, nn.ReLU, nn.AvgPool2d, 86_282),
        ("convnet3-w256", nn.GroupNorm, nn.ReLU, nn.AvgPool2d, 1_229_834),
        ("convnet3-ln", nn.LayerNorm, nn.ReLU, nn.AvgPool2d, 319_242 + 2 * 128 * (1024 + 256 + 64)),
        ("convnet3-gn", nn.GroupNorm, nn.ReLU, nn.AvgPool2d, 320_010),
        ("convnet3-sigmoid", nn.GroupNorm, nn.Sigmoid, nn.AvgPool2d, 320_010),
        ("convnet3-leaky", nn.GroupNorm, nn.LeakyReLU, nn.AvgPool2d, 320_010),
        ("convnet3-max", nn.GroupNorm, nn.ReLU, nn.MaxPool2d, 320_010),
        ("convnet3-nopool", nn.GroupNorm, nn.ReLU, nn.Identity, 320_010 + 10 * 128 * (1024 - 16)),
        ("convnet3-bn-swish", nn.BatchNorm2d, nn.SiLU, nn.AvgPool2d, 320_010),
        ("convnet2-w32-bn-leaky-max", nn.BatchNorm2d, nn.LeakyReLU, nn.MaxPool2d, 30_762),
    ],
)
def test_a_convnet_s_name_says_what_is_not_as_usual(
    name: str, norm: type[nn.Module], activation: type[nn.Module], pool: type[nn.Module], expected: int
) -> None:
    network, depth = build(name), int(name[7])
    kinds = [type(module) for module in network.modules() if not list(module.children())]
    assert kinds == [nn.Conv2d, norm, activation, pool] * depth + [nn.Linear]
    assert sum(weight.numel() for weight in network.parameters()) == expected
    assert ("batchnorm" in REGISTRY.find("backbone", name).offer.traits) == (norm is nn.BatchNorm2d)


def test_convnets_of_every_kind_compute_what_they_are_called() -> None:
    """Two blocks in double precision, by the formulas of layer norm, group norm of 4, max and average pools."""
    images = torch.randn((3, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kinds: dict[str, tuple[int, Callable[[Tensor], Tensor], Callable[..., Tensor]]] = {
        "convnet2-w8-ln-sigmoid-max": (8, lambda x: 1 / (1 + (-x).exp()), torch.amax),
        "convnet2-w8-gn-leaky": (2, lambda x: torch.where(x > 0, x, 0.01 * x), torch.mean),
        "convnet2-w8-gn-swish": (2, lambda x: x / (1 + (-x).exp()), torch.mean),
        "convnet2-w8": (1, lambda x: x * (x > 0), torch.mean),
    }
    for name, (together, activation, pool) in kinds.items():
        network: nn.Module = REGISTRY.load("backbone", name)(5, 8, 3).double()
        for parameter in network.parameters():  # norms that do something
            parameter.data += 0.1 * torch.rand(parameter.shape, generator=torch.Generator().manual_seed(1))
        maps = images
        for convolution, norm, *_ in network.blocks:  # type: ignore[union-attr]
            maps = nn.functional.conv2d(maps, convolution.weight, convolution.bias, padding=1)
            groups = maps.reshape(3, 8 // together, -1)
            centred = groups - groups.mean(2, keepdim=True)
            scaled = (centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()).reshape(maps.shape)
            own = (1, *norm.weight.shape) if norm.weight.dim() == 3 else (1, 8, 1, 1)
            maps = activation(scaled * norm.weight.reshape(own) + norm.bias.reshape(own))
            side = maps.shape[-1] // 2
            maps = pool(maps.reshape(3, 8, side, 2, side, 2), dim=(3, 5))
        torch.testing.assert_close(network(images), network.classifier(maps.flatten(1)))  # type: ignore[operator]


def test_a_convnet_has_one_name() -> None:
    """Parts in another order, or one as usual, are answered with it; what no part is called is unknown."""
    for typed, name in (("convnet3-bn-w64", "convnet3-w64-bn"), ("convnet3-w128-bn", "convnet3-bn")):
        assert not REGISTRY.has("backbone", typed)
        with pytest.raises(UsageError, match=f"^unknown backbone '{typed}'; did you mean '{name}'"):
            REGISTRY.find("backbone", typed)
    for typed in (
        "convnet3-gelu",
        "convnet3-",
        "convnet3-bn-ln",
        "convnet10",
        "convnet0",
        "convnet3-w0",
        "convnet3-w64-w32",
    ):
        assert not REGISTRY.has("backbone", typed), typed
    for listed in REGISTRY.names("backbone"):
        assert REGISTRY.find("backbone", listed).offer.name == listed


@pytest.mark.parametrize(
    ("name", "theirs", "own"),
    [
        # DC counts all layers of all blocks, as many as a block has of convolution, norm, activation and pool.
        ("convnet3-bn", "features.5.running_var", "blocks.1.1.running_var"),
        ("convnet3-none", "features.6.bias", "blocks.2.0.bias"),
        ("convnet3-none-nopool", "features.4.weight", "blocks.2.0.weight"),
        # RDED has a list of each kind.
        ("convnet3-bn", "layers.conv.2.weight", "blocks.2.0.weight"),
        ("convnet3-bn", "layers.norm.1.num_batches_tracked", "blocks.1.1.num_batches_tracked"),
        *(("convnet3", name, name) for name in ("classifier.bias", "blocks.0.0.bias")),
        # Somebody else's tensors, which it is then said to have.
        *(("convnet3", name, name) for name in ("features", "features.first.weight", "layers", "layers.conv")),
    ],
)
def test_weights_are_known_by_others_names(name: str, theirs: str, own: str) -> None:
    network = build(name)
    assert network.own_name(theirs) == own  # type: ignore[operator]
    assert own == theirs or own in network.state_dict()
