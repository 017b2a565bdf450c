"""One crop, one flip, one roll for the whole batch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from bench import seeds
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.views import Box, RecoveryView, draw_view, smallest_share
from bench.training.views import resized_boxes


def recipe(**changes: object) -> RecoveryRecipe:
    values = {"iterations": 10, "lr": 0.1, "bn_weight": 1.0, "roll": (-4, 4)} | changes
    return RecoveryRecipe.model_validate(values)


def distinct(batch: int, resolution: int = 12) -> Tensor:
    return torch.rand(batch, 3, resolution, resolution, generator=torch.Generator().manual_seed(5))


@given(iteration=st.integers(0, 10_000), seed=st.integers(0, 2**63 - 1))
def test_every_image_of_the_batch_has_the_same_view(iteration: int, seed: int) -> None:
    images = distinct(3)
    view = draw_view(recipe(), 12, seed, iteration)
    together = view.of(images)
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], view.of(images[index : index + 1]))
    assert torch.equal(view.of(images[:1].repeat(3, 1, 1, 1))[0], view.of(images[:1].repeat(3, 1, 1, 1))[2])


def test_a_view_depends_on_its_seed_and_iteration_alone() -> None:
    forwards = [draw_view(recipe(), 64, 9, iteration) for iteration in range(20)]
    backwards = [draw_view(recipe(), 64, 9, iteration) for iteration in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert len({str(view) for view in forwards}) == 20
    assert forwards[0] != draw_view(recipe(), 64, 10, 0)


def test_crop_flip_and_roll_are_torchvisions_in_the_releases_order() -> None:
    images = distinct(2)
    view = RecoveryView(Box(2, 3, 5, 7), flipped=True, roll=(-2, 3))
    cropped = V.resized_crop(images, 2, 3, 5, 7, [12, 12], antialias=False)
    expected = V.horizontal_flip(cropped).roll((-2, 3), dims=(2, 3))
    torch.testing.assert_close(view.of(images), expected)


@given(seed=st.integers(0, 2**32), iteration=st.integers(0, 100))
def test_antialiasing_would_change_nothing(seed: int, iteration: int) -> None:
    box = draw_view(recipe(), 12, seed, iteration).box
    assert box is not None
    smoothed = V.resized_crop(distinct(1), box.top, box.left, box.height, box.width, [12, 12], antialias=True)
    torch.testing.assert_close(RecoveryView(box, False, (0, 0)).of(distinct(1)), smoothed, atol=1e-5, rtol=0)


def test_boxes_stay_inside_and_cover_the_scales_and_ratios_asked_for() -> None:
    boxes = [draw_view(recipe(crop_scale=(0.2, 0.9)), 64, 1, iteration).box for iteration in range(2000)]
    shares, ratios = [], []
    for box in boxes:
        assert box is not None
        assert 0 <= box.top <= 64 - box.height and 0 <= box.left <= 64 - box.width
        shares.append(box.height * box.width / 64**2)
        ratios.append(box.width / box.height)
    assert 0.18 < min(shares) < 0.22 and 0.85 < max(shares) < 0.92
    assert 0.70 < min(ratios) < 0.78 and 1.28 < max(ratios) < 1.42


@pytest.mark.parametrize("roll", [(-4, 4), (0, 4), (0, 32), (0, 0)])
def test_the_roll_covers_its_range_and_no_more(roll: tuple[int, int]) -> None:
    rolls = [draw_view(recipe(roll=roll, crop="none"), 64, 1, iteration).roll for iteration in range(1500)]
    for axis in range(2):
        assert {drawn[axis] for drawn in rolls} == set(range(roll[0], roll[1] + 1))


def test_half_of_the_views_are_flipped_or_none() -> None:
    flipped = sum(draw_view(recipe(), 64, 3, iteration).flipped for iteration in range(1000))
    assert 430 < flipped < 570
    assert not any(draw_view(recipe(flip=False), 64, 3, iteration).flipped for iteration in range(100))


def test_without_crop_flip_and_roll_the_images_are_seen_as_they_are() -> None:
    images = distinct(2)
    view = draw_view(recipe(crop="none", flip=False, roll=(0, 0)), 12, 4, 7)
    assert view == RecoveryView(None, False, (0, 0))
    assert torch.equal(view.of(images), images)


@pytest.mark.parametrize("field", ["crop_scale", "crop_ratio", "roll"])
def test_a_range_that_falls_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=rf"{field}\n.*a range must rise"):
        recipe(**{field: (3, 1)})


def shares(curriculum: str, milestone: float = 1.0, iterations: int = 10) -> list[float]:
    of = recipe(curriculum=curriculum, milestone=milestone, iterations=iterations)
    return [smallest_share(of, iteration) for iteration in range(iterations)]


def test_the_cosine_curriculum_is_cdas() -> None:
    """CDA's release: .08 + .92 * (1 + cos(pi t / n)) / 2."""
    expected = [0.08 + 0.92 * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)]
    np.testing.assert_allclose(shares("cosine"), expected)
    assert expected[0] == 1.0 and expected[5] == 0.54


def test_the_linear_curriculum_falls_by_as_much_each_iteration() -> None:
    np.testing.assert_allclose(shares("linear"), np.linspace(1, 0.08, 11)[:10])


@pytest.mark.parametrize("curriculum", ["cosine", "linear", "step"])
def test_a_milestone_ends_the_fall_early(curriculum: str) -> None:
    found = shares(curriculum, milestone=0.4)
    assert found[0] == 1.0 and found[3] > 0.08
    assert found[4:] == [0.08] * 6
    if curriculum == "step":
        assert found[:4] == [1.0] * 4


@pytest.mark.parametrize("changes", [{}, {"curriculum": "none"}, {"curriculum": "cosine", "milestone": 0.0}])
def test_without_a_curriculum_the_views_are_those_of_the_stream_as_it_always_was(changes: dict[str, object]) -> None:
    of = recipe(**changes)
    for iteration in range(10):
        draws = seeds.counter(5, iteration)
        box = Box(*resized_boxes(draws, 1, 64, (0.08, 1.0), (3 / 4, 4 / 3))[0].tolist())
        flipped = bool(draws.random() < 0.5)
        down, right = draws.integers(-4, 4, size=2, endpoint=True)
        assert draw_view(of, 64, 5, iteration) == RecoveryView(box, flipped, (down, right))


def test_under_a_curriculum_crops_start_whole_and_grow_small() -> None:
    of = recipe(curriculum="cosine", iterations=400)
    views = [draw_view(of, 64, 2, iteration) for iteration in range(400)]
    areas = [view.box.height * view.box.width / 64**2 for view in views if view.box is not None]
    assert len(areas) == 400 and areas[0] == 1.0
    for iteration, area in enumerate(areas):
        assert area > smallest_share(of, iteration) - 0.03, "boxes are of whole pixels"
    assert min(areas[:100]) > 0.8 and min(areas[-100:]) < 0.25


def test_a_curriculum_without_crops_is_refused() -> None:
    with pytest.raises(ValueError, match="crop must be 'resized'"):
        recipe(curriculum="linear", crop="none")
