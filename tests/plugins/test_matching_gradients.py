"""DC's distance and its gradient against float64 and finite differences; classes together, and both engines."""

import math
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from matching import task_of, transformer
from torch import Tensor, nn
from torch.nn import functional as F

from bench.condensation import Task
from bench_backbones import convnet
from bench_backbones.convnet_names import Shape
from bench_matching.gradients import FastMatching, GradientMatching, ReferenceMatching, distance
from bench_matching.networks import freeze_statistics, with_standing_norms
from bench_matching.reals import classes_together

ONE = torch.tensor([1])


# --- the distance ----------------------------------------------------------------------------------------------------


def gradients_like(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3, 3, 3), (4,), (4,), (2, 5, 3), (5, 7), (5,)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def by_hand(first: list[Tensor], second: list[Tensor]) -> float:
    """The release's definition, value by value."""
    total = 0.0
    for a, b in zip(first, second, strict=True):
        if a.dim() < 2:
            continue
        for row, other in zip(a.flatten(1).tolist(), b.flatten(1).tolist(), strict=True):
            product = sum(x * y for x, y in zip(row, other, strict=True))
            norms = math.sqrt(sum(x * x for x in row)) * math.sqrt(sum(y * y for y in other))
            total += 1 - product / (norms + 1e-6)
    return total


def test_the_distance_is_one_minus_the_cosine_of_every_unit() -> None:
    first, second = gradients_like(0), gradients_like(1)
    assert float(distance(first, second)) == pytest.approx(by_hand(first, second), rel=1e-12)


def test_equal_gradients_are_at_distance_zero_and_opposite_ones_at_two_a_unit() -> None:
    first = gradients_like(0)
    assert float(distance(first, first)) == pytest.approx(0, abs=1e-4)
    assert float(distance(first, [-each for each in first])) == pytest.approx(2 * (4 + 2 + 5), abs=1e-4)


def test_biases_and_scales_of_norms_contribute_nothing() -> None:
    first = gradients_like(0)
    other = [each if each.dim() >= 2 else each + 100 for each in first]
    assert float(distance(first, other)) == float(distance(first, first))


@pytest.mark.parametrize("side", [0, 1])
def test_a_unit_without_gradient_gives_a_finite_one(side: int) -> None:
    """As a filter that no image of the class awakens."""
    pair = [[torch.ones(3, 4)], [torch.ones(3, 4)]]
    pair[side][0][1] = 0
    leaf = pair[1][0].requires_grad_()
    (pulled,) = torch.autograd.grad(distance(pair[0], [leaf]), [leaf])
    assert torch.isfinite(pulled).all()


# --- the gradient of the distance ------------------------------------------------------------------------------------


def engines(task: Task) -> dict[str, GradientMatching]:
    """The fast one computes what would be compiled, until it is made ready."""
    fast = FastMatching(task, task.network(0))
    fast._compiled_real, fast._compiled_pull = fast.functional_real, fast.functional_pull
    return {"fast": fast, "reference": ReferenceMatching(task)}


def distance_of(network: nn.Module, real: Tensor, synthetic: Tensor, label: int) -> Tensor:
    """As the paper writes it, with a graph through both."""
    weights = list(network.parameters())

    def gradients_of(images: Tensor) -> list[Tensor]:
        loss = F.cross_entropy(network(images), torch.full((len(images),), label))
        return list(torch.autograd.grad(loss, weights, create_graph=True))

    return distance(gradients_of(real), gradients_of(synthetic))


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("backbone", ["convnet3", "convnet3-bn"])
def test_the_pull_is_the_derivative_of_the_distance(
    engine: str, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, against finite differences along a random direction and autograd of the whole expression."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    task = task_of(tmp_path, backbone)
    network = freeze_statistics(task.network(5).double())
    generator = torch.Generator().manual_seed(0)
    real, synthetic, direction = torch.randn(3, 2, 3, 8, 8, generator=generator, dtype=torch.float64)
    matching: GradientMatching = engines(task)[engine]
    (pulled,) = matching.pull(network, synthetic[None], ONE, matching.real(network, real[None], ONE))
    leaf = synthetic.clone().requires_grad_()
    (expected,) = torch.autograd.grad(distance_of(network, real, leaf, 1), leaf)
    torch.testing.assert_close(pulled, expected, rtol=1e-7, atol=1e-10)
    step = 1e-8  # a longer one crosses the kink of a ReLU, where the distance jumps
    after, before = (distance_of(network, real, synthetic + sign * step * direction, 1) for sign in (1, -1))
    slope = (after - before).detach() / (2 * step)
    assert float(slope) == pytest.approx(float((pulled * direction).sum()), rel=1e-2)


def test_the_compiled_engine_gives_the_references_gradients(tmp_path: Path) -> None:
    """With a network of one block, which compiles in seconds."""
    task = task_of(tmp_path)
    task.networks = lambda name: partial(convnet.build, shape=Shape(1, norm="bn"))
    task.compile = "always"
    both, network = engines(task), task.network(5)
    real, synthetic = torch.randn(2, 3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    both["fast"].ready(4, 4, 10)
    assert {"match real", "match synthetic"} == {
        what for what, choice in task.measured.compiled.items() if choice["compiled"]
    }
    assert both["fast"].synthetic_together == both["fast"].real_together == 3
    labels = torch.tensor([2, 0, 1])
    targets = {name: matching.real(network, real, labels) for name, matching in both.items()}
    for first, second in zip(targets["fast"], targets["reference"], strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5 * float(second.abs().max()))
    pulls = [matching.pull(network, synthetic, labels, targets["reference"]) for matching in both.values()]
    assert torch.cosine_similarity(pulls[0].flatten(), pulls[1].flatten(), dim=0) > 0.99999


def test_transformers_are_matched_alike(tmp_path: Path) -> None:
    """The attention that torch takes by itself has no second derivative."""
    task = task_of(tmp_path)
    task.networks = lambda name: transformer
    network = task.network(5)
    real, synthetic = torch.randn(2, 2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, 0])
    pulls = [each.pull(network, synthetic, labels, each.real(network, real, labels)) for each in engines(task).values()]
    torch.testing.assert_close(*pulls, rtol=1e-3, atol=1e-4 * float(pulls[1].abs().max()))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_standing_norms_are_batchnorms_by_their_running_statistics(norm: type[nn.Module]) -> None:
    original = norm(4)
    for tensor in (*original.parameters(), original.running_mean, original.running_var):
        nn.init.uniform_(tensor, 0.5, 2)  # type: ignore[arg-type]
    images = torch.randn(5, 4, 3, 3) if norm is nn.BatchNorm2d else torch.randn(5, 4)
    changed = with_standing_norms(nn.Sequential(deepcopy(original)))
    torch.testing.assert_close(changed(images), original.eval()(images))
    assert changed.state_dict().keys() == nn.Sequential(original).state_dict().keys()
    assert changed(images.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("backbone", ["convnet3", "convnet3-bn"])
def test_classes_together_are_matched_as_one_by_one(backbone: str, tmp_path: Path) -> None:
    task = task_of(tmp_path, backbone)
    fast, network = engines(task)["fast"], task.network(5)
    real, synthetic = torch.randn(2, 3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, 0, 1])
    targets = fast.real(network, real, labels)
    together = fast.pull(network, synthetic, labels, targets)
    for place, label in enumerate(labels[:, None]):
        alone = fast.real(network, real[place, None], label)
        for one, other in zip(alone, targets, strict=True):
            torch.testing.assert_close(one[0], other[place], rtol=1e-4, atol=1e-6)
        found = fast.pull(network, synthetic[place, None], label, alone)[0]
        torch.testing.assert_close(found, together[place], rtol=1e-3, atol=1e-4 * float(found.abs().max()))


@pytest.mark.parametrize(("most", "size"), [(0, 1), (1, 1), (4, 4), (5, 4), (6, 6), (100, 12)])
def test_parts_are_of_one_size(most: int, size: int) -> None:
    assert classes_together(12, most) == size
