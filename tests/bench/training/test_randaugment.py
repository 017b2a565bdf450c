"""RandAugment against timm's, and that it draws from its own stream."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment
from torch import Tensor
from torch.nn.functional import interpolate

from bench.data.datasets import Normalisation
from bench.training.augmentation.randaugment import OPERATIONS, TIMM, DrawnOperation, RandAugment, draw

timm: Any = auto_augment
FILL = [120.0, 110.0, 100.0]
NORMALISATION = Normalisation((120 / 255, 110 / 255, 100 / 255), (0.25, 0.2, 0.3))
SIZE = 32
# What PIL rounds or blends another way: brightness values of lookup tables, and the border of what is turned.
ROUNDED = {"autocontrast", "color", "contrast"}
TURNED = {"rotate", "shear-x", "shear-y", "translate-x", "translate-y"}


def smooth(count: int = 2, channels: int = 3, size: int = SIZE) -> Tensor:
    """uint8 images without sharp edges, in which resampling by neighbours differs by little."""
    coarse = torch.rand(count, channels, 5, 5, generator=torch.Generator().manual_seed(0))
    return (interpolate(coarse, size=(size, size), mode="bilinear") * 255).round().to(torch.uint8)


def by_timm(number: int, strength: float, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The operation at the same place of timm's list, on PIL images, bilinear."""
    name = timm._RAND_INCREASING_TRANSFORMS[number]
    monkeypatch.setattr(timm, "_randomly_negate", lambda value: value if strength > 0 else -value)
    level = timm.LEVEL_TO_ARG[name]
    arguments = level(10 * abs(strength), {}) if level else ()
    options = {"resample": Image.Resampling.BILINEAR, "fillcolor": tuple(map(int, FILL))}
    made = []
    for image in images:
        turned = timm.NAME_TO_OP[name](Image.fromarray(image.permute(1, 2, 0).numpy()), *arguments, **options)
        made.append(torch.from_numpy(np.asarray(turned).copy()).permute(2, 0, 1))
    return torch.stack(made)


@pytest.mark.parametrize("strength", [0.9, -0.9, 0.45, -0.1])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_timms_at_the_same_level(name: str, strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth()
    expected = by_timm(list(OPERATIONS).index(name), strength, images, monkeypatch).float()
    off = (OPERATIONS[name](images, strength, FILL).float() - expected).abs()
    if name in TURNED:
        assert off.mean() < 3, "pixels at the border of the image blend with what is filled in"
        assert off.median() <= 1
    else:
        assert off.max() <= (1 if name in ROUNDED else 0)


@pytest.mark.parametrize("strength", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_gray_images_and_the_ends_of_its_range(name: str, channels: int, strength: float) -> None:
    images = smooth(channels=channels, size=8)
    made = OPERATIONS[name](images, strength, FILL[:channels])
    assert made.shape == images.shape and made.dtype == torch.uint8


@pytest.mark.parametrize(
    "name", ["rotate", "shear-x", "shear-y", "translate-x", "translate-y", "solarize", "solarize-add", "brightness"]
)
def test_an_operation_without_strength_changes_nothing(name: str) -> None:
    images = smooth()
    assert torch.equal(OPERATIONS[name](images, 0.0, FILL), images)


def test_each_image_takes_its_own_operation_in_each_layer() -> None:
    names = list(OPERATIONS)
    strengths = tuple(0.5 for _ in names)
    first = DrawnOperation(
        torch.tensor([names.index("invert"), -1, names.index("brightness")]), torch.zeros(3).bool(), strengths
    )
    reversed_ = torch.tensor([False, False, True])
    second = DrawnOperation(
        torch.tensor([-1, names.index("solarize-add"), names.index("brightness")]), reversed_, strengths
    )
    images = smooth(3)
    pixels = NORMALISATION.apply(images)
    made = (NORMALISATION.invert(RandAugment((first, second), TIMM).apply(pixels, NORMALISATION)) * 255).round().int()
    assert torch.equal(made[0], 255 - images[0].int())
    assert torch.equal(made[1], torch.where(images[1] < 128, images[1] + 55, images[1]).int())
    brighter = (images[2].float() * 1.45).clamp(0, 255).floor()
    torch.testing.assert_close(made[2].float(), (brighter * 0.55).floor(), atol=1, rtol=0)
    torch.testing.assert_close(pixels, NORMALISATION.apply(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted({*TURNED, "sharpness"}))
def test_constants_that_are_sent_leave_the_pixels_as_they_are(name: str) -> None:
    images, number = smooth(), list(OPERATIONS).index(name)
    layer = DrawnOperation(torch.tensor([number] * 2), torch.tensor([True] * 2), tuple(0.7 for _ in OPERATIONS))
    made = NORMALISATION.invert(RandAugment((layer,), TIMM).apply(NORMALISATION.apply(images), NORMALISATION))
    assert torch.equal((made * 255).round().to(torch.uint8), OPERATIONS[name](images, -0.7, FILL))


def test_what_a_shift_leaves_free_has_the_mean_colour() -> None:
    names = list(OPERATIONS)
    layer = DrawnOperation(torch.tensor([names.index("translate-x")]), torch.tensor([False]), tuple(1.0 for _ in names))
    made = RandAugment((layer,), TIMM).apply(NORMALISATION.apply(smooth(1)), NORMALISATION)
    torch.testing.assert_close(made[..., -10:], torch.zeros(1, 3, SIZE, 10), atol=1e-5, rtol=0)


def test_half_of_the_images_take_an_operation_and_all_operations_are_as_likely() -> None:
    drawn = draw(9, 20_000, np.random.default_rng(0))
    for layer in drawn.layers:
        counts = Counter(layer.chosen.tolist())
        assert 9_700 < counts.pop(-1) < 10_300
        assert set(counts) == set(range(15))
        assert all(560 < count < 780 for count in counts.values())
        assert 9_700 < int(layer.reversed.sum()) < 10_300


def test_levels_spread_about_the_magnitude_and_stay_in_range() -> None:
    levels = np.array([[layer.strengths for layer in draw(5, 1, np.random.default_rng(s)).layers] for s in range(300)])
    assert abs(levels.mean() - 0.5) < 0.005 and abs(levels.std() - 0.05) < 0.003
    high = np.array([layer.strengths for layer in draw(10, 1, np.random.default_rng(0)).layers])
    assert high.max() == 1.0


def test_it_draws_from_the_generator_it_is_given_alone() -> None:
    before = torch.get_rng_state()
    first, again = (draw(9, 64, np.random.default_rng(3)) for _ in range(2))
    images = NORMALISATION.apply(smooth(64, size=8))
    assert torch.equal(first.apply(images, NORMALISATION), again.apply(images, NORMALISATION))
    assert torch.equal(before, torch.get_rng_state())
