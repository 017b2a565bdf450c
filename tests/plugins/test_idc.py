"""IDC: what is matched and how images move, the networks' learning, settings; its multi-formation: `test_formation`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench, one_thread
from matching import task_of
from torch import Tensor, nn
from torch.nn import functional as F

from bench.cli.outcomes import rows_of
from bench.condensation import Grid, Task
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.loops.checkpoints import State
from bench.recipes import Budget, Setting
from bench.storage.files import read_json
from bench.training.feeding import Feed
from bench.training.recipes import TrainingRecipe
from bench.training.views import Views
from bench_matching import classwise, formation, gradients, idc, siamese
from bench_matching.gradients import FastMatching, ReferenceMatching
from bench_matching.idc import IDC, IDCI, MEASURES, IDCConfig, absolute, squared
from bench_matching.learning import Learning
from bench_matching.turns import Turns

DOUBLE = torch.float64


def config(**changes: Any) -> IDCConfig:  # noqa: ANN401
    small = {"factor": 2, "networks": 2, "steps": 3, "batch_real": 6, "lr": 0.005, "engine": "reference"}
    return IDCConfig.model_validate({**small, "learn_images": 8, "learn_batch": 4, **changes})


def prepared(task: Task, method: type[IDC] = IDC, **changes: Any) -> IDC:  # noqa: ANN401
    here = method(config(**changes))
    here.prepare(task)
    return here


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


# --- what is matched -------------------------------------------------------------------------------------------------


def test_distances_are_sums_of_squared_and_of_absolute_differences() -> None:
    first, second = [random(4, 3, 2, 2), random(2, 4, 1, 1)], [random(4, 3, 2, 2, seed=1), random(2, 4, 1, 1, seed=1)]
    apart = torch.cat([(a - b).flatten() for a, b in zip(first, second, strict=True)])
    assert float(squared(first, second)) == pytest.approx(float((apart**2).sum()), rel=1e-12)
    assert float(absolute(first, second)) == pytest.approx(float(apart.abs().sum()), rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("backbone", ["convnet3", "convnet3-bn"])
def test_the_pull_is_that_of_the_weights_of_convolutions_alone(
    measure: gradients.Measure, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both engines, against autograd of the whole expression in float64; BatchNorm normalises by each batch."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    task = task_of(tmp_path, backbone)
    network = prepared(task)._network(task, 5).double()
    real, synthetic = random(4, 3, 8, 8), random(6, 3, 8, 8, seed=1)

    def of(images: Tensor) -> list[Tensor]:
        loss = F.cross_entropy(network(images), torch.full((len(images),), 1))
        weights = [each.weight for each in network.modules() if isinstance(each, nn.Conv2d)]
        return list(torch.autograd.grad(loss, weights, create_graph=True))

    leaf = synthetic.clone().requires_grad_()
    (expected,) = torch.autograd.grad(measure.between([each.detach() for each in of(real)], of(leaf)), leaf)
    fast = FastMatching(task, prepared(task)._network(task, 0), measure)
    fast._compiled_real, fast._compiled_pull = fast.functional_real, fast.functional_pull
    label = torch.tensor([1])
    for matching in (ReferenceMatching(task, measure), fast):
        (pulled,) = matching.pull(network, synthetic[None], label, matching.real(network, real[None], label))
        torch.testing.assert_close(pulled, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", [IDC, IDCI])
def test_identical_real_and_synthetic_images_match(method: type[IDC], tmp_path: Path) -> None:
    """Under siamese augmentation: other draws for real and synthetic images would break it."""
    task = task_of(tmp_path, ipc=6)
    here = prepared(task, method, factor=1)
    network = here._network(task, 1)
    reals = here._real_images(task, network, range(3), 4)
    same = task.dataset.normalisation.invert(reals)
    alike, other = here._gradient(task, network, same, 4), here._gradient(task, network, same.flip(0), 4)
    assert float(alike.abs().max()) < 1e-3 * float(other.abs().max())


# --- how images move -------------------------------------------------------------------------------------------------


def test_turns_are_one_optimiser_that_is_stepped_after_each_class() -> None:
    """As the release updates: momentum moves the images of the other classes, too. In float64."""
    classes, lr, momentum, pull = 4, 0.3, 0.5, random(4, 3, 7) - 0.5
    images = random(classes, 2, 7, seed=1)
    whole = images.clone().requires_grad_()
    optimizer = torch.optim.SGD([whole], lr=lr, momentum=momentum)
    turns = Turns(images, lr, momentum)
    for number in range(3):
        gradients_of = {}
        for label in range(classes):
            optimizer.zero_grad()
            (whole[label] ** 2 @ pull[label, number]).sum().backward()
            optimizer.step()
        turns.to_turns()
        for label in range(classes):
            gradients_of[label] = 2 * images[label] * pull[label, number]
        turns.step(torch.stack([gradients_of[label] for label in range(classes)]))
        torch.testing.assert_close(images, whole.detach(), rtol=0, atol=1e-12)


def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, float]]:
    """The images of each update as they are matched, and the rate."""
    seen: list[tuple[Tensor, float]] = []
    original = classwise.gradient_of
    rates: list[float] = []

    class Listening(Turns):
        def __init__(self, images: Tensor, lr: float, momentum: float) -> None:
            super().__init__(images, lr, momentum)
            rates.append(lr)

    def told(images: Tensor, *rest: Any, **more: Any) -> Tensor:  # noqa: ANN401
        seen.append((images.clone(), rates[-1]))
        return original(images, *rest, **more)

    monkeypatch.setattr(idc, "Turns", Listening)
    monkeypatch.setattr(idc, "gradient_of", told)
    return seen


def test_pixels_are_clamped_where_a_network_begins_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = heard(monkeypatch)
    task = task_of(tmp_path)
    here = prepared(task, lr=50.0)
    made = here.synthesize(task, here.units(task)[0])
    outside = [bool(((images[0] < 0) | (images[0] > 1)).any()) for images, _ in seen]  # none is stepped before class 0
    assert outside == [False, True, True, False, True, True]
    last = task.dataset.normalisation.invert(made.pixels)
    assert ((last < 0) | (last > 1)).any()


@pytest.mark.parametrize(("ipc", "rate"), [(1, 0.0005), (10, 0.005), (2, 0.001)])
def test_the_rate_grows_with_the_images(ipc: int, rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = heard(monkeypatch)
    task = task_of(tmp_path, ipc=ipc)
    here = prepared(task, networks=1, steps=1, factor=1)
    here.synthesize(task, here.units(task)[0])
    assert [each for _, each in seen] == [pytest.approx(rate)]


def test_only_what_was_drawn_is_pulled(tmp_path: Path) -> None:
    """Factor 2 with 4 of 8 decoded images: cells that were not drawn have no gradient of their own."""
    task = task_of(tmp_path)
    here = prepared(task, batch_synthetic=1)
    images = formation.start(task, 2, real=True)
    gradient = here._gradient(task, here._network(task, 0), images, 0)
    chosen = here.formation.chosen(3, 2, task.seed_for("synthetic"), 0)
    assert chosen is not None
    for label, (number,) in enumerate(chosen.tolist()):
        image, cell = divmod(number, 4)
        down, across = divmod(cell, 2)
        mine = gradient[label, image, :, 4 * down : 4 * down + 4, 4 * across : 4 * across + 4]
        assert mine.abs().sum() > 0
        torch.testing.assert_close(gradient[label].abs().sum(), mine.abs().sum())


# --- learning --------------------------------------------------------------------------------------------------------


def test_networks_learn_what_views_show_of_real_images(tmp_path: Path) -> None:
    """The literal loop over the batches that the recipe's views deal out, wherever it begins."""
    task = task_of(tmp_path)
    recipe = TrainingRecipe(epochs=1, batch_size=7, lr=0.05, weight_decay=0.01, dsa="color_crop", dsa_reading="layered")
    learning = Learning(task, task.network(0), Feed.of(task), recipe)
    network, plain = task.network(1), task.network(1)
    optimizer = learning.optimizer(network)
    learning.learn(network, optimizer, 5, 3)
    learning.learn(network, optimizer, 8, 4)
    by_hand = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    views, feed = Views(recipe, task.seed_for("learning"), 60, 8), Feed.of(task)
    for number in range(5, 12):
        view = views.at(*divmod(number, views.batches))
        by_hand.zero_grad()
        F.cross_entropy(plain(feed.seen(view)), feed.labels(view.indices)).backward()
        by_hand.step()
    for one, other in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_batches_of_networks_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks of three updates: each learns everything once, then two batches between updates."""
    learned: list[tuple[int, int]] = []
    monkeypatch.setattr(Learning, "learn", lambda self, *rest: learned.append((rest[2], rest[3])))
    task = task_of(tmp_path)
    here = prepared(task, learn_epochs=1)
    here.synthesize(task, here.units(task)[0])
    every = here._learning.batches
    assert every == 15 and learned == [(0, 15), (15, 2), (17, 2), (19, 15), (34, 2), (36, 2)]


def test_networks_of_a_pool_are_trained_once_and_taken_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two for six turns; BatchNorm's running statistics, which matching does not have, stay behind."""
    task = task_of(tmp_path, "convnet3-bn")
    here = prepared(task, pool=2, learn_epochs=1, learn_batch=10)
    pool = [{name: value.clone() for name, value in each.state_dict().items()} for each in here._pool]
    assert len(task.used_stages) == 2 and here._learned(0) == 0
    taken = []
    for index in range(6):
        network = here._network(task, 0)
        here._begin(task, network, index)
        found = network.state_dict()
        (number,) = (
            n for n, weights in enumerate(pool) if all(torch.equal(weights[name], found[name]) for name in found)
        )
        taken.append(number)
    assert set(taken) == {0, 1}
    here.synthesize(task, here.units(task)[0])
    for weights, network in zip(pool, here._pool, strict=True):
        assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())


# --- settings --------------------------------------------------------------------------------------------------------


def setting(dataset: str, ipc: int = 10, budget: Budget = "paper") -> Setting:
    shapes = {"mnist": (28, 1), "fashion-mnist": (28, 1), "imagenet-10": (224, 3), "imagenet-100": (224, 3)}
    classes = {"cifar100": 100, "imagenet-100": 100}.get(dataset, 10)
    return Setting(dataset, *shapes.get(dataset, (32, 3)), classes, ipc, "convnet3", budget)


def resolved(method: type[IDC], at: Setting) -> IDCConfig:
    return IDCConfig.model_validate(method.recipe(at).at(at.budget))


@pytest.mark.parametrize(
    ("dataset", "distance", "lr", "learned"),
    [
        ("cifar10", "mse", 0.005, 2000),
        ("cifar100", "mse", 0.005, 2000),
        ("svhn", "mse", 0.005, 500),
        ("mnist", "l1", 1e-4, 500),
        ("fashion-mnist", "l1", 1e-4 * 28**2 / 32**2, 500),
    ],
)
def test_small_images_have_the_releases_values(dataset: str, distance: str, lr: float, learned: int) -> None:
    """misc/reproduce.py, and argument.py's defaults; it counts pixels in 32 x 32, but MNIST's in 28 x 28."""
    found, alone = resolved(IDC, setting(dataset)), resolved(IDCI, setting(dataset))
    assert (found.factor, alone.factor) == (2, 1)
    assert (found.distance, found.lr, found.learn_images, found.networks, found.steps) == (
        distance,
        lr,
        learned,
        2000,
        100,
    )
    assert (found.batch_real, found.batch_synthetic, found.momentum) == (64, 128, 0.5)
    learning = (found.learn_lr, found.learn_momentum, found.learn_weight_decay, found.learn_batch, found.learn_dsa)
    assert learning == (0.01, 0.9, 5e-4, 64, "color_crop")
    digits = dataset == "mnist"
    assert (found.dsa, found.learn_mix) == (("color_crop", 0.0) if digits else ("color_crop_cutout", 0.5))
    assert (alone.dsa, alone.learn_mix) == ("color_crop_cutout", 0.5)


@pytest.mark.parametrize(("ipc", "decode"), [(1, "whole"), (10, "whole"), (20, "bounded"), (50, "bounded")])
def test_imagenet_10_has_the_releases_values(ipc: int, decode: str) -> None:
    found, alone = resolved(IDC, setting("imagenet-10", ipc)), resolved(IDCI, setting("imagenet-10", ipc))
    assert (found.factor, found.decode, alone.factor, alone.decode) == (3, decode, 1, "whole")
    assert (found.distance, found.lr, found.networks, found.learn_epochs, found.learn_images) == (
        "l1",
        0.003,
        500,
        10,
        500,
    )
    assert found.learn_mix == 1.0


@pytest.mark.parametrize("ipc", [10, 20])
def test_imagenet_100_takes_networks_of_a_pool(ipc: int) -> None:
    """argument.py for a hundred classes or more, and the readme's faster optimisation."""
    found = resolved(IDC, setting("imagenet-100", ipc))
    assert (found.distance, found.lr, found.pool, found.learn_epochs, found.learn_images) == ("l1", 0.001, 10, 5, 500)
    assert (found.learn_lr, found.learn_weight_decay, found.learn_batch, found.learn_mix) == (0.1, 1e-4, 128, 1.0)
    assert (found.factor, found.decode) == (3, "bounded" if ipc == 20 else "whole")


def test_real_images_are_needed_for_every_cell(tmp_path: Path) -> None:
    assert IDC(config()).real_images(setting("cifar10")) == 40
    assert IDC(config(init="noise")).real_images(setting("cifar10")) == 1
    with pytest.raises(UsageError, match="40"):
        Bench(tmp_path).jobs("idc", ipcs=(40,), changes=("factor=2",))


def test_what_cannot_be_matched_is_refused() -> None:
    with pytest.raises(UsageError, match="two classes"):
        IDC(config()).check(replace(setting("cifar10"), classes=1))
    with pytest.raises(UsageError, match="factor"):
        IDC(config(factor=9)).check(replace(setting("cifar10"), resolution=8))


def test_a_run_keeps_grids_and_trains_on_their_cells(tmp_path: Path) -> None:
    bench, little = Bench(tmp_path), ("networks=2", "steps=2", "learn_images=64", "batch_real=8")
    with one_thread():
        (job,) = bench.jobs("idc", backbones=("convnet3-w32",), changes=little)
        record = bench.run(job)
        (single,) = bench.jobs("idc-i", backbones=("convnet3-w32",), changes=little)
        (row,), (alone,) = rows_of([job], [record]), rows_of([single], [bench.run(single)])
    manifest = read_json(bench.runs / job.spec.name / "condensed" / "manifest.json")
    assert manifest["decoder"] == Grid(2).facts and manifest["value_range"] == "normalised"
    assert (row["protocol_id"], row["images"], row["decoded_images"], row["iterations"]) == ("idc@1", 6, 24, 4)
    assert (alone["images"], alone["decoded_images"], alone["set_bytes"]) == (6, None, row["set_bytes"])


def test_the_order_of_drawings_is_that_of_their_families() -> None:
    """So that classes under one family are augmented together; each by its own numbers, as if alone."""
    drawings = siamese.draw_layered("color_crop_scale_rotate_cutout", 9, 8, 1, 0)
    images = random(9, 2, 3, 8, 8)
    together = drawings.apply(images)
    for place in range(9):
        torch.testing.assert_close(drawings.apply(images[place : place + 1], place), together[place : place + 1])
    drawn = [each.family for each in drawings.layers[1].augmentations]
    assert len(set(drawn)) > 1 and drawn == sorted(drawn)
    assert Registry().load("method", "idc") is IDC


def test_what_the_loop_changes_is_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[State] = []
    task = task_of(tmp_path)

    def iterations(self: Task, count: int, *, images: int, state: State, cycle: int) -> Iterator[int]:
        kept.append(state)
        return iter(())

    monkeypatch.setattr(Task, "iterations", iterations)
    here = prepared(task)
    here.synthesize(task, here.units(task)[0])
    assert set(kept[0]) == {"images", "velocity", "network", "optimizer"}
