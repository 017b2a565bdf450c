"""Pools of networks in both engines: the same images, whoever takes part, compiled or not, broken off or not."""

import copy
from dataclasses import replace

import pytest
import torch
from pools import BATCHES, EVERYTHING, continued, images_of, pool, recipe
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.errors import RunFailure
from bench.recovery.engine import Batch, Engine
from bench.recovery.engines import engine_for
from bench.recovery.fast import FastEngine
from bench.recovery.layers import layers_of, watched
from bench.recovery.pool import Member, RealStatistics
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.reference import ReferenceEngine


@pytest.fixture
def other() -> nn.Module:
    """A network without BatchNorm, one of whose maps is no multiple of 4."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        shared = nn.Sequential(nn.Conv2d(2, 6, 3), nn.GELU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    return shared.eval()


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


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_so_is_the_loss_that_is_kept(network: nn.Module, task: Task, engine: str) -> None:
    """Mean over batches of sum over networks of share x the loss of that batch in that network alone, term by term."""
    chosen = recipe(match=("batchnorm",), engine=engine)
    quieter = copy.deepcopy(network)
    with torch.no_grad():
        for weight in quieter.parameters():
            weight.mul_(0.2)
    members = pool(chosen, network, quieter)
    images = images_of(8).view(2, 4, 2, 8, 8).float()

    def kept(several: list[Member], shown: Tensor, *batches: Batch) -> Tensor:
        gradient = engine_for(several, chosen).gradient(task, batches)
        gradient(shown, 5)
        return gradient.by_term().double()

    each = zip(images, BATCHES, strict=True)
    alone = torch.stack([torch.stack([kept([one], shown[None], batch) for one in members]) for shown, batch in each])
    assert (alone[0, 0] / alone[0, 1] - 1).abs().min() > 0.01, "networks whose shares would not show"
    shares = torch.tensor([(0.9, 0.1), (0.25, 0.75)], dtype=torch.float64)
    batches = [replace(batch, shares=tuple(row)) for batch, row in zip(BATCHES, shares.tolist(), strict=True)]
    expected = torch.einsum("gn,gnt->t", shares, alone) / 2
    torch.testing.assert_close(kept(members, images, *batches), expected, atol=0, rtol=1e-5)


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

    def make() -> Engine:
        return engine_for(pool(chosen, network, other), chosen)

    assert torch.equal(continued(make, task, BATCHES, looks), make().recover(task, BATCHES))


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


def test_what_is_left_out_is_left_out_of_shapes_that_were_made_ready_before(network: nn.Module, task: Task) -> None:
    chosen = recipe(**EVERYTHING | {"drop": 0.5, "densification": 0.0})
    engine = FastEngine(pool(chosen, network), chosen)
    engine.ready(replace(task, compile="never"), [(2, 4)])
    engine.ready(replace(task, compile="never"), [(1, 4)])
    gradient, alone = engine.gradient(task, BATCHES), FastEngine(pool(chosen, network), chosen).gradient(task, BATCHES)
    images = images_of(8).float().unflatten(0, (2, 4))
    for iteration in range(4):
        assert torch.equal(gradient(images, iteration), alone(images, iteration))


def test_statistics_that_were_not_measured_are_refused(network: nn.Module) -> None:
    with pytest.raises(RunFailure, match="statistics of convolutions are matched"):
        engine_for(network, recipe(match=("convolution",)))
    with pytest.raises(RunFailure, match="Flatten has no layer of those that recovery matches: convolution"):
        engine_for(nn.Flatten(), recipe(match=("convolution",)))


# --- stages, and images that join later ------------------------------------------------------------------------------
