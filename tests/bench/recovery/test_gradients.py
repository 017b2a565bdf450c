"""Which network an iteration takes, what it remembers and what it leaves out: the rules that both engines inherit."""

import copy
from dataclasses import replace

import pytest
import torch
from pools import BATCHES, images_of, pool, recipe
from torch import Tensor, nn
from torch.nn import functional as F

from bench.condensation import Task
from bench.recovery.engines import engine_for
from bench.recovery.gradient import Gradient
from bench.recovery.recipes import MatchingRecipe

ENGINES = pytest.mark.parametrize("engine", ["fast", "reference"])


def scaled(network: nn.Module, *scales: float) -> list[nn.Module]:
    """The network with its last layer times each of these."""
    copies = [copy.deepcopy(network) for _ in scales]
    with torch.no_grad():
        for each, scale in zip(copies, scales, strict=True):
            each[-1].weight.mul_(scale)  # type: ignore[index]
    return copies


def gradient_of(task: Task, chosen: MatchingRecipe, *networks: nn.Module) -> Gradient:
    found = engine_for(pool(chosen, *networks), chosen).gradient(replace(task, compile="never"), BATCHES[:1])
    assert isinstance(found, Gradient)
    return found


def shown(count: int = 4) -> Tensor:
    """Four images as one batch; other ones for another count."""
    return images_of(count)[None, :4].float()


@ENGINES
def test_networks_take_turns(network: nn.Module, task: Task, engine: str) -> None:
    """The gradient of an iteration is that of one of them alone: of the first, the second, the third, the first, ..."""
    networks, chosen = scaled(network, 1.0, 0.5, 2.0), recipe(engine=engine)
    alone, together = [gradient_of(task, chosen, each) for each in networks], gradient_of(task, chosen, *networks)
    turns = list[list[int]]()
    for iteration in range(6):
        found = together(shown(), iteration)
        turns.append([at for at, each in enumerate(alone) if torch.allclose(each(shown(), iteration), found)])
    assert turns == [[0], [1], [2], [0], [1], [2]]


@ENGINES
def test_all_networks_at_once_count_alike(network: nn.Module, task: Task, engine: str) -> None:
    networks, still = scaled(network, 1.0, 0.5, 2.0), {"roll": (0, 0), "engine": engine}
    alone = [gradient_of(task, recipe(**still), each)(shown(), 0) for each in networks]
    assert not torch.allclose(alone[0], alone[1], rtol=0.1) and not torch.allclose(alone[0], alone[2], rtol=0.1)
    found = gradient_of(task, recipe(**still, networks="all"), *networks)(shown(), 0)
    torch.testing.assert_close(found, (alone[0] + alone[1] + alone[2]) / 3)


def test_a_fifth_of_the_convolutions_is_left_out_where_a_fifth_is_asked_for(network: nn.Module, task: Task) -> None:
    gradient = gradient_of(task, recipe(match=("batchnorm", "convolution"), drop=0.2), network)
    left_out = [gradient.left_out(0, iteration) for iteration in range(1, 1001)]
    assert sum(len(places) for places in left_out) / 2000 == pytest.approx(0.2, abs=0.03)


@ENGINES
def test_the_average_begins_at_the_first_images_and_keeps_so_much_of_itself(
    network: nn.Module, task: Task, engine: str
) -> None:
    """0.9 x0 + 0.1 x1 after the second call, in which x1 was held against what there was before: x0."""
    view = {"crop": "none", "flip": False, "roll": (0, 0), "bn_weight": 0.0}
    kept = {"flatness": 100.0, "flatness_decay": 0.9, "flatness_temperature": 2.0}
    gradient = gradient_of(task, recipe(**view, **kept, engine=engine), network)
    first, second = shown(), shown(5)
    gradient(first, 0)
    assert gradient.average is not None
    torch.testing.assert_close(gradient.average, first)
    assert gradient.by_term()[-1].item() == pytest.approx(0, abs=1e-3)
    gradient(second, 1)
    torch.testing.assert_close(gradient.state["average"], 0.9 * first + 0.1 * second)
    aim, found = (F.softmax(network(each[0]).double() / 2, 1) for each in (first, second))
    divergence = 100 * (aim * (aim / found).log()).sum(1).mean()
    assert gradient.by_term()[-1].item() == pytest.approx(divergence.item(), rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, [0, 0, 0.8, 0.8]),
        ({"as_released": ["zero-start"]}, [0.8, 0.8, 0.8, 0.8]),
        ({"networks": "all"}, [0, 0.8, 0.8, 0.8]),
    ],
)
def test_a_network_remembers_nothing_before_its_first_iteration(
    network: nn.Module, task: Task, changes: dict[str, object], kept: list[float]
) -> None:
    """Of a pool of two, of which each is met in every other iteration, or both are in each."""
    gradient = gradient_of(task, recipe(smoothing=0.8, **changes), *scaled(network, 1.0, 0.5))
    assert [gradient.keep(iteration) for iteration in range(4)] == kept
