"""The methods of the family of statistics: batches, starts, committees, recipes, and what they refuse."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reals import places_of, training_images
from torch import nn

from bench import seeds
from bench.condensation import Images, Task
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.labels import OnlineLabels
from bench.recipes import Budget, Setting
from bench.recovery.batches import Batch
from bench.recovery.views import draw_view
from bench.running.configuring import build, configure
from bench.testing import tiny_dataset, tiny_task
from bench_statistics.cv_dd import weighed
from bench_statistics.delt import joined
from bench_statistics.method import BatchUnit, PoolCondenser
from bench_statistics.starts import medium, medium_images, met_images, mirrored_by_chance, patches, real_images, tiles

SMALL: Sequence[str] = (
    'pool=["convnet3-bn", "convnet3"]',
    "squeeze.epochs=1",
    "recover.patch=2",
    "recover.batch_size=4",
)
ALONE = 'pool=["convnet3-bn"]'


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3)


def method(name: str, task: Task, *changes: str) -> PoolCondenser:
    choice = configure(Registry(), name, task.setting, [*SMALL, "squeeze.warmup_epochs=0", *changes])
    made = build(Registry(), choice)
    assert isinstance(made, PoolCondenser)
    return made


def batches(units: Sequence[object]) -> list[tuple[tuple[int, int], ...]]:
    return [members for unit in units if isinstance(unit, BatchUnit) for members in unit.batches]


def test_a_batch_holds_all_images_of_a_class_before_the_next(task: Task) -> None:
    whole = batches(method("edc", task).units(task))
    assert [len(each) for each in whole] == [4, 4, 1]
    assert [pair for each in whole for pair in each] == [(label, number) for label in range(3) for number in range(3)]


def test_or_one_image_of_each_class(task: Task) -> None:
    whole = batches(method("edc", task, "recover.order=image-major").units(task))
    assert whole == [tuple((label, number) for label in range(3)) for number in range(3)]


@pytest.mark.parametrize(("ipc", "sweeps"), [(20, 10), (50, 10), (3, 1)])
def test_or_a_share_of_each_class_in_every_sweep(task: Task, ipc: int, sweeps: int) -> None:
    made = method("g-vbsm", task, "recover.batch_size=7", f"recover.sweeps={sweeps}")
    released = np.arange(task.classes * ipc).reshape(sweeps, ipc // sweeps, task.classes).transpose(0, 2, 1).ravel()
    found = [image for batch in made._batches(replace(task, ipc=ipc)) for image in batch]
    assert found == [(place % task.classes, place // task.classes) for place in released.tolist()]


def test_sweeps_are_no_more_than_images_and_differ_by_one_image_at_most(task: Task) -> None:
    made = method("g-vbsm", task, "recover.batch_size=100", "recover.sweeps=10")
    one_each = [(label, number) for number in range(3) for label in range(task.classes)]
    assert [*made._batches(replace(task, ipc=3))[0]] == one_each
    everything = made._batches(replace(task, ipc=14))[0]
    shares = [[number for _, number in share] for _, share in groupby(everything, key=lambda each: each[0])]
    of_first_class = shares[:: task.classes]
    assert [number for share in of_first_class for number in share] == [*range(14)]
    assert sorted(map(len, of_first_class)) == [1] * 6 + [2] * 4


def test_batches_of_one_size_are_recovered_together(task: Task) -> None:
    units = method("edc", task, "recover.groups=2").units(task)
    assert [len(unit.batches) for unit in units if isinstance(unit, BatchUnit)] == [2, 1]
    assert batches(units) == batches(method("edc", task).units(task))


def test_real_starts_are_training_images_of_the_class_each_another(task: Task) -> None:
    of_class = real_images(task)
    everything = training_images(task)
    for label in range(3):
        assert len(set(places_of(of_class(label), everything[task.dataset.train.labels == label]))) == 3
    small = real_images(replace(task, ipc=2))
    assert torch.equal(small(1), of_class(1)[:2])


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
    found = tiles(replace(task, ipc=2), Brightest())(0)
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
    found = medium_images(task, Brightest())(0)
    own = training_images(task)[task.dataset.train.labels == 0]
    by_hardness = own[own.mean((1, 2, 3)).argsort()]  # the darkest are the hardest
    middle = -(-len(own) // 2)
    torch.testing.assert_close(found, by_hardness[[middle, middle + 1, middle - 1]])


def test_patches_are_single_crops_of_medium_difficulty_whichever_batch_asks_first(task: Task) -> None:
    of_class = patches(task, Brightest())
    found = of_class(0)
    assert found.shape == (3, 3, 8, 8) and torch.equal(of_class(0), found)
    everything = training_images(task)
    own = everything[task.dataset.train.labels == 0].mean((1, 2, 3))
    brightness, easy = found.mean((1, 2, 3)), tiles(task, Brightest())(0).mean((1, 2, 3))
    assert own.min() < brightness.min() and brightness.max() < easy.max()
    assert not any(torch.allclose(patch, image) for patch in found for image in everything)


def setting(dataset: str, resolution: int, classes: int, ipc: int = 10, budget: Budget = "paper") -> Setting:
    return Setting(dataset, resolution, 3, classes, ipc, "resnet18", budget)


TINY, IN1K, CIFAR10 = setting("tiny-imagenet", 64, 200), setting("imagenet-1k", 224, 1000), setting("cifar10", 32, 10)


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("g-vbsm", setting("tiny-imagenet", 64, 200), {"iterations": 4000, "lr": 0.05, "drop": 0.4, "sweeps": 10}),
        ("g-vbsm", setting("cifar100", 32, 100), {"batch_size": 50, "smoothing": 0.8, "sweeps": 1, "pad": 4}),
        (
            "g-vbsm",
            setting("imagenet-1k", 224, 1000),
            {"iterations": 4000, "lr": 0.1, "drop": 0.0, "smoothing": 0.4, "patch": 16},
        ),
        ("g-vbsm", setting("cifar10", 32, 10), {"crop": "padded", "pad": 4, "roll": (0, 32), "densification": 1.0}),
        (
            "edc",
            setting("tiny-imagenet", 64, 200),
            {"iterations": 2000, "start": "real", "batch_size": 25, "crop_scale": (0.5, 1.0)},
        ),
        ("edc", setting("cifar10", 32, 10), {"iterations": 75, "images": "jpeg", "crop_scale": (0.08, 1.0)}),
        (
            "edc",
            setting("imagenet-1k", 224, 1000),
            {"iterations": 1000, "bn_weight": 0.1, "start": "tiles", "batch_size": 20},
        ),
        (
            "sre2l-plus-plus",
            setting("cifar100", 32, 100),
            {"iterations": 4000, "lr": 0.25, "bn_weight": 0.01, "roll": (0, 4), "start": "patches", "batch_size": 100},
        ),
        ("sre2l-plus-plus", setting("imagenet-1k", 224, 1000), {"roll": (0, 32), "images": "jpeg", "crop": "resized"}),
        (
            "cv-dd",
            setting("tiny-imagenet", 64, 200, ipc=1),
            {"committees": (("resnet18", "mobilenetv2-1.0"),), "roll": (0, 4), "prior_temperature": 5.0},
        ),
        ("cv-dd", setting("cifar10", 32, 10, ipc=50), {"committees": (), "committee": 2, "iterations": 4000}),
        (
            "fadrm",
            setting("tiny-imagenet", 64, 200),
            {"iterations": 1000, "stages": 2, "residual": 0.5, "lr": 0.01, "images": "uint8", "batch_size": 100},
        ),
        ("fadrm", setting("cifar100", 32, 100), {"iterations": 2000, "stages": 4, "lr": 0.25, "start": "patches"}),
        ("fadrm", setting("imagenette", 224, 10), {"iterations": 2000, "stages": 4, "lr": 0.05, "roll": (0, 32)}),
        ("fadrm", setting("imagewoof", 224, 10), {"iterations": 2000, "stages": 4, "lr": 0.25, "images": "uint8"}),
        ("fadrm-plus", setting("tiny-imagenet", 64, 200), {"iterations": 2000, "stages": 4, "lr": 0.25}),
        ("fadrm-plus", setting("imagenette", 224, 10), {"stages": 4, "lr": 0.25}),
        (
            "delt",
            setting("imagenet-1k", 224, 1000),
            {"iterations": 4000, "rounds": 8, "start": "medium", "curriculum": "cosine", "roll": (0, 0), "lr": 0.25},
        ),
        ("edc", setting("imagenet-10", 224, 10), {"iterations": 50, "smoothing": 0.0, "without": ("efficientnet-b0",)}),
    ],
)
def test_recipes_are_the_releases(name: str, at: Setting, expected: dict[str, object]) -> None:
    config = configure(Registry(), name, at, ()).config["recover"]
    loaded = Registry().load("method", name).Config.model_fields["recover"].annotation.model_validate(config)
    assert {key: getattr(loaded, key) for key in expected} == expected


@pytest.mark.parametrize("name", ["g-vbsm", "edc"])
def test_the_pool_has_the_runs_own_network_once(name: str) -> None:
    made: Any = Registry().load("method", name)
    at = setting("tiny-imagenet", 64, 200)
    config = made.Config.model_validate(made.recipe(at).at("paper"))
    assert config.networks("resnet18") == ("resnet18", "convnet3-w128", "mobilenetv2", "wrn-16-2", "shufflenetv2-0.5")
    assert config.networks("convnet4-bn")[0] == "convnet4-bn"
    assert len(config.networks("convnet4-bn")) == 6


@pytest.mark.parametrize(
    ("dataset", "resolution", "recover", "label"),
    [("tiny-imagenet", 64, 5, 5), ("cifar100", 32, 8, 5), ("cifar10", 32, 8, 8), ("imagenet-10", 224, 3, 4)],
)
def test_edc_recovers_from_and_labels_with_the_networks_of_its_code(
    dataset: str, resolution: int, recover: int, label: int
) -> None:
    made: Any = Registry().load("method", "edc")
    config = made.Config.model_validate(made.recipe(setting(dataset, resolution, 10)).at("paper"))
    assert len(config.recovered_from("resnet18")) == recover
    assert len(set(config.networks("resnet18")) - set(config.relabel.without)) == label


def test_a_network_may_label_that_images_are_not_recovered_from(task: Task) -> None:
    made = method("edc", task, 'recover.without=["convnet3"]')
    made.prepare(task)
    assert len(made._engine.pool) == 1 and [each.ref.backbone for each in made._labellers] == [
        "convnet3-bn",
        "convnet3",
    ]
    assert made.passes(task.setting) == {"convnet3-bn": 1.0}
    assert made.backbones(task.setting) == ["convnet3"]


def test_the_health_of_the_runs_own_network_is_told_wherever_it_stands_in_the_pool(task: Task) -> None:
    made = method("edc", task, 'pool=["convnet3", "convnet3-bn"]')
    made.prepare(task)
    assert task.measured.teacher_bn_loss_real is not None


def test_an_image_goes_through_each_network_of_the_pool_in_turn(task: Task) -> None:
    assert method("edc", task).passes(task.setting) == {"convnet3-bn": 0.5, "convnet3": 0.5}
    assert method("edc", task, "recover.networks=all").passes(task.setting) == {"convnet3-bn": 1.0, "convnet3": 1.0}


def test_a_committee_s_step_goes_through_its_members_and_delt_s_through_images_that_are_there() -> None:
    """At IPC 10 each of CV-DD's five is in four of ten pairs. Of DELT's 8 rounds at IPC 8 image i is there in 8 - i."""
    at = setting("tiny-imagenet", 64, 200)
    committee = build(Registry(), configure(Registry(), "cv-dd", at, ()))
    assert list(committee.passes(at).values()) == pytest.approx([0.4] * 5)
    at = setting("tiny-imagenet", 64, 200, ipc=8)
    delt = build(Registry(), configure(Registry(), "delt", at, ()))
    assert delt.passes(at) == {"resnet18": pytest.approx(sum(range(1, 9)) / 64)}


def test_a_network_may_be_left_out_of_labelling(task: Task) -> None:
    made = method("edc", task, 'relabel.without=["convnet3"]')
    made.prepare_labels(task)
    labels = made.label(task, Images(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)))
    assert isinstance(labels, OnlineLabels)
    assert [each.backbone for each in labels.teachers] == ["convnet3-bn"]


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ('relabel.without=["convnet3-bn", "convnet3"]', "leaves nobody to label: the pool has convnet3-bn, convnet3"),
        ('relabel.without=["resnet50"]', "relabel.without names resnet50; the pool has convnet3-bn, convnet3; --set"),
        ('recover.without=["convnet3-bn", "convnet3"]', "leaves nobody to recover from: the pool has convnet3-bn"),
    ],
)
def test_somebody_of_the_pool_must_label_and_be_recovered_from(task: Task, without: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        method("edc", task, without).check(task.setting)


def test_the_seed_of_a_draw_is_the_runs(task: Task) -> None:
    other = replace(task, seed=seeds.derive("another"))
    assert not torch.equal(real_images(task)(0), real_images(other)(0))


# --- CV-DD's committee ------------------------------------------------------------------------------------------------

FIVE = ("resnet18", "resnet50", "shufflenetv2", "mobilenetv2-1.0", "densenet121")
PRIORS = (46.5, 28.3, 43.6, 44.8, 41.5)  # Tiny-ImageNet's, in the order of the five


def test_networks_count_by_the_softmax_of_their_priors() -> None:
    """utils_recover.load_recover_model: exp(prior / 5) over the sum; in float64 by numpy."""
    found = weighed(FIVE, dict(zip(FIVE, PRIORS, strict=True)), 5.0)
    powers = np.exp(np.array(PRIORS) / 5)
    np.testing.assert_allclose(list(found.values()), powers / powers.sum(), rtol=1e-12)
    assert list(weighed(FIVE, {}, 5.0).values()) == [0.2] * 5
    known = weighed(("resnet18", "convnet3-bn"), {"resnet18": 60.0, "resnet50": 50.0}, 5.0)
    np.testing.assert_allclose(known["resnet18"] / known["convnet3-bn"], np.exp(1.0))  # 55, the mean, for the unknown


def test_at_ipc_10_every_pair_of_the_five_has_one_image_number() -> None:
    config = configure(Registry(), "cv-dd", setting("tiny-imagenet", 64, 200), ()).config
    pairs = {frozenset(pair) for pair in config["recover"]["committees"]}
    assert len(config["recover"]["committees"]) == len(pairs) == 10 and all(len(pair) == 2 for pair in pairs)
    assert tuple(config["pool"]) == FIVE and tuple(config["prior"].values()) == PRIORS


COMMITTEE = ('pool=["convnet3-bn", "convnet2-bn", "convnet1-bn"]', "prior={convnet3-bn=50, convnet2-bn=40}")
DRAWN = "recover.committees=[]"


def committee(task: Task, *changes: str) -> list[tuple[float, ...] | None]:
    """The shares of all batches."""
    made = method("cv-dd", task, *COMMITTEE, "recover.batch_size=2", *changes)
    return [made._shares(task, members) for members in batches(made.units(task))]


def test_an_image_number_has_one_committee_whatever_the_chunk_of_classes(task: Task) -> None:
    drawn = committee(replace(task, ipc=20), DRAWN)
    assert drawn[::2] == drawn[1::2] and len({*drawn}) == 3, "two chunks of classes; all three pairs come"
    assert all(shares and shares.count(0.0) == 1 and sum(shares) == pytest.approx(1) for shares in drawn)
    other = replace(task, ipc=20, seed=seeds.derive("other"))
    assert committee(replace(task, ipc=20), DRAWN) == drawn != committee(other, DRAWN)


def test_or_the_named_ones_in_turn(task: Task) -> None:
    named = 'recover.committees=[["convnet3-bn", "convnet2-bn"], ["convnet1-bn"]]'
    high, low = np.exp(2) / (1 + np.exp(2)), 1 / (1 + np.exp(2))  # priors 50 and 40 over 5
    expected = [pytest.approx((high, low, 0)), pytest.approx((0, 0, 1)), pytest.approx((high, low, 0))]
    assert committee(task, named, "recover.batch_size=4") == expected


def test_committees_that_differ_are_not_recovered_together(task: Task) -> None:
    named = 'recover.committees=[["convnet3-bn"], ["convnet3-bn"], ["convnet1-bn"]]'
    made = method("cv-dd", task, *COMMITTEE, named, "recover.groups=3")
    assert [len(unit.batches) for unit in made.units(task) if isinstance(unit, BatchUnit)] == [2, 1]


def test_all_networks_label_weighed_by_their_priors_over_ten(task: Task) -> None:
    made = method("cv-dd", task, *COMMITTEE, DRAWN, "relabel.labels=online")
    made.prepare_labels(task)
    labels = made.label(task, Images(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)))
    assert isinstance(labels, OnlineLabels) and labels.mode == "train-halves"
    powers = np.exp(np.array([50, 40, 45]) / 10)  # of the third nothing is said
    assert labels.shares == pytest.approx(tuple(powers / powers.sum()))
    assert list(made.differs(task.setting)) == ["convnet1-bn in the committee, at the mean of the others' priors"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("recover.committee=4", "recover.committee is 4, and the pool has convnet3-bn, convnet2-bn, convnet1-bn"),
        ('recover.committees=[["resnet50"]]', "recover.committees names resnet50; the pool has convnet3-bn"),
    ],
)
def test_committees_are_of_the_pool(task: Task, change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        method("cv-dd", task, *COMMITTEE, change).check(task.setting)


def test_a_committee_belongs_to_an_image_number(task: Task) -> None:
    with pytest.raises(UsageError, match="order must be 'image-major'"):
        method("cv-dd", task, "recover.order=class-major")


def test_edc_trains_networks_on_from_imagenet_1k_s_weights_on_imagenet_10_alone() -> None:
    """Branch_ImageNet_10/squeeze/train.py: pretrained=True, 20 epochs of 128, SGD 0.01, a cosine over 60."""
    squeeze = configure(Registry(), "edc", setting("imagenet-10", 224, 10), ()).config["squeeze"]
    released = {"starts_from": "IMAGENET1K_V1", "epochs": 20, "batch_size": 128, "lr": 0.01, "momentum": 0.9}
    released |= {"weight_decay": 0.0, "schedule": "cosine", "zeta": 3.0, "crop": "resized", "flip": True}
    assert {key: squeeze[key] for key in released} == released and squeeze["weights"] == ""
    others = [("imagenet-1k", 224, 1000), ("imagenette", 224, 10), ("tiny-imagenet", 64, 200)]
    assert not any("starts_from" in configure(Registry(), "edc", setting(*at), ()).config["squeeze"] for at in others)


def test_a_batch_meets_real_images_of_its_classes(task: Task) -> None:
    targets = torch.tensor([2, 0, 2])
    met = met_images(task, targets, 5, 9)
    assert torch.equal(met, met_images(task, targets, 5, 9)) and not torch.equal(met, met_images(task, targets, 5, 10))
    everything = training_images(task)
    either = torch.cat([everything, everything.flip(-1)])
    labels = task.dataset.train.labels.repeat(2)
    found = [int((either == image).flatten(1).all(1).nonzero()[0]) for image in met]
    assert labels[found].tolist() == targets.tolist() * 5
    assert {place < len(everything) for place in found} == {True, False}, "some are mirrored, some are not"


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_edc_recovers_by_the_statistics_of_a_batch_of_real_images(task: Task, engine: str) -> None:
    local = ("recover.class_goals=batch", "recover.goal_images=2", "recover.iterations=2", f"recover.engine={engine}")
    images = []
    for changes in (local, ("recover.iterations=2",)):
        made = method("edc", task, *changes)
        made.prepare(task)
        made.warm_up(task)
        images.append(made.synthesize(replace(task, workspace=task.workspace / changes[0]), made.units(task)[0]))
    assert not torch.equal(images[0].pixels, images[1].pixels)


# --- LPLD's classes ---------------------------------------------------------------------------------------------------


def test_a_batch_of_lpld_s_holds_one_class(task: Task) -> None:
    found = batches(method("lpld", task, ALONE, "recover.batch_size=2").units(task))
    assert found == [((label, 0), (label, 1)) if part == 0 else ((label, 2),) for label in range(3) for part in (0, 1)]
    with pytest.raises(UsageError, match="a batch has images of one class"):
        method("lpld", task, ALONE, "recover.order=image-major")


@pytest.mark.parametrize("released", ["moving-classes", ""])
def test_lpld_matches_the_statistics_of_the_batch_s_class_alone(task: Task, released: str) -> None:
    """L = CE + r sum of w (||mean - mean_c|| + ||var - var_c||), w = 10 for the first and 1 for the others."""
    made = method("lpld", task, ALONE, f'recover.as_released=["{released}"]' if released else "recover.as_released=[]")
    made.prepare(task)
    member, recipe = made._engine.pool[0], made.config.recover
    batch = Batch(torch.tensor([1, 1, 1]), 7)
    images = torch.randn(3, 3, 8, 8, generator=seeds.generator("lpld"))
    found = made._engine.gradient(task, [batch])(images[None], 0)[0]
    leaf, seen = images.clone().requires_grad_(), list[torch.Tensor]()
    norms = [module for module in member.network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [each.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for each in norms]
    logits = member.network(draw_view(recipe, 8, 7, 0).of(leaf))
    for handle in handles:
        handle.remove()
    loss = nn.functional.cross_entropy(logits, batch.targets)
    assert member.real is not None
    for place, inputs in enumerate(seen):
        mean, variance = (each[1] for each in member.real.by_class[place])
        apart = (inputs.mean((0, 2, 3)) - mean).norm() + (inputs.var((0, 2, 3), correction=0) - variance).norm()
        loss = loss + recipe.bn_weight * (10 if place == 0 else 1) * apart
    torch.testing.assert_close(found, torch.autograd.grad(loss, [leaf])[0], atol=1e-4, rtol=1e-3)


# --- FADRM's stages, and DELT's rounds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "pool", "mode"),
    [
        (setting("tiny-imagenet", 64, 200, 1), ("resnet18", "shufflenetv2", "mobilenetv2-1.0"), "train-halves"),
        (setting("tiny-imagenet", 64, 200), ("resnet18", "shufflenetv2", "densenet121", "mobilenetv2-1.0"), None),
        (setting("cifar100", 32, 100), ("resnet18", "densenet121", "shufflenetv2", "mobilenetv2-1.0"), None),
        (setting("imagenet-1k", 224, 1000, 1), ("resnet18", "mobilenetv2-1.0", "shufflenetv2"), None),
    ],
)
def test_fadrm_plus_s_networks_take_turns_in_the_release_s_order(
    at: Setting, pool: tuple[str, ...], mode: str | None
) -> None:
    config = configure(Registry(), "fadrm-plus", at, ()).config
    assert config["pool"] == list(pool) and config["relabel"]["teacher_mode"] == (mode or "train-halves")
    alone = configure(Registry(), "fadrm", at, ()).config
    assert alone["pool"] == [] and (alone["relabel"]["teacher_mode"] == "eval") == (at.dataset == "tiny-imagenet")


@pytest.mark.parametrize("name", ["fadrm", "fadrm-plus"])
@pytest.mark.parametrize("dataset", ["imagenet-1k", "imagenette", "imagewoof", "imagenet-10", "imagenet-100"])
def test_above_64_pixels_stages_have_200_and_224_in_turn(name: str, dataset: str) -> None:
    """--input-size-lis 200 224 200 224 --optimization-budgets 500 500 500 500, in all scripts for ImageNet."""
    at = setting(dataset, 224, 1000 if dataset == "imagenet-1k" else 10)
    made = build(Registry(), configure(Registry(), name, at, ()))
    assert isinstance(made, PoolCondenser)
    recover = made.config.recover
    assert [recover.side(stage * 500, 224) for stage in range(4)] == [200, 224, 200, 224]
    smaller = (200**2 + 224**2) / (2 * 224**2)  # of the pixels that all at 224 would have
    assert sum(made.passes(at).values()) == pytest.approx(smaller)
    whole = configure(Registry(), name, replace(at, backbone="convnet5-bn"), ["squeeze.weights=", "pool=[]"]).config
    assert "scales" not in whole["recover"], "a ConvNet takes images of one size"


def test_a_network_of_one_size_is_told_of_before_anything_is_recovered(task: Task) -> None:
    made = method("fadrm", task, ALONE, "recover.scales=[0.5, 1.0]", "recover.stages=2")
    with pytest.raises(RunFailure, match=r"convnet3-bn takes images of 8 pixels and none of 4; --set recover.scales="):
        made.prepare(task)


def test_stages_need_something_to_mix_in(task: Task) -> None:
    with pytest.raises(UsageError, match="start must not be 'noise'"):
        method("fadrm", task, "recover.start=noise")


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (50, [round_ for round_ in range(8) for _ in range(7 if round_ < 2 else 6)]),
        (10, [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]),
        (1, [0]),
        (3, [0, 1, 2]),
    ],
)
def test_images_of_a_class_join_as_the_release_slices_them(images: int, expected: list[int]) -> None:
    """get_round_imgs_indx: ipc // rounds a round, one more in each of the first ipc % rounds."""
    assert joined(images, 8, 4000) == [500 * round_ for round_ in expected]


def test_delt_s_batches_hold_whole_classes_whose_images_join_alike(task: Task) -> None:
    made = method("delt", task, ALONE, "recover.batch_size=7", "recover.rounds=2", "recover.iterations=10")
    found = batches(made.units(task))
    assert found == [tuple((label, number) for label in chunk for number in range(3)) for chunk in ((0, 1), (2,))]
    assert [made._joins(task, members) for members in found] == [(0, 0, 5, 0, 0, 5), (0, 0, 5)]
    assert made._sizes(task, found[0]) == [4, 6]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("recover.order=image-major", "order must be 'class-major'"),
        ("recover.smoothing=0.5", "neither smoothing nor flatness"),
    ],
)
def test_rounds_are_of_a_class_and_remember_nothing(task: Task, change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        method("delt", task, change)


def test_a_batch_of_delt_holds_a_class(task: Task) -> None:
    with pytest.raises(UsageError, match=r"is 2 for --ipc 3; --set recover.batch_size=3"):
        method("delt", task, ALONE, "recover.batch_size=2").check(task.setting)
