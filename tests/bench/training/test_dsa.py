"""DSA's families against slow, literal versions of their definitions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from bench.training.augmentation import dsa
from bench.training.augmentation.dsa import Augmentation
from bench.training.recipes import DSA_FAMILIES

ALL = "_".join(DSA_FAMILIES)


def batch(count: int = 3, side: int = 16) -> Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def applied(family: str, values: list[list[float]], images: Tensor) -> Tensor:
    return Augmentation(family, torch.tensor(values, dtype=torch.float32)).apply(images)


def test_color_is_brightness_then_saturation_then_contrast() -> None:
    image = batch(1)
    brighter = image + 0.25
    saturated = (brighter - brighter.mean(1, keepdim=True)) * 1.5 + brighter.mean(1, keepdim=True)
    expected = (saturated - saturated.mean()) * 0.5 + saturated.mean()
    torch.testing.assert_close(applied("color", [[0.25, 1.5, 0.5]], image), expected)


def test_crop_translates_and_pads_with_zeros() -> None:
    image = batch(1)
    moved = applied("crop", [[2, -1]], image)
    torch.testing.assert_close(moved[:, :, :14, 1:], image[:, :, 2:, :15])
    assert not moved[:, :, 14:].any() and not moved[:, :, :, :1].any()


@pytest.mark.parametrize(("centre", "rows", "columns"), [((8, 8), (4, 12), (4, 12)), ((0, 16), (0, 4), (12, 16))])
def test_cutout_is_half_a_side_and_clipped(
    centre: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    expected = batch(1)
    expected[:, :, rows[0] : rows[1], columns[0] : columns[1]] = 0
    assert torch.equal(applied("cutout", [list(centre)], batch(1)), expected)


def test_flip_is_per_image() -> None:
    images = batch(2)
    flipped = applied("flip", [[1], [0]], images)
    assert torch.equal(flipped[0], images[0].flip(2)) and torch.equal(flipped[1], images[1])


def test_rotate_turns_by_the_angle() -> None:
    image = batch(1).float()
    turned = applied("rotate", [[math.radians(10)]], image)
    expected = tv.rotate(image, 10, tv.InterpolationMode.BILINEAR)
    torch.testing.assert_close(turned[..., 5:11, 5:11], expected[..., 5:11, 5:11], rtol=0, atol=1e-4)


def test_scale_of_one_changes_nothing_and_two_axes_are_independent() -> None:
    image = batch(1)
    torch.testing.assert_close(applied("scale", [[1, 1]], image), image)
    ramp = torch.linspace(-1, 1, 17)[:-1].add(1 / 16).double().expand(1, 1, 16, 16)
    torch.testing.assert_close(applied("scale", [[0.5, 1.0]], ramp)[0, 0, 8, 4:12], ramp[0, 0, 8, 4:12] * 0.5)


@pytest.mark.parametrize(
    ("family", "low", "high"),
    [
        ("color", [-0.5, 0.0, 0.5], [0.5, 2.0, 1.5]),
        ("crop", [-2, -2], [2, 2]),
        ("cutout", [0, 0], [16, 16]),
        ("flip", [0], [1]),
        ("scale", [1 / 1.2] * 2, [1.2] * 2),
        ("rotate", [-math.radians(15)], [math.radians(15)]),
    ],
)
def test_parameters_fill_their_ranges(family: str, low: list[float], high: list[float]) -> None:
    values = dsa.draw(family, 4000, 16, np.random.default_rng(0)).values.double()
    low_, high_ = torch.tensor(low).double(), torch.tensor(high).double()
    assert (values >= low_ - 1e-6).all() and (values <= high_ + 1e-6).all()
    reach = 0.01 * (high_ - low_)
    assert (values.amin(0) <= low_ + reach).all() and (values.amax(0) >= high_ - reach).all()


def test_one_family_a_call_and_all_of_them_in_time() -> None:
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(DSA_FAMILIES, 0)
    for _ in range(600):
        counts[dsa.draw(ALL, 1, 8, rng).family] += 1
    assert all(60 < count < 140 for count in counts.values())


@pytest.mark.parametrize("family", DSA_FAMILIES)
def test_siamese_shares_the_first_images_parameters(family: str) -> None:
    own = dsa.draw(family, 3, 16, np.random.default_rng(1))
    shared = dsa.draw(family, 3, 16, np.random.default_rng(1), siamese=True)
    assert torch.equal(shared.values, own.values[:1])
    images = batch(5)
    together = shared.apply(images)
    for index in range(5):
        torch.testing.assert_close(together[index : index + 1], shared.apply(images[index : index + 1]))


@pytest.mark.parametrize("family", DSA_FAMILIES)
def test_gradients_flow_through(family: str) -> None:
    augmentation = dsa.draw(family, 2, 6, np.random.default_rng(2))
    images = batch(2, 6).requires_grad_()
    assert torch.autograd.gradcheck(augmentation.apply, (images,), eps=1e-5, atol=1e-4)
