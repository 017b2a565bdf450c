"""The methods of the family of statistics: batches, starts, committees, recipes, and what they refuse."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pool_methods import batches, method, setting
from reals import training_images

from bench import seeds
from bench.condensation import Images, Task
from bench.data.finding import load_card
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.labels import OnlineLabels
from bench.planning.configuring import build, configure
from bench.recipes import NOT_KNOWN, Setting
from bench.testing import tiny_dataset, tiny_task
from bench_statistics.method import BatchUnit, PoolCondenser
from bench_statistics.starts import met_images, real_images, tiles


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3)


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
            {"iterations": 1000, "bn_weight": 0.1, "start": "tiles", "start_without": ("alexnet",), "batch_size": 20},
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
        (
            "edc",
            setting("imagenet-10", 224, 10),
            {"iterations": 50, "smoothing": 0.0, "without": ("efficientnet-b0",), "start_without": ()},
        ),
    ],
)
def test_recipes_are_the_releases(name: str, at: Setting, expected: dict[str, object]) -> None:
    config = configure(Registry(), name, at, ()).config["recover"]
    loaded = Registry().load("method", name).Config.model_fields["recover"].annotation.model_validate(config)
    assert {key: getattr(loaded, key) for key in expected} == expected


@pytest.mark.parametrize("name", ["edc", "g-vbsm", "sre2l-plus-plus", "cv-dd", "fadrm", "fadrm-plus"])
def test_rows_say_that_their_release_has_other_constants_than_the_card(name: str) -> None:
    """On CIFAR-100 all of them write .5071 .4867 .4408 / .2675 .2565 .2761; the card has those of CIFAR-10."""
    card = load_card(Registry(), "cifar100")
    assert card.mean == pytest.approx((0.4914, 0.4822, 0.4465)) and card.std == pytest.approx((0.2023, 0.1994, 0.2010))
    said = configure(Registry(), name, setting("cifar100", 32, 100), ()).differs
    assert "normalised by CIFAR-10's constants, the release by CIFAR-100's" in said


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


def test_a_network_may_be_recovered_from_that_has_no_say_in_what_is_easy(task: Task) -> None:
    """EDC's data_synthesis_without_optim.py for ImageNet-1K asks four networks; its recover.py has AlexNet, too."""
    made = method("edc", task, "recover.start=tiles", 'recover.start_without=["convnet3"]')
    made.prepare(task)
    asked = tiles(task, made._teachers[0].network)
    assert [each.ref.backbone for each in made._teachers] == ["convnet3-bn", "convnet3"]
    assert len(made._engine.pool) == 2
    assert made._start is not None
    assert torch.equal(made._start(((0, 0), (1, 2))), asked(((0, 0), (1, 2))))


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
    stages = ["recover.stages=2", "recover.scales=[0.5, 1.0]"]  # half of the iterations have a quarter of the pixels
    for committees in ([], ["recover.committees=[]"]):
        staged = build(Registry(), configure(Registry(), "cv-dd", at, [*stages, *committees]))
        assert list(staged.passes(at).values()) == pytest.approx([0.4 * 0.625] * 5)
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
        (
            'recover.start_without=["alexnet"]',
            "recover.start_without names alexnet; the pool has convnet3-bn, convnet3",
        ),
    ],
)
def test_somebody_of_the_pool_must_label_and_be_recovered_from(task: Task, without: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        method("edc", task, without).check(task.setting)


def test_the_seed_of_a_draw_is_the_runs(task: Task) -> None:
    other = replace(task, seed=seeds.derive("another"))
    first = ((0, 0), (0, 1), (0, 2))
    assert not torch.equal(real_images(task)(first), real_images(other)(first))


def test_edc_trains_networks_on_from_imagenet_1k_s_weights_on_imagenet_10_alone() -> None:
    """Branch_ImageNet_10/squeeze/train.py: pretrained=True, 20 epochs of 128, SGD 0.01, a cosine over 60."""
    squeeze = configure(Registry(), "edc", setting("imagenet-10", 224, 10), ()).config["squeeze"]
    released = {"starts_from": "IMAGENET1K_V1", "epochs": 20, "batch_size": 128, "lr": 0.01, "momentum": 0.9}
    released |= {"weight_decay": 0.0, "schedule": "cosine", "zeta": 3.0, "crop": "resized", "flip": True}
    assert {key: squeeze[key] for key in released} == released and squeeze["weights"] == ""
    others = [("imagenet-1k", 224, 1000), ("imagenette", 224, 10), ("tiny-imagenet", 64, 200)]
    assert not any("starts_from" in configure(Registry(), "edc", setting(*at), ()).config["squeeze"] for at in others)


@pytest.mark.parametrize(("dataset", "classes"), [("imagenette", 10), ("imagenet-1k", 100), (NOT_KNOWN, 1000)])
def test_edc_has_alexnet_where_its_weights_are_published_alone(dataset: str, classes: int) -> None:
    """At a rate of 0.1 a network without BatchNorm learns nothing, and the recovery would look through it."""
    released = configure(Registry(), "edc", setting("imagenet-1k", 224, 1000), ())
    four = ["resnet18", "mobilenetv2", "efficientnet-b0", "shufflenetv2-0.5"]
    assert released.config["pool"] == [*four, "alexnet"] and released.config["recover"]["start_without"] == ["alexnet"]
    assert released.config["squeeze"]["weights"] == "IMAGENET1K_V1"
    assert not any("AlexNet" in each for each in released.differs)
    here = configure(Registry(), "edc", setting(dataset, 224, classes), ())
    assert here.config["pool"] == four and here.config["squeeze"]["weights"] == ""
    assert here.config["relabel"]["without"] == ["efficientnet-b0"] and here.source.startswith("ours")
    assert any("without AlexNet" in each for each in here.differs)


@pytest.mark.parametrize("name", ["g-vbsm", "edc", "cv-dd", "fadrm-plus"])
@pytest.mark.parametrize(
    ("dataset", "resolution", "classes"),
    [("imagenet-1k", 224, 1000), ("imagenet-1k", 224, 10), ("imagenet-100", 224, 100), ("digits", 8, 10)],
)
def test_the_networks_of_a_pool_are_squeezed_alike_whatever_joins_them(
    name: str, dataset: str, resolution: int, classes: int
) -> None:
    """BN-ViT is squeezed by DeiT's recipe, and no other network for its sake."""
    usual = setting(dataset, resolution, classes, budget="quick")
    joined = replace(usual, backbone="bn-vit-tiny")
    one, other = (build(Registry(), configure(Registry(), name, at, ())) for at in (usual, joined))
    assert isinstance(one, PoolCondenser) and isinstance(other, PoolCondenser)
    pool = one.config.pool
    assert [other.config.squeeze_for(each) for each in pool] == [one.config.squeeze_for(each) for each in pool]
    alone = configure(Registry(), "sre2l", joined, ()).config["squeeze"]
    assert other.config.squeeze_for("bn-vit-tiny").model_dump(mode="json") == alone and alone["optimizer"] == "adamw"


def test_a_recipe_of_one_network_is_checked_as_that_of_all_is(task: Task) -> None:
    with pytest.raises(UsageError, match=r"^method 'edc': config: squeeze_of\.convnet3\.epoch: Extra inputs are not"):
        method("edc", task, "squeeze_of={convnet3 = {epoch = 3}}")
    with pytest.raises(UsageError, match=r"^squeeze_of names resnet50; the pool has convnet3-bn, convnet3$"):
        method("edc", task, "squeeze_of={resnet50 = {epochs = 3}}")


def test_a_network_with_a_recipe_of_its_own_is_trained_by_it(task: Task) -> None:
    def stages(*changes: str) -> list[str]:
        made = method("edc", task, *changes)
        made.prepare_labels(task)
        return [teacher.ref.stage for teacher in made._teachers]

    (usual, _), (_, longer) = stages(), stages("squeeze.epochs=2")
    assert stages("squeeze_of={convnet3 = {epochs = 2}}") == [usual, longer]


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
