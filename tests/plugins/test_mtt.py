"""MTT: its draws, its updates, its settings, and a run as the user types it."""

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
from torch import Tensor

from bench.condensation import Images, Task, Unit
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.loops.pace import Trial
from bench.planning.configuring import configure
from bench.recipes import Budget, Setting
from bench.sets import condensed as sets
from bench.storage.files import read_json
from bench.testing import tiny_dataset, tiny_task
from bench_matching import trajectories
from bench_matching.exact import unrolled
from bench_matching.mtt import MTT, MTTConfig
from bench_matching.reals import start
from bench_matching.segments import Draws
from bench_matching.student import Student

BUDGETS: tuple[Budget, ...] = ("paper", "quick")


def small(**changes: Any) -> MTTConfig:  # noqa: ANN401 - values of a configuration
    return MTTConfig.model_validate(SMALL | changes)


# --- draws -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=4, per_class=6, resolution=8), backbone="convnet3")


def prepared(task: Task, config: MTTConfig) -> MTT:
    made = MTT(config)
    made.prepare(task)
    return made


def test_a_dry_run_makes_the_first_steps_of_the_first_student(task: Task) -> None:
    config = small(batch_size=3, steps=6)
    experts, trial = prepared(task, config)._experts, Trial(task.device)
    whole = Draws(task, config, experts).segment(0)
    for _ in trial.walk("match", 0, 1):
        tried = Draws(replace(task, pace=trial), config, experts).segment(0)
    assert [step.indices.tolist() for step in tried.steps] == [step.indices.tolist() for step in whole.steps[:2]]
    (note,) = trial.notes()
    assert "of a step of match 2 of 6 pieces" in note


def test_batches_are_parts_of_a_permutation_and_experts_take_turns(task: Task) -> None:
    config = small(batch_size=3, steps=6, experts=SMALL["experts"] | {"count": 3})
    experts = prepared(task, config)._experts
    asked: list[tuple[int, list[int]]] = []

    class Noting:
        def __len__(self) -> int:
            return len(experts)

        def weights(self, index: int, epochs: Sequence[int]) -> tuple[Tensor, ...]:
            asked.append((index, list(epochs)))
            return experts.weights(index, epochs)

    draws = Draws(task, config, Noting())  # type: ignore[arg-type]
    segments = [draws.segment(iteration) for iteration in range(12)]
    for segment in segments:
        batches = [step.indices.tolist() for step in segment.steps]
        assert [len(batch) for batch in batches] == [2, 3, 3, 2, 3, 3]  # 8 images, 3 a batch, the remainder first
        for three in (batches[:3], batches[3:]):
            assert sorted(index for batch in three for index in batch) == list(range(8))
    turns = [index for index, _ in asked]
    assert all(sorted(turns[first : first + 3]) == [0, 1, 2] for first in range(0, 12, 3))
    assert {epochs[0] for _, epochs in asked} == {0, 1} and all(b == a + 2 for _, (a, b) in asked)
    start, target = experts.weights(*asked[5])
    assert torch.equal(segments[5].start, start) and torch.equal(segments[5].target, target)
    again = draws.segment(7)
    assert torch.equal(again.steps[4].indices, segments[7].steps[4].indices)
    assert torch.equal(again.start, segments[7].start)


def test_augmentation_is_drawn_anew_for_every_step_and_image(task: Task) -> None:
    config = small(steps=40, dsa="color_rotate")
    draws = Draws(task, config, prepared(task, config)._experts)
    drawn = [step.augmentation for step in draws.segment(0).steps]
    assert {each.family for each in drawn if each} == {"color", "rotate"}
    assert all(each is not None and len(each.values) == 8 for each in drawn)
    assert all(each is not None and len(each.values.unique(dim=0)) == 8 for each in drawn)
    assert all(step.augmentation is None for step in Draws(task, small(dsa=""), draws._experts).segment(0).steps)


def test_a_batch_larger_than_the_set_is_the_set(task: Task) -> None:
    config = small(batch_size=300)
    segment = Draws(task, config, prepared(task, config)._experts).segment(0)
    assert [sorted(step.indices.tolist()) for step in segment.steps] == [list(range(8))] * 3


# --- synthesis -------------------------------------------------------------------------------------------------------


def made(task: Task, config: MTTConfig) -> tuple[Images, float | None]:
    images = prepared(task, config).synthesize(task, Unit("all", (0, 1, 2, 3)))
    return images, images.learned_lr


def test_updates_are_sgd_with_momentum_on_pixels_and_step_size(task: Task) -> None:
    """Against the same updates written out."""
    config = small(engine="reference")
    images, learned = made(task, config)
    method, draws = prepared(task, config), None
    draws = Draws(task, config, method._experts)
    pixels, rate = start(task, "real").flatten(0, 1).double(), torch.tensor(config.lr_init, dtype=torch.float64)
    student, classes = Student(task.network(0).double()), torch.arange(4).repeat_interleave(2)
    moves = [torch.zeros_like(pixels), torch.zeros_like(rate)]
    for iteration in range(config.iterations):
        segment = draws.segment(iteration)
        segment = replace(segment, start=segment.start.double(), target=segment.target.double())
        found = unrolled(student, pixels, classes, rate, segment)
        moves = [0.5 * move + gradient for move, gradient in zip(moves, found[:2], strict=True)]
        pixels, rate = pixels - config.lr_img * moves[0], rate - config.lr_lr * moves[1]
    assert torch.equal(images.classes, classes)
    torch.testing.assert_close(images.pixels.double(), pixels, rtol=1e-3, atol=1e-3)
    assert learned == pytest.approx(float(rate), rel=1e-4) and learned != config.lr_init
    assert float((pixels - start(task, "real").flatten(0, 1)).abs().max()) > 1e-3


@pytest.mark.parametrize("changes", [{"checkpointing": False}, {"engine": "reference"}])
def test_every_way_makes_the_same_images(compiled_in_name: None, task: Task, changes: dict[str, Any]) -> None:
    task.compile = "always"
    images, learned = made(task, small())
    assert set(task.measured.compiled) >= {"match gradient", "match derivative"}
    others, other = made(replace(task, facts={}), small(**changes))
    torch.testing.assert_close(others.pixels, images.pixels, rtol=1e-3, atol=1e-3)
    assert other == pytest.approx(learned, rel=1e-4)


def test_a_step_size_that_became_negative_is_a_clear_failure(task: Task) -> None:
    with pytest.raises(RunFailure, match=r"step size was learned to be -.*lr_lr"):
        made(task, small(iterations=1, lr_lr=1e3))


def test_a_step_size_that_became_negative_is_seen_before_the_end(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "LOOK_EVERY", 1)
    with pytest.raises(RunFailure, match=r"step size was learned to be -.*lr_lr"):
        prepared(task, small(iterations=10**9, lr_lr=1e3)).synthesize(task, Unit("all", (0, 1, 2, 3)))


def test_whitened_images_and_experts_live_in_whitened_space(task: Task) -> None:
    plain, whitened = MTT(small()), MTT(small(zca=True))
    assert plain.prepare(task).dataset == task.dataset
    seen = whitened.prepare(task)
    whitening = whitened.preprocessing(seen)
    assert whitening.kind == "zca" and whitening == whitened.prepare_labels(task).dataset.normalisation
    assert set(plain._experts.files).isdisjoint(whitened._experts.files)
    initial = start(seen, "real")
    restored = whitening.invert(initial) * 255
    assert torch.allclose(restored, restored.round(), atol=0.05), "real images, whitened"


# --- settings --------------------------------------------------------------------------------------------------------

CARD = {  # the authors' commands in DC-BENCH: N, M, max start, ZCA, lr_img, lr_lr, first step size, batch
    ("cifar10", 1): (50, 2, 2, True, 1e2, 1e-7, 1e-2, "all"),
    ("cifar10", 10): (30, 2, 20, True, 1e2, 1e-5, 1e-3, "all"),
    ("cifar10", 50): (30, 2, 40, False, 1e3, 1e-5, 1e-3, "all"),
    ("cifar100", 1): (20, 3, 20, True, 1e3, 1e-5, 1e-2, "all"),
    ("cifar100", 10): (20, 2, 20, False, 1e3, 1e-5, 1e-2, "all"),
    ("cifar100", 50): (80, 2, 40, True, 1e3, 1e-5, 1e-2, 125),
    ("tiny-imagenet", 1): (10, 2, 10, False, 1e4, 1e-4, 1e-2, "all"),
    ("tiny-imagenet", 10): (20, 2, 40, False, 1e4, 1e-4, 1e-2, 200),
    ("tiny-imagenet", 50): (20, 2, 40, False, 1e4, 1e-4, 1e-2, 300),
}


CLASSES = {"cifar10": 10, "cifar100": 100, "tiny-imagenet": 200}


def setting(dataset: str, ipc: int = 10, budget: Budget = "paper", resolution: int = 64) -> Setting:
    return Setting(dataset, resolution, 3, CLASSES.get(dataset, 10), ipc, "convnet3", budget)


@pytest.mark.parametrize(("dataset", "ipc"), CARD)
def test_settings_are_the_papers(dataset: str, ipc: int) -> None:
    config = MTTConfig.model_validate(MTT.recipe(setting(dataset, ipc)).values)
    matched = (config.steps, config.expert_epochs, config.max_start_epoch, config.zca)
    assert (*matched, config.lr_img, config.lr_lr, config.lr_init, config.batch_size) == CARD[dataset, ipc]
    assert (config.iterations, config.momentum, config.dsa) == (5000, 0.5, "color_crop_cutout_flip_scale_rotate")
    experts = config.experts
    assert (experts.count, experts.epochs, experts.batch_size, experts.lr) == (100, 50, 256, 0.01)
    assert (experts.momentum, experts.weight_decay, experts.schedule, experts.dsa) == (0, 0, "constant", config.dsa)


@pytest.mark.parametrize(("classes", "rates"), [(10, (1e3, 1e-6)), (100, (1e3, 1e-5)), (200, (1e4, 1e-4))])
@pytest.mark.parametrize("dataset", ["tiny-imagenet", "a-dataset-of-yours"])
def test_few_classes_have_smaller_rates_or_the_step_size_overshoots(
    dataset: str, classes: int, rates: tuple[float, float]
) -> None:
    recipe = MTT.recipe(replace(setting(dataset), classes=classes))
    config = MTTConfig.model_validate(recipe.values)
    assert (config.lr_img, config.lr_lr) == rates
    assert ("ours for fewer" in recipe.source) == (classes < 200)


def test_the_misprinted_rate_is_not_taken() -> None:
    assert "misprint" in MTT.recipe(setting("cifar10")).source


@pytest.mark.parametrize(("ipc", "batch"), [(1, "all"), (10, 20)])
@pytest.mark.parametrize(
    "dataset", ["imagefruit", "imagemeow", "imagesquawk", "imageyellow", "imagenette-128", "imagewoof-128", "mine"]
)
def test_subsets_of_imagenet_have_the_authors_batches(dataset: str, ipc: int, batch: int | str) -> None:
    """The readme's command (imagefruit, one image per class), and issue 1 for ten."""
    recipe = MTT.recipe(setting(dataset, ipc, resolution=128))
    config = MTTConfig.model_validate(recipe.values)
    assert (config.batch_size, config.lr_img, config.lr_lr, config.lr_init) == (batch, 1e3, 1e-6, 1e-2)
    assert (config.steps, config.expert_epochs, config.max_start_epoch, config.zca) == (20, 2, 10, False)
    assert [("antialiasing" in each) for each in recipe.differs] == ([] if dataset == "mine" else [True])
    assert ("ours" in recipe.source) == (dataset == "mine")


@pytest.mark.parametrize(
    ("changes", "resolution", "message"),
    [
        (["max_start_epoch=50"], 64, "ask for experts of 51 epochs; experts.epochs is 50"),
        (["experts.epochs=20"], 64, "ask for experts of 41 epochs"),
        (["zca=true"], 128, "zca"),
        (["batch_size=0"], 64, "batch_size"),
        (["batch_size=true"], 64, "batch_size"),
        (["dsa=colour"], 64, "dsa: joins families of color"),
        (["dsa=color_"], 64, "dsa: joins families of color"),
        (["dsa=_"], 64, "dsa: joins families of color"),
        (["lr_img=0"], 64, "lr_img"),
        (["engine=quick"], 64, "engine"),
    ],
)
def test_what_can_never_work_is_refused_at_planning(changes: list[str], resolution: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        configure(Registry(), "mtt", setting("mine", 10, "paper", resolution), changes)


def test_the_last_target_may_be_the_last_epoch() -> None:
    configure(Registry(), "mtt", setting("mine"), ["max_start_epoch=49"])


# --- a run -----------------------------------------------------------------------------------------------------------

FEW = ["iterations=8", "experts.epochs=6"]


def test_a_whitened_run_as_the_user_types_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    settings = [part for change in [*FEW, "zca=true"] for part in ("--set", change)]
    with children_here():
        ended = bench.typed("-m", "mtt", *settings, "--format", "json")
    assert ended.returncode == 0, ended.stderr
    row, control = sorted(json.loads(ended.stdout), key=lambda row: row["method"])
    assert (row["status"], row["protocol_id"], row["label_kind"], row["iterations"]) == ("done", "mtt@1", "hard", 8)
    assert row["top1_mean"] > 50, "three classes"
    condensed = sets.load(bench.runs / row["run"] / "condensed")
    assert condensed.learned_lr is not None and condensed.learned_lr > 0 and condensed.learned_lr != 0.03
    assert condensed.preprocessing.kind == "zca"
    assert condensed.images.pixels.dtype == torch.float32
    assert ended.stderr.count("experts 2/2") >= 1
    assert control["is_control"] and control["preprocessing"] == "zca"
    stages = [read_json(bench.runs / each["run"] / "costs.json")["stages"] for each in (row, control)]
    assert list(map(len, stages)) == [3, 1], "the control needs the whitening, and no expert"
