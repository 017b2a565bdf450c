"""CV-DD: its committees, and what its networks count."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pool_methods import batches, method, setting

from bench import seeds
from bench.condensation import Images, Task
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.labels import OnlineLabels
from bench.planning.configuring import configure
from bench.testing import tiny_dataset, tiny_task
from bench_statistics.cv_dd import weighed
from bench_statistics.method import BatchUnit


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), ipc=3)


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
