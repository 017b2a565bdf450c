"""The floor: what the products of a network with its weights cost alone.

A step that goes once forward and once back through a network for every image cannot be faster than its convolutions and
linear layers, forward and input gradient, unless it computes them otherwise. So they are timed one by one, on the same
device, in the same arithmetic, at the shapes that one forward pass of the batch gives them, and summed.

Which these are is seen where torch executes them, whoever asks for them: modules, or functions that are given a
module's weights (the linear layers of torchvision's Swin). A convolution or a product of matrices belongs to the floor
if one of its factors depends on the images and the other does not. So attention's products of what it has made of the
images do not belong to it. BatchNorm, activations, pooling, attention, the loss, the update: all that is left out is
what an engine can save on.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from bench.condensation import Builder
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.hardware.meters import Clock
from bench.loops.iterations import window
from bench.loops.pace import FirstSteps
from bench.progress import Progress

WARM_UP, WINDOWS = 2, 7  # windows of steps for each layer,
LEAST, SECONDS = 3, 1.0  # of them at least, where they take longer than that
FACTORS: dict[OpOverload, slice] = {  # which arguments are multiplied
    torch.ops.aten.convolution.default: slice(2),
    torch.ops.aten.mm.default: slice(2),
    torch.ops.aten.bmm.default: slice(2),
    torch.ops.aten.addmm.default: slice(1, 3),
    torch.ops.aten.baddbmm.default: slice(1, 3),
}


@dataclass(frozen=True)
class FloorSpec:
    """What to time: a backbone at a shape, a number of images at once, and the arithmetic.

    Attributes:
        passes: where a step goes through other networks as well, how often through each; empty for once through this.
    """

    backbone: str
    classes: int
    resolution: int
    channels: int
    images: int
    precision: Precision
    passes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Operand:
    """A tensor as it lies."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def drawn(self, device: torch.device, dtype: torch.dtype, std: float) -> Tensor:
        """Numbers from N(0, std^2) that lie so; maps and their filters in channels-last order."""
        span = 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        numbers = std * torch.randn(span, device=device, dtype=dtype)
        return _laid_out(numbers.as_strided(self.shape, self.strides))


@dataclass(frozen=True)
class Product:
    """What depends on the images times a weight, as torch executes it. Those that do the same work are equal.

    Attributes:
        operator: of `FACTORS`.
        arguments: an `Operand` for each tensor.
        activation: the place among them of the factor that depends on the images.
    """

    operator: OpOverload
    arguments: tuple[Any, ...]
    activation: int


def measure_floor(spec: FloorSpec, registry: Registry, device: torch.device, progress: Progress) -> float:
    """Milliseconds an image of all products together, forward and input gradient, as often as a step takes them."""
    products: dict[Product, float] = {}
    for name, share in spec.passes or ((spec.backbone, 1.0),):
        for product, count in products_of(registry.load("backbone", name), spec).items():
            products[product] = products.get(product, 0.0) + share * count
    seconds = 0.0
    for done, (product, times) in enumerate(products.items(), 1):
        seconds += times * _seconds(_step(product, spec.precision, device), device)
        progress.advance("floor", done, len(products))
    return 1000 * seconds / spec.images


def products_of(build: Builder, spec: FloorSpec) -> Counter[Product]:
    """The products with weights that one forward pass of the batch executes, in their order, and how often each.

    Nothing is computed: the pass is made on the meta device, which knows shapes alone.
    """
    with torch.device("meta"):
        network = build(spec.classes, spec.resolution, spec.channels).eval().requires_grad_(False)
        images = torch.empty(spec.images, spec.channels, spec.resolution, spec.resolution).requires_grad_()
        products = _Products()
        with torch.enable_grad(), products:
            network(images)
    return products.found


class _Products(TorchDispatchMode):
    """Counts them within it. What depends on the images requires a gradient, as the images do, and weights none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        if func in FACTORS:
            self._note(func, args)
        return func(*args, **(kwargs or {}))

    def _note(self, operator: OpOverload, arguments: Sequence[Any]) -> None:
        factors = FACTORS[operator]
        depending = [at for at in range(len(arguments))[factors] if arguments[at].requires_grad]
        if len(depending) == 1:
            self.found[Product(operator, tuple(map(_described, arguments)), depending[0])] += 1


def _described(argument: Any) -> Any:  # noqa: ANN401 - what operators are given
    if isinstance(argument, Tensor):
        return Operand(tuple(argument.shape), argument.stride())
    return tuple(argument) if isinstance(argument, list) else argument


def _step(product: Product, precision: Precision, device: torch.device) -> Callable[[], tuple[Tensor, ...]]:
    """The product and the gradient of the activation in it; weights have none, as in a recovery."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    spreads = (1.0 if at == product.activation else 0.05 for at, _ in enumerate(product.arguments))
    given = [
        each.drawn(device, dtype, std) if isinstance(each, Operand) else each
        for each, std in zip(product.arguments, spreads, strict=True)
    ]
    activation = given[product.activation].requires_grad_()
    gradient = _laid_out(torch.randn_like(product.operator(*given)))
    return lambda: torch.autograd.grad(product.operator(*given), [activation], gradient)


def _laid_out(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    """The median over windows of steps, after some that are not counted."""
    steps, clock = window(device), Clock(device, window(device))
    windows = []
    pace = FirstSteps((WARM_UP + WINDOWS) * steps, (WARM_UP + LEAST) * steps, SECONDS)
    for _ in pace.walk("floor", 0, pace.most):
        step()
        if (seconds := clock.step()) is not None:
            windows.append(seconds)
    return statistics.median(windows[WARM_UP:])
