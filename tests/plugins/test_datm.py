"""DATM: its starts, its updates and those that are left out, what experts recognise and label, its settings, a run."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from child_work import children_here
from matching import SMALL
from stopping import StopAfter
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from bench import seeds
from bench.condensation import Images, Task, Unit
from bench.data.datasets import TensorSplit
from bench.errors import Interrupted, UsageError
from bench.extensions.registry import Registry
from bench.loops.pace import FirstSteps
from bench.progress import Silent
from bench.recipes import Setting
from bench.running.configuring import configure
from bench.sets import condensed as sets
from bench.testing import tiny_dataset, tiny_task
from bench_matching import panel
from bench_matching.datm import DATM, DATMConfig, step_where
from bench_matching.exact import unrolled
from bench_matching.panel import Panel
from bench_matching.reals import start
from bench_matching.segments import Draws
from bench_matching.student import Student

ALL = Unit("all", (0, 1, 2, 3))
LEARNING: dict[str, Any] = {
    **SMALL,
    "experts": {**SMALL["experts"], "sam_rho": 0.01, "sam_adaptive": True, "gsam_alpha": 0.3, "epochs": 4},
    "lr_y": 3.0,
}


def small(**changes: Any) -> DATMConfig:  # noqa: ANN401 - values of a configuration
    return DATMConfig.model_validate(LEARNING | changes)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=4, per_class=6, resolution=8), backbone="convnet3")


def prepared(task: Task, config: DATMConfig) -> DATM:
    method = DATM(config)
    method.prepare(task)
    return method


def weights_at(network: nn.Module, weights: Tensor) -> nn.Module:
    nn.utils.vector_to_parameters(weights, network.parameters())
    return network.eval().requires_grad_(False)


# --- starts ----------------------------------------------------------------------------------------------------------


def test_starts_grow_until_the_expansion_ends() -> None:
    """The release: current + int((max - current) * it / end), at most max."""
    config = small(min_start_epoch=1, current_max_start_epoch=3, max_start_epoch=10, expansion_end=40)
    for iteration in range(100):
        upper = min(10, 3 + int((10 - 3) * iteration / 40))
        assert config.start_epochs(iteration) == range(1, upper)
    assert [config.start_epochs(iteration).stop for iteration in (0, 5, 6, 39, 40, 99)] == [3, 3, 4, 9, 10, 10]


def test_without_expansion_all_starts_are_there_at_once() -> None:
    assert small(min_start_epoch=4, max_start_epoch=7).start_epochs(0) == range(4, 7)


def test_segments_start_where_they_may(task: Task) -> None:
    config = small(min_start_epoch=1, current_max_start_epoch=2, max_start_epoch=3, expansion_end=20)
    asked = list[list[int]]()

    class Noting:
        def __len__(self) -> int:
            return 1

        def weights(self, index: int, epochs: Sequence[int]) -> tuple[Tensor, ...]:
            asked.append(list(epochs))
            return torch.zeros(2), torch.ones(2)

    draws = Draws(task, config, Noting())  # type: ignore[arg-type]
    for iteration in range(60):
        draws.segment(iteration)
    assert {first for first, _ in asked[:20]} == {1} and {first for first, _ in asked[20:]} == {1, 2}
    assert all(last == first + 2 for first, last in asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["min_start_epoch=20"], "min_start_epoch 20 must be below current_max_start_epoch, which is 10"),
        (["current_max_start_epoch=21"], "current_max_start_epoch 21 must not be above max_start_epoch, which is 20"),
        (["max_start_epoch=100"], "ask for experts of 101 epochs; experts.epochs is 100"),
        (["lr_y=-1"], "lr_y"),
        (["threshold=0"], "threshold"),
        (["init=noise"], "init"),
        (["experts.sam_rho=0"], "sam_adaptive and gsam_alpha belong to a sam_rho above 0"),
    ],
)
def test_what_can_never_work_is_refused_at_planning(changes: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        configure(Registry(), "datm", setting("cifar10", 10), changes)


def test_without_expansion_the_one_range_must_hold_something() -> None:
    with pytest.raises(UsageError, match="min_start_epoch 70 must be below max_start_epoch, which is 70"):
        configure(Registry(), "datm", setting("cifar100", 100), ["min_start_epoch=70"])


# --- updates ---------------------------------------------------------------------------------------------------------


def groups(values: Sequence[Tensor]) -> list[dict[str, Any]]:
    return [
        {"params": [value], "lr": 0.1 * number, "momentum": 0.3 * number}
        for number, value in enumerate(values, start=1)
    ]


def test_what_is_left_out_leaves_weights_and_momentum_and_the_rest_is_sgds() -> None:
    """Against torch's SGD that is not stepped at all; from the first step on, which makes the momentum."""
    draws = torch.Generator().manual_seed(0)
    first = [torch.randn(4, 3, generator=draws), torch.randn((), generator=draws)]
    ours, theirs = ([value.clone() for value in first] for _ in range(2))
    gated, plain = SGD(groups(ours)), SGD(groups(theirs))
    for counts in (False, True, True, False, False, True):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=draws)
        before = [value.clone() for value in ours]
        step_where(gated, torch.tensor(counts))
        if counts:
            plain.step()
        assert all(map(torch.equal, ours, theirs))
        assert counts != all(map(torch.equal, ours, before))


def test_gradients_that_are_not_finite_leave_no_trace_where_they_are_left_out() -> None:
    value = torch.ones(3)
    sgd = SGD([{"params": [value], "lr": 1.0, "momentum": 0.5}])
    value.grad = torch.full((3,), torch.nan)
    step_where(sgd, torch.tensor(torch.nan) <= 1.0)
    assert torch.equal(value, torch.ones(3))
    value.grad = torch.ones(3)
    step_where(sgd, torch.tensor(True))
    assert torch.equal(value, torch.zeros(3))


@pytest.mark.parametrize("kept", [4, 2])
def test_updates_are_sgd_on_pixels_step_size_and_logits_where_the_loss_allows(task: Task, kept: int) -> None:
    """Against the same updates written out in float64, of which the two with the greatest losses may be left out."""
    config = small(engine="reference")
    losses, *_ = by_hand(task, config)
    config = small(engine="reference", threshold=sorted(losses)[kept - 1] + 1e-4)
    task.facts.clear()
    images = prepared(task, config).synthesize(task, ALL)
    seen, pixels, rate, logits = by_hand(task, config)
    assert sum(loss > config.threshold for loss in seen) == task.facts["updates_left_out"]
    assert (task.facts["updates_left_out"] > 0) == (kept < 4)
    assert images.soft is not None and images.learned_lr != config.lr_init
    torch.testing.assert_close(images.pixels.double(), pixels, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(images.soft.double(), logits.softmax(1), rtol=1e-3, atol=1e-4)
    assert images.learned_lr == pytest.approx(float(rate), rel=1e-4)


def by_hand(task: Task, config: DATMConfig) -> tuple[list[float], Tensor, Tensor, Tensor]:
    """The losses, and images, step size and logits at the end; the gradient by the logits is softmax's chain rule."""
    method = prepared(task, config)
    first = method.first_images(task)
    classes = torch.arange(4).repeat_interleave(2)
    logits = method.first_targets(task, first, classes).double()
    pixels, rate = first.double(), torch.tensor(config.lr_init, dtype=torch.float64)
    draws, student = Draws(task, config, method._experts), Student(task.network(0).double())
    moves, losses = [torch.zeros_like(each) for each in (pixels, rate, logits)], list[float]()
    for iteration in range(config.iterations):
        segment = draws.segment(iteration)
        segment = replace(segment, start=segment.start.double(), target=segment.target.double())
        labels = logits.softmax(1)
        found = unrolled(student, pixels, labels, rate, segment, of_targets=True)
        losses.append(float(found.loss))
        if losses[-1] > config.threshold:
            continue
        assert found.targets is not None
        by_logits = labels * (found.targets - (labels * found.targets).sum(1, keepdim=True))
        gradients, decays = (found.images, found.step_size, by_logits), (0.5, 0.5, 0.9)
        moves = [part * move + new for part, move, new in zip(decays, moves, gradients, strict=True)]
        pixels, rate = pixels - config.lr_img * moves[0], rate - config.lr_lr * moves[1]
        logits = logits - config.lr_y * moves[2]
    return losses, pixels, rate, logits


def test_where_every_update_is_left_out_it_is_said(task: Task) -> None:
    said = list[str]()

    class Noting(Silent):
        def warn(self, message: str) -> None:
            said.append(message)

    task = replace(task, progress=Noting())
    images = prepared(task, small(threshold=1e-9)).synthesize(task, ALL)
    assert task.facts["updates_left_out"] == 4 and "nothing moved" in said[-1]
    assert torch.equal(images.pixels, prepared(task, small()).first_images(task))


@pytest.mark.parametrize("changes", [{"checkpointing": False}, {"engine": "reference"}])
def test_every_way_makes_the_same_set(compiled_in_name: None, task: Task, changes: dict[str, Any]) -> None:
    task.compile = "always"
    ours = prepared(task, small()).synthesize(task, ALL)
    assert set(task.measured.compiled) >= {"match gradient", "match derivative"}
    other = replace(task, facts={})
    theirs = prepared(other, small(**changes)).synthesize(other, ALL)
    assert ours.soft is not None and theirs.soft is not None
    torch.testing.assert_close(theirs.pixels, ours.pixels, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(theirs.soft, ours.soft, rtol=1e-3, atol=1e-4)
    assert theirs.learned_lr == pytest.approx(ours.learned_lr, rel=1e-4)


def test_an_interrupted_synthesis_ends_with_the_same_set(task: Task) -> None:
    config = small(threshold=sorted(by_hand(task, small())[0])[1] + 1e-4)
    whole = prepared(task, config).synthesize(task, ALL)
    left_out = task.facts["updates_left_out"]
    stopped = replace(task, workspace=task.workspace / "stopped", facts={})
    stopped.workspace.mkdir()
    method = prepared(task, config)
    looks = task.classes + len(method._experts)  # at the user's wish, before the updates
    for _ in range(3):  # each attempt makes one of the four updates
        with pytest.raises(Interrupted):
            prepared(task, config).synthesize(replace(stopped, should_stop=StopAfter(looks)), ALL)
    images = prepared(task, config).synthesize(stopped, ALL)
    assert whole.soft is not None and images.soft is not None
    assert torch.equal(images.pixels, whole.pixels) and torch.equal(images.soft, whole.soft)
    assert images.learned_lr == whole.learned_lr and stopped.facts["updates_left_out"] == left_out > 0


# --- what experts recognise ------------------------------------------------------------------------------------------

PER_CLASS = 6


class Told(Panel):
    """Experts that recognise what they are told to; every image is as bright as its number."""

    table: list[set[int]]

    def logits(self, expert: int, images: Tensor) -> Tensor:
        numbers = images.mean((1, 2, 3)).round().long()
        right = torch.tensor([int(number) in self.table[expert] for number in numbers])
        classes = (numbers // PER_CLASS + (~right).long()) % 3
        draws = [torch.rand(3, generator=seeds.generator(expert, int(number))) for number in numbers]
        return torch.stack(draws) + 2.0 * F.one_hot(classes, 3)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Three classes of six images, the numbers of which are 0 to 5, 6 to 11, 12 to 17; two experts; two of a class."""
    monkeypatch.setattr(panel, "LOOKED_AT", 2)

    class AsBright:
        costly = False

        def apply(self, images: Tensor) -> Tensor:
            return images.float()

        def blank(self, like: Tensor) -> Tensor:
            return torch.zeros(3, 1, 1)

    numbers = torch.arange(3 * PER_CLASS)
    split = TensorSplit(
        numbers.view(-1, 1, 1, 1).expand(-1, 3, 8, 8).to(torch.uint8).contiguous(), numbers // PER_CLASS
    )
    dataset = replace(tiny_dataset(resolution=8), train=split, normalisation=AsBright())  # type: ignore[arg-type]
    task = tiny_task(tmp_path, dataset=dataset, ipc=3)

    class Two:
        def __len__(self) -> int:
            return 2

    return Told(task, Student(nn.Linear(1, 1)), Two(), 0)  # type: ignore[arg-type]


def chosen(told: Told) -> tuple[list[list[int]], int]:
    images, unknown = told.recognised()
    return images.mean((1, 2, 3)).long().view(3, 3).tolist(), unknown


def test_the_first_that_the_first_expert_recognises_then_those_of_the_next_then_any(told: Told) -> None:
    orders = [told._order(label).tolist() for label in range(3)]
    first, second, third = orders
    assert all(sorted(order) == list(range(6 * label, 6 * label + 6)) for label, order in enumerate(orders))
    seen_by_first = {*first[1:], second[4], third[5]}
    seen_by_second = {first[0], *second}
    told.__dict__["table"] = [seen_by_first, seen_by_second]
    found, unknown = chosen(told)
    assert found[0] == first[1:4], "in their order, as many as are wanted"
    assert found[1] == [second[4], second[0], second[1]], "what the first expert left, from its beginning"
    assert found[2] == [third[5], third[0], third[1]], "nobody recognises another"
    assert unknown == 2


def test_each_class_begins_with_the_first_expert(told: Told) -> None:
    everything = set(range(18))
    told.__dict__["table"] = [everything, set()]
    found, unknown = chosen(told)
    assert found == [told._order(label)[:3].tolist() for label in range(3)] and unknown == 0


def test_in_a_trial_that_looks_at_nothing_images_are_any(told: Told) -> None:
    told.__dict__["table"] = [set(), set()]
    idle = Told(replace(told.task, pace=FirstSteps(0)), told.student, told.experts, 0)
    idle.__dict__["table"] = told.table
    assert chosen(idle)[0] == [told._order(label)[:3].tolist() for label in range(3)]


def test_first_labels_are_the_mean_logits_of_those_that_recognise_or_of_all(told: Told) -> None:
    told.__dict__["table"] = [{0, 1}, {1, 2}]
    images = told.task.dataset.train.take(torch.tensor([0, 1, 2, 3])).float()
    given = torch.stack([told.logits(expert, images) for expert in (0, 1)]).double()
    expected = torch.stack([given[0, 0], given[:, 1].mean(0), given[1, 2], given[:, 3].mean(0)])
    torch.testing.assert_close(told.first_logits(images, torch.zeros(4).long()).double(), expected)


# --- labels ----------------------------------------------------------------------------------------------------------


def last_logits(task: Task, method: DATM, pixels: Tensor) -> Tensor:
    """Of all experts at their last epoch: (experts, N, K)."""
    ends = [method._experts.weights(index, [4])[0] for index in range(len(method._experts))]
    return torch.stack([weights_at(task.network(0), end)(pixels) for end in ends])


def test_experts_are_trained_to_their_end_where_they_label(task: Task) -> None:
    prepared(task, small())
    assert small().last_target == 3 and task.facts["expert_epochs"] == [4]


@pytest.mark.parametrize("init", ["recognised", "real"])
def test_a_controls_images_are_labelled_as_learning_begins(task: Task, init: str) -> None:
    method = prepared(task, small(init=init))
    control = Images(task.dataset.train.take(torch.arange(9)), task.dataset.train.labels[:9])
    given = last_logits(task, method, task.dataset.normalisation.apply(control.pixels))
    right = (given.argmax(2) == control.classes)[..., None]
    by_those = torch.where(right.any(0), (given * right).sum(0) / right.sum(0).clamp(min=1), given.mean(0))
    labels = method.label(task, control)
    assert labels.kind == method.label_kind == "soft"
    expected = (by_those if init == "recognised" else given[0]).softmax(1)
    torch.testing.assert_close(labels.tensors["probabilities"], expected, rtol=1e-4, atol=1e-6)


def test_a_set_has_the_labels_that_were_learned(task: Task) -> None:
    method = prepared(task, small())
    images = method.synthesize(task, ALL)
    labels = method.label(task, images)
    assert images.soft is not None and torch.equal(labels.tensors["probabilities"], images.soft)
    first = method.first_targets(task, method.first_images(task), images.classes).softmax(1)
    assert float((images.soft - first).abs().max()) > 1e-3
    assert not labels.unfit(8, 4)


def test_real_images_at_random_where_they_need_not_be_recognised(task: Task) -> None:
    method = prepared(task, small(init="real"))
    assert torch.equal(method.first_images(task), start(task, "real").flatten(0, 1))
    assert "unrecognised" not in task.facts


# --- settings --------------------------------------------------------------------------------------------------------

# configs/*/ConvIN: N, M, min start, current max, max, expansion end, lr_img, lr_lr, lr_y, threshold, batch, init
PUBLISHED = {
    ("cifar10", 1): (80, 2, 0, None, 4, None, 100, 1e-7, 5, 1.1, 10, "recognised"),
    ("cifar10", 10): (80, 2, 0, 10, 20, 1000, 100, 1e-5, 2, 1.0, 100, "recognised"),
    ("cifar10", 50): (80, 2, 0, 20, 40, 2000, 1000, 1e-5, 2, 1.0, 500, "recognised"),
    ("cifar10", 500): (40, 2, 40, None, 60, None, 50, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar10", 1000): (100, 2, 40, None, 60, None, 50, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar100", 1): (40, 3, 0, 10, 20, 1000, 1000, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar100", 10): (80, 2, 0, 30, 50, 2000, 1000, 1e-5, 10, 1.0, 1000, "recognised"),
    ("cifar100", 50): (80, 2, 20, None, 70, None, 1000, 1e-5, 10, 1.0, 1000, "real"),
    ("cifar100", 100): (80, 2, 30, None, 70, None, 50, 1e-5, 10, 1.0, 1000, "recognised"),
    ("tiny-imagenet", 1): (40, 2, 0, 15, 20, 2000, 1e4, 1e-4, 10, 1.0, 1000, "recognised"),
    ("tiny-imagenet", 10): (40, 2, 10, None, 50, None, 100, 1e-4, 10, 1.0, 500, "recognised"),
    ("tiny-imagenet", 50): (20, 2, 40, None, 70, None, 100, 1e-4, 10, 1.0, 1000, "recognised"),
}
CLASSES = {"cifar10": 10, "cifar100": 100, "tiny-imagenet": 200}


def setting(dataset: str, ipc: int) -> Setting:
    return Setting(dataset, 64 if dataset == "tiny-imagenet" else 32, 3, CLASSES.get(dataset, 10), ipc, "convnet3")


@pytest.mark.parametrize(("dataset", "ipc"), PUBLISHED)
def test_settings_are_those_of_the_release(dataset: str, ipc: int) -> None:
    recipe = DATM.recipe(setting(dataset, ipc))
    config = DATMConfig.model_validate(recipe.values)
    grows = config.current_max_start_epoch is not None
    starts = (config.min_start_epoch, config.current_max_start_epoch, config.max_start_epoch)
    rates = (config.lr_img, config.lr_lr, config.lr_y, config.threshold)
    found = (config.steps, config.expert_epochs, *starts, config.expansion_end if grows else None, *rates)
    assert (*found, config.batch_size, config.init) == PUBLISHED[dataset, ipc]
    assert (config.iterations, config.lr_init, config.momentum, config.momentum_y) == (10_000, 0.01, 0.5, 0.9)
    assert config.zca and config.dsa == "color_crop_cutout_flip_scale_rotate"
    assert recipe.source.startswith("DATM release") and "at IPC" not in recipe.source


@pytest.mark.parametrize("dataset", CLASSES)
def test_experts_are_those_of_the_readmes_command(dataset: str) -> None:
    experts = DATMConfig.model_validate(DATM.recipe(setting(dataset, 10)).values).experts
    assert (experts.count, experts.epochs, experts.batch_size, experts.lr) == (100, 100, 256, 0.01)
    assert (experts.momentum, experts.weight_decay, experts.schedule) == (0, 0, "constant")
    assert (experts.sam_rho, experts.gsam_alpha, experts.sam_adaptive) == (0.01, 0.3, True)
    assert experts.dsa == "color_crop_cutout_flip_scale_rotate"


@pytest.mark.parametrize(("dataset", "ipc"), PUBLISHED)
def test_the_quick_budget_keeps_the_shape_of_the_starts(dataset: str, ipc: int) -> None:
    """A fifth of the experts' epochs, and of all starts."""
    paper, quick = (DATMConfig.model_validate(DATM.recipe(setting(dataset, ipc)).at(each)) for each in BUDGETS)
    assert quick.experts.epochs == 20 and quick.last_target <= 20
    assert quick.min_start_epoch == paper.min_start_epoch / 5 and quick.max_start_epoch == max(
        1, paper.max_start_epoch // 5
    )
    share = quick.iterations / paper.iterations
    assert quick.expansion_end == max(1, round(paper.expansion_end * share))


BUDGETS: Any = ("paper", "quick")


@pytest.mark.parametrize("ipc", [1, 10, 50])
def test_few_classes_have_smaller_rates(ipc: int) -> None:
    few = DATM.recipe(replace(setting("tiny-imagenet", ipc), classes=10))
    config = DATMConfig.model_validate(few.values)
    assert (config.lr_img, config.lr_lr, config.lr_y) == (1e3 if ipc == 1 else 1e2, 1e-6, 2.0)
    assert few.source.startswith("ours for fewer")


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "svhn", "digits", "small", "large"])
def test_settings_that_datm_did_not_publish_say_so(dataset: str) -> None:
    assert DATM.recipe(replace(setting(dataset, 10), resolution=32 if dataset != "large" else 224)).source.startswith(
        "ours"
    )


# --- a run -----------------------------------------------------------------------------------------------------------


def test_a_whitened_run_as_the_user_types_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    settings = [part for change in ("iterations=8", "zca=true") for part in ("--set", change)]
    with children_here():
        ended = bench.typed("-m", "datm", *settings, "--format", "json")
    assert ended.returncode == 0, ended.stderr
    row, control = sorted(json.loads(ended.stdout), key=lambda row: row["is_control"])
    assert (row["status"], row["protocol_id"], row["label_kind"], row["iterations"]) == ("done", "datm@1", "soft", 8)
    assert (control["is_control"], control["label_kind"], control["preprocessing"]) == (True, "soft", "zca")
    assert row["top1_mean"] > 50, "three classes"
    assert row["notes"]["unrecognised"] == 0 and row["notes"]["updates_left_out"] < 8
    condensed = sets.load(bench.runs / row["run"] / "condensed")
    assert condensed.labels.kind == "soft" and condensed.images.soft is not None
    assert condensed.learned_lr is not None and condensed.learned_lr > 0
    assert condensed.images.pixels.dtype == torch.float32 and condensed.preprocessing.kind == "zca"
