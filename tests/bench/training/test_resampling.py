"""Crops of a batch against torchvision, image by image."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from bench.training.augmentation.resampling import resample, resized_crops

BOXES = [(0, 0, 16, 16), (3, 5, 9, 4), (0, 12, 7, 4), (15, 15, 1, 1), (2, 0, 13, 16), (7, 1, 1, 12)]


def images(count: int, side: int = 16) -> torch.Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("antialias", [True, False])
def test_equals_torchvision_with_and_without_antialias(antialias: bool) -> None:
    batch = images(len(BOXES))
    ours = resample(batch, torch.tensor(BOXES))
    for image, box, got in zip(batch, BOXES, ours, strict=True):
        expected = tv.resized_crop(image, *box, [16, 16], InterpolationMode.BILINEAR, antialias=antialias)
        torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)


def test_the_whole_image_is_left_alone() -> None:
    batch = images(2)
    assert torch.equal(resample(batch, torch.tensor([[0, 0, 16, 16]] * 2)), batch)


def test_outside_the_image_is_zero() -> None:
    batch = images(1)
    moved = resample(batch, torch.tensor([[-2, 3, 16, 16]]))
    assert torch.equal(moved[:, :, 2:, :13], batch[:, :, :14, 3:])
    assert not moved[:, :, :2].any() and not moved[:, :, :, 13:].any()


@pytest.mark.parametrize("size", [5, 8, 16, 24])
def test_several_crops_of_an_image_equal_torchvisions(size: int) -> None:
    batch, boxes = images(2, 20), torch.tensor([BOXES, [(4, 3, *box[2:]) for box in BOXES]])
    got = resized_crops(batch, boxes, size)
    assert got.shape == (2, len(BOXES), 3, size, size)
    for index, image in enumerate(batch):
        for box, crop in zip(boxes[index].tolist(), got[index], strict=True):
            expected = tv.resized_crop(image, *box, [size, size], InterpolationMode.BILINEAR, antialias=True)
            torch.testing.assert_close(crop, expected, rtol=0, atol=2e-6)


def test_a_crop_of_its_own_size_is_the_pixels_themselves() -> None:
    batch = images(1)
    (crop,) = resized_crops(batch, torch.tensor([[[3, 5, 8, 8]]]), 8)[0]
    assert torch.equal(crop, batch[0, :, 3:11, 5:13])


def test_gradients_are_those_of_torchvision() -> None:
    ours, theirs = images(1).requires_grad_(), images(1).requires_grad_()
    weights = images(1).flip(2)
    torch.autograd.backward((resample(ours, torch.tensor([[3, 5, 9, 4]])) * weights).sum())
    cropped = tv.resized_crop(theirs, 3, 5, 9, 4, [16, 16], InterpolationMode.BILINEAR, antialias=True)
    (cropped * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-5)
