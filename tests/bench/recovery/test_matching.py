"""Matching statistics of several kinds and networks: each term against its equation, both engines, resumption."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Task
from bench.errors import Interrupted, RunFailure
from bench.recovery.batches import initial_images
from bench.recovery.engine import Batch, Engine, rate
from bench.recovery.engines import engine_for
from bench.recovery.fast import FastEngine
from bench.recovery.layers import ByLayer, layers_of, sizes_of, watched
from bench.recovery.pool import Member, RealStatistics
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.reference import Circumstances, ReferenceEngine
from bench.recovery.terms import densification, prior
from bench.recovery.views import RecoveryView
from bench.testing import tiny_dataset, tiny_task

WHOLE = RecoveryView(None, flipped=False, roll=(0, 0))
TARGETS = torch.tensor([0, 0, 1, 2])
BATCHES = [Batch(TARGETS, 3), Batch(TARGETS.flip(0), 4)]
EVERYTHING = {
    "match": ("batchnorm", "convolution"),
    "patch": 4,
    "global_share": 0.25,
    "smoothing": 0.8,
    "drop": 0.4,
    "densification": 0.5,
    "flatness": 0.3,
    "flatness_decay": 0.9,
    "crop": "padded",
    "pad": 2,
    "tv": 1e-3,
    "l2": 1e-2,
}


def recipe(**changes: object) -> MatchingRecipe:
    plain = {"iterations": 9, "lr": 0.1, "bn_weight": 0.5, "roll": (-2, 2)}
    return MatchingRecipe.model_validate(plain | changes)


@pytest.fixture
def other() -> nn.Module:
    """A network without BatchNorm, one of whose maps is no multiple of 4."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        shared = nn.Sequential(nn.Conv2d(2, 6, 3), nn.GELU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    return shared.eval()


def statistics(network: nn.Module, chosen: MatchingRecipe, classes: int = 3) -> RealStatistics:
    """Statistics that no images have, of the shapes of those that images have."""
    draws = seeds.generator("goals", type(network[1]).__name__)  # type: ignore[index]
    layers = layers_of(network, chosen.match)
    images = torch.zeros(1, 2, 8, 8, dtype=next(network.parameters()).dtype)
    with watched(layers, chosen.patch) as found, torch.no_grad():
        network(images)
    sizes = sizes_of(found)

    def drawn(*lead: int) -> ByLayer:
        return {
            place: tuple(torch.randn(*lead, size, generator=draws).abs().to(images.dtype) for size in lengths)
            for place, lengths in sizes.items()
        }

    return RealStatistics(drawn(), drawn(classes))


def pool(chosen: MatchingRecipe, *networks: nn.Module) -> list[Member]:
    return [Member(network, statistics(network, chosen)) for network in networks]


def images_of(count: int) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=seeds.generator("images", count), dtype=torch.float64)


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
    loss, remembered = engine.observed_loss(images, TARGETS, WHOLE, under)
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


def test_densification_is_the_divergence_of_softened_eigenvalues() -> None:
    """By a general solver, class by class; its gradient against differences."""
    images = (images_of(4) * 0.05).requires_grad_()
    ours = densification(images, TARGETS, temperature=4.0, side=8)
    expected = torch.zeros((), dtype=torch.float64)
    for label in (0, 1, 2):
        rows = images[label == TARGETS].flatten(1)
        values = torch.linalg.eigvals(rows @ rows.T).real
        aim = (values / 4).softmax(0).detach()
        expected = expected + (aim * (aim.log() - values.log_softmax(0))).sum()
    torch.testing.assert_close(ours, expected)
    (gradient,) = torch.autograd.grad(ours, [images])
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


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=2, resolution=8))


def engines(chosen: MatchingRecipe, *networks: nn.Module) -> tuple[Engine, Engine]:
    members = pool(chosen, *networks)
    return FastEngine(members, chosen), ReferenceEngine(members, chosen)


@pytest.mark.parametrize("networks", ["one", "all"])
@pytest.mark.parametrize("changes", [{}, {"as_released": ["zero-start", "swapped-patches"]}, {"drop": 0.0}])
def test_the_fast_engine_makes_the_images_of_the_reference(
    network: nn.Module, other: nn.Module, task: Task, networks: str, changes: dict[str, object]
) -> None:
    fast, reference = engines(recipe(**EVERYTHING | changes, networks=networks), network, other)
    ours = fast.recover(task, BATCHES)
    apart = replace(task, workspace=task.workspace / "reference")
    torch.testing.assert_close(ours, reference.recover(apart, BATCHES), atol=5e-3, rtol=0)


@pytest.mark.parametrize("changes", [{"match": ["batchnorm"]}, EVERYTHING])
def test_so_do_both_where_batches_say_how_much_each_network_counts(
    network: nn.Module, other: nn.Module, task: Task, changes: dict[str, object]
) -> None:
    weighed = [replace(BATCHES[0], shares=(0.7, 0.3)), replace(BATCHES[1], shares=(0.0, 1.0))]
    second = other if "patch" in changes else copy.deepcopy(network)
    fast, reference = engines(recipe(**changes), network, second)
    ours = fast.recover(task, weighed)
    apart = replace(task, workspace=task.workspace / "reference")
    torch.testing.assert_close(ours, reference.recover(apart, weighed), atol=5e-3, rtol=0)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_the_gradient_is_the_sum_of_the_networks_each_by_its_share(
    network: nn.Module, other: nn.Module, task: Task, engine: str
) -> None:
    chosen = recipe(match=("convolution",), engine=engine)
    members = pool(chosen, network, other, nn.Sequential(nn.Conv2d(2, 3, 8), nn.Flatten()))
    images = images_of(8).view(2, 4, 2, 8, 8).float()

    def gradient(several: list[Member], *shares: tuple[float, ...]) -> Tensor:
        batches = [replace(batch, shares=each) for batch, each in zip(BATCHES, shares, strict=True)]
        return engine_for(several, chosen).gradient(task, batches)(images, 5)

    first, second = (gradient([member], (1.0,), (1.0,)) for member in members[:2])
    found = gradient(members, (0.7, 0.3, 0.0), (0.0, 1.0, 0.0))
    torch.testing.assert_close(found[0], 0.7 * first[0] + 0.3 * second[0])
    torch.testing.assert_close(found[1], second[1])


def test_a_network_that_does_not_count_is_not_asked(network: nn.Module, other: nn.Module, task: Task) -> None:
    chosen = recipe(match=("convolution",))
    reference = ReferenceEngine(pool(chosen, network, other), chosen)
    gradient = reference.gradient(task, [replace(BATCHES[0], shares=(1.0, 0.0))])
    other.register_forward_pre_hook(lambda *_: pytest.fail("it was"))
    gradient(images_of(4).float()[None], 0)


def test_batches_at_once_have_shares_all_or_none(network: nn.Module, task: Task) -> None:
    with pytest.raises(ValueError, match="all, or none of them"):
        ReferenceEngine(network, recipe()).gradient(task, [BATCHES[0], replace(BATCHES[1], shares=(1.0,))])


def test_compiled_it_makes_the_same_images(network: nn.Module, other: nn.Module, task: Task) -> None:
    """What chance leaves out is not measured by the one, and measured and not counted by the other."""
    chosen = recipe(**EVERYTHING)
    fast, _ = engines(chosen, network, other)
    eager = fast.recover(replace(task, compile="never"), BATCHES)
    apart = replace(task, workspace=task.workspace / "compiled", compile="always")
    compiled = engines(chosen, network, other)[0].recover(apart, BATCHES)
    assert [choice["compiled"] for choice in apart.measured.compiled.values()] == [True, True]
    torch.testing.assert_close(compiled, eager, atol=5e-3, rtol=0)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("looks", [1, 4, 7])
def test_continued_anywhere_it_makes_the_same_bits(
    network: nn.Module, other: nn.Module, task: Task, engine: str, looks: int
) -> None:
    chosen = recipe(**EVERYTHING, engine=engine)
    whole = engine_for(pool(chosen, network, other), chosen).recover(task, BATCHES)
    answers = iter([False] * looks + [True])
    stopped = replace(task, workspace=task.workspace / "stopped", should_stop=lambda: next(answers))
    with pytest.raises(Interrupted):
        engine_for(pool(chosen, network, other), chosen).recover(stopped, BATCHES)
    going_on = replace(stopped, should_stop=lambda: False)
    assert torch.equal(engine_for(pool(chosen, network, other), chosen).recover(going_on, BATCHES), whole)


def test_an_input_that_layers_share_is_measured_once(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.head = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 3, padding=1), nn.Linear(3, 3)

        def forward(self, images: Tensor) -> Tensor:
            head: Tensor = self.head((self.left(images) + self.right(images)).mean((2, 3)))
            return head

    from bench.recovery import objective

    calls: list[Tensor] = []
    original = objective._channels

    def counted(grouped: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(centre)
        return original(grouped, centre)

    monkeypatch.setattr(objective, "_channels", counted)
    chosen = recipe(match=("convolution",), iterations=1)
    network = Branching().eval()
    layers = layers_of(network, chosen.match)
    with watched(layers, 4) as found, torch.no_grad():
        network(torch.randn(4, 2, 8, 8, generator=seeds.generator("shared")))
    member = Member(network, RealStatistics(found, {}))
    fast, reference = FastEngine([member], chosen), ReferenceEngine([member], chosen)
    ours = fast.gradient(replace(task, compile="never"), BATCHES[:1])
    calls.clear()
    images = images_of(4).float()[None]
    close = reference.gradient(task, BATCHES[:1])(images, 0)
    torch.testing.assert_close(ours(images, 0), close, atol=1e-5, rtol=1e-4)
    assert len(calls) == 1


def test_what_is_left_out_is_the_same_share_of_convolutions_and_never_a_batchnorm(
    network: nn.Module, task: Task
) -> None:
    chosen = recipe(**EVERYTHING | {"drop": 0.5})
    gradient = FastEngine(pool(chosen, network), chosen).gradient(task, BATCHES)
    left_out = [gradient.left_out(0, iteration) for iteration in range(1, 1001)]
    assert {place for places in left_out for place in places} == {0, 2}
    share = sum(len(places) for places in left_out) / 2000
    assert abs(share - 0.5) < 0.05
    assert gradient.left_out(0, 0) == frozenset()


def test_statistics_that_were_not_measured_are_refused(network: nn.Module) -> None:
    with pytest.raises(RunFailure, match="statistics of convolutions are matched"):
        engine_for(network, recipe(match=("convolution",)))
    with pytest.raises(RunFailure, match="Flatten has no layer of those that recovery matches: convolution"):
        engine_for(nn.Flatten(), recipe(match=("convolution",)))


# --- stages, and images that join later ------------------------------------------------------------------------------


def by_hand(chosen: MatchingRecipe, network: nn.Module, task: Task, batch: Batch, begins: Sequence[int]) -> Tensor:
    """FADRM's loop, in plain torch: a new Adam a stage, the start mixed in by half before each but the first."""
    gradient = ReferenceEngine(network, chosen).gradient(task, [batch])
    start = initial_images(task, [batch])
    images, (lower, upper) = start.clone(), task.dataset.normalisation.box(start)
    first, second, steps = torch.zeros_like(start), torch.zeros_like(start), 0
    for iteration in range(chosen.iterations):
        if iteration in begins:
            images, first, second, steps = 0.5 * images + 0.5 * start, first * 0, second * 0, 0
        found, steps = gradient(images, iteration), steps + 1
        first, second = 0.5 * first + 0.5 * found, 0.9 * second + 0.1 * found**2
        step = first / (1 - 0.5**steps) / ((second / (1 - 0.9**steps)).sqrt() + 1e-8)
        images = (images - rate(chosen, iteration) * step).clamp(lower, upper)
    return images


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_after_a_stage_the_start_is_mixed_in_and_adam_is_new(network: nn.Module, task: Task, engine: str) -> None:
    chosen = recipe(iterations=7, stages=3, residual=0.5, engine=engine)
    batch = replace(BATCHES[0], start=images_of(4).float().clamp(-1, 1))
    expected = by_hand(chosen, network, task, batch, begins=(2, 4))
    found = engine_for(network, chosen).recover(task, [batch])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    apart = replace(task, workspace=task.workspace / "other")
    assert not torch.allclose(engine_for(network, recipe(iterations=7, engine=engine)).recover(apart, [batch]), found)


def test_a_recipe_without_stages_dumps_as_it_did() -> None:
    assert not {"stages", "residual"} & set(recipe().model_dump())
    assert recipe(stages=2).model_dump()["stages"] == 2
    assert recipe(iterations=1, stages=4).stage_begins == frozenset()


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("looks", [1, 4, 6])
def test_stages_and_joining_go_on_to_the_same_bits(network: nn.Module, task: Task, engine: str, looks: int) -> None:
    chosen = recipe(stages=3, engine=engine)
    joining = [replace(batch, joins=(0, 3, 0, 6)) for batch in BATCHES]
    whole = engine_for(network, chosen).recover(task, joining)
    answers = iter([False] * looks + [True])
    stopped = replace(task, workspace=task.workspace / "stopped", should_stop=lambda: next(answers))
    with pytest.raises(Interrupted):
        engine_for(network, chosen).recover(stopped, joining)
    going_on = replace(stopped, should_stop=lambda: False)
    assert torch.equal(engine_for(network, chosen).recover(going_on, joining), whole)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_the_gradient_is_that_of_the_images_that_have_joined(network: nn.Module, task: Task, engine: str) -> None:
    made = engine_for(network, recipe(engine=engine))
    images = images_of(8).view(2, 4, 2, 8, 8).float()
    gradient = made._gradient_of_all(task, [replace(batch, joins=(0, 6, 3, 0)) for batch in BATCHES])
    for iteration, there in ((0, [0, 3]), (2, [0, 3]), (3, [0, 2, 3]), (5, [0, 2, 3]), (6, [0, 1, 2, 3])):
        found = gradient(images, iteration)
        alone = made.gradient(task, [replace(batch, targets=batch.targets[there]) for batch in BATCHES])
        torch.testing.assert_close(found[:, there], alone(images[:, there], iteration))
        assert not found[:, sorted({0, 1, 2, 3} - {*there})].any()


def test_images_stay_where_they_start_until_they_join(network: nn.Module, task: Task) -> None:
    start = images_of(4).float().clamp(-1, 1)
    batch = replace(BATCHES[0], start=start, joins=(0, 0, 9, 2))
    found = engine_for(network, recipe(iterations=9)).recover(task, [batch])
    assert torch.equal(found[0, 2], start[2])
    assert not any(torch.equal(found[0, place], start[place]) for place in (0, 1, 3))


@pytest.mark.parametrize(
    ("joins", "said"),
    [(((0, 0, 0, 1), None), "join alike"), (((1, 2, 2, 2), (1, 2, 2, 2)), "from iteration 0 on; the first joins at 1")],
)
def test_images_join_alike_and_some_at_once(
    network: nn.Module, task: Task, joins: tuple[tuple[int, ...] | None, ...], said: str
) -> None:
    batches = [replace(batch, joins=each) for batch, each in zip(BATCHES, joins, strict=True)]
    with pytest.raises(ValueError, match=said):
        engine_for(network, recipe()).recover(task, batches)


def test_nothing_is_remembered_where_images_join(network: nn.Module, task: Task) -> None:
    with pytest.raises(ValueError, match="neither smoothed statistics nor flatness"):
        engine_for(network, recipe(flatness=0.5)).recover(task, [replace(BATCHES[0], joins=(0, 0, 0, 1))])
