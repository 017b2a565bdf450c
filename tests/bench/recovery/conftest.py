"""A small task, and a small network with BatchNorm whose statistics and scales are none of the defaults."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench import seeds
from bench.condensation import Task
from bench.testing import tiny_dataset, tiny_task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Images of two channels, 8 pixels a side, of three classes."""
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=2, resolution=8))


@pytest.fixture
def network() -> nn.Module:
    """Convolution, BatchNorm, ReLU twice, average, linear: 2 channels in, 3 classes out; in evaluation mode, fp32."""
    draws = seeds.generator("a small network")
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )
    with torch.no_grad():
        for tensor in layers.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=draws) * 0.5)
        for layer in layers:
            if isinstance(layer, _BatchNorm) and layer.running_var is not None:
                layer.running_var.abs_().add_(0.5)
    return layers.eval()
