"""The floor: what the convolutions and linear layers of a network cost alone.

A step that goes once forward and once back through a network for every image cannot be faster than these layers'
forward passes and input gradients, unless it computes them otherwise. So they are timed one by one, on the same device,
in the same arithmetic, at the shapes that one forward pass of the batch gives them, and summed. BatchNorm, activations,
pooling, the loss, the update: all that is left out is what an engine can save on.
"""

import copy
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from bench.condensation import Builder
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.hardware.meters import Clock
from bench.loops.iterations import window
from bench.loops.pace import FirstSteps
from bench.progress import Progress

WARM_UP, WINDOWS = 2, 7  # windows of steps for each layer,
LEAST, SECONDS = 3, 1.0  # of them at least, where they take longer than that


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
class TimedLayer:
    """A layer on the meta device and the shape of its input. Layers that do the same work are equal."""

    module: nn.Module
    shape: tuple[int, ...]

    @property
    def _work(self) -> tuple[str, tuple[int, ...]]:
        return repr(self.module), self.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimedLayer) and self._work == other._work

    def __hash__(self) -> int:
        return hash(self._work)


def measure_floor(spec: FloorSpec, registry: Registry, device: torch.device, progress: Progress) -> float:
    """Milliseconds an image of all layers together, forward and input gradient, as often as a step takes them."""
    layers: dict[TimedLayer, float] = {}
    for name, share in spec.passes or ((spec.backbone, 1.0),):
        for layer, count in layers_of(registry.load("backbone", name), spec).items():
            layers[layer] = layers.get(layer, 0.0) + share * count
    seconds = 0.0
    for done, (layer, times) in enumerate(layers.items(), 1):
        seconds += times * _seconds(_step(layer, spec.precision, device), device)
        progress.advance("floor", done, len(layers))
    return 1000 * seconds / spec.images


def layers_of(build: Builder, spec: FloorSpec) -> Counter[TimedLayer]:
    """The convolutions and linear layers that one forward pass of the batch goes through, and how often each.

    Nothing is computed: the pass is made on the meta device, which knows shapes alone.
    """
    found: Counter[TimedLayer] = Counter()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[TimedLayer(module, tuple(inputs[0].shape))] += 1

    with torch.device("meta"), torch.no_grad():
        network = build(spec.classes, spec.resolution, spec.channels).eval()
        for module in network.modules():
            if isinstance(module, _ConvNd | nn.Linear):
                module.register_forward_pre_hook(note)
        network(torch.empty(spec.images, spec.channels, spec.resolution, spec.resolution))
    return found


def _step(layer: TimedLayer, precision: Precision, device: torch.device) -> Callable[[], tuple[Tensor, ...]]:
    """The layer's forward pass and the gradient of its input; weights have none, as in a recovery."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    module = copy.deepcopy(layer.module)
    module._forward_pre_hooks.clear()
    module = module.to_empty(device=device).to(dtype).requires_grad_(False)
    for parameter in module.parameters():  # not what lay in the memory: it could be slow to multiply, or not a number
        nn.init.normal_(parameter, std=0.05)
    inputs = _laid_out(torch.randn(layer.shape, device=device, dtype=dtype)).requires_grad_()
    if len(layer.shape) == 4:
        module = module.to(memory_format=torch.channels_last)
    gradient = _laid_out(torch.randn_like(module(inputs)))
    return lambda: torch.autograd.grad(module(inputs), [inputs], gradient)


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
