"""DATM: its starts, its updates and those that are left out, its labels, a run."""

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
from torch.optim import SGD

from bench.condensation import DOUBT, Images, Task, Unit
from bench.errors import Interrupted
from bench.sets import condensed as sets
from bench.testing import tiny_dataset, tiny_task
from bench_matching.datm import DATM, DATMConfig, step_where
from bench_matching.exact import unrolled
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
    images = prepared(task, small(threshold=1e-9)).synthesize(task, ALL)
    assert task.facts["updates_left_out"] == 4 and "nothing moved" in task.facts[DOUBT]
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
