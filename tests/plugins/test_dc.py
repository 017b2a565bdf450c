"""DC and DSA: the distance and its gradient against float64, both engines, the inner training, what continues."""

import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from torch import Tensor, nn
from torch.nn import functional as F
from trajectories import transformer

from bench.condensation import Images, Task
from bench.errors import Interrupted, UsageError
from bench.plugins import Registry
from bench.recipes import Budget, Setting
from bench.testing import tiny_dataset, tiny_task
from bench.training.dsa import Augmentation
from bench_backbones import convnet
from bench_matching import gradients
from bench_matching.dc import DC, DSA, DCConfig
from bench_matching.fitting import Fitting, InnerTraining
from bench_matching.gradients import FastMatching, GradientMatching, ReferenceMatching, distance
from bench_matching.networks import freeze_statistics, with_standing_norms
from bench_matching.reals import classes_together, start

STRATEGY = "color_crop_cutout_flip_scale_rotate"
METHODS = [DC, DSA]
ONE = torch.tensor([1])


def task_of(folder: Path, backbone: str = "convnet3", classes: int = 3, ipc: int = 2, **options: Any) -> Task:  # noqa: ANN401
    dataset = tiny_dataset(classes=classes, per_class=20, resolution=8)
    return tiny_task(folder, dataset=dataset, ipc=ipc, backbone=backbone, **options)


def config(**changes: Any) -> DCConfig:  # noqa: ANN401
    small = {"networks": 2, "outer_steps": 3, "inner_epochs": 2, "batch_real": 6, "lr": 0.01, "engine": "reference"}
    return DCConfig.model_validate(small | changes)


def made(method: DC, task: Task) -> Images:
    method.prepare(task)
    return method.synthesize(task, method.units(task)[0])


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
    task.networks = lambda name: partial(convnet.build, depth=1, variant="-bn")
    task.compile = "always"
    both, network = engines(task), task.network(5)
    real, synthetic = torch.randn(2, 3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    both["fast"].ready(4, 4, 10)
    assert {"match real", "match synthetic"} == {
        what for what, choice in task.facts["compiled"].items() if choice["compiled"]
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


@pytest.mark.parametrize("method", METHODS)
def test_identical_real_and_synthetic_images_match(method: type[DC], tmp_path: Path) -> None:
    """Under siamese augmentation too: other draws for real and synthetic images would break it."""
    task = task_of(tmp_path, ipc=6)
    here = method(config(dsa=STRATEGY if method is DSA else ""))
    here.prepare(task)
    network, images = task.network(1), start(task, "noise")
    same = here._reals.batch(range(3), 6, task.seed_for("reals"), 4)
    seen: list[float] = []
    original = gradients.distance

    def heard(real: Any, synthetic: Any) -> Tensor:  # noqa: ANN401
        found = original(real, synthetic)
        seen.append(float(found.detach()))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "distance", heard)
        here._gradient(task, network, same, 4)
        equal = list(seen)
        seen.clear()
        here._gradient(task, network, images, 4)
    assert max(equal) < 0.02 * min(seen)  # not 0, because of the small number in the denominator


# --- BatchNorm -------------------------------------------------------------------------------------------------------


def test_batchnorm_takes_statistics_of_real_images_and_stands_still_while_matching(tmp_path: Path) -> None:
    task = task_of(tmp_path, "convnet3-bn")
    method = DC(config())
    method.prepare(task)
    network, images = task.network(1), start(task, "noise")
    norm = next(each for each in network.modules() if isinstance(each, nn.BatchNorm2d))
    inputs: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    method._gradient(task, network, images, 0)
    mean = inputs[0].mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)  # one step from 0
    assert len(inputs[0]) == 3 * 16, "16 of each class"
    assert norm.num_batches_tracked is not None and int(norm.num_batches_tracked) == 1
    assert len(inputs) == 1 + 2 * 3


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


# --- the inner training ----------------------------------------------------------------------------------------------


def test_the_network_learns_the_images_by_plain_sgd(tmp_path: Path) -> None:
    """One batch an epoch: the same as steps by hand, whatever the order."""
    task = task_of(tmp_path)
    images, classes = start(task, "real").flatten(0, 1), torch.arange(3).repeat_interleave(2)
    mine, theirs = task.network(1), task.network(1)
    Fitting(task, task.network(0), InnerTraining(epochs=3, batch_size=256, lr=0.1, dsa="")).fit(
        mine, images, classes, 0
    )
    for _ in range(3):
        grads = torch.autograd.grad(F.cross_entropy(theirs(images), classes), list(theirs.parameters()))
        with torch.no_grad():
            for weight, grad in zip(theirs.parameters(), grads, strict=True):
                weight.sub_(0.1 * grad)
    for first, second in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


def test_an_epoch_shows_every_image_once_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path)
    images, classes = start(task, "real").flatten(0, 1), torch.arange(3).repeat_interleave(2)
    fitting = Fitting(task, task.network(0), InnerTraining(epochs=2, batch_size=4, lr=0.1, dsa=""))
    batches: list[Tensor] = []
    monkeypatch.setattr(Fitting, "_loss", _hearing(batches))
    fitting.fit(task.network(1), images, classes, 0)
    assert [len(batch) for batch in batches] == [4, 2, 4, 2]
    for epoch in (batches[:2], batches[2:]):
        shown = torch.cat(epoch)
        assert sorted(int((images == image).flatten(1).all(1).nonzero()) for image in shown) == list(range(6))
    assert not torch.equal(batches[0], batches[2])


def test_images_are_augmented_each_for_itself_while_the_network_learns_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tmp_path)
    images, classes = start(task, "real").flatten(0, 1), torch.arange(3).repeat_interleave(2)
    fitting = Fitting(task, task.network(0), InnerTraining(epochs=2, batch_size=6, lr=0.1, dsa="rotate"))
    drawn: list[tuple[Tensor, Tensor]] = []
    apply = Augmentation.apply

    def heard(self: Augmentation, batch: Tensor) -> Tensor:
        drawn.append((self.values, apply(self, batch)))
        return drawn[-1][1]

    monkeypatch.setattr(Augmentation, "apply", heard)
    learned: list[Tensor] = []
    monkeypatch.setattr(Fitting, "_loss", _hearing(learned))
    fitting.fit(task.network(1), images, classes, 0)
    assert [len(values.unique(dim=0)) for values, _ in drawn] == [6, 6], "an angle for every image"
    assert all(torch.equal(seen, made) for seen, (_, made) in zip(learned, drawn, strict=True))


def _hearing(batches: list[Tensor]) -> Callable[..., Tensor]:
    """`Fitting._loss` that notes what it is given."""
    loss = Fitting._loss

    def heard(self: Fitting, forward: Any, weights: Any, batch: Tensor, labels: Tensor) -> Tensor:  # noqa: ANN401
        batches.append(batch)
        return loss(self, forward, weights, batch, labels)

    return heard


# --- the loops -------------------------------------------------------------------------------------------------------


def test_a_network_is_trained_between_its_updates_and_new_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tmp_path)
    events: list[str] = []
    network_of, fit, gradient = DC._network, Fitting.fit, DC._gradient

    def told(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def heard(*arguments: Any) -> Any:  # noqa: ANN401
            events.append(name)
            return function(*arguments)

        return heard

    monkeypatch.setattr(DC, "_gradient", told("match", gradient))
    monkeypatch.setattr(Fitting, "fit", told("fit", fit))
    method = DC(config())
    method.prepare(task)
    monkeypatch.setattr(DC, "_network", told("new", network_of))
    method.synthesize(task, method.units(task)[0])
    once = ["new", "match", "fit", "match", "fit", "match"]
    assert events == ["new", *once, *once]  # the first is the place for the others
    assert task.times.iterations == 6


@pytest.mark.parametrize("backbone", ["convnet3", "convnet3-bn"])
@pytest.mark.parametrize("method", METHODS)
def test_stopped_between_two_updates_it_goes_on_with_the_trained_network(
    method: type[DC], backbone: str, tmp_path: Path
) -> None:
    dsa = STRATEGY if method is DSA else ""
    whole = made(method(config(dsa=dsa)), task_of(tmp_path, backbone, workspace="whole"))
    task = task_of(tmp_path, backbone, workspace="stopped")
    here = method(config(dsa=dsa))
    here.prepare(task)
    for _ in range(4):  # inside the first network and inside the second
        with pytest.raises(Interrupted):
            here.synthesize(replace(task, should_stop=lambda: True), here.units(task)[0])
    assert torch.equal(here.synthesize(task, here.units(task)[0]).pixels, whole.pixels)


@pytest.mark.parametrize("method", METHODS)
def test_both_engines_make_the_same_images(compiled_in_name: None, method: type[DC], tmp_path: Path) -> None:
    """A single update of each: later ones drift apart with the last bit."""
    pixels = []
    for engine in ("fast", "reference"):
        task = replace(task_of(tmp_path, workspace=engine), compile="always")
        dsa = STRATEGY if method is DSA else ""
        here = method(config(networks=1, outer_steps=1, engine=engine, dsa=dsa))
        here.prepare(task)
        here.warm_up(task)
        assert set(task.facts.get("compiled", {})) == ({"match real", "match synthetic"} if engine == "fast" else set())
        pixels.append(here.synthesize(task, here.units(task)[0]).pixels)
    assert not torch.equal(pixels[0], start(task_of(tmp_path), "noise").flatten(0, 1))
    moved = [each - start(task_of(tmp_path), "noise").flatten(0, 1) for each in pixels]
    assert torch.cosine_similarity(moved[0].flatten(), moved[1].flatten(), dim=0) > 0.9999


def test_the_three_methods_from_the_command_line(tmp_path: Path) -> None:
    methods = [word for name in ("dc", "dsa", "dm") for word in ("-m", name)]
    ended = Bench(tmp_path).typed(*methods, "--compile", "never", "--no-control", "--format", "json")
    assert ended.returncode == 0, ended.stderr
    rows = {row["method"]: row for row in json.loads(ended.stdout)}
    assert {name: row["protocol_id"] for name, row in rows.items()} == {"dc": "dc@1", "dsa": "dsa@1", "dm": "dsa@1"}
    for row in rows.values():
        assert (row["status"], row["images"], row["label_kind"]) == ("done", 6, "hard")
        assert row["iterations"] and row["ms_per_image_iteration"]["median"] > 0
        assert row["top1_mean"] > 60  # of three digits


# --- recipes and checks ----------------------------------------------------------------------------------------------


def setting(dataset: str, ipc: int, budget: Budget = "paper", classes: int = 10) -> Setting:
    return Setting(dataset, 32, 3, classes, ipc, "convnet3", budget)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("ipc", "loops"),
    [
        (1, (1, 1)),
        (2, (1, 1)),
        (10, (10, 50)),
        (19, (10, 50)),
        (20, (20, 25)),
        (30, (30, 20)),
        (40, (40, 15)),
        (50, (50, 10)),
    ],
)
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "tiny-imagenet", "another"])
def test_loops_depend_on_the_images_of_a_class(
    method: type[DC], ipc: int, loops: tuple[int, int], dataset: str
) -> None:
    found = DCConfig.model_validate(method.recipe(setting(dataset, ipc)).values)
    assert (found.networks, found.outer_steps, found.inner_epochs) == (1000, *loops)
    assert (found.batch_real, found.lr, found.momentum, found.network_lr) == (256, 0.1, 0.5, 0.01)


def test_dc_starts_from_noise_unaugmented_and_dsa_from_real_images_augmented() -> None:
    first, second = (DCConfig.model_validate(method.recipe(setting("cifar10", 10)).values) for method in METHODS)
    assert (first.init, first.dsa) == ("noise", "")
    assert (second.init, second.dsa) == ("real", STRATEGY)


@pytest.mark.parametrize("method", METHODS)
def test_every_recipe_is_valid_at_both_budgets(method: type[DC]) -> None:
    for name in method.recipes.names():
        for ipc in (1, 10, 50):
            recipe = method.recipe(setting(name, ipc))
            assert recipe.source
            paper, quick = (DCConfig.model_validate(recipe.at(budget)) for budget in ("paper", "quick"))
            assert quick.networks < paper.networks
    assert "flip" not in method.recipe(setting("digits", 1)).values.get("dsa", "").split("_")


def test_each_has_its_protocol() -> None:
    assert [method.protocol(setting("cifar10", 1)) for method in METHODS] == ["dc", "dsa"]


@pytest.mark.parametrize("dataset", ["cifar10", "digits", "small"])
def test_dsas_evaluation_is_the_one_shared_by_all(dataset: str) -> None:
    """Published numbers stand beside both (claims.csv)."""
    own, shared = (Registry().load("protocol", name).recipe(setting(dataset, 10)) for name in ("dsa", "hard"))
    assert own.values == shared.values and own.quick == shared.quick


def test_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="two classes"):
        DC(config()).check(setting("cifar10", 1, classes=1))
    DC(config()).check(setting("cifar10", 1, classes=2))
