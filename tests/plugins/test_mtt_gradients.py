"""Exact gradients: both ways against a loop in float64 and finite differences, compiled, in bf16; their memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matching import example, most_saved, network, weights_of
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.compiling import missing_compiler
from bench.condensation import Task
from bench.testing import tiny_dataset, tiny_task
from bench_matching.exact import swept, unrolled
from bench_matching.segments import Segment, Step
from bench_matching.student import FastDerivatives, PlainDerivatives, Student
from bench_matching.trajectories import Gradients


def by_hand(images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment, variant: str) -> Gradients:
    """Algorithm 1 with a dictionary of weights, all of it one graph of autograd."""
    net = network(variant).double().train()
    pixels, rate = images.clone().requires_grad_(), step_size.clone().requires_grad_()
    soft = targets.is_floating_point()
    goals = (targets if soft else F.one_hot(targets, 4).double()).clone().requires_grad_(soft)
    names, shapes = zip(*[(name, weight.shape) for name, weight in net.named_parameters()], strict=True)
    flat = segment.start.split([int(np.prod(shape)) for shape in shapes])
    weights = {name: part.reshape(shape) for name, part, shape in zip(names, flat, shapes, strict=True)}
    weights = {name: part.clone().requires_grad_() for name, part in weights.items()}
    for step in segment.steps:
        assert step.augmentation is not None
        batch = step.augmentation.apply(pixels[step.indices])
        buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
        with sdpa_kernel(SDPBackend.MATH):
            logits = functional_call(net, {**weights, **buffers}, (batch,))
        loss = -(torch.log_softmax(logits, 1) * goals[step.indices]).sum(1).mean()
        moves = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        weights = {name: old - rate * move for (name, old), move in zip(weights.items(), moves, strict=True)}
    end = torch.cat([part.flatten() for part in weights.values()])
    mismatch = ((end - segment.target) ** 2).sum() / ((segment.start - segment.target) ** 2).sum()
    mismatch.backward()
    assert pixels.grad is not None and rate.grad is not None
    return Gradients(pixels.grad, rate.grad, mismatch.detach(), goals.grad)


def close(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None], tolerance: float) -> None:
    """The error's norm, as a part of the whole's."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert float((one - other).norm()) <= tolerance * float(other.norm()) != 0


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("variant", ["", "-bn", "vit"])
@pytest.mark.parametrize("way", ["unrolled", "swept"])
def test_gradients_are_those_of_a_loop_written_plainly(way: str, variant: str, soft: bool) -> None:
    """And the loss; where targets are distributions, their gradient as well."""
    given = example(steps=4, variant=variant, soft=soft)
    student = Student(network(variant).double())
    if way == "unrolled":
        ours = unrolled(student, *given, of_targets=soft)
    else:
        ours = swept(PlainDerivatives(student, of_weights=True, of_targets=soft), *given)
    close(ours, by_hand(*given, variant), 1e-9)


def test_gradients_are_those_of_finite_differences() -> None:
    """Independent of autograd's second derivatives; of a smooth network, for kinks have none."""
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(5 * 36, 4)).double()
    images, classes, step_size, segment = example(steps=3, batch=6)
    start = weights_of(net)
    student, segment = Student(net), replace(segment, start=start, target=start + 0.01 * start.roll(1))

    def mismatch(pixels: Tensor, rate: Tensor) -> Tensor:
        weights = segment.start
        for step in segment.steps:
            leaf = weights.clone().requires_grad_()
            loss = F.cross_entropy(student.logits(leaf, step.seen(pixels)), classes[step.indices])
            weights = weights - rate * torch.autograd.grad(loss, [leaf])[0]
        return (weights - segment.target).square().sum() / segment.distance()

    by_images, by_rate, *_ = unrolled(student, images, classes, step_size, segment)
    way, h = by_images / by_images.norm(), 1e-5
    along = (mismatch(images + h * way, step_size) - mismatch(images - h * way, step_size)) / (2 * h)
    torch.testing.assert_close(along, by_images.norm(), rtol=1e-5, atol=0)
    along = (mismatch(images, step_size + h) - mismatch(images, step_size - h)) / (2 * h)
    torch.testing.assert_close(along, by_rate, rtol=1e-5, atol=0)


@pytest.fixture
def uncompiled(compiled_in_name: None, tmp_path: Path) -> Task:
    return replace(tiny_task(tmp_path, dataset=tiny_dataset(classes=4, resolution=8)), compile="always")


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("variant", ["", "-bn", "vit"])
def test_the_fast_derivatives_are_the_plain_ones(uncompiled: Task, variant: str, soft: bool) -> None:
    student = Student(network(variant).double(), order=torch.channels_last)
    fast = FastDerivatives(student, uncompiled, batch=8, soft=soft, steps=1, of_weights=True, of_targets=soft)
    assert set(uncompiled.measured.compiled) == {"match gradient", "match derivative"}
    plain = PlainDerivatives(Student(network(variant).double()), of_weights=True, of_targets=soft)
    images, targets, step_size, segment = example(steps=2, batch=8, variant=variant, soft=soft)
    start = segment.start
    close(swept(fast, images, targets, step_size, segment), swept(plain, images, targets, step_size, segment), 1e-9)
    for given in ((images, targets), (images[:5], targets[:5])):  # of the size that is compiled for, and of another
        found, expected = (each.along(start, *given, start.roll(5)) for each in (fast, plain))
        assert found.weights is not None and (found.targets is not None) == soft
        close(found, expected, 1e-9)
        close([fast.gradient(start, *given)], [plain.gradient(start, *given)], 1e-9)


@pytest.mark.skipif(missing_compiler(torch.device("cpu")) is not None, reason="there is no C++ compiler here")
def test_a_derivative_compiles_to_one_graph(tmp_path: Path) -> None:
    task = tiny_task(tmp_path, dataset=tiny_dataset(classes=4, resolution=8))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 4))
    student, start, wanted = Student(net), weights_of(net), {"of_weights": True, "of_targets": True}
    fast = FastDerivatives(student, task, batch=8, soft=True, steps=1, **wanted)
    images, targets = (each.float() for each in example(steps=1, batch=8, soft=True)[:2])
    along = torch.compile(fast.functional_along, dynamic=False, fullgraph=True)
    expected = PlainDerivatives(student, **wanted).along(start, images, targets, start.roll(1))
    assert None not in expected
    close(along(start, images, targets, start.roll(1)), expected, 1e-4)


def test_in_bf16_gradients_point_the_same_way() -> None:
    """Towards weights that training on the same images leads to; on maps of more than four pixels."""
    exact = Student(network(resolution=16).double())
    rounded = Student(network(resolution=16), bf16=True, order=torch.channels_last)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classes, step_size = torch.arange(8) % 4, torch.tensor(0.02, dtype=torch.float64)
    start = target = weights_of(network(resolution=16)).double()
    for _ in range(10):
        target = target - step_size * PlainDerivatives(exact, of_weights=False).gradient(target, images, classes)
    segment = Segment(start, target, [Step(torch.arange(8))] * 3)
    single = replace(segment, start=start.float(), target=target.float())
    expected = unrolled(exact, images, classes, step_size, segment)
    for way in (unrolled, lambda student, *given: swept(PlainDerivatives(student, of_weights=True), *given)):
        by_images, by_rate, *_ = way(rounded, images.float(), classes, step_size.float(), single)
        assert by_images.dtype == torch.float32
        assert float(F.cosine_similarity(by_images.flatten().double(), expected.images.flatten(), 0)) > 0.98
        assert float(by_rate) == pytest.approx(float(expected.step_size), rel=0.05)


def test_running_statistics_are_neither_used_nor_kept() -> None:
    net = network("-bn")
    student = Student(net)
    start, images = weights_of(net), torch.randn(6, 3, 8, 8)
    first = student.logits(start, images)
    student.logits(start, 5 * images)
    assert torch.equal(student.logits(start, images), first)
    assert not list(student.network.buffers())


# --- memory ----------------------------------------------------------------------------------------------------------


def test_the_unrolled_graph_grows_with_the_steps_and_recomputed_steps_do_not() -> None:
    plain = PlainDerivatives(Student(network().double()), of_weights=True)
    few, many = example(steps=2, batch=8), example(steps=8, batch=8)
    grown = [most_saved(lambda: unrolled(plain.student, *given)) for given in (few, many)]  # noqa: B023 - called now
    assert grown[1] > 3 * grown[0]
    swept_ = [most_saved(lambda: swept(plain, *given)) for given in (few, many)]  # noqa: B023 - called now
    assert swept_[1] < 1.1 * swept_[0]
    assert swept_[1] < grown[0]
