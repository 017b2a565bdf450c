"""FRePo: its loss against float64 and finite differences, its pool, its start, its settings, and a run as typed."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benching import Bench
from torch import Tensor

from bench import load_set
from bench.condensation import Images, Task, Unit
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.labels import RegressionLabels
from bench.planning.configuring import configure
from bench.recipes import Setting
from bench.sets import condensed as sets
from bench.testing import tiny_dataset, tiny_task
from bench.training import schedules
from bench.training.features import Penultimate
from bench_frepo import engines
from bench_frepo.engines import ENGINES, Engine, Gradients
from bench_frepo.method import FRePo, FRePoConfig, Reals, lamb_of, rate, start
from bench_frepo.pool import Pool
from bench_frepo.protocols import FREPO, STEPS
from bench_frepo.regression import by_autograd, centred, first_targets, in_closed_form, margin_loss

SMALL: dict[str, Any] = {"iterations": 4, "batch_real": 12, "networks": 2, "most_steps": 2, "zca": False}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    dataset = tiny_dataset(classes=4, per_class=6, resolution=8)
    return tiny_task(tmp_path, dataset=dataset, backbone="convnet1-bn", ipc=2)


# --- the loss --------------------------------------------------------------------------------------------------------


def by_hand(real: np.ndarray, synthetic: np.ndarray, targets: np.ndarray, classes: np.ndarray) -> float:
    """The loss as the paper has it, with an inverse, in float64."""
    kernel = synthetic @ synthetic.T
    ridge = 1e-6 * np.trace(kernel) / len(kernel) * np.eye(len(kernel))
    off = real @ synthetic.T @ np.linalg.inv(kernel + ridge) @ targets - classes
    return float(0.5 * (off**2).sum(1).mean())


@pytest.mark.parametrize("derivatives", [by_autograd, in_closed_form])
@pytest.mark.parametrize("features", [12, 5])  # more than the 7 images, and fewer
def test_the_loss_and_its_derivatives_are_those_of_the_equation(derivatives: Any, features: int) -> None:  # noqa: ANN401
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(9, features)), rng.normal(size=(7, features))
    targets, classes = rng.normal(size=(7, 3)), np.eye(3)[rng.integers(3, size=9)] - 1 / 3
    given = [torch.from_numpy(each) for each in (real, synthetic, targets, classes)]
    loss, by_synthetic, by_targets = derivatives(*given, 1e-6)
    assert float(loss) == pytest.approx(by_hand(real, synthetic, targets, classes), rel=1e-6)
    for place, derivative in ((1, by_synthetic), (2, by_targets)):
        direction = rng.normal(size=given[place].shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [real, synthetic, targets, classes]
            moved[place] = moved[place] + step * direction
            ends.append(by_hand(*moved))
        assert float((derivative * torch.from_numpy(direction)).sum()) == pytest.approx(
            (ends[0] - ends[1]) / 2e-6, rel=1e-4
        )


def test_a_kernel_without_a_factor_is_nan_and_not_a_number_that_passes() -> None:
    broken = torch.full((3, 4), math.inf)
    loss, *_ = in_closed_form(torch.ones(2, 4), broken, torch.ones(3, 2), torch.zeros(2, 2), 1e-6)
    assert torch.isnan(loss)


def test_margins_count_up_to_1_over_k() -> None:
    targets = torch.tensor([[0.9, -0.1, 0.0, 0.1], [0.10, 0.05, 0.0, 0.0]], requires_grad=True)
    loss = margin_loss(targets)
    assert float(loss.detach()) == pytest.approx(-(0.25 + 0.05) / 2)
    (gradient,) = torch.autograd.grad(loss, [targets])
    assert torch.allclose(gradient, torch.tensor([[0.0] * 4, [-0.5, 0.5, 0.0, 0.0]]))


def test_labels_are_centred_and_targets_start_scaled() -> None:
    classes = torch.tensor([2, 0])
    assert torch.allclose(centred(classes, 4), torch.tensor([[-0.25, -0.25, 0.75, -0.25], [0.75, *[-0.25] * 3]]))
    assert torch.allclose(first_targets(classes, 40), centred(classes, 40) / 2)
    assert torch.equal(first_targets(classes, 10), centred(classes, 10))
    assert float(first_targets(torch.arange(100), 100).sum(1).abs().max()) < 1e-5


# --- engines ---------------------------------------------------------------------------------------------------------


def of(engine: Engine, task: Task) -> Gradients:
    """In a network whose statistics have moved, on images and targets that have too."""
    pool = Pool(task, size=1, most=9, rate=1e-2, batch=100)
    images, classes = start(task), torch.arange(4).repeat_interleave(2)
    targets = first_targets(classes, 4) + 0.1 * torch.randn((8, 4), generator=torch.Generator().manual_seed(1))
    pool.advance(0, images, targets)
    real, wanted = Reals(task, 12).batch(0)
    return engine.gradients(pool.members[0].network, images, targets, real, wanted)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("kind", ["reference", "fast", "in parts", "compiled"])
def test_gradients_by_pixels_and_targets_are_those_of_float64(
    task: Task, kind: str, flip: bool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if kind == "in parts":
        monkeypatch.setattr(engines, "PIXELS", 4 * 64)
    if kind == "compiled":
        request.getfixturevalue("compiled_in_name")
        task.compile = "always"
    engine = ENGINES["reference" if kind == "reference" else "fast"](task, regulariser=1e-6, flip=flip, margin=True)
    engine.ready(5, 8, 12)
    assert ("regress features" in task.measured.compiled) == (kind != "reference")
    seen: dict[str, Any] = {}
    gradients = type(engine).gradients

    def noting(self: Engine, *given: Any) -> Gradients:  # noqa: ANN401
        seen["given"] = given
        return gradients(self, *given)

    monkeypatch.setattr(type(engine), "gradients", noting)
    found = of(engine, task)
    network, images, targets, real, wanted = seen["given"]
    features = Penultimate(network.double().eval())
    pixels, labels = images.double().requires_grad_(), targets.double().requires_grad_()
    shown = torch.cat([pixels, pixels.flip(3)]) if flip else pixels
    copies = torch.cat([labels, labels]) if flip else labels
    synthetic, kernel_of = features(shown), features(real.double()).detach()
    kernel = synthetic @ synthetic.T
    ridge = 1e-6 * kernel.trace() / len(kernel) * torch.eye(len(kernel), dtype=torch.float64)
    off = kernel_of @ synthetic.T @ torch.linalg.solve(kernel + ridge, copies) - wanted
    loss = 0.5 * off.square().sum(1).mean()
    by_images, by_targets = torch.autograd.grad(loss + margin_loss(labels), [pixels, labels])
    assert float(found.by_term()[0]) == pytest.approx(float(loss.detach()), rel=1e-3)
    for ours, theirs in ((found.by_images, by_images), (found.by_targets, by_targets)):
        assert float((ours - theirs).norm() / theirs.norm()) < 5e-3


# --- the pool --------------------------------------------------------------------------------------------------------


def test_ages_are_spread_and_networks_leave_once_they_are_too_old(task: Task) -> None:
    """Against the release's rule, counted by itself."""
    assert [member.age for member in Pool(task, size=10, most=100, rate=1e-3, batch=10).members] == [*range(0, 100, 10)]
    pool, images = Pool(task, size=2, most=3, rate=1e-3, batch=100), start(task)
    targets = first_targets(torch.arange(4).repeat_interleave(2), 4)
    ages, replaced = [0, 1], 0
    for iteration in range(30):
        slot = pool.members.index(pool.drawn(iteration))
        before = pool.members[slot].network
        pool.advance(iteration, images, targets)
        leaves = ages[slot] > 3
        ages[slot] = 0 if leaves else ages[slot] + 1
        replaced += leaves
        assert [member.age for member in pool.members] == ages
        assert (pool.members[slot].network is before) != leaves
        if leaves:
            moved = pool.members[slot].network.state_dict()
            assert all(not value.any() for name, value in moved.items() if name.endswith("running_mean"))
    assert replaced >= 3, "some left, and came again"


def test_a_network_learns_the_targets_by_the_squared_error(task: Task) -> None:
    pool, images = Pool(task, size=1, most=10**6, rate=1e-3, batch=100), start(task)
    targets = first_targets(torch.arange(4).repeat_interleave(2), 4)

    @torch.no_grad()
    def off() -> float:
        return float((pool.members[0].network.train()(images) - targets).square().mean())

    before = off()
    for _ in range(60):
        pool.advance(0, images, targets)
    assert off() < 0.02 * before


def test_a_restored_pool_goes_on_as_the_other(task: Task) -> None:
    images, targets = start(task), first_targets(torch.arange(4).repeat_interleave(2), 4)
    one, other = (Pool(task, size=2, most=3, rate=1e-3, batch=4) for _ in range(2))
    for iteration in range(9):
        one.advance(iteration, images, targets)
    other.load_state_dict(one.state_dict())
    for pool in (one, other):
        for iteration in range(9, 20):
            pool.advance(iteration, images, targets)
    for mine, theirs in zip(one.members, other.members, strict=True):
        assert mine.age == theirs.age
        weights, others = mine.network.state_dict(), theirs.network.state_dict()
        assert all(torch.equal(weights[name], others[name]) for name in weights)


# --- updates ---------------------------------------------------------------------------------------------------------


def test_lamb_is_adam_scaled_to_the_norm_of_all_images() -> None:
    """Written out as optax has it: eps 1e-6, no decay, no clipping, one norm a tensor."""
    draws, config = torch.Generator().manual_seed(0), FRePoConfig(iterations=5)
    images = torch.randn((3, 2, 2, 2), generator=draws, dtype=torch.float64)
    expected, mean, square = images.clone(), torch.zeros_like(images), torch.zeros_like(images)
    optimizer = lamb_of([images], config.lr)
    for step in range(5):
        gradient = 1e3 * torch.randn(images.shape, generator=draws, dtype=torch.float64)
        images.grad, optimizer.param_groups[0]["lr"] = gradient, rate(config, step)
        optimizer.step()
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        update = mean / (1 - 0.9 ** (step + 1)) / ((square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-6)
        expected = expected - rate(config, step) * update * expected.norm() / update.norm()
    assert torch.allclose(images, expected, rtol=1e-12)
    assert [rate(config, step) for step in (0, 5)] == pytest.approx([3e-4, 3e-5])


def made(task: Task, **changes: Any) -> Images:  # noqa: ANN401 - values of a configuration
    method = FRePo(FRePoConfig.model_validate(SMALL | changes))
    return method.synthesize(method.prepare(task), Unit("all", (0, 1, 2, 3)))


def test_pixels_and_targets_are_learned_and_their_terms_noted(task: Task) -> None:
    images = made(task, iterations=20)
    first = first_targets(images.classes, 4)
    assert images.targets is not None and images.soft is None
    assert float((images.targets - first).abs().max()) > 1e-3
    assert float((images.pixels - start(task)).abs().max()) > 1e-4
    (losses,) = task.losses
    assert losses.terms == ["regression", "margin"]
    assert losses.values[0][1] == pytest.approx(-0.25) and losses.values[0][0] > 0
    fixed = made(task, learn_targets=False)
    assert fixed.targets is not None and torch.equal(fixed.targets, first)


def test_engines_make_the_same_images(task: Task) -> None:
    one, other = made(task), made(task, engine="reference")
    torch.testing.assert_close(one.pixels, other.pixels, rtol=1e-3, atol=1e-3)
    assert one.targets is not None and other.targets is not None
    torch.testing.assert_close(one.targets, other.targets, rtol=1e-3, atol=1e-3)


def test_images_of_others_are_labelled_as_learning_starts(task: Task) -> None:
    method, images = FRePo(FRePoConfig.model_validate(SMALL)), made(task)
    own, others = method.label(task, images), method.label(task, replace(images, targets=None))
    assert isinstance(own, RegressionLabels) and images.targets is not None
    assert torch.equal(own.targets, images.targets)
    assert isinstance(others, RegressionLabels) and torch.equal(others.targets, first_targets(images.classes, 4))


def test_one_class_and_large_whitened_images_are_refused() -> None:
    at = Setting("mine", 32, 3, 10, 10, "frepo-conv-bn")
    with pytest.raises(UsageError, match="two of them"):
        configure(Registry(), "frepo", replace(at, classes=1), ())
    with pytest.raises(UsageError, match="zca"):
        configure(Registry(), "frepo", replace(at, resolution=128), ["zca=true"])


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "shape", "ipc", "flip", "zca"),
    [
        *(("cifar10", (32, 3, 10), ipc, True, True) for ipc in (1, 10, 50)),
        *(("cifar100", (32, 3, 100), ipc, ipc == 1, True) for ipc in (1, 10, 50)),
        *(("tiny-imagenet", (64, 3, 200), ipc, ipc == 1, True) for ipc in (1, 10)),
        *((name, (28, 1, 10), 10, False, False) for name in ("mnist", "fashion-mnist")),
        *(("imagenet-1k-64", (64, 3, 1000), ipc, False, True) for ipc in (1, 2)),
        *((name, (224, 3, 10), 10, True, False) for name in ("imagenette", "imagewoof")),
        *((f"{name}-128", (128, 3, 10), ipc, True, False) for name in ("imagenette", "imagewoof") for ipc in (1, 10)),
    ],
)
def test_settings_are_the_releases(dataset: str, shape: tuple[int, int, int], ipc: int, flip: bool, zca: bool) -> None:
    recipe = FRePo.recipe(Setting(dataset, *shape, ipc, "frepo-conv-bn"))
    config = FRePoConfig.model_validate(recipe.values)
    assert (config.flip, config.zca, config.zca_eps) == (flip, zca, 0.1)
    assert (config.iterations, config.lr, config.final_lr, config.batch_real) == (500_000, 3e-4, 0.1, 1024)
    assert (config.networks, config.most_steps, config.network_lr, config.network_batch) == (10, 100, 3e-4, 1000)
    assert (config.regulariser, config.learn_targets, config.margin) == (1e-6, True, True)
    assert any("test accuracy" in each for each in recipe.differs)
    assert any("not whitened" in each for each in recipe.differs) == (shape[0] > 64)
    assert any("128" in each for each in recipe.differs) == (shape[0] == 224)
    assert any("fast.ai's" in each for each in recipe.differs) == (shape[0] == 128)


# --- the protocol ----------------------------------------------------------------------------------------------------

RELEASED = {10: 1000, 100: 2000, 200: 20000, 400: 5000, 500: 5000, 1000: 10000, 2000: 40000, 5000: 40000}


@pytest.mark.parametrize(("images", "steps"), RELEASED.items())
def test_a_student_makes_the_releases_steps_at_its_rates(images: int, steps: int) -> None:
    recipe = FREPO.plan(Setting("cifar100", 32, 3, images, 1, "frepo-conv")).training
    batches = -(-images // 500)
    assert recipe.epochs * batches == steps and recipe.batch_size == 500
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.betas) == ("adam", 3e-4, 0, (0.9, 0.999))
    for step in (0, 1, 250, 499, 500, 501, steps // 2 + 3, steps - 1):
        rises, falls = step / 500, (1 + math.cos(math.pi * (step - 500) / (steps - 500))) / 2
        expected = rises if step < 500 else 0.01 + 0.99 * falls
        assert schedules.multiplier(recipe, step / batches) == pytest.approx(expected, abs=1e-9)


def test_other_numbers_of_images_train_as_the_next_smaller() -> None:
    at = Setting("mine", 32, 3, 30, 1, "frepo-conv")
    assert FREPO.plan(at).training.epochs == STEPS[10]
    assert FREPO.plan(replace(at, classes=3)).training.epochs == STEPS[10]
    assert FREPO.plan(replace(at, classes=75, ipc=10)).training.epochs == STEPS[500] // 2
    quick = FREPO.plan(replace(at, budget="quick")).training
    assert (quick.epochs, quick.warmup_epochs) == (200, 100)


@pytest.mark.parametrize(("name", "flips"), [("cifar10", True), ("mnist", False), ("fashion-mnist", False)])
def test_students_are_augmented_as_the_releases(name: str, flips: bool) -> None:
    families = FREPO.plan(Setting(name, 32, 3, 10, 10, "frepo-conv")).training.augmax.split("_")
    assert set(families) == {"color", "crop", "rotate", "translate", "cutout"} | ({"flip"} if flips else set())
    bare = FREPO.variant("no-flip").plan(Setting(name, 32, 3, 10, 10, "frepo-conv")).training
    assert set(bare.augmax.split("_")) == {"color", "crop", "rotate", "translate", "cutout"}
    assert not FREPO.variant("no-augmentation").plan(Setting(name, 32, 3, 10, 10, "frepo-conv")).training.augmax


def test_students_have_no_norm() -> None:
    at = Setting("cifar10", 32, 3, 10, 10, "frepo-conv-bn")
    assert FREPO.student(at) == "frepo-conv"
    assert FREPO.student(replace(at, backbone="convnet3-bn")) == "convnet3-none"
    assert FREPO.student(replace(at, backbone="resnet18")) == "resnet18"


# --- a run -----------------------------------------------------------------------------------------------------------


def test_a_run_as_typed(tmp_path: Path) -> None:
    """Learned targets and whitening reach the set, the student has no norm, the control has labels of the same kind."""
    changes = tuple(f"{name}={str(value).lower()}" for name, value in {**SMALL, "zca": True}.items())
    asked: dict[str, Any] = {"backbones": ("convnet3-bn",), "control": True, "changes": changes}
    bench = Bench(tmp_path)
    record, *controls = [bench.run(job) for job in bench.jobs("frepo", **asked)]
    assert record.status == "done"
    evaluations = [each for one in (record, *controls) for each in one.evaluations.values()]
    found = [(each.protocol, each.backbone, each.label_kind) for each in evaluations]
    assert found == [("frepo", "convnet3-none", "regression")] * 2
    folder = bench.runs / record.spec.name / "condensed"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["labels"], manifest["value_range"]) == ({"kind": "regression"}, "whitened")
    condensed = sets.load(folder)
    assert isinstance(condensed.labels, RegressionLabels) and condensed.preprocessing.kind == "zca"
    assert float(condensed.labels.targets.min()) < 0, "no distributions"
    loaded = load_set(folder)
    assert loaded.probabilities is None and isinstance(loaded.targets, Tensor)
    assert loaded[0][1].dtype == torch.int64, "nothing that cross-entropy would take for a distribution"
