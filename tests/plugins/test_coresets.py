"""Real images as condensed sets."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.condensation import Condenser, Images, MethodConfig, Task
from bench.drawing import members
from bench.errors import UsageError
from bench.hardware.choices import Precision
from bench.recipes import Budget, Setting
from bench.testing import tiny_dataset, tiny_task
from bench.training.features import Penultimate, features
from bench.training.feeding import Feed
from bench.training.recipes import TeacherRecipe
from bench.training.teachers import KIND, RECIPES
from bench_coresets import choosing
from bench_coresets.featured import CoresetConfig, FeaturedCoreset, Herding, HerdingConfig, KCenter, KMeans
from bench_coresets.uniform import Random


@pytest.mark.parametrize("method", [Random, Herding, KCenter, KMeans])
def test_the_papers_protocol_is_the_one_that_made_the_published_lines(method: type[Condenser[Any]]) -> None:
    assert method.protocol(Setting("cifar10", 32, 3, 10, 10, "convnet3")) == "dc"


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


# --- choosing among points -------------------------------------------------------------------------------------------


def cloud(count: int, width: int = 3, seed: int = 0) -> Tensor:
    return torch.randn((count, width), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(first: Tensor, second: Tensor) -> float:
    return math.dist(first.tolist(), second.tolist())


def herding_gap(points: Tensor, chosen: list[int], index: int) -> float:
    """How far the mean of the chosen and one more is from the mean of all, which is what herding makes least."""
    return distance(points[[*chosen, index]].mean(0), points.mean(0))


def reach_of(points: Tensor, chosen: list[int], index: int) -> float:
    """The distance to the nearest chosen point, negated, for k-center makes it greatest."""
    return -min(distance(points[index], points[each]) for each in chosen)


def is_greedy(points: Tensor, chosen: list[int], cost: Callable[[Tensor, list[int], int], float], given: int) -> bool:
    """Whether each choice after the first `given` was the cheapest of the rest, as the definition says."""
    for step in range(given, len(chosen)):
        rest = [index for index in range(len(points)) if index not in chosen[:step]]
        least = min(cost(points, chosen[:step], index) for index in rest)
        if chosen[step] not in rest or cost(points, chosen[:step], chosen[step]) > least + 1e-12:
            return False
    return True


@given(size=st.integers(1, 12), seed=st.integers(0, 1000), data=st.data())
def test_greedy_choices_are_those_of_the_definitions(size: int, seed: int, data: st.DataObject) -> None:
    points, count = cloud(size, seed=seed), data.draw(st.integers(1, size))
    assert is_greedy(points, choosing.herding(points, count).tolist(), herding_gap, given=0)
    first = data.draw(st.integers(0, size - 1))
    centres = choosing.k_center(points, count, first).tolist()
    assert centres[0] == first and is_greedy(points, centres, reach_of, given=1)


def test_the_check_of_greedy_choices_can_fail() -> None:
    points = cloud(8)
    backwards = choosing.herding(points, 8).flip(0).tolist()
    assert not is_greedy(points, backwards, herding_gap, given=0)
    assert not is_greedy(points, backwards, reach_of, given=1)


def test_herding_takes_the_nearest_to_the_mean_first() -> None:
    points = cloud(50)
    gaps = [distance(point, points.mean(0)) for point in points]
    assert choosing.herding(points, 1).tolist() == [gaps.index(min(gaps))]


def test_the_nearest_to_the_mean_come_in_the_order_of_their_distance() -> None:
    points = cloud(50)
    gaps = [distance(point, points.mean(0)) for point in points]
    assert choosing.nearest_to_mean(points, 9).tolist() == sorted(range(50), key=lambda index: gaps[index])[:9]


def test_herding_follows_the_mean_better_than_chance() -> None:
    points = cloud(200, 16)
    chosen = points[choosing.herding(points, 10)]
    draws = [points[torch.randperm(200, generator=torch.Generator().manual_seed(seed))[:10]] for seed in range(50)]
    assert distance(chosen.mean(0), points.mean(0)) < 0.5 * min(
        distance(draw.mean(0), points.mean(0)) for draw in draws
    )


def test_k_center_comes_ever_nearer_and_at_most_twice_as_far_as_the_best() -> None:
    """Gonzalez (1985): the greedy radius is within a factor of two of the optimum."""
    points = cloud(14)
    between = torch.cdist(points, points)
    chosen = choosing.k_center(points, 14, 0)
    reach = [float(between[chosen[:step]].min(0).values.max()) for step in range(1, 15)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(reach)) and reach[-1] == 0
    for count in (2, 3, 4):
        every = itertools.combinations(range(14), count)
        best = min(float(between[list(centres)].min(0).values.max()) for centres in every)
        assert reach[count - 1] <= 2 * best


def test_k_means_finds_one_image_of_each_heap() -> None:
    heaps = torch.arange(6).repeat_interleave(20)
    points = 100 * cloud(6, 8, seed=1)[heaps] + cloud(120, 8, seed=2)
    chosen = choosing.k_means(points, 6, restarts=10, seed=0)
    assert sorted(heaps[chosen].tolist()) == list(range(6))
    for index in chosen.tolist():
        mine = torch.nonzero(heaps == heaps[index]).flatten().tolist()
        gaps = {each: distance(points[each], points[mine].mean(0)) for each in mine}
        assert index == min(gaps, key=lambda each: gaps[each])


CHOICES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "herding": choosing.herding,
    "nearest": choosing.nearest_to_mean,
    "k-center": lambda points, count: choosing.k_center(points, count, int(choosing.nearest_to_mean(points, 1))),
    "k-means": lambda points, count: choosing.k_means(points, count, restarts=1, seed=3),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_whole_class_and_equal_points_are_chosen_once_each(name: str) -> None:
    for points in (cloud(9), torch.zeros(9, 3, dtype=torch.float64), cloud(3).repeat(3, 1)):
        for count in (4, 9):
            assert len(set(CHOICES[name](points, count).tolist())) == count


@pytest.mark.parametrize("name", ["herding", "nearest", "k-center"])
def test_of_equally_good_points_the_first_is_taken(name: str) -> None:
    assert CHOICES[name](torch.zeros(6, 2, dtype=torch.float64), 4).tolist() == [0, 1, 2, 3]


# --- choosing among images -------------------------------------------------------------------------------------------

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
METHODS: dict[str, type[FeaturedCoreset[Any]]] = {"herding": Herding, "k-center": KCenter, "k-means": KMeans}
EXTRACTOR = {"epochs": 1, "batch_size": 30, "lr": 0.05, "weight_decay": 0.0}


def made(name: str, **changes: object) -> Condenser[Any]:
    return METHODS[name](METHODS[name].Config.model_validate({"extractor": EXTRACTOR, **changes}))


def chosen(task: Task, name: str, **changes: object) -> Images:
    method = made(name, **changes)
    method.prepare(task)
    parts = [method.synthesize(task, unit) for unit in method.units(task)]
    return Images(torch.cat([part.pixels for part in parts]), torch.cat([part.classes for part in parts]))


@pytest.mark.parametrize("name", METHODS)
def test_images_are_different_training_images_of_their_classes(task: Task, name: str) -> None:
    train = task.dataset.train
    images = chosen(replace(task, ipc=6), name)
    assert images.classes.tolist() == [index for index in range(4) for _ in range(6)]
    assert len(set(keys(images))) == 24
    for index in range(4):
        pool = keys(Images(train.take(members(task.dataset, index)), train.labels))
        assert set(keys(Images(images.pixels[images.classes == index], images.classes))) <= set(pool)


@pytest.mark.parametrize("name", ["herding", "k-center"])
def test_a_larger_coreset_begins_with_the_smaller(task: Task, name: str) -> None:
    few, many = (chosen(replace(task, ipc=ipc), name) for ipc in (3, 8))
    for index in range(4):
        assert torch.equal(few.pixels[few.classes == index], many.pixels[many.classes == index][:3])


def test_the_extractor_is_recorded_and_is_nobodys_teacher(task: Task) -> None:
    chosen(task, "herding")
    assert 0 <= task.facts["extractor_top1"] <= 100
    assert len(task.used_stages) == 1


def features_of(task: Task, label: int) -> tuple[Tensor, Tensor]:
    """A class's images and their features, by the stage that the task has taken."""
    (made,) = task.used_stages
    stage = task.stages.read(KIND, made)
    assert stage is not None
    network = task.network(0)
    network.load_state_dict(dict(stage.tensors))
    images = task.dataset.train.take(members(task.dataset, label))
    found = Penultimate(network.eval())(task.dataset.normalisation.apply(images))
    return images, found.detach().double()


@pytest.mark.parametrize("normalise", [False, True])
def test_herding_chooses_by_the_extractors_features(task: Task, normalise: bool) -> None:
    images = chosen(replace(task, ipc=5), "herding", normalise_features=normalise)
    for label in range(4):
        pool, points = features_of(task, label)
        points = points / points.norm(dim=1, keepdim=True) if normalise else points
        places = {image.numpy().tobytes(): index for index, image in enumerate(pool)}
        mine = [places[key] for key in keys(Images(images.pixels[images.classes == label], images.classes))]
        assert is_greedy(points.float().double(), mine, herding_gap, given=0)


@pytest.mark.parametrize("normalise", [False, True])
def test_the_herding_of_dcs_tables_is_the_nearest_to_the_mean(task: Task, normalise: bool) -> None:
    how = {"normalise_features": normalise, "selection": "nearest"}
    images = chosen(replace(task, ipc=5), "herding", **how)
    for label in range(4):
        pool, points = features_of(task, label)
        points = points / points.norm(dim=1, keepdim=True) if normalise else points
        gaps = (points - points.mean(0)).norm(dim=1)
        assert torch.equal(images.pixels[images.classes == label], pool[gaps.argsort()[:5]])


def test_k_center_starts_at_the_mean_or_anywhere(task: Task) -> None:
    nearest, anywhere = (chosen(task, "k-center", start=start) for start in ("mean", "random"))
    assert torch.equal(nearest.pixels[:1], chosen(task, "herding").pixels[:1])
    assert not torch.equal(nearest.pixels[::2], anywhere.pixels[::2])


@pytest.mark.parametrize("name", METHODS)
def test_more_than_a_class_has_is_refused_by_all(task: Task, name: str) -> None:
    with pytest.raises(UsageError, match="class 'class-000' has 30 training images, fewer than the 31 asked for"):
        chosen(replace(task, ipc=31), name)


def test_features_are_fp32_whatever_the_precision(task: Task) -> None:
    network = task.network(0).eval()
    feed = Feed(task.dataset.train, task.dataset.normalisation, task.device)
    found, rounded = (features(replace(task, precision=each), network, feed, torch.arange(8)) for each in PRECISIONS)
    assert torch.equal(found, rounded)


@pytest.mark.parametrize("name", METHODS)
def test_a_controls_hard_labels_need_no_extractor(task: Task, name: str) -> None:
    method = made(name)
    method.prepare_labels(task)
    assert not task.used_stages and not task.facts
    assert method.label(task, drawn(task)).kind == "hard"


def test_weights_that_nobody_publishes_are_refused_before_any_work() -> None:
    setting = Setting("imagenet-1k", 224, 3, 1000, 1, "convnet4", "paper")
    method = Herding(HerdingConfig.model_validate(Herding.recipe(setting).values))
    with pytest.raises(UsageError, match=r"no weights for 'convnet4'.*; --set extractor.weights= trains one instead"):
        method.check(setting)
    method.check(replace(setting, backbone="resnet18"))


# --- recipes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["paper", "quick"])
@pytest.mark.parametrize("name", RECIPES.names())
def test_the_extractor_is_the_teacher_of_all_methods(name: str, budget: Budget) -> None:
    """Then all methods of a grid share it: the key of its stage covers the recipe."""
    setting = Setting(name, 224 if name in ("imagenet-1k", "large") else 64, 3, 10, 10, "convnet3-bn", budget)
    recipe = Herding.recipe(setting)
    assert recipe.name == name and recipe.source.startswith("extractor: ")
    theirs = TeacherRecipe.model_validate(RECIPES.pick(setting).at(budget))
    assert CoresetConfig.model_validate(recipe.at(budget)).extractor == theirs
