"""DREAM: which real images stand for a class, when they are chosen anew, and settings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from matching import task_of
from sklearn.cluster import KMeans
from torch import Tensor, nn

from bench.condensation import Task
from bench.errors import UsageError
from bench.recipes import Setting
from bench.training.features import Penultimate
from bench_matching import clusters
from bench_matching.dream import DREAM, DREAMConfig
from bench_matching.formation import grids


def prepared(task: Task, **changes: Any) -> DREAM:  # noqa: ANN401
    small = {"factor": 2, "networks": 2, "steps": 5, "batch_real": 6, "lr": 0.005, "engine": "reference"}
    here = DREAM(DREAMConfig.model_validate({**small, "learn_images": 8, "learn_batch": 4, **changes}))
    here.prepare(task)
    return here


def blobs(count: int = 200, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    middles = 3 * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    spread = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return middles[torch.randint(7, (count,), generator=generator)] + spread


# --- k-means ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, 4, 100])
@pytest.mark.parametrize("seed", range(3))
def test_centres_are_scikit_learns_from_the_same_starts(rounds: int, seed: int) -> None:
    points, first = blobs(seed=seed), torch.randperm(200, generator=torch.Generator().manual_seed(seed))[:12]
    kmeans = KMeans(12, init=points[first].numpy(), n_init=1, max_iter=rounds, tol=0, algorithm="lloyd")
    expected = torch.from_numpy(kmeans.fit(points.numpy()).cluster_centers_)
    found = clusters.centres(points, first, rounds)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    if rounds == 100:
        nearest = clusters.nearest_to_centres(points, first)
        assert nearest.tolist() == [int((points - centre).norm(dim=1).argmin()) for centre in expected]


def test_a_centre_without_points_stays() -> None:
    points = torch.tensor([[0.0], [0.0], [10.0]], dtype=torch.float64)
    assert clusters.centres(points, torch.tensor([0, 1, 2])).flatten().tolist() == [0.0, 0.0, 10.0]


# --- which images ----------------------------------------------------------------------------------------------------


def distances(task: Task, network: nn.Module, label: int, first: Tensor, *, pixels: bool) -> Tensor:
    """(k, all images): of each centre of scikit-learn's k-means from each image of the class, infinite from others."""
    found = torch.nonzero(task.dataset.train.labels == label).flatten()
    images = task.dataset.train.take(found)
    shown = images.float() / 255 if pixels else task.dataset.normalisation.apply(images)
    with torch.no_grad():
        features = Penultimate(network)(shown).double()
    start = features[first].numpy()
    kmeans = KMeans(len(first), init=start, n_init=1, max_iter=100, tol=0, algorithm="lloyd").fit(features.numpy())
    apart = torch.full((len(first), len(task.dataset.train)), torch.inf, dtype=torch.float64)
    apart[:, found] = torch.cdist(torch.from_numpy(kmeans.cluster_centers_), features)
    return apart


@pytest.mark.parametrize("normalised", [False, True])
def test_representatives_are_nearest_to_the_centres_of_their_classs_features(
    normalised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of pixels in [0, 1], as in the release, or of normalised images."""
    task, started = task_of(tmp_path), list[Tensor]()
    original = clusters.nearest_to_centres

    def heard(points: Tensor, first: Tensor) -> Tensor:
        started.append(first)
        return original(points, first)

    monkeypatch.setattr("bench_matching.dream.nearest_to_centres", heard)
    here = prepared(task, normalised=normalised)
    network = here._network(task, 3)
    for label in range(3):
        found = here._representatives(task, network, label, 6, 1, 0)
        apart = distances(task, network, label, started[-1], pixels=not normalised)
        # of a cluster of two images both are as near
        torch.testing.assert_close(apart.gather(1, found[:, None])[:, 0], apart.amin(1), rtol=1e-4, atol=1e-4)


def test_they_stay_for_an_interval_and_begin_anew_with_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[tuple[int, int]] = []
    original = DREAM._representatives

    def heard(self: DREAM, task: Task, network: nn.Module, label: int, count: int, seed: int, position: int) -> Tensor:
        chosen.append((position, label))
        return original(self, task, network, label, count, seed, position)

    monkeypatch.setattr(DREAM, "_representatives", heard)
    task = task_of(tmp_path)
    here = prepared(task, interval=2, representative_start=False)
    here.synthesize(task, here.units(task)[0])
    assert sorted(set(chosen)) == [(update, label) for update in (0, 2, 4, 5, 7, 9) for label in range(3)]
    assert len(chosen) == 18, "each class once"


def test_the_time_of_an_update_holds_its_share_of_the_choosing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that choosing alone moves, a second a class: three seconds in every second update, of six images."""
    now = [0.0]
    original = DREAM._representatives

    def slow(self: DREAM, *given: Any) -> Tensor:  # noqa: ANN401
        now[0] += 1.0
        return original(self, *given)

    monkeypatch.setattr(DREAM, "_representatives", slow)
    task = task_of(tmp_path)
    here = prepared(task, interval=2, steps=6)
    monkeypatch.setattr("bench.hardware.meters.time.perf_counter", lambda: now[0])
    here.synthesize(task, here.units(task)[0])
    assert task.times.windows == [pytest.approx(3 / 2 / 6)] * 4


def test_between_two_choices_the_same_images_are_matched(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    here, network = prepared(task, interval=2), prepared(task)._network(task, 0)
    first, again = (here._real_images(task, network, [2, 0], update) for update in (0, 1))
    assert torch.equal(first, again)
    assert torch.equal(here._chosen[1], torch.zeros(6, dtype=torch.int64)), "nobody asked for that class"
    of_classes = task.dataset.train.labels[here._chosen[[2, 0]]]
    assert of_classes.tolist() == [[2] * 6, [0] * 6]
    assert here._kept["chosen"] is here._chosen


def test_images_start_from_representatives(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    here = prepared(task)
    network, seed = here._network(task, 0), task.seed_for("start")
    picked = torch.cat([here._representatives(task, network, label, 8, seed, 0) for label in range(3)])
    expected = grids(task.dataset.train.take(picked).float() / 255, 3, 2)
    assert torch.equal(here._start(task), expected)
    assert not torch.equal(prepared(task, representative_start=False)._start(task), expected)


def test_too_few_images_to_start_from_are_told(tmp_path: Path) -> None:
    task = task_of(tmp_path, ipc=6)
    with pytest.raises(UsageError, match="24"):
        prepared(task)._start(task)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "ipc", "lr", "batch", "learned"),
    [
        ("cifar10", 10, 0.005, 128, 2000),
        ("cifar100", 10, 0.005, 128, 2000),
        ("svhn", 10, 0.005, 128, 500),
        ("fashion-mnist", 10, 1e-4 * 28**2 / 32**2, 128, 500),
        ("tiny-imagenet", 1, 0.02, 64, 1000),
        ("tiny-imagenet", 10, 0.02, 64, 1000),
        ("tiny-imagenet", 50, 4e-6, 64, 1000),
    ],
)
def test_recipes_are_the_releases(dataset: str, ipc: int, lr: float, batch: int, learned: int) -> None:
    """misc/reproduce.py and argument.py, whose rates are multiplied by (pixels a side / 32) ** 2."""
    size = {"tiny-imagenet": 64, "fashion-mnist": 28}.get(dataset, 32)
    found = DREAMConfig.model_validate(DREAM.recipe(Setting(dataset, size, 3, 10, ipc, "convnet4")).at("paper"))
    assert (found.lr, found.batch_real, found.learn_batch, found.learn_images) == (lr, batch, batch, learned)
    assert (found.interval, found.factor, found.normalised, found.representative_start) == (10, 2, False, True)
    assert found.networks == 2000 and found.steps == 100
