"""Jitter and lighting against a literal version, image by image."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.datasets import Normalisation
from bench.training.augmentation import jitter
from bench.training.augmentation.jitter import Jitter
from bench.training.recipes import TrainingRecipe
from bench.training.views import Views, apply

CONSTANTS = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def pixels(count: int = 6) -> Tensor:
    return torch.rand((count, 3, 8, 8), generator=torch.Generator().manual_seed(0))


def seen(pixels: Tensor) -> Tensor:
    return CONSTANTS.apply(pixels * 255)


def literal(image: Tensor, order: list[int], shares: list[float], light: Tensor) -> Tensor:
    """One image in [0, 1]: brightness (0) towards black, contrast (1) to its mean gray, saturation (2) to its gray."""
    for which in order:
        gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        target = [torch.zeros_like(gray), torch.full_like(gray, float(gray.mean())), gray][which]
        image = image + shares[which] * (target.expand(3, -1, -1) - image)
    return image + light[:, None, None]


def test_each_image_has_its_own_order_shares_and_light() -> None:
    drawn = jitter.draw(0.4, 0.1, 6, np.random.default_rng(0))
    assert len({tuple(order) for order in drawn.orders.tolist()}) > 1
    found = CONSTANTS.invert(drawn.apply(seen(pixels()), CONSTANTS))
    for index in range(6):
        order, shares = drawn.orders[index].tolist(), drawn.shares[index].tolist()
        expected = literal(pixels()[index], order, shares, drawn.lights[index])
        torch.testing.assert_close(found[index], expected, rtol=0, atol=1e-5)


def test_draws_fill_their_ranges_and_lights_are_along_the_components() -> None:
    """Of ImageNet's colours, with variances 0.2175, 0.0188 and 0.0045: each of red, green and blue below."""
    drawn = jitter.draw(0.4, 0.1, 4000, np.random.default_rng(0))
    assert (
        (drawn.shares.abs() <= 0.4).all()
        and (drawn.shares.amax(0) > 0.39).all()
        and (drawn.shares.amin(0) < -0.39).all()
    )
    components = torch.tensor(
        [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]]  # near gray; red to blue
    )
    along = drawn.lights @ components.T  # they are orthonormal
    torch.testing.assert_close(along.std(0), torch.tensor([0.02175, 0.00188, 0.00045]), rtol=0.05, atol=0)
    assert torch.bincount(drawn.orders[:, 0]).tolist() == pytest.approx([4000 / 3] * 3, rel=0.1)


def test_nothing_drawn_changes_nothing_and_gray_images_have_no_lights() -> None:
    nothing = Jitter(torch.arange(3).expand(6, 3), torch.zeros(6, 3), torch.zeros(6, 3))
    torch.testing.assert_close(nothing.apply(seen(pixels()), CONSTANTS), seen(pixels()), rtol=0, atol=1e-5)
    gray, one = Normalisation((0.5,), (0.2,)), jitter.draw(0.0, 5.0, 6, np.random.default_rng(0))
    images = gray.apply(pixels()[:, :1] * 255)
    torch.testing.assert_close(one.apply(images, gray), images, rtol=0, atol=1e-5)


def test_a_recipe_asks_for_it() -> None:
    common = {"epochs": 1, "batch_size": 6, "lr": 0.1, "weight_decay": 0.0}
    plain, jittered = TrainingRecipe(**common), TrainingRecipe(**common, jitter=0.4, lighting=0.1)  # type: ignore[arg-type]
    assert not {"jitter", "lighting"} & set(plain.model_dump())
    view = Views(jittered, 5, 6, 8).at(0, 0)
    assert view.jitter is not None and Views(plain, 5, 6, 8).at(0, 0).jitter is None
    assert torch.equal(apply(view, seen(pixels()), None, CONSTANTS), view.jitter.apply(seen(pixels()), CONSTANTS))
    with pytest.raises(ValueError, match="jitter"):
        apply(view, seen(pixels()))
