"""Views: a function of seed, epoch, batch and recipe alone, drawn by the field's rules."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from bench import seeds
from bench.data.datasets import Normalisation
from bench.training.recipes import TrainingRecipe
from bench.training.views import BatchView, Mix, Views, apply, cutmix_box, resized_boxes


def recipe(**changes: object) -> TrainingRecipe:
    fields = {"epochs": 3, "batch_size": 4, "lr": 0.1, "weight_decay": 0, **changes}
    return TrainingRecipe.model_validate(fields)


EVERYTHING = {"crop": "resized", "flip": True, "dsa": "color_crop", "mix": "cutmix", "shuffle_patches": 2}


def images(count: int = 4, side: int = 16) -> torch.Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(0))


def test_a_view_needs_none_before_it() -> None:
    forward, backward = (Views(recipe(**EVERYTHING), 7, 10, 16) for _ in range(2))
    positions = [(epoch, batch) for epoch in range(3) for batch in range(3)]
    seen = {position: forward.at(*position) for position in positions}
    for position in reversed(positions):
        again = backward.at(*position)
        assert torch.equal(again.indices, seen[position].indices)
        batch = images(len(again))
        assert torch.equal(apply(again, batch), apply(seen[position], batch))


def test_views_differ_over_epochs_batches_and_seeds() -> None:
    views = Views(recipe(**EVERYTHING), 7, 8, 16)
    boxes = [views.at(*position).boxes for position in ((0, 0), (0, 1), (1, 0))]
    boxes.append(Views(recipe(**EVERYTHING), 8, 8, 16).at(0, 0).boxes)
    assert len({str(box) for box in boxes}) == 4


def test_switching_one_draw_on_leaves_the_others_alone() -> None:
    plain, more = Views(recipe(crop="resized"), 3, 8, 16).at(1, 1), Views(recipe(**EVERYTHING), 3, 8, 16).at(1, 1)
    assert plain.boxes is not None and more.boxes is not None
    assert torch.equal(plain.boxes, more.boxes) and torch.equal(plain.indices, more.indices)


@pytest.mark.parametrize(
    ("count", "size", "drop_last", "batches"),
    [(10, 4, False, [4, 4, 2]), (10, 4, True, [4, 4]), (9, 4, False, [4, 5]), (3, 4, True, [3]), (1, 4, False, [1])],
)
def test_batches_cover_an_epoch(count: int, size: int, drop_last: bool, batches: list[int]) -> None:
    views = Views(recipe(batch_size=size, drop_last=drop_last), 0, count, 8)
    epoch = [views.at(0, batch) for batch in range(views.batches)]
    assert [len(view) for view in epoch] == batches and views.presented == sum(batches)
    presented = torch.cat([view.indices for view in epoch])
    assert len(presented.unique()) == len(presented) == views.presented
    assert [view.start for view in epoch] == [sum(batches[:index]) for index in range(len(batches))]


def literal_box(areas: np.ndarray, aspects: np.ndarray, size: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width by RandomResizedCrop.get_params of torchvision, one image, given its uniform draws."""
    for area, aspect in zip(areas, aspects, strict=True):
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= size and 0 < height <= size:
            return height, width
    if ratio[0] > 1:
        return round(size / ratio[0]), size
    return (size, round(size * ratio[1])) if ratio[1] < 1 else (size, size)


@pytest.mark.parametrize(
    ("scale", "ratio"),
    [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.9, 1.0), (1.4, 1.5)), ((0.9, 1.0), (0.6, 0.7)), ((1.5, 2.0), (0.9, 1.1))],
)
def test_boxes_follow_torchvisions_rule(scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    size, count = 32, 200
    boxes = resized_boxes(np.random.default_rng(5), count, size, scale, ratio)
    rng = np.random.default_rng(5)
    areas = size**2 * rng.uniform(*scale, (count, 10))
    aspects = np.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]), (count, 10)))
    for box, area, aspect in zip(boxes.tolist(), areas, aspects, strict=True):
        top, left, height, width = box
        assert (height, width) == literal_box(area, aspect, size, ratio)
        assert 0 <= top <= size - height and 0 <= left <= size - width


def test_boxes_reach_every_corner() -> None:
    boxes = resized_boxes(np.random.default_rng(0), 4000, 16, (0.08, 0.3), (3 / 4, 4 / 3))
    top, left, height, width = boxes.unbind(1)
    assert int(top.min()) == int(left.min()) == 0
    assert int((top + height).max()) == int((left + width).max()) == 16


def test_cropped_and_flipped_equals_torchvision() -> None:
    batch = images()
    boxes = torch.tensor([[0, 0, 16, 16], [2, 3, 5, 9], [4, 0, 12, 6], [10, 10, 6, 6]])
    flips = torch.tensor([True, False, True, False])
    got = apply(BatchView(0, 0, torch.arange(4), boxes=boxes, flips=flips), batch)
    for index in range(4):
        expected = tv.resized_crop(batch[index], *boxes[index].tolist(), [16, 16], antialias=True)
        expected = tv.horizontal_flip(expected) if flips[index] else expected
        torch.testing.assert_close(got[index], expected, rtol=0, atol=2e-6)


def test_half_of_the_images_are_flipped() -> None:
    flips = Views(recipe(flip=True, batch_size=4000), 0, 4000, 16).at(0, 0).flips
    assert flips is not None and abs(flips.float().mean().item() - 0.5) < 0.03, "the deviation is 0.008"


def moved_blocks(image: torch.Tensor, order: list[int], dim: int) -> torch.Tensor:
    """The image with its blocks along a dimension in another order, by cutting and joining."""
    size, count = image.shape[dim] // len(order), len(order)
    cuts = [size] * (count - 1) + [image.shape[dim] - size * (count - 1)]
    blocks = image.split(cuts, dim)
    return torch.cat([blocks[index] for index in order], dim)


@pytest.mark.parametrize(("patches", "side"), [(2, 16), (4, 16), (3, 16), (3, 10)])
def test_patches_change_places_by_rows_and_columns(patches: int, side: int) -> None:
    """Every image shows one of the arrangements that cutting and joining gives, and each image one of its own."""
    orders = [list(order) for order in itertools.permutations(range(patches))]
    batch, seen = images(8, side), set()
    after = apply(Views(recipe(shuffle_patches=patches, batch_size=8), 1, 8, side).at(0, 0), batch)
    for image, got in zip(batch, after, strict=True):
        wide = [moved_blocks(image, columns, 2) for columns in orders]
        found = [
            (rows, columns)
            for columns, moved in enumerate(wide)
            for rows, order in enumerate(orders)
            if torch.equal(moved_blocks(moved, order, 1), got)
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 1


def test_every_arrangement_of_patches_is_as_likely() -> None:
    views = Views(recipe(shuffle_patches=2, batch_size=400), 0, 400, 4)
    shuffles = torch.cat([view.shuffles for epoch in range(4) if (view := views.at(epoch, 0)).shuffles is not None])
    _, counts = shuffles.flatten(1).unique(dim=0, return_counts=True)
    assert len(counts) == 4 and all(340 < count < 460 for count in counts.tolist()), "400 expected, deviation 17"


def test_patches_are_shuffled_before_the_crop() -> None:
    view = Views(recipe(shuffle_patches=2, crop="resized"), 3, 4, 16).at(0, 0)
    batch = images()
    shuffled = apply(replace(view, boxes=None), batch)
    assert torch.equal(apply(view, batch), apply(replace(view, shuffles=None), shuffled))
    assert torch.equal(batch, images())


def test_padded_crops_pad_with_black() -> None:
    batch, black = images(), torch.tensor([-1.0, -2.0, -3.0]).view(3, 1, 1)
    view = Views(recipe(crop="padded", pad=4), 1, 4, 16).at(0, 0)
    assert view.boxes is not None
    got = apply(view, batch, black)
    for index, (top, left, _, _) in enumerate(view.boxes.tolist()):
        padded = black.expand(3, 24, 24).clone()
        padded[:, 4:20, 4:20] = batch[index]
        expected = padded[:, 4 + top : 20 + top, 4 + left : 20 + left]
        torch.testing.assert_close(got[index], expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="black"):
        apply(view, batch)


def test_padded_crops_lie_anywhere_within_the_padding() -> None:
    boxes = Views(recipe(crop="padded", pad=4, batch_size=2000), 0, 2000, 16).at(0, 0).boxes
    assert boxes is not None
    top, left, height, width = (set(side.tolist()) for side in boxes.unbind(1))
    assert top == left == set(range(-4, 5))
    assert height == width == {16}


def test_an_image_is_flipped_then_augmented_and_jittered_last() -> None:
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    batch = normalisation.apply((images().sigmoid() * 255).to(torch.uint8))
    view = Views(recipe(flip=True, dsa="crop", jitter=0.4, lighting=0.1), 2, 4, 16).at(0, 0)
    assert view.flips is not None and view.augmentation is not None and view.jitter is not None
    pairs = zip(batch, view.flips, strict=True)
    flipped = torch.stack([tv.horizontal_flip(each) if flip else each for each, flip in pairs])
    expected = view.jitter.apply(view.augmentation.apply(flipped), normalisation)
    assert torch.equal(apply(view, batch, preprocessing=normalisation), expected)


def test_cutmix_pastes_the_partners_box_and_lambda_is_its_real_area() -> None:
    for batch in range(8):
        view = Views(recipe(mix="cutmix"), 0, 40, 16).at(0, batch)
        assert view.mix is not None and view.mix.box is not None
        top, bottom, left, right = view.mix.box
        assert view.mix.share == 1 - (bottom - top) * (right - left) / 256
        before = images()
        after = apply(view, before)
        inside = torch.zeros(16, 16, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        assert torch.equal(after, torch.where(inside, before[view.mix.permutation], before))
        assert torch.equal(before, images())


def test_cutmix_boxes_have_the_area_asked_for_away_from_the_border() -> None:
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(500):
        top, bottom, left, right = cutmix_box(rng, 32, 0.75)
        assert 0 <= top <= bottom <= 32 and 0 <= left <= right <= 32
        areas.append((bottom - top) * (right - left))
    assert max(areas) == 16 * 16 and min(areas) < 16 * 16


def test_mixup_blends_with_lambda() -> None:
    mix = Mix(torch.tensor([1, 0, 3, 2]), 0.3, None)
    batch = images()
    expected = 0.3 * batch + 0.7 * batch[[1, 0, 3, 2]]
    torch.testing.assert_close(apply(BatchView(0, 0, torch.arange(4), mix=mix), batch), expected)


def test_mixing_happens_as_often_as_asked() -> None:
    views = Views(recipe(mix="mixup", mix_alpha=0.8, mix_probability=0.25), 0, 4, 8)
    mixed = sum(views.at(epoch, 0).mix is not None for epoch in range(800))
    assert 150 < mixed < 250


def test_an_unknown_dsa_family_is_refused() -> None:
    with pytest.raises(ValueError, match="families of color, crop"):
        recipe(dsa="color_blur")


DEIT = {"randaugment": 9, "erasing": 0.25, "mix": "switch"}


def test_what_deit_adds_is_off_unless_asked_for_and_leaves_other_draws_alone() -> None:
    plain, more = Views(recipe(**EVERYTHING), 3, 8, 16).at(1, 1), Views(recipe(**EVERYTHING | DEIT), 3, 8, 16).at(1, 1)
    assert plain.randaugment is None and plain.erasing is None
    assert more.randaugment is not None and more.erasing is not None
    assert plain.boxes is not None and more.boxes is not None and plain.flips is not None and more.flips is not None
    assert torch.equal(plain.boxes, more.boxes) and torch.equal(plain.flips, more.flips)


@pytest.mark.parametrize("mix", ["cutmix", "mixup"])
def test_a_mix_draws_its_partners_then_lambda_from_its_own_stream(mix: str) -> None:
    """The order in which it always drew: labels stored for a recipe's views stay theirs."""
    found = Views(recipe(mix=mix, mix_alpha=0.8), 11, 8, 16).at(2, 1).mix
    rng = seeds.counter(11, 2, 1, 4)
    rng.random()
    partners, share = rng.permutation(4), float(rng.beta(0.8, 0.8))
    assert found is not None and found.permutation.tolist() == partners.tolist()
    if mix == "mixup":
        assert found.share == share
    else:
        assert found.box == cutmix_box(rng, 16, share)


def test_a_switch_is_cutmix_or_mixup_by_a_coin_each_with_its_own_lambda() -> None:
    views = Views(recipe(mix="switch", mix_alpha=1.0, mixup_alpha=0.05), 0, 4, 8)
    mixes = [view.mix for view in (views.at(epoch, 0) for epoch in range(800)) if view.mix is not None]
    blended = [mix.share for mix in mixes if mix.box is None]
    assert len(mixes) == 800
    assert 340 < len(blended) < 460
    assert sum(0.1 < share < 0.9 for share in blended) < 100, "Beta(0.05, 0.05) is nearly 0 or 1"


def test_randaugment_acts_on_pixels_before_the_mix_and_erasing_on_what_it_made() -> None:
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    batch = normalisation.apply((images().sigmoid() * 255).to(torch.uint8))
    view = Views(recipe(**DEIT), 1, 4, 16).at(0, 0)
    assert view.randaugment is not None and view.erasing is not None and view.mix is not None
    expected = view.erasing.apply(view.randaugment.apply(batch, normalisation))
    expected = apply(BatchView(0, 0, view.indices, mix=view.mix), expected)
    assert torch.equal(apply(view, batch, preprocessing=normalisation), expected)
    assert not torch.equal(expected, apply(BatchView(0, 0, view.indices, mix=view.mix), batch))
    with pytest.raises(ValueError, match="pixels"):
        apply(view, batch)
