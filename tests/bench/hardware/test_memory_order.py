"""Which order a network's weights lie in, and that images of another order are brought into it."""

import pytest
import torch
from torch import Tensor, nn

from bench.hardware.choices import Precision
from bench.hardware.memory_order import memory_order

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def network(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_processor_the_norm_decides(precision: Precision) -> None:
    assert memory_order(network(nn.BatchNorm2d(8)), CPU, precision) == torch.channels_last
    assert memory_order(network(nn.Identity()), CPU, precision) == torch.channels_last
    assert memory_order(network(nn.GroupNorm(8, 8)), CPU, precision) == torch.contiguous_format
    assert memory_order(nn.Sequential(network(nn.GroupNorm(2, 8))), CPU, precision) == torch.contiguous_format


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(8), nn.GroupNorm(8, 8)])
def test_on_a_gpu_the_arithmetic_decides(norm: nn.Module) -> None:
    every: list[Precision] = ["fp32", "tf32", "bf16"]
    found = {each: memory_order(network(norm), GPU, each) for each in every}
    last = torch.channels_last
    assert found == {"fp32": torch.contiguous_format, "tf32": last, "bf16": last}


def test_a_convolution_brings_images_into_the_order_of_its_weights() -> None:
    seen: list[Tensor] = []
    placed = network(nn.BatchNorm2d(8)).to(memory_format=torch.channels_last)
    placed.get_submodule("1").register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    placed(torch.rand(4, 3, 12, 12))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert not seen[0].is_contiguous()
