"""ZCA: against float64 and what kornia documents; exact sums; a preprocessing like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import whitening
from bench.condensation import Task
from bench.data.datasets import Normalisation, TensorSplit
from bench.errors import Interrupted, UsageError
from bench.loops.pace import FirstSteps
from bench.recipes import Setting
from bench.storage.shared.stages import Made, StageKey
from bench.testing import tiny_dataset, tiny_task
from bench.training.views import BatchView
from bench.training.views import apply as view_of
from bench.whitening import Whitening, check_whitening, fit


@pytest.fixture
def task(tmp_path: Path) -> Task:
    torch.set_num_threads(1)
    return tiny_task(tmp_path, dataset=tiny_dataset(resolution=6))


def flattened(task: Task) -> np.ndarray:
    """The training images in [0, 1] as rows, in float64."""
    train = task.dataset.train
    return train.take(torch.arange(len(train))).flatten(1).double().numpy() / 255


def test_the_matrix_is_the_inverse_root_of_the_unbiased_covariance(task: Task) -> None:
    rows = flattened(task)
    covariance = np.cov(rows, rowvar=False) + 0.1 * np.eye(rows.shape[1])
    made = fit(task)
    matrix = made.matrix.double().numpy()
    assert np.abs(made.mean.flatten().numpy() - rows.mean(0)).max() < 1e-6
    assert np.abs(matrix @ covariance @ matrix - np.eye(len(matrix))).max() < 1e-5
    assert np.abs(matrix - matrix.T).max() < 1e-6


def test_whitened_images_have_the_covariance_that_eps_leaves(task: Task) -> None:
    train = task.dataset.train
    variances, axes = np.linalg.eigh(np.cov(flattened(task), rowvar=False))
    left = (axes * (variances / (variances + 0.01))) @ axes.T
    whitened = fit(task, 0.01).apply(train.take(torch.arange(len(train)))).flatten(1).double().numpy()
    assert np.abs(np.cov(whitened, rowvar=False) - left).max() < 1e-4
    assert np.abs(whitened.mean(0)).max() < 1e-4


def test_it_divides_by_n_minus_1_as_the_example_in_kornias_documentation(task: Task) -> None:
    """(0, 1), (1, 0), (-1, 0), (0, -1) become 1.2247 times themselves there: the root of 3 / 2."""
    corners = torch.tensor([[0, 1], [1, 0], [-1, 0], [0, -1]])
    images = (100 + 100 * corners).to(torch.uint8).view(4, 2, 1, 1)
    split = TensorSplit(images, torch.zeros(4, dtype=torch.int64))
    task.dataset = replace(task.dataset, resolution=1, channels=2, train=split)
    whitened = fit(task, 1e-12).apply(images).flatten(1)
    assert torch.allclose(whitened, 1.5**0.5 * corners.float(), atol=1e-4)


def test_sums_do_not_depend_on_the_chunks(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    mean, covariance = whitening._moments(task)
    monkeypatch.setattr(whitening, "CHUNK", 5)
    again = whitening._moments(task)
    assert torch.equal(mean, again[0]) and torch.equal(covariance, again[1])
    rows = flattened(task)
    assert np.abs(covariance.numpy() - np.cov(rows, rowvar=False)).max() < 1e-14


def test_a_chunk_of_white_images_is_summed_without_rounding() -> None:
    white = torch.full((whitening.CHUNK, 1), 255.0)
    assert int((white.T @ white).item()) == whitening.CHUNK * 255**2 < 2**24


def test_inverting_gives_the_pixels_back(task: Task) -> None:
    images, made = task.dataset.test.take(torch.arange(9)), fit(task)
    assert torch.allclose(made.invert(made.apply(images)), images.float() / 255, atol=1e-5)
    tall = made.apply(images.view(3, 3, *images.shape[1:]))
    assert torch.allclose(tall.flatten(0, 1), made.apply(images), atol=1e-5)


def test_a_matrix_that_is_not_symmetric_is_inverted_as_well() -> None:
    draws = torch.Generator().manual_seed(0)
    made = Whitening(torch.rand(3, 2, 2, generator=draws), torch.randn(12, 12, generator=draws))
    images = torch.randint(0, 256, (4, 3, 2, 2), generator=draws, dtype=torch.uint8)
    by_hand = (images.double().flatten(1) / 255 - made.mean.double().flatten()) @ made.matrix.double()
    assert torch.allclose(made.apply(images).flatten(1).double(), by_hand, atol=1e-5)
    assert torch.allclose(made.invert(made.apply(images)), images.float() / 255, atol=1e-4)


def test_a_matrix_of_lower_rank_gives_back_what_it_shows() -> None:
    """Somebody's PCA that keeps only half of the axes."""
    made = Whitening(torch.zeros(1, 2, 2), torch.diag(torch.tensor([2.0, 4.0, 0.0, 0.0])))
    images = torch.tensor([255, 51, 102, 153], dtype=torch.uint8).view(1, 1, 2, 2)
    assert torch.allclose(made.invert(made.apply(images)).flatten(), torch.tensor([1.0, 0.2, 0.0, 0.0]))


def test_it_is_fp32_inside_bf16_arithmetic(task: Task) -> None:
    images, made = task.dataset.test.take(torch.arange(4)), fit(task)
    with torch.autocast("cpu", torch.bfloat16):
        inside = made.apply(images)
    assert inside.dtype == torch.float32 and torch.equal(inside, made.apply(images))


def test_no_value_is_out_of_bounds_and_padding_is_the_mean_image(task: Task) -> None:
    made = fit(task)
    images = made.apply(task.dataset.test.take(torch.arange(2)))
    lower, upper = made.box(images)
    assert torch.equal(images.clamp(lower, upper), images)
    mean = (made.mean * 255)[None]
    assert made.apply(mean).abs().max() < 1e-5
    boxes = torch.tensor([[-6, 0, 6, 6], [0, 0, 6, 6]])  # the first crop lies above the image
    cropped = view_of(BatchView(0, 0, torch.arange(2), boxes=boxes, padded=True), images, made.blank(images))
    assert torch.equal(cropped[0], torch.zeros_like(cropped[0]))
    assert torch.allclose(cropped[1], images[1], atol=1e-5)


def test_black_is_blank_to_a_normalisation() -> None:
    plain = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    black = torch.zeros(3, 1, 1, dtype=torch.uint8)
    assert torch.allclose(plain.blank(black), plain.apply(black))


def test_two_are_equal_when_their_numbers_are(task: Task) -> None:
    first, again, other = fit(task), fit(task), fit(task, 0.2)
    assert first is not again and first == again and hash(first) == hash(again) and first.digest == again.digest
    assert first != other and first.digest != other.digest and first != task.dataset.normalisation


def test_it_is_fitted_once(task: Task) -> None:
    fit(task)
    task.used_stages.clear()
    fit(task)
    assert [stage.cached for stage in task.used_stages.values()] == [True]


def stage_hash(task: Task) -> str:
    return task.stage("thing", 1, {}, lambda folder: Made({"x": torch.zeros(1)}, {})).hash


def test_stages_on_whitened_data_have_other_keys_and_those_on_the_cards_own_the_old_ones(task: Task) -> None:
    dataset = task.dataset
    own = {"card": dataset.card_hash, "classes": dataset.class_order_hash}
    made_on = {"device": "cpu", "precision": "fp32", "compile": "never"}
    assert stage_hash(task) == StageKey("thing", 1, {"dataset": own, "made_on": made_on}).hash
    seen = {stage_hash(task)}
    for other in (fit(task), fit(task, 0.2), Normalisation((0.1,) * 3, (1.0,) * 3)):
        seen.add(stage_hash(replace(task, dataset=replace(dataset, normalisation=other))))
    assert len(seen) == 4
    there = replace(dataset, normalisation=fit(task))
    back = replace(there, normalisation=dataset.normalisation)
    assert stage_hash(replace(task, dataset=back)) == stage_hash(task)
    fewer = there.only(dataset.classes[:2])
    assert fewer.preprocessing_key == there.preprocessing_key != {}


@pytest.mark.parametrize("resolution", [65, 224])
def test_large_images_are_refused_in_one_line(resolution: int) -> None:
    setting = Setting("imagenet-1k", resolution, 3, 10, 1, "convnet5")
    with pytest.raises(UsageError, match=f"imagenet-1k has {resolution}; set expert.zca=false") as caught:
        check_whitening(setting, "expert.zca")
    assert "\n" not in str(caught.value)
    check_whitening(Setting("tiny-imagenet", 64, 3, 10, 1, "convnet4"))


def test_a_stop_is_heard_and_a_trial_that_leaves_loops_out_gets_finite_numbers(task: Task) -> None:
    with pytest.raises(Interrupted):
        fit(replace(task, should_stop=lambda: True))
    untrained = fit(replace(task, pace=FirstSteps(0)))
    assert torch.isfinite(untrained.matrix).all() and torch.isfinite(untrained.mean).all()


@pytest.mark.parametrize("count", [400, 60])  # more than the 108 numbers of an image, and fewer
def test_standardised_it_is_frepos(task: Task, count: int) -> None:
    """As its release has it, in float64: mean and deviation of each channel first, over N, in units of the variance."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, [[[100]], [[180]], [[256]]], (count, 3, 6, 6))
    pixels = torch.from_numpy((levels + np.roll(levels, 1, 3)) // 2).to(torch.uint8)
    task.dataset = replace(task.dataset, train=TensorSplit(pixels, torch.zeros(count, dtype=torch.int64)))
    scaled = pixels.numpy() / 255
    rows = (scaled - scaled.mean((0, 2, 3), keepdims=True)) / scaled.std((0, 2, 3), keepdims=True)
    rows = rows.reshape(count, -1) - rows.reshape(count, -1).mean(0)
    covariance = rows.T @ rows / count
    covariance += 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    axes, variances, _ = np.linalg.svd(covariance)
    variances[count:] = 1
    expected = rows @ (axes / np.sqrt(variances)) @ axes.T
    made = fit(task, 0.1, standardised=True)
    assert np.abs(made.apply(pixels).flatten(1).numpy() - expected).max() < 1e-4
    assert torch.allclose(made.invert(made.apply(pixels)), pixels / 255, atol=1e-4)
    assert made != fit(task, 0.1)


def test_standardising_what_never_changes_gives_numbers(task: Task) -> None:
    same = torch.full((9, 3, 6, 6), 7, dtype=torch.uint8)
    task.dataset = replace(task.dataset, train=TensorSplit(same, torch.zeros(9, dtype=torch.int64)))
    assert not fit(task, 0.1, standardised=True).apply(same).any()
