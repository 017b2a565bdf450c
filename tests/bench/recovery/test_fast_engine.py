"""The fast engine against the reference: one loss and gradient for every family, the same images, grouped or not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from torch.nn.modules.batchnorm import _BatchNorm

from bench import seeds
from bench.compiling import missing_compiler
from bench.condensation import Task
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.recovery.engine import Batch
from bench.recovery.fast import FastEngine
from bench.recovery.objective import Objective
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.reference import ReferenceEngine
from bench.recovery.views import Box, RecoveryView

SIZE = 32
CPU = torch.device("cpu")
VIEWS = (RecoveryView(Box(3, 2, 25, 28), flipped=True, roll=(2, -3)), RecoveryView(None, flipped=False, roll=(0, 0)))
OURS = ("convnet3-bn", "convnet4-bn", "resnet18", "resnet50", "bn-vit-tiny")
TORCHVISION: dict[str, Callable[..., nn.Module]] = {
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "efficientnet_b0": torchvision.models.efficientnet_b0,
    "shufflenet_v2_x0_5": torchvision.models.shufflenet_v2_x0_5,
    "vgg11_bn": torchvision.models.vgg11_bn,
}


def recipe(**changes: object) -> RecoveryRecipe:
    return RecoveryRecipe.model_validate({"iterations": 8, "lr": 0.1, "bn_weight": 1.0, "roll": (-2, 2)} | changes)


def built(name: str) -> nn.Module:
    """A network whose BatchNorm layers know noise of another scale, as a teacher's know data.

    Their outputs are shifted so that most ReLUs let their inputs through: untrained and unshifted, these networks turn
    the last bit of an activation into another gradient, whichever engine computes it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        build = Registry(()).load("backbone", name) if name in OURS else None
        network: nn.Module = build(10, SIZE, 3) if build else TORCHVISION[name](num_classes=10)
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = None
            nn.init.constant_(layer.weight, 0.5)
            nn.init.constant_(layer.bias, 1.0)
    with torch.no_grad():
        network.train()(0.9 * images_of(32, SIZE))
    return network.eval()


def images_of(count: int, resolution: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, resolution, resolution, generator=seeds.generator("images", count))


def by_reference(network: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of each group, summed and stacked."""
    engine = ReferenceEngine(network, recipe())
    leaves = [group.clone().requires_grad_() for group in images]
    losses = [engine.loss(*each) for each in zip(leaves, targets, VIEWS, strict=True)]
    return torch.stack(losses).sum(), torch.stack(torch.autograd.grad(losses, leaves))


def by_objective(network: nn.Module, images: Tensor, targets: Tensor, precision: Precision) -> tuple[Tensor, Tensor]:
    leaf = images.clone().requires_grad_()
    views = torch.tensor([view.row(SIZE) for view in VIEWS])
    loss, *_ = Objective(network, recipe(), CPU, precision)(leaf, targets, views)
    return loss, torch.autograd.grad(loss, [leaf])[0]


def off(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """How far a loss is off, relatively, and what the cosine of its gradient lacks to 1."""
    directions = cosine_similarity(found[1].flatten().double(), expected[1].flatten().double(), dim=0)
    return abs(found[0].item() / expected[0].item() - 1), 1 - float(directions)


@pytest.mark.parametrize("name", [*OURS, *TORCHVISION])
def test_every_family_has_the_loss_and_gradient_of_the_reference(name: str) -> None:
    """In bf16 what rounding does depends on the network: it may do no more to ours than to the reference."""
    network, targets = built(name), torch.arange(16).view(2, 8) % 10
    images = images_of(16, SIZE).unflatten(0, (2, 8))
    expected = by_reference(network, images, targets)
    loss, direction = off(by_objective(network, images, targets, "fp32"), expected)
    assert loss < 1e-5
    assert direction < 1e-6
    with torch.autocast("cpu", torch.bfloat16):
        rounded = off(by_reference(network, images, targets), expected)
    loss, direction = off(by_objective(network, images, targets, "bf16"), expected)
    assert loss < max(1e-3, 1.5 * rounded[0])
    assert direction < max(1e-3, 1.5 * rounded[1])


TARGETS = torch.tensor([0, 1, 2])
BATCHES = [Batch(TARGETS, 3), Batch(TARGETS.flip(0), 4)]


def test_images_are_those_of_the_reference(network: nn.Module, task: Task) -> None:
    ours = FastEngine(network, recipe()).recover(task, BATCHES)
    other = replace(task, workspace=task.workspace / "reference")
    torch.testing.assert_close(ours, ReferenceEngine(network, recipe()).recover(other, BATCHES), atol=2e-3, rtol=0)


@pytest.mark.parametrize("engine", [FastEngine, ReferenceEngine])
def test_a_group_is_recovered_as_if_each_batch_were_alone(
    engine: type[FastEngine | ReferenceEngine], network: nn.Module, task: Task
) -> None:
    together = engine(network, recipe()).recover(task, BATCHES)
    for number, batch in enumerate(BATCHES):
        alone = engine(network, recipe()).recover(replace(task, workspace=task.workspace / str(number)), [batch])
        torch.testing.assert_close(alone[0], together[number], atol=1e-4, rtol=0)


def test_one_batch_has_no_part_in_the_others_gradient(network: nn.Module) -> None:
    objective = Objective(network, recipe(), CPU, "fp32")
    images = images_of(6, 8, channels=2).unflatten(0, (2, 3))
    views, targets = torch.tensor([view.row(8) for view in (VIEWS[1], VIEWS[1])]), torch.stack([TARGETS, TARGETS])
    changed = torch.stack([images[0], 3 * images[1]])
    gradients: list[Tensor] = []
    for each in (images, changed):
        leaf = each.clone().requires_grad_()
        gradients += torch.autograd.grad(objective(leaf, targets, views)[0], [leaf])
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert not torch.allclose(gradients[0][1], gradients[1][1])


def test_the_network_is_as_it_was(network: nn.Module, task: Task) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    FastEngine(network, recipe()).recover(replace(task, precision="bf16"), BATCHES)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not any(module._forward_pre_hooks for module in network.modules())


@pytest.mark.skipif(missing_compiler(CPU) is not None, reason=f"not to be compiled: {missing_compiler(CPU)}")
def test_compiled_it_makes_the_same_images(network: nn.Module, task: Task) -> None:
    eager = FastEngine(network, recipe()).recover(task, BATCHES)
    apart = replace(task, workspace=task.workspace / "compiled", compile="always", facts={})
    compiled = FastEngine(network, recipe()).recover(apart, BATCHES)
    assert apart.measured.compiled["recover 2x3"]["compiled"]
    torch.testing.assert_close(compiled, eager, atol=2e-3, rtol=0)
