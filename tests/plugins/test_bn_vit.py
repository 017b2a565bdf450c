"""DeiT-Tiny and its form with BatchNorm: shapes, the paper's block, statistics over images and tokens, patches."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.recovery.layers import layers_of, watched
from bench.recovery.statistics import batchnorms
from bench.testing import tiny_task
from bench_bn_vit.networks import NormalisedMlp, TokenBatchNorm, patch_size

REGISTRY = Registry()
NAMES = ("deit-tiny", "bn-vit-tiny")


def build(name: str, classes: int = 10, resolution: int = 16, channels: int = 3, device: str = "cpu") -> nn.Module:
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        network: nn.Module = REGISTRY.load("backbone", name)(classes, resolution, channels)
    return network


def images(count: int, resolution: int = 16, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, resolution, resolution, generator=seeds.generator("images"))


def norms(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@pytest.mark.parametrize(("name", "parameters"), [("deit-tiny", 5_717_416), ("bn-vit-tiny", 5_717_416 + 12 * 2 * 768)])
def test_at_224_pixels_it_has_the_size_of_deit_tiny(name: str, parameters: int) -> None:
    """5,717,416 is what the DeiT paper calls 5M; BN-ViT adds a scale and a shift a channel in each feed-forward."""
    assert sum(weight.numel() for weight in build(name, 1000, 224, device="meta").parameters()) == parameters


def test_batchnorm_stands_for_every_layernorm_and_once_more_in_each_block() -> None:
    plain, with_bn = (build(name, device="meta") for name in NAMES)
    assert (norms(plain, nn.LayerNorm), norms(plain, nn.BatchNorm1d)) == (25, 0)
    assert (norms(with_bn, nn.LayerNorm), norms(with_bn, nn.BatchNorm1d)) == (0, 25 + 12)


def scattered(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, every BatchNorm with statistics and an affine map of its own."""
    draws = seeds.generator("scattered")
    for layer in batchnorms(network):
        for tensor in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
            assert tensor is not None
            tensor.copy_(torch.rand(tensor.shape, generator=draws) + 0.5)
    return network.eval()


def batchnorm(layer: nn.Module, tokens: Tensor) -> Tensor:
    """By the definition, a channel at a time."""
    (inner,) = (module for module in layer.modules() if isinstance(module, nn.BatchNorm1d))
    assert inner.running_mean is not None and inner.running_var is not None
    return inner.weight * (tokens - inner.running_mean) / (inner.running_var + inner.eps).sqrt() + inner.bias


def test_a_block_is_the_papers_in_double_precision() -> None:
    """z' = MHSA(BN(z)) + z and z = FFN_BN(BN(z')) + z', with FFN_BN(h) = GELU(BN(h W1 + b1)) W2 + b2."""
    network = scattered(build("bn-vit-tiny").double())
    block = next(module for module in network.modules() if type(module).__name__ == "Block")
    parts = dict(block.named_children())
    tokens = torch.randn(2, 5, 192, generator=seeds.generator("tokens"), dtype=torch.float64)
    attended = parts["attn"](batchnorm(parts["norm1"], tokens)) + tokens
    mlp = parts["mlp"]
    assert isinstance(mlp, NormalisedMlp)
    hidden = batchnorm(mlp.norm, F.linear(batchnorm(parts["norm2"], attended), mlp.fc1.weight, mlp.fc1.bias))
    expected = F.linear(F.gelu(hidden), mlp.fc2.weight, mlp.fc2.bias) + attended
    torch.testing.assert_close(block(tokens), expected)


def test_what_recovery_measures_is_mean_and_variance_over_images_and_tokens() -> None:
    network = scattered(build("bn-vit-tiny"))
    tokens: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, TokenBatchNorm):
            module.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0].detach().double()))
    with torch.no_grad(), watched(layers_of(network, ("batchnorm",)), 4) as found:
        network(images(3))
    assert len(found) == len(tokens) == 37
    for seen, (mean, variance) in zip(tokens, found.values(), strict=True):
        assert seen.shape[:2] == (3, 65), "64 patches and the class token"
        torch.testing.assert_close(mean.double(), seen.mean((0, 1)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(variance.double(), seen.var((0, 1), correction=0), rtol=1e-4, atol=1e-5)


def test_training_moves_every_running_statistic() -> None:
    network = build("bn-vit-tiny").train()
    before = [layer.running_mean.clone() for layer in batchnorms(network) if layer.running_mean is not None]
    with torch.no_grad():
        network(images(1))
    after = [layer.running_mean for layer in batchnorms(network) if layer.running_mean is not None]
    assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True)), "even with a batch of one image"


@pytest.mark.parametrize(
    ("resolution", "patch"),
    [(224, 16), (64, 8), (32, 4), (28, 2), (16, 2), (8, 2), (96, 12), (128, 16), (384, 16), (65, 5), (84, 7), (33, 3)],
)
def test_patches_are_deits_at_224_and_as_many_at_64_and_32(resolution: int, patch: int) -> None:
    assert patch_size(resolution) == patch
    network = build("deit-tiny", resolution=resolution, channels=1, device="meta")
    (stem,) = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert stem.kernel_size == stem.stride == (patch, patch)


@pytest.mark.parametrize(("resolution", "nearest"), [(31, 30), (37, 36), (62, 63), (7, 6), (1, 2), (512, 384)])
@pytest.mark.parametrize("name", NAMES)
def test_a_side_that_no_patches_fit_is_refused_with_the_nearest_that_they_do(
    name: str, resolution: int, nearest: int
) -> None:
    with pytest.raises(UsageError, match=rf"^{name} cannot .*{resolution} pixels .* the nearest side .* is {nearest}$"):
        build(name, resolution=resolution, device="meta")


def test_the_patch_size_is_recorded(tmp_path: Path) -> None:
    task = tiny_task(tmp_path, backbone="bn-vit-tiny")
    task.network(0)
    task.network(0, "convnet3")
    assert task.measured.networks == {"bn-vit-tiny": {"patch_size": 2}}


def test_methods_that_match_batchnorm_may_have_the_one_and_not_the_other() -> None:
    traits = {name: REGISTRY.find("backbone", name).offer.traits for name in NAMES}
    assert traits == {"deit-tiny": frozenset(), "bn-vit-tiny": frozenset({"batchnorm"})}
