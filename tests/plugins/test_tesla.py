"""TESLA: its two passes against autograd and a loop in float64, its memory, its labels, its settings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import finalize

import pytest
import torch
from benching import Bench
from child_work import children_here
from matching import SMALL, example, most_saved, network
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from bench.condensation import Images, Task, Unit
from bench.condensation.notes import Findings
from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.planning.configuring import configure
from bench.recipes import Budget, Setting
from bench.sets import condensed as sets
from bench.testing import tiny_dataset, tiny_task
from bench_matching.exact import unrolled
from bench_matching.mtt import MTT, MTTConfig
from bench_matching.segments import Segment
from bench_matching.student import Derivatives, FastDerivatives, PlainDerivatives, Student
from bench_matching.tesla import TESLA, TESLAConfig, expert_labels, two_passes
from bench_matching.trajectories import Gradients

BUDGETS: tuple[Budget, ...] = ("paper", "quick")
ALL = Unit("all", (0, 1, 2, 3))


def small(**changes: Any) -> TESLAConfig:  # noqa: ANN401 - values of a configuration
    return TESLAConfig.model_validate(SMALL | changes)


def by_hand(images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
    """One graph over all steps, in which the weights that each gradient is taken at are constants."""
    net, pixels, rate = network().double(), images.clone().requires_grad_(), step_size.clone().requires_grad_()
    named = dict(net.named_parameters())
    constant, total = segment.start, torch.zeros_like(segment.start)
    for step in segment.steps:
        parts = constant.split([weight.numel() for weight in named.values()])
        leaves = {
            name: part.reshape(weight.shape).clone().requires_grad_()
            for (name, weight), part in zip(named.items(), parts, strict=True)
        }
        assert step.augmentation is not None
        logits = functional_call(net, leaves, (step.augmentation.apply(pixels[step.indices]),))
        wanted = targets[step.indices]
        soft = wanted if wanted.is_floating_point() else F.one_hot(wanted, 4).double()
        loss = -(soft * torch.log_softmax(logits, 1)).sum(1).mean()
        found = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
        gradient = torch.cat([part.flatten() for part in found])
        total = total + gradient
        constant = constant - step_size * gradient.detach()
    gap = segment.start - rate * total - segment.target
    loss = (gap @ gap) / ((segment.start - segment.target) ** 2).sum()
    loss.backward()
    assert pixels.grad is not None and rate.grad is not None
    return Gradients(pixels.grad, rate.grad, loss.detach())


def close(ours: Gradients, theirs: Gradients) -> None:
    assert ours.targets is None and theirs.targets is None, "labels are the experts', and not learned"
    for one, other in zip(ours[:3], theirs[:3], strict=True):
        assert float((one - other).norm()) <= 1e-9 * float(other.norm()) != 0


def plain() -> Derivatives:
    return PlainDerivatives(Student(network().double()), of_weights=False)


def fast(task: Task, *, batch: int = 5, soft: bool = False) -> Derivatives:
    return FastDerivatives(
        Student(network().double(), order=torch.channels_last), task, batch=batch, soft=soft, steps=1, of_weights=False
    )


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=4, per_class=6, resolution=8), backbone="convnet3")


# --- gradients -------------------------------------------------------------------------------------------------------


def test_of_one_step_the_gradients_are_mtts_and_half_of_them_where_halved() -> None:
    given = example(steps=1)
    exact = unrolled(plain().student, *given)
    close(two_passes(plain(), *given, 2.0), exact)
    halved = two_passes(plain(), *given, 1.0)
    close(halved._replace(images=2 * halved.images), exact)


@pytest.mark.parametrize("soft", [False, True])
def test_of_many_steps_earlier_weights_are_constants(soft: bool) -> None:
    given = example(steps=4, soft=soft)
    close(two_passes(plain(), *given, 2.0), by_hand(*given))


def test_of_many_steps_the_gradients_are_not_mtts() -> None:
    """What the approximation leaves out is not nothing."""
    given = example(steps=4)
    ours, exact = two_passes(plain(), *given, 2.0).images, unrolled(plain().student, *given).images
    assert float((ours - exact).norm() / exact.norm()) > 1e-3


@pytest.fixture
def uncompiled(compiled_in_name: None, task: Task) -> Task:
    return replace(task, compile="always")


@pytest.mark.parametrize("soft", [False, True])
def test_the_fast_engine_computes_the_same(uncompiled: Task, soft: bool) -> None:
    given = example(steps=3, soft=soft)
    close(two_passes(fast(uncompiled, soft=soft), *given, 2.0), two_passes(plain(), *given, 2.0))


def test_half_gradient_halves_the_pixels_alone(task: Task) -> None:
    given = example(steps=3)
    halved, whole = TESLA(small()), TESLA(small(half_gradient=False))
    for method in (halved, whole):
        method._derivatives = plain()
    half, full = halved.gradients(*given), whole.gradients(*given)
    close(half._replace(images=2 * half.images), full)
    assert small().half_gradient, "the release's rates belong to it"


# --- memory ----------------------------------------------------------------------------------------------------------


class Census(TorchDispatchMode):
    """Counts the bytes of all tensors that are made and still there, whoever holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, tuple | list) else [out]:
            if isinstance(each, Tensor) and each.untyped_storage()._cdata not in self._known:
                self._count(each.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.held += size
        self.most = max(self.most, self.held)

        def gone() -> None:
            self._known.discard(key)
            self.held -= size

        finalize(storage, gone)


def most_alive(work: Callable[[], object]) -> int:
    """The most bytes of tensors at a time; of functions that allow no hooks on what is saved."""
    with Census() as census:
        work()
    most: int = census.most
    return most


def test_memory_does_not_grow_with_the_steps_while_mtts_does() -> None:
    few, many = example(steps=2), example(steps=10)
    ours = [most_saved(lambda: two_passes(plain(), *given, 2.0)) for given in (few, many)]  # noqa: B023 - called now
    assert 0 < ours[1] <= 1.05 * ours[0]
    mtts = [most_saved(lambda: unrolled(plain().student, *given)) for given in (few, many)]  # noqa: B023 - called now
    assert mtts[1] > 4 * mtts[0] > 4 * ours[0]


def test_memory_of_the_fast_engine_does_not_grow_either(uncompiled: Task) -> None:
    derivatives, few, many = fast(uncompiled), example(steps=2), example(steps=10)
    ours = [most_alive(lambda: two_passes(derivatives, *given, 2.0)) for given in (few, many)]  # noqa: B023 - called now
    assert 0 < ours[1] <= 1.05 * ours[0]
    student = plain().student
    mtts = [most_alive(lambda: unrolled(student, *given)) for given in (few, many)]  # noqa: B023 - called now
    assert mtts[1] > 3 * mtts[0], "the census sees what graphs hold"


# --- synthesis and labels --------------------------------------------------------------------------------------------


def prepared(task: Task, config: TESLAConfig) -> TESLA:
    method = TESLA(config)
    method.prepare(task)
    return method


def test_experts_are_shared_with_mtt(task: Task) -> None:
    ours = prepared(task, small())._experts
    theirs = MTT(MTTConfig.model_validate(SMALL))
    theirs.prepare(task)
    assert theirs._experts == ours
    assert all(stage.cached for stage in task.used_stages.values())


def test_both_engines_make_the_same_images(uncompiled: Task) -> None:
    found = {}
    for engine in ("fast", "reference"):
        mine = replace(uncompiled, facts={}, measured=Findings())
        method = prepared(mine, small(engine=engine))
        made = method.synthesize(mine, ALL)
        found[engine] = made.pixels, made.learned_lr
        assert ("match derivative" in mine.measured.compiled) == (engine == "fast")
    torch.testing.assert_close(found["fast"][0], found["reference"][0], rtol=1e-3, atol=1e-3)
    assert found["fast"][1] == pytest.approx(found["reference"][1], rel=1e-4) != 0.02


def test_expert_labels_are_the_softmax_of_the_targets_logits_on_the_current_images() -> None:
    images, _, _, segment = example(steps=1)
    labels = expert_labels(Student(network().double()), segment.target, images)
    net = network().double()
    nn.utils.vector_to_parameters(segment.target, net.parameters())
    torch.testing.assert_close(labels, net(images).exp() / net(images).exp().sum(1, keepdim=True))


def test_labels_of_the_last_update_are_kept_with_the_images(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    method = prepared(task, small(labels="expert"))
    seen: list[tuple[Tensor, Tensor]] = []
    gradients = TESLA.gradients

    def noting(self: TESLA, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        seen.append((targets.clone(), expert_labels(self.derivatives.student, segment.target, images)))
        return gradients(self, images, targets, step_size, segment)

    monkeypatch.setattr(TESLA, "gradients", noting)
    images = method.synthesize(task, ALL)
    assert len(seen) == 4 and all(torch.equal(used, made) for used, made in seen)
    assert not torch.equal(seen[0][0], seen[-1][0])
    assert images.soft is not None and torch.equal(images.soft, seen[-1][0])
    labels = method.label(task, images)
    assert labels.kind == "soft" and torch.equal(labels.tensors["probabilities"], images.soft)
    torch.testing.assert_close(labels.tensors["probabilities"].sum(1), torch.ones(8))


def test_an_interrupted_synthesis_ends_with_the_same_images_and_labels(task: Task) -> None:
    config = small(labels="expert")
    whole = prepared(task, config).synthesize(task, ALL)
    stopped = replace(task, workspace=task.workspace / "stopped", should_stop=lambda: True)
    stopped.workspace.mkdir()
    for _ in range(3):  # each attempt makes one of the four updates
        with pytest.raises(Interrupted):
            prepared(task, config).synthesize(stopped, ALL)
    images = prepared(task, config).synthesize(replace(stopped, should_stop=lambda: False), ALL)
    assert whole.soft is not None and images.soft is not None
    assert torch.equal(images.pixels, whole.pixels) and torch.equal(images.soft, whole.soft)


def test_a_controls_images_are_labelled_by_the_first_expert_at_its_last_target(task: Task) -> None:
    method = prepared(task, small(labels="expert"))
    control = Images(task.dataset.train.take(torch.arange(6)), task.dataset.train.labels[:6])
    labels = method.label(task, control)
    (weights,) = method._experts.weights(0, [3])
    net = task.network(0)
    nn.utils.vector_to_parameters(weights, net.parameters())
    expected = net(task.dataset.normalisation.apply(control.pixels)).softmax(1)
    assert labels.kind == "soft"
    torch.testing.assert_close(labels.tensors["probabilities"], expected.detach())
    assert prepared(task, small()).label(task, control).plain


# --- settings --------------------------------------------------------------------------------------------------------

PUBLISHED = {  # the release's commands: N, M, max start, ZCA, lr_img, lr_lr, batch, labels
    ("cifar10", 1): (50, 2, 5, False, 1e3, 1e-7, "all", "hard"),
    ("cifar100", 50): (80, 2, 40, True, 1e3, 1e-5, 125, "hard"),
    ("imagenet-1k-64", 1): (10, 3, 10, False, 1e4, 1e-4, 100, "expert"),
}


def setting(dataset: str, ipc: int, budget: Budget = "paper") -> Setting:
    resolution = {"imagenet-1k-64": 64, "tiny-imagenet": 64, "imagenet-1k": 224, "large": 128}.get(dataset, 32)
    classes = {"imagenet-1k-64": 1000, "imagenet-1k": 1000, "tiny-imagenet": 200, "cifar100": 100}.get(dataset, 10)
    return Setting(dataset, resolution, 3, classes, ipc, "convnet3", budget)


@pytest.mark.parametrize(("dataset", "ipc"), PUBLISHED)
def test_settings_are_those_of_the_release(dataset: str, ipc: int) -> None:
    recipe = TESLA.recipe(setting(dataset, ipc))
    config = TESLAConfig.model_validate(recipe.values)
    matched = (config.steps, config.expert_epochs, config.max_start_epoch, config.zca, config.lr_img, config.lr_lr)
    assert (*matched, config.batch_size, config.labels) == PUBLISHED[dataset, ipc]
    assert (config.iterations, config.lr_init, config.experts.epochs) == (10_000, 0.01, 50)
    assert config.experts.count == (50 if dataset == "imagenet-1k-64" else 100)
    assert "TESLA release" in recipe.source


def test_settings_that_tesla_did_not_publish_are_mtts_and_say_so() -> None:
    for dataset, ipc in (("cifar10", 10), ("cifar10", 50), ("cifar100", 10), ("tiny-imagenet", 10)):
        ours, theirs = TESLA.recipe(setting(dataset, ipc)), MTT.recipe(setting(dataset, ipc))
        assert {**theirs.values, "iterations": 10_000, "half_gradient": True} == ours.values
        assert "ours, which is MTT's" in ours.source
    for dataset in ("large", "imagenet-1k"):
        recipe = TESLA.recipe(setting(dataset, 1))
        assert recipe.name == "large" and "ours" in recipe.source, "the release's images have 64 pixels"
    for ipc in (1, 10):
        subset = Setting("imagewoof-128", 128, 3, 10, ipc, "convnet5")
        assert TESLA.recipe(subset).values == TESLA.recipe(replace(subset, dataset="mine")).values
        assert "ours" in TESLA.recipe(subset).source
    few = TESLA.recipe(replace(setting("tiny-imagenet", 50), classes=10))
    assert few.values["lr_img"] == 1e3 and "with smaller rates" in few.source


def test_whether_cifar10_is_whitened_is_open_and_both_can_be_had() -> None:
    """The readme's line for experts has --zca, its line for images has not."""
    choices = [configure(Registry(), "tesla", setting("cifar10", 1), change) for change in ([], ["zca=true"])]
    assert [choice.config["zca"] for choice in choices] == [False, True]
    assert "zca=true" in choices[0].source


@pytest.mark.parametrize("ipc", [1, 10])
def test_large_images_keep_teslas_batches(ipc: int) -> None:
    assert TESLA.recipe(setting("large", ipc)).values["batch_size"] == 100


def test_few_classes_of_imagenet_have_smaller_rates_or_the_step_size_overshoots() -> None:
    recipe = TESLA.recipe(replace(setting("imagenet-1k-64", 1), classes=10))
    config = TESLAConfig.model_validate(recipe.values)
    assert (config.lr_img, config.lr_lr) == (1e3, 1e-6)
    assert "ours for fewer" in recipe.source


# --- a run -----------------------------------------------------------------------------------------------------------


def test_a_run_with_expert_labels_as_the_user_types_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    settings = [part for change in ("iterations=8", "experts.epochs=6", "labels=expert") for part in ("--set", change)]
    with children_here():
        ended = bench.typed("-m", "tesla", *settings, "--format", "json")
    assert ended.returncode == 0, ended.stderr
    rows = {row["method"]: row for row in json.loads(ended.stdout)}
    assert rows.keys() == {"tesla", "random"}
    assert {row["status"] for row in rows.values()} == {"done"}
    assert {row["label_kind"] for row in rows.values()} == {"soft"}, "the control has labels of the same kind"
    assert rows["tesla"]["protocol_id"] == "tesla@1" and rows["tesla"]["top1_mean"] > 50
    condensed = sets.load(bench.runs / rows["tesla"]["run"] / "condensed")
    assert condensed.learned_lr is not None and condensed.learned_lr > 0
    assert condensed.labels.kind == "soft" and condensed.images.soft is not None
