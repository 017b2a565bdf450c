"""The floor: every convolution and linear layer at the shape one forward pass gives it, forward and input gradient."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.progress import Silent
from bench.speed import floor
from bench.speed.floor import FloorSpec, Operand, Product, measure_floor, products_of

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
SUM = [  # by hand: input, weight, whether there is a bias, stride, padding, groups, how often
    ((6, 3, 8, 8), (4, 3, 3, 3), True, (2, 2), (1, 1), 1, 1),
    ((6, 4, 4, 4), (4, 4, 3, 3), False, (1, 1), (1, 1), 1, 2),
    ((6, 4, 4, 4), (8, 2, 1, 1), True, (1, 1), (0, 0), 2, 1),
    ((6, 128), (128, 5), True, None, None, None, 1),
]


class Offering(Registry):
    """Offers the small network and nothing else."""

    def __init__(self) -> None:
        pass

    def load(self, kind: str, name: str) -> Callable[..., nn.Module]:
        assert (kind, name) == ("backbone", "small")
        return build


def test_the_products_are_those_of_one_forward_pass_and_no_others() -> None:
    found = [(*described(product), times) for product, times in products_of(build, SPEC).items()]
    assert found == SUM


def described(product: Product) -> tuple[object, ...]:
    if product.operator is torch.ops.aten.convolution.default:
        images, weight, bias, stride, padding, dilation, transposed, _, groups = product.arguments
        assert (dilation, transposed, product.activation) == ((1, 1), False, 0)
        return images.shape, weight.shape, bias is not None, stride, padding, groups
    *added, rows, weight = product.arguments
    return rows.shape, weight.shape, bool(added), None, None, None


def test_products_of_the_same_work_are_one() -> None:
    def found(*layers: nn.Module) -> list[int]:
        spec = FloorSpec("any", classes=3, resolution=3, channels=2, images=6, precision="fp32")
        return list(products_of(lambda *_: nn.Sequential(*layers).to("meta"), spec).values())

    assert found(nn.Linear(3, 3), nn.Linear(3, 3)) == [2]
    assert found(nn.Linear(3, 3), nn.Linear(3, 3, bias=False)) == [1, 1]
    assert found(nn.Linear(3, 3), nn.Flatten(0, 1), nn.Linear(3, 3)) == [2]  # the same rows
    assert found(nn.Linear(3, 3), nn.Flatten(1), nn.Linear(18, 3)) == [1, 1]
    assert found(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1, padding=1)) == [2, 1]


class Functional(nn.Module):
    """Products with a weight that no module makes, with what is made of weights alone, and of images alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.empty(8, 4)), nn.Linear(8, 8)

    def forward(self, images: Tensor) -> Tensor:
        normalised = F.normalize(self.scale(self.weight.mT))  # of weights alone: (4, 8)
        hidden = images[:, 0] @ self.weight  # (6, 8, 4)
        hidden = torch.einsum("bnd,de->bne", hidden, normalised)  # (6, 8, 8)
        attended: Tensor = F.scaled_dot_product_attention(hidden, hidden, hidden)
        return F.linear(attended.transpose(0, 1), self.scale.weight) + self.weight.mT.sum()


def test_weights_count_whoever_multiplies_by_them_and_attention_does_not() -> None:
    found = products_of(lambda *_: Functional(), SPEC)
    given, weights = zip(*(product.arguments[product.activation :][:2] for product in found.elements()), strict=True)
    assert [math.prod(each.shape[:-1]) for each in given] == [48, 48, 48]
    assert [each.shape[-2:] for each in weights] == [(8, 4), (4, 8), (8, 8)]
    assert 0 in weights[2].strides, "none is multiplied by copies of a weight that lie in one place"
    for product, each in zip(found, given, strict=True):
        assert floor._step(product, "fp32", CPU)()[0].shape == each.shape


def test_it_is_the_sum_over_layers_by_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 0.1, 0.01, 0.001])

    def timed(step: Callable[[], object], device: torch.device) -> float:
        step()
        return next(seconds)

    monkeypatch.setattr(floor, "_seconds", timed)
    assert measure_floor(SPEC, Offering(), CPU, Silent()) == pytest.approx(1000 * (1 + 2 * 0.1 + 0.01 + 0.001) / 6)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_step_is_the_gradient_of_the_input_in_the_rows_arithmetic(precision: Precision, dtype: torch.dtype) -> None:
    for product in products_of(build, SPEC):
        (gradient,) = floor._step(product, precision, CPU)()
        shape = product.arguments[product.activation].shape
        assert gradient.shape == shape
        assert gradient.dtype == dtype
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0
        if len(shape) == 4:
            assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_a_real_backbone_has_a_floor() -> None:
    spec = FloorSpec("convnet3-bn", classes=4, resolution=8, channels=1, images=4, precision="fp32")
    assert measure_floor(spec, Registry(), CPU, Silent()) > 0


def test_a_step_through_several_networks_in_turn_has_the_mean_of_their_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each product taken for as many seconds as it has weights: a floor is then a number of weights an image."""

    def weights(product: Product, *_: object) -> float:
        operands = [(at, each) for at, each in enumerate(product.arguments) if isinstance(each, Operand)]
        return float(sum(math.prod(each.shape) for at, each in operands if at != product.activation))

    monkeypatch.setattr(floor, "_step", lambda product, *_: product)
    monkeypatch.setattr(floor, "_seconds", weights)
    alone = FloorSpec("convnet3-bn", classes=4, resolution=8, channels=1, images=1000, precision="fp32")
    first, second = (
        measure_floor(replace(alone, backbone=name), Registry(), CPU, Silent())
        for name in ("convnet3-bn", "convnet2-bn")
    )
    in_turn = replace(alone, passes=(("convnet3-bn", 0.5), ("convnet2-bn", 0.5)))
    assert measure_floor(in_turn, Registry(), CPU, Silent()) == pytest.approx((first + second) / 2)


Work = tuple[tuple[int, ...], tuple[int, ...]]


def work(weight: Sequence[int], given: Sequence[int]) -> Work:
    """The shape of a layer's weight, as `nn.Linear` and `nn.Conv2d` have it, and its input's: of vectors, as rows."""
    return tuple(weight), tuple(given) if len(weight) == 4 else (math.prod(given[:-1]), given[-1])


def works_found(name: str, spec: FloorSpec) -> Counter[Work]:
    found = Counter[Work]()
    for product, times in products_of(Registry().load("backbone", name), spec).items():
        given, weight = (each.shape for each in product.arguments[product.activation :][:2])
        found[work(weight if len(weight) == 4 else weight[::-1], given)] += times
    return found


@pytest.mark.parametrize(
    ("name", "resolution"),
    [("resnet18", 32), ("resnet18", 224), ("convnet3", 32), ("deit-tiny", 32), ("bn-vit-tiny", 32)],
)
def test_where_all_layers_are_called_the_products_are_those_of_the_calls(name: str, resolution: int) -> None:
    spec = FloorSpec(name, classes=10, resolution=resolution, channels=3, images=2, precision="fp32")
    called = Counter[Work]()
    with torch.device("meta"):
        network = Registry().load("backbone", name)(10, resolution, 3).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_pre_hook(
                    lambda own, given: called.update([work(own.weight.shape, given[0].shape)])
                )
        network(torch.empty(2, 3, resolution, resolution))
    assert works_found(name, spec) == called


def test_a_swin_has_all_its_layers_though_half_are_never_called() -> None:
    """Each weight of a convolution or linear layer once; and with attention's the multiply-adds that torchvision says.

    Of a block's attention: tokens x 49 tokens of their window x width, for the scores and once more for the values.
    """
    spec = FloorSpec("swin-tiny", classes=1000, resolution=224, channels=3, images=1, precision="fp32")
    with torch.device("meta"):
        modules = Registry().load("backbone", "swin-tiny")(1000, 224, 3).modules()
    layers = [module for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]
    found = works_found("swin-tiny", spec)
    assert Counter(weight for weight, _ in found.elements()) == Counter(tuple(each.weight.shape) for each in layers)
    assert found.total() == 53
    (stem,) = (given for weight, given in found if len(weight) == 4)
    assert stem == (1, 3, 224, 224)
    linear = sum(math.prod(weight) * given[0] for weight, given in found.elements() if len(weight) == 2)
    convolution = 3 * 4 * 4 * 96 * 56 * 56
    attention = sum(
        blocks * 2 * side * side * 49 * width
        for blocks, side, width in zip((2, 2, 6, 2), (56, 28, 14, 7), (96, 192, 384, 768), strict=True)
    )
    published = models.Swin_T_Weights.IMAGENET1K_V1.meta["_ops"]
    assert (linear + convolution + attention) / 1e9 == pytest.approx(published, abs=1e-3)
