"""The floor: every convolution and linear layer at the shape one forward pass gives it, forward and input gradient."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.progress import Silent
from bench.speed import floor
from bench.speed.floor import FloorSpec, TimedLayer, layers_of, measure_floor

CPU = torch.device("cpu")


class Small(nn.Module):
    """A strided convolution, one that is gone through twice, a grouped one, BatchNorm, a linear layer."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.grouped = nn.Conv2d(4, 8, 1, groups=2)
        self.unused = nn.Conv2d(4, 4, 5)
        self.head = nn.Linear(8 * 4 * 4, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm(self.first(images)).relu()
        logits: Tensor = self.head(self.grouped(self.again(self.again(hidden))).flatten(1))
        return logits


def build(classes: int, resolution: int, channels: int) -> nn.Module:
    assert resolution == 8
    return Small(classes, channels)


SPEC = FloorSpec("small", classes=5, resolution=8, channels=3, images=6, precision="fp32")
SUM = [  # by hand: what, the shape of its input, how often
    ("Conv2d(3, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))", (6, 3, 8, 8), 1),
    ("Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)", (6, 4, 4, 4), 2),
    ("Conv2d(4, 8, kernel_size=(1, 1), stride=(1, 1), groups=2)", (6, 4, 4, 4), 1),
    ("Linear(in_features=128, out_features=5, bias=True)", (6, 128), 1),
]


class Offering(Registry):
    """Offers the small network and nothing else."""

    def __init__(self) -> None:
        pass

    def load(self, kind: str, name: str) -> Callable[..., nn.Module]:
        assert (kind, name) == ("backbone", "small")
        return build


def test_the_layers_are_those_of_one_forward_pass_and_no_others() -> None:
    found = [(repr(layer.module), layer.shape, times) for layer, times in layers_of(build, SPEC).items()]
    assert found == SUM


def test_layers_of_the_same_work_are_one() -> None:
    one, other = nn.Linear(3, 4, device="meta"), nn.Linear(3, 4, device="meta")
    assert TimedLayer(one, (2, 3)) == TimedLayer(other, (2, 3))
    assert TimedLayer(one, (2, 3)) != TimedLayer(other, (5, 3))
    assert TimedLayer(one, (2, 3)) != TimedLayer(nn.Linear(3, 4, bias=False, device="meta"), (2, 3))


def test_it_is_the_sum_over_layers_by_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 0.1, 0.01, 0.001])

    def timed(step: Callable[[], object], device: torch.device) -> float:
        step()
        return next(seconds)

    monkeypatch.setattr(floor, "_seconds", timed)
    assert measure_floor(SPEC, Offering(), CPU, Silent()) == pytest.approx(1000 * (1 + 2 * 0.1 + 0.01 + 0.001) / 6)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_step_is_the_gradient_of_the_input_in_the_rows_arithmetic(precision: Precision, dtype: torch.dtype) -> None:
    for layer in layers_of(build, SPEC):
        (gradient,) = floor._step(layer, precision, CPU)()
        assert gradient.shape == layer.shape
        assert gradient.dtype == dtype
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0
        if len(layer.shape) == 4:
            assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_a_real_backbone_has_a_floor() -> None:
    spec = FloorSpec("convnet3-bn", classes=4, resolution=8, channels=1, images=4, precision="fp32")
    assert measure_floor(spec, Registry(), CPU, Silent()) > 0


def test_a_step_through_several_networks_in_turn_has_the_mean_of_their_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer taken for as many seconds as it has weights: a floor is then a number of weights an image."""

    def weights(layer: floor.TimedLayer, *_: object) -> float:
        return float(sum(parameter.numel() for parameter in layer.module.parameters()))

    monkeypatch.setattr(floor, "_step", lambda layer, *_: layer)
    monkeypatch.setattr(floor, "_seconds", weights)
    alone = FloorSpec("convnet3-bn", classes=4, resolution=8, channels=1, images=1000, precision="fp32")
    first, second = (
        measure_floor(replace(alone, backbone=name), Registry(), CPU, Silent())
        for name in ("convnet3-bn", "convnet2-bn")
    )
    in_turn = replace(alone, passes=(("convnet3-bn", 0.5), ("convnet2-bn", 0.5)))
    assert measure_floor(in_turn, Registry(), CPU, Silent()) == pytest.approx((first + second) / 2)
