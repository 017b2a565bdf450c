"""The images that methods with a pool set out from: real ones, tiles, patches."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pool_methods import ALONE, batches, method
from reals import places_of, training_images
from torch import nn

from bench import seeds
from bench.condensation import Task
from bench.data.datasets import Split
from bench.errors import UsageError
from bench.testing import tiny_dataset, tiny_task
from bench_statistics.starts import (
    Members,
    StartName,
    images_needed,
    medium,
    medium_images,
    mirrored_by_chance,
    patches,
    real_images,
    start_from,
    tiles,
)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3)


def all_of(label: int, ipc: int = 3) -> Members:
    """The images of a class."""
    return tuple((label, number) for number in range(ipc))


def test_real_starts_are_training_images_of_the_class_each_another(task: Task) -> None:
    start = real_images(task)
    everything = training_images(task)
    for label in range(3):
        assert len(set(places_of(start(all_of(label)), everything[task.dataset.train.labels == label]))) == 3
    small = real_images(replace(task, ipc=2))
    assert torch.equal(small(all_of(1, 2)), start(all_of(1))[:2])


@pytest.mark.parametrize(("name", "read"), [("real", 1), ("medium", 1), ("tiles", 4), ("patches", 1)])
def test_a_batch_reads_what_its_own_images_start_from_and_gets_the_bytes_of_whole_classes(
    task: Task, name: StartName, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a class's images or crops are chosen. `read` is how many training images one start is made of."""
    start = start_from(name, task, Brightest())
    assert start is not None
    whole = {label: start(all_of(label)) for label in range(3)}
    taken: list[int] = []
    split, take = type(task.dataset.train), type(task.dataset.train).take

    def counted(own: Split, indices: torch.Tensor) -> torch.Tensor:
        taken.append(len(indices))
        return take(own, indices)

    monkeypatch.setattr(split, "take", counted)
    for batch in [((0, 2), (1, 2), (2, 2)), ((2, 1), (0, 0), (2, 0)), ((1, 1),)]:
        taken.clear()
        found = start(batch)
        assert sum(taken) == read * len(batch)
        assert torch.equal(found, torch.stack([whole[label][number] for label, number in batch]))


def test_half_of_the_starts_are_mirrored_whatever_batch_they_are_in(task: Task) -> None:
    images = torch.arange(8.0).expand(400, 1, 8, 8)
    places = tuple((0, number) for number in range(400))
    shown = mirrored_by_chance(task, images, places)
    flipped = shown[:, 0, 0, 0] == 7
    assert 150 < int(flipped.sum()) < 250
    assert torch.equal(mirrored_by_chance(task, images[:5], places[20:25]), shown[20:25])


class Brightest(nn.Module):
    """Takes bright images for the first class, with more certainty the brighter they are."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images.mean((1, 2, 3)), torch.zeros(len(images)), torch.zeros(len(images))], 1)


def test_tiles_are_the_easiest_crops_of_the_easiest_images_four_to_an_image(task: Task) -> None:
    found = tiles(replace(task, ipc=2), Brightest())(all_of(0, 2))
    assert found.shape == (2, 3, 8, 8)
    patches = [found[..., top : top + 4, left : left + 4] for top in (0, 4) for left in (0, 4)]
    brightness = torch.stack([each.mean((1, 2, 3)) for each in patches], 1).flatten()
    assert torch.equal(brightness, brightness.sort(descending=True).values)  # in rows, the first image first
    own = training_images(task)[task.dataset.train.labels == 0]
    assert brightness.min() > own.mean()


@pytest.mark.parametrize(("count", "order"), [(1, [0]), (2, [1, 0]), (3, [2, 1, 0]), (6, [3, 4, 2, 5, 1, 0])])
def test_medium_goes_from_the_median_outwards(count: int, order: list[int]) -> None:
    """DELT's code: hardest first, from place ceil(n / 2) by 0, +1, -1, +2, -2, ...; it fails where those run out."""
    losses = torch.arange(count, 0, -1).float()  # the first is the hardest
    assert medium(losses).tolist() == order
    shuffled = torch.randperm(count, generator=seeds.generator("shuffled", count))
    assert shuffled[medium(losses[shuffled])].tolist() == order


def test_medium_images_are_those_around_the_median(task: Task) -> None:
    found = medium_images(task, Brightest())(all_of(0))
    own = training_images(task)[task.dataset.train.labels == 0]
    by_hardness = own[own.mean((1, 2, 3)).argsort()]  # the darkest are the hardest
    middle = -(-len(own) // 2)
    torch.testing.assert_close(found, by_hardness[[middle, middle + 1, middle - 1]])


def test_patches_are_single_crops_of_medium_difficulty_whichever_batch_asks_first(task: Task) -> None:
    start = patches(task, Brightest())
    found = start(all_of(0))
    assert found.shape == (3, 3, 8, 8) and torch.equal(start(all_of(0)), found)
    everything = training_images(task)
    own = everything[task.dataset.train.labels == 0].mean((1, 2, 3))
    brightness, easy = found.mean((1, 2, 3)), tiles(task, Brightest())(all_of(0)).mean((1, 2, 3))
    assert own.min() < brightness.min() and brightness.max() < easy.max()
    assert not any(torch.allclose(patch, image) for patch in found for image in everything)


@pytest.mark.parametrize("batched", ["recover.batch_size=3", "recover.order=image-major"])
def test_each_batch_has_a_seed_of_its_own_whatever_is_recovered_beside_it(task: Task, batched: str) -> None:
    """Three batches which differ in the class of their images alone, or in the number within it alone."""
    found = []
    for groups in (1, 2):
        made = method("edc", task, batched, "recover.start=noise", f"recover.groups={groups}")
        made._start = None
        found.append({members: made._batch(task, members).seed for members in batches(made.units(task))})
    assert found[0] == found[1] and len(found[0]) == 3
    assert len(set(found[0].values())) == 3


@pytest.mark.parametrize("mirrored", [True, False])
def test_batches_start_mirrored_by_chance_where_that_is_asked_for(task: Task, mirrored: bool) -> None:
    made = method("edc", task, "recover.start=real", f"recover.start_mirrored={str(mirrored).lower()}")
    made._start = real_images(task)
    changed = []
    for members in batches(made.units(task)):
        plain, found = real_images(task)(members), made._batch(task, members).start
        expected = mirrored_by_chance(task, plain, members) if mirrored else plain
        assert found is not None and torch.equal(found, expected)
        changed += (found != plain).flatten(1).any(1).tolist()
    assert any(changed) == mirrored and not all(changed)


@pytest.mark.parametrize(
    ("name", "ipc", "needed"),
    [("tiles", 3, 3), ("tiles", 63, 63), ("tiles", 65, 128), ("patches", 5, 2), ("patches", 257, 128), ("real", 5, 5)],
)
def test_so_many_training_images_are_enough_to_start_from_and_no_fewer(
    name: StartName, ipc: int, needed: int, tmp_path: Path
) -> None:
    assert images_needed(name, ipc) == needed

    def started(per_class: int) -> int:
        here = tiny_task(tmp_path, dataset=tiny_dataset(per_class=per_class, channels=3, resolution=4), ipc=ipc)
        start = start_from(name, here, Brightest())
        assert start is not None
        return len(start(all_of(0, ipc)))

    assert started(needed) == ipc
    with pytest.raises(UsageError, match="fewer than the"):
        started(needed - 1)


def test_crops_that_no_class_gives_are_refused(task: Task) -> None:
    """Of 300 candidates four whole groups of 64, four crops of each image: 1,024 patches, and 256 tiled images."""
    assert (images_needed("patches", 1024), images_needed("tiles", 256), images_needed("noise", 9999)) == (256, 256, 0)
    with pytest.raises(
        UsageError, match=r"^tiles start at most 256 images of a class, and --ipc is 257; --set recover"
    ):
        method("edc", replace(task, ipc=257), "recover.start=tiles")
    assert method("fadrm", task, ALONE).real_images(task.setting) == 1, "three patches are of one image"
