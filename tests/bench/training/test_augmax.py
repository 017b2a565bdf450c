"""FRePo's augmentation: what each family does, and what it may draw."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training.augmentation import augmax
from bench.training.augmentation.augmax import Augmentation, draw
from bench.training.recipes import AUGMAX_FAMILIES, TrainingRecipe
from bench.training.views import Views

SIDE = 16


def images(count: int = 3) -> Tensor:
    return torch.randn((count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))


def drawn(family: str, count: int = 4000) -> Tensor:
    return draw(family, count, SIDE, np.random.default_rng(0)).values


def test_a_batch_draws_one_family_and_an_image_its_own_values() -> None:
    families = "_".join(AUGMAX_FAMILIES)
    found = [draw(families, 5, SIDE, np.random.default_rng(seed)) for seed in range(200)]
    assert {each.family for each in found} == set(AUGMAX_FAMILIES)
    assert all(len(each.values) == 5 for each in found)


@pytest.mark.parametrize(
    ("family", "neutral"),
    [("crop", [1.0, 0, 0]), ("rotate", [0.0]), ("translate", [0.0, 0]), ("color", [0.0, 1, 1]), ("flip", [0.0])],
)
def test_nothing_drawn_is_nothing_done(family: str, neutral: list[float]) -> None:
    assert torch.allclose(Augmentation(family, torch.tensor([neutral])).apply(images()), images(), atol=1e-4)


def test_what_is_moved_out_leaves_the_edge_repeated() -> None:
    moved = Augmentation("translate", torch.tensor([[2 / SIDE, 0.0]])).apply(images())
    expected = F.pad(images()[..., 2:], (0, 2, 0, 0), mode="replicate")
    assert torch.allclose(moved, expected, atol=1e-4)
    half = Augmentation("translate", torch.tensor([[0.0, 0.5 / SIDE]])).apply(images())
    between = (images()[:, :, :-1] + images()[:, :, 1:]) / 2
    assert torch.allclose(half[:, :, :-1], between, atol=1e-4)


def test_a_zoom_of_two_shows_the_middle() -> None:
    ramp = torch.arange(SIDE, dtype=torch.float32).expand(1, 3, SIDE, SIDE)
    middle = (SIDE - 1) / 2
    shown = Augmentation("crop", torch.tensor([[2.0, 0.25, 0.0]])).apply(ramp)
    expected = (ramp - middle) / 2 + middle + SIDE / 4
    assert torch.allclose(shown, expected.clamp(max=SIDE - 1), atol=1e-4)


def test_a_quarter_turn_turns() -> None:
    turned = Augmentation("rotate", torch.tensor([[math.pi / 2]])).apply(images())
    assert torch.allclose(turned, images().rot90(1, (2, 3)), atol=1e-4)


def test_colours_are_brightness_then_contrast_then_saturation() -> None:
    found = Augmentation("color", torch.tensor([[0.2, 1.2, 0.8]])).apply(images())
    bright = images() + 0.2
    mean = bright.mean((1, 2, 3), keepdim=True)
    contrasted = (bright - mean) * 1.2 + mean
    grey = contrasted.mean(1, keepdim=True)
    assert torch.allclose(found, (contrasted - grey) * 0.8 + grey, atol=1e-5)


def test_a_square_of_a_quarter_is_cut_out_wholly_inside() -> None:
    values = drawn("cutout")
    assert (int(values.min()), int(values.max())) == (0, SIDE - SIDE // 4)
    black = Augmentation("cutout", values[:50]).apply(torch.ones(50, 3, SIDE, SIDE)) == 0
    assert (black.sum((1, 2, 3)) == 3 * (SIDE // 4) ** 2).all()


def test_draws_have_the_releases_ranges() -> None:
    zoom, moved = drawn("crop").split([1, 2], dim=1)
    assert 0.8 <= float(zoom.min()) < 0.81 and 1.24 < float(zoom.max()) <= 1.25
    assert float(zoom.log().mean()) == pytest.approx(0, abs=0.01)
    assert ((moved * zoom).abs() <= (zoom - 1).abs() / 2 + 1e-6).all()
    assert float(drawn("rotate").abs().max()) == pytest.approx(math.radians(15), rel=0.01)
    assert float(drawn("translate").abs().max()) == pytest.approx(1 / 8, rel=0.01)
    brightness, *scales = drawn("color").unbind(1)
    assert float(brightness.abs().max()) == pytest.approx(0.25, rel=0.01)
    assert all(float(scale.log().abs().max()) == pytest.approx(0.25, rel=0.01) for scale in scales)
    assert float(drawn("flip").mean()) == pytest.approx(0.5, abs=0.03)


def test_views_show_it_and_recipes_take_one_of_the_two() -> None:
    recipe = TrainingRecipe(epochs=1, batch_size=4, lr=0.1, weight_decay=0, augmax="rotate")
    view = Views(recipe, 0, 4, SIDE).at(0, 0)
    assert isinstance(view.augmentation, augmax.Augmentation) and view.augmentation.family == "rotate"
    with pytest.raises(ValueError, match="two ways to augment"):
        TrainingRecipe(**recipe.model_dump() | {"dsa": "flip"})
    with pytest.raises(ValueError, match="joins families of flip, color"):
        TrainingRecipe(**recipe.model_dump() | {"augmax": "scale"})
