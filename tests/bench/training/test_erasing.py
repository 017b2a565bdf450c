"""Random erasing: boxes by timm's rule, noise inside them and nothing outside."""

import numpy as np
import torch

from bench.training.augmentation.erasing import Erasing, draw


def test_a_box_is_noise_and_the_rest_is_as_it_was() -> None:
    images = torch.full((3, 2, 16, 16), 7.0)
    boxes = torch.tensor([[2, 3, 5, 9], [0, 0, 0, 4], [15, 0, 1, 16]])
    made = Erasing(boxes, seed=1).apply(images)
    for image, (top, left, height, width) in zip(made, boxes.tolist(), strict=True):
        inside = torch.zeros(16, 16, dtype=torch.bool)
        inside[top : top + height, left : left + width] = True
        assert torch.equal(image != 7.0, inside.expand(2, 16, 16))
    assert (images == 7.0).all()


def test_the_noise_is_standard_normal_and_of_its_seed() -> None:
    whole = torch.tensor([[0, 0, 64, 64]])
    made = Erasing(whole, seed=1).apply(torch.zeros(1, 3, 64, 64))
    assert abs(float(made.mean())) < 0.03 and abs(float(made.std()) - 1) < 0.03
    assert torch.equal(made, Erasing(whole, seed=1).apply(torch.ones(1, 3, 64, 64)))
    assert not torch.equal(made, Erasing(whole, seed=2).apply(torch.zeros(1, 3, 64, 64)))


def test_boxes_have_the_areas_and_ratios_of_the_paper() -> None:
    boxes = draw(0.25, 20_000, 64, np.random.default_rng(0)).boxes
    top, left, height, width = boxes[boxes[:, 2] > 0].unbind(1)
    assert 4_700 < len(height) < 5_300, "a quarter of the images"
    assert ((top >= 0) & (left >= 0) & (top + height <= 64) & (left + width <= 64)).all()
    areas, ratios = height * width / 64**2, height / width
    assert 0.018 < areas.min() < 0.022 and 0.32 < areas.max() < 0.35
    assert 0.25 < ratios.min() < 0.33 and 3.0 < ratios.max() < 4.0
    assert abs(float(areas.mean()) - 0.1767) < 0.005, "uniform in area"
    assert abs(float(ratios.log().mean())) < 0.03, "as often tall as wide"


def test_all_or_none_are_erased_as_asked() -> None:
    assert (draw(1.0, 500, 32, np.random.default_rng(0)).boxes[:, 2] > 0).all()
    never = draw(0.0, 500, 32, np.random.default_rng(0))
    images = torch.randn(500, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(never.apply(images), images)
