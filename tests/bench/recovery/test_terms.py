"""Each term of a recovery loss, its value and its gradient, against its equation written out in float64."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pools import BATCHES, TARGETS, WHOLE, images_of, pool, recipe
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.recovery.engine import initial_images
from bench.recovery.fast import FastEngine
from bench.recovery.layers import watched
from bench.recovery.pool import Member, RealStatistics
from bench.recovery.reference import Circumstances, ReferenceEngine
from bench.recovery.terms import Flatness, Observed, densification, prior
from bench.recovery.views import draw_view
from bench.testing import tiny_dataset, tiny_task


def norms(found: list[Tensor], goals: list[Tensor]) -> Tensor:
    distances = [(each - goal).square().sum().sqrt() for each, goal in zip(found, goals, strict=True)]
    return torch.stack(distances).sum()


def measured_by_hand(inputs: Tensor, patch: int | None) -> list[Tensor]:
    """Mean and variance of each channel, and of each square, one by one."""
    channels = inputs.unbind(1)
    found = [
        torch.stack([each.mean() for each in channels]),
        torch.stack([each.var(correction=0) for each in channels]),
    ]
    if patch is None:
        return found
    side = -(-inputs.shape[-1] // patch) * patch
    resized = F.interpolate(inputs, size=[side, side], mode="bilinear")
    squares = [
        resized[..., top : top + patch, left : left + patch]
        for top in range(0, side, patch)
        for left in range(0, side, patch)
    ]
    means, variances = [each.mean() for each in squares], [each.var(correction=0) for each in squares]
    return [*found, torch.stack(means), torch.stack(variances)]


def test_statistics_of_layers_classes_and_patches_are_those_of_the_equation(network: nn.Module) -> None:
    """sum over l of w_l (alpha D(s, t) + (1 - alpha) D(s, t^y)), written out for the network of the fixture."""
    network = network.double()
    chosen = recipe(match=("batchnorm", "convolution"), global_share=0.25, first_bn_multiplier=10.0)
    (member,) = pool(chosen, network)
    assert member.real is not None
    images = images_of(4).requires_grad_()
    ours = ReferenceEngine([member], chosen).loss(
        images, TARGETS, WHOLE, Circumstances(class_goals=member.class_goals(TARGETS[None], chosen))
    )

    first, norm, relu, second, other_norm, *head = network.children()
    inputs = [images, first(images)]
    inputs += [relu(norm(inputs[1]))]
    inputs += [second(inputs[2])]
    logits = nn.Sequential(relu, *head[1:])(other_norm(inputs[3]))
    expected = F.cross_entropy(logits, TARGETS)
    for place, each in enumerate(inputs):
        layer = [first, norm, second, other_norm][place]
        found = measured_by_hand(each, 4 if isinstance(layer, nn.Conv2d) else None)
        goals = list(member.real.overall[place])
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            goals = [layer.running_mean, layer.running_var]
        kept = member.real.by_class[place]
        mixed: list[Tensor] = []
        for mean, variance in zip(kept[::2], kept[1::2], strict=True):
            of_batch = mean[TARGETS].mean(0)
            mixed += [of_batch, (variance[TARGETS] + mean[TARGETS] ** 2).mean(0) - of_batch**2]
        weight = 10.0 if place == 0 else 1.0
        expected = expected + 0.5 * weight * (0.25 * norms(found, goals) + 0.75 * norms(found, mixed))
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(each, [images])[0] for each in (ours, expected)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_goal_of_a_batch_is_the_mixture_of_its_classes() -> None:
    """Two Gaussians, three draws of one for each of the other: mean and variance of what is drawn from the mixture."""
    means, variances = torch.tensor([[-1.0], [3.0]]), torch.tensor([[0.5], [2.0]])
    real = RealStatistics({0: (means[0], variances[0])}, {0: (means, variances)})
    member = Member(nn.Identity(), real)
    targets = torch.tensor([[0, 0, 0, 1]])
    mean, variance = member.class_goals(targets, recipe(global_share=0.5))[0]
    draws = seeds.generator("mixture")
    classes = torch.arange(400_000) % 4 // 3
    drawn = means[classes, 0] + variances[classes, 0].sqrt() * torch.randn(len(classes), generator=draws)
    assert mean.item() == 0.0
    assert variance.item() == 0.75 * 0.5 + 0.25 * 2.0 + 0.75 * 1 + 0.25 * 9  # within and between
    torch.testing.assert_close(drawn.mean(), mean[0, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.var(), variance[0, 0], atol=0.03, rtol=0)
    released = recipe(global_share=0.5, as_released=["within-image-variance"])
    assert member.class_goals(targets, released)[0][1].item() == 0.75 * 0.5 + 0.25 * 2.0


def test_the_releases_swap_of_patches_is_followed_where_it_is_asked_for() -> None:
    kept = tuple(torch.full((2, 1), value) for value in (1.0, 2.0, 3.0, 4.0))
    member = Member(nn.Identity(), RealStatistics({0: tuple(each[0] for each in kept)}, {0: kept}))
    plain = recipe(global_share=0.5, as_released=["within-image-variance"])
    swapped = recipe(global_share=0.5, as_released=["within-image-variance", "swapped-patches"])
    targets = torch.tensor([[0, 1]])
    assert [each.item() for each in member.class_goals(targets, plain)[0]] == [1, 2, 3, 4]
    assert [each.item() for each in member.class_goals(targets, swapped)[0]] == [1, 2, 4, 3]


def test_the_value_is_the_moving_averages_and_the_gradient_the_batchs(network: nn.Module) -> None:
    """s' = 0.8 s_old + 0.2 s; the distance is that of s', its gradient that of a statistic which moves with s."""
    network = network.double()
    chosen = recipe(smoothing=0.8, match=("batchnorm",), as_released=["zero-start"], first_bn_multiplier=1.0)
    (member,) = pool(chosen, network)
    memory = {place: tuple(each[None] * 0 + 0.3 for each in goal) for place, goal in member.goals(chosen).items()}
    images = images_of(4).requires_grad_()
    engine = ReferenceEngine([member], chosen)
    under = Circumstances(memory=memory, keep=0.8)
    loss, remembered, _ = engine.observed_loss(images, TARGETS, WHOLE, under)
    with watched(member.layers(chosen), 4) as found:
        logits = network(images)
    expected = F.cross_entropy(logits, TARGETS)
    for place, goal in member.goals(chosen).items():
        for old, new, aim, kept in zip(memory[place], found[place], goal, remembered[place], strict=True):
            torch.testing.assert_close(kept[0], 0.8 * old[0] + 0.2 * new)
            shifted = new + (0.8 * old[0] + 0.2 * new - new).detach()
            expected = expected + 0.5 * (shifted - aim).norm()
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(each, [images], retain_graph=True)[0] for each in (loss, expected)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(("released", "classes"), [((), 1), (("element-mean",), 3)])
def test_flatness_is_the_divergence_from_the_moving_average(
    network: nn.Module, released: tuple[str, ...], classes: int
) -> None:
    network = network.double()
    chosen = recipe(flatness=0.3, flatness_temperature=4.0, bn_weight=0.0, as_released=released)
    images, average = images_of(4), images_of(5)[:4]
    engine = ReferenceEngine(network, chosen)
    ours = engine.loss(images, TARGETS, WHOLE, Circumstances(average=average))
    aim, found = ((network(each) / 4).softmax(1) for each in (average, images))
    divergence = (aim * (aim.log() - found.log())).sum(1).mean() / classes
    torch.testing.assert_close(ours, F.cross_entropy(network(images), TARGETS) + 0.3 * divergence)


@pytest.mark.parametrize(("element_mean", "expected"), [(False, 0.840334), (True, 0.280111)])
def test_flatness_is_the_divergence_of_the_images_from_the_average_and_not_the_other_way(
    element_mean: bool, expected: float
) -> None:
    """By hand: with Z = e + 2, KL((1, e, 1) / Z || (e^2, 1, 1) / (e^2 + 2)) = log((e^2 + 2) / Z) + (e - 2) / Z."""
    logits, average = torch.tensor([[[8.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 4.0, 0.0]]])
    found = Flatness(4.0, element_mean=element_mean).loss(
        Observed(torch.zeros(1, 1, dtype=torch.int64), logits, {}, {}, {}, average_logits=average)
    )
    assert found.tolist() == pytest.approx([expected], abs=1e-6)


def test_densification_is_the_divergence_of_softened_eigenvalues() -> None:
    """By a general solver, class by class; its gradient against differences, in which the aim does not move."""
    images = (images_of(4) * 0.05).requires_grad_()
    ours = densification(images, TARGETS, temperature=4.0, side=8)

    def values(shown: Tensor) -> list[Tensor]:
        by_class = [shown[label == TARGETS].flatten(1) for label in (0, 1, 2)]
        return [torch.linalg.eigvals(rows @ rows.T).real.sort().values for rows in by_class]

    aims = [(each / 4).softmax(0) for each in values(images.detach())]

    def divergence(shown: Tensor) -> Tensor:
        pairs = zip(aims, values(shown), strict=True)
        return torch.stack([(aim * (aim.log() - each.log_softmax(0))).sum() for aim, each in pairs]).sum()

    torch.testing.assert_close(ours.detach(), divergence(images.detach()))
    (gradient,) = torch.autograd.grad(ours, [images])
    draws = seeds.generator("directions")
    for _ in range(4):
        along = torch.randn(images.shape, generator=draws, dtype=torch.float64) * 1e-5
        ahead, behind = (divergence(images.detach() + sign * along) for sign in (1, -1))
        torch.testing.assert_close((gradient * along).sum(), (ahead - behind) / 2, rtol=1e-5, atol=0)
    assert gradient[:2].abs().min() > 0
    assert not gradient[2:].any()  # a class of one image has nothing to be spread from


def test_image_priors_are_sums_over_neighbours_and_lengths_of_images() -> None:
    images = images_of(3)
    squares = dict.fromkeys(("right", "below", "up", "down"), 0.0)
    for image in images:
        for channel in image:
            for row in range(8):
                for column in range(8):
                    here = channel[row, column]
                    if column < 7:
                        squares["right"] += float((here - channel[row, column + 1]) ** 2)
                    if row < 7:
                        squares["below"] += float((here - channel[row + 1, column]) ** 2)
                    if row > 0 and column < 7:
                        squares["up"] += float((here - channel[row - 1, column + 1]) ** 2)
                    if row < 7 and column < 7:
                        squares["down"] += float((here - channel[row + 1, column + 1]) ** 2)
    expected = 0.5 * sum(each**0.5 for each in squares.values())
    expected += 0.25 * float(torch.stack([(image**2).sum().sqrt() for image in images]).mean())
    assert float(prior(images, tv=0.5, l2=0.25)) == pytest.approx(expected)


def test_a_recovery_keeps_its_loss_by_term_at_some_iterations(network: nn.Module, tmp_path: Path) -> None:
    """The first iteration's are those of the start, the mean over batches; 130 iterations keep 64."""
    chosen = recipe(iterations=130, l2=0.25)
    task = tiny_task(tmp_path, dataset=tiny_dataset(channels=2, resolution=8))
    for engine in (FastEngine(network, chosen), ReferenceEngine(network, chosen)):
        engine.recover(replace(task, workspace=tmp_path / type(engine).__name__), BATCHES)
    starts = zip(initial_images(task, BATCHES), BATCHES, strict=True)
    seen = [(draw_view(chosen, 8, batch.seed, 0).of(images), batch.targets) for images, batch in starts]
    entropy = sum(F.cross_entropy(network(view), targets).item() for view, targets in seen) / 2
    length = sum(0.25 * view.flatten(1).norm(dim=1).mean().item() for view, _ in seen) / 2
    for losses in task.losses:
        assert losses.terms == ["cross-entropy", "statistics", "images alone"]
        assert (losses.iterations[:3], losses.iterations[-1], len(losses.iterations)) == ([0, 2, 4], 129, 64)
        assert losses.values[0][::2] == pytest.approx([entropy, length], rel=1e-4)
        assert 0 < sum(losses.values[-1]) < sum(losses.values[0])
