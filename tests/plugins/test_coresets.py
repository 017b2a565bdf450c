"""Real images as condensed sets."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.condensation import Images, MethodConfig, Task
from bench.errors import UsageError
from bench.testing import MethodConformance, tiny_dataset, tiny_task
from bench_coresets.uniform import Random


class TestRandomConformance(MethodConformance):
    name = "random"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=4, per_class=30))


def drawn(task: Task) -> Images:
    method = Random(MethodConfig())
    (unit,) = method.units(task)
    return method.synthesize(task, unit)


def keys(images: Images) -> list[bytes]:
    return [image.numpy().tobytes() for image in images.pixels]


def test_images_are_the_training_images_of_their_classes(task: Task) -> None:
    train = task.dataset.train
    pool = {
        image.numpy().tobytes(): int(label)
        for images, labels in train.chunks(50)
        for image, label in zip(images, labels, strict=True)
    }
    images = drawn(replace(task, ipc=7))
    assert images.pixels.dtype == torch.uint8
    assert [pool[key] for key in keys(images)] == images.classes.tolist()
    assert images.classes.tolist() == [index for index in range(4) for _ in range(7)]


def test_nothing_is_drawn_twice(task: Task) -> None:
    assert max(Counter(keys(drawn(replace(task, ipc=30)))).values()) == 1


def test_a_seed_is_a_draw(task: Task) -> None:
    assert keys(drawn(task)) == keys(drawn(task))
    assert keys(drawn(task)) != keys(drawn(replace(task, seed=1)))


def test_a_larger_set_begins_with_the_smaller(task: Task) -> None:
    few, many = (drawn(replace(task, ipc=ipc)) for ipc in (3, 8))
    for index in range(4):
        assert torch.equal(few.pixels[few.classes == index], many.pixels[many.classes == index][:3])


def test_other_classes_in_use_change_nothing(task: Task) -> None:
    whole = drawn(task)
    part = drawn(replace(task, dataset=task.dataset.only(["class-003", "class-001"])))
    assert torch.equal(part.pixels[part.classes == 1], whole.pixels[whole.classes == 3])


def test_every_image_is_as_likely(task: Task) -> None:
    counts = Counter(key for seed in range(300) for key in keys(drawn(replace(task, seed=seed, ipc=10))))
    assert len(counts) == 120
    assert all(60 < count < 145 for count in counts.values()), "100 expected, standard deviation 8"


def test_more_than_a_class_has_is_refused(task: Task) -> None:
    with pytest.raises(UsageError, match="class 'class-000' has 30 training images, fewer than the 31 asked for"):
        drawn(replace(task, ipc=31))
