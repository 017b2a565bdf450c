"""Images that are whitened once for all trainings: the same values, a stated limit, nothing that stays."""

import gc
import weakref
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.condensation import Task
from bench.data.splits import UnavailableSplit
from bench.loops.pace import Trial
from bench.progress import Silent
from bench.testing import tiny_dataset, tiny_task
from bench.training import seen
from bench.training.feeding import Feed
from bench.training.seen import SeenSplit, seen_once
from bench.whitening import Whitening, fit
from bench_matching.experts import ExpertRecipe, expert_trajectories

EXPERTS = ExpertRecipe(
    count=2, epochs=2, batch_size=8, lr=0.05, momentum=0.0, weight_decay=0.0, schedule="constant", dsa="color_crop"
)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Sees 24 training images of 8 x 8 through their whitening."""
    plain = tiny_task(tmp_path, dataset=tiny_dataset(classes=3, per_class=8, resolution=8), backbone="convnet3")
    return plain.seen_through(fit(plain))


@pytest.fixture
def whitened(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, ...]]:
    """How often images (by their first pixels) have been whitened."""
    count: Counter[tuple[int, ...]] = Counter()
    apply = Whitening.apply

    def counted(self: Whitening, images: Tensor) -> Tensor:
        count.update(tuple(image.flatten()[:8].tolist()) for image in images)
        return apply(self, images)

    monkeypatch.setattr(Whitening, "apply", counted)
    return count


def test_values_are_those_of_batches(task: Task) -> None:
    """Of 3 x 32 x 32 numbers and full batches, as on CIFAR-10."""
    draws = torch.Generator().manual_seed(0)
    dataset = tiny_dataset(classes=2, per_class=200, resolution=32)
    whitening = Whitening(torch.rand(3, 32, 32, generator=draws), torch.randn(3072, 3072, generator=draws) / 55)
    there = seen_once(Task(**{**vars(task), "dataset": dataset}).seen_through(whitening))
    indices = torch.randperm(400, generator=draws)[:256]
    batch = Feed(dataset.train, whitening, task.device).images(indices)
    found = Feed(there.dataset.train, whitening, task.device).images(indices)
    torch.testing.assert_close(found, batch, rtol=0, atol=2e-6)  # 0 where it was measured


def test_experts_see_each_image_whitened_once_and_are_the_same(
    task: Task, whitened: Counter[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = expert_trajectories(task, EXPERTS)
    assert len(whitened) == len(task.dataset.train) + len(task.dataset.test)
    assert set(whitened.values()) == {1}
    monkeypatch.setattr(seen, "HELD", 0)
    elsewhere = Task(**{**vars(task), "stages": type(task.stages)(tmp_path / "other")})
    in_batches = expert_trajectories(elsewhere, EXPERTS)
    assert set(whitened.values()) == {1 + 2 * 2, 1 + 2}, "in each epoch of both, and in the test of both"
    for one, other in zip(found.files, in_batches.files, strict=True):
        assert one.name == other.name
    for index in range(2):
        rows = (torch.stack(each.weights(index, range(3))) for each in (found, in_batches))
        torch.testing.assert_close(*rows, rtol=1e-5, atol=1e-6)


def test_what_is_found_trained_is_not_whitened_for(task: Task, whitened: Counter[tuple[int, ...]]) -> None:
    expert_trajectories(task, EXPERTS)
    whitened.clear()
    expert_trajectories(task, EXPERTS)
    assert not whitened


def test_a_split_that_takes_more_stays_as_it_is(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = task.dataset.train, task.dataset.test
    assert len(train) > len(test)
    monkeypatch.setattr(seen, "HELD", len(train) * 4 * 3 * 8 * 8 - 1)
    dataset = seen_once(task).dataset
    assert dataset.train is train and isinstance(dataset.test, SeenSplit)
    assert dataset.test.labels is test.labels


def test_the_limit_is_cifars_and_not_that_of_tiny_imagenet() -> None:
    assert 50_000 * 3 * 32 * 32 * 4 <= seen.HELD < 100_000 * 3 * 64 * 64 * 4


def test_constants_of_channels_and_what_is_not_there_stay_as_they_are(task: Task, tmp_path: Path) -> None:
    plain = tiny_task(tmp_path / "plain")
    assert seen_once(plain) is plain
    task.dataset.__dict__["test"] = UnavailableSplit("gone", damaged=True)
    assert isinstance(seen_once(task).dataset.test, UnavailableSplit)


def test_nothing_stays_when_the_experts_are_trained(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[SeenSplit]] = []
    begin = SeenSplit.__init__

    def watched(self: SeenSplit, *given: object) -> None:
        begin(self, *given)  # type: ignore[arg-type]
        made.append(weakref.ref(self))

    monkeypatch.setattr(SeenSplit, "__init__", watched)
    expert_trajectories(task, EXPERTS)
    gc.collect()
    assert len(made) == 2 and not any(each() for each in made)


def test_a_dry_run_counts_it_once_for_all_experts(task: Task) -> None:
    trial, heard = Trial(torch.device("cpu")), list[str]()

    class Hearing(Silent):
        def advance(self, what: str, done: int, total: int) -> None:
            heard.append(what)

    expert_trajectories(
        Task(**{**vars(task), "pace": trial, "progress": Hearing()}), EXPERTS.model_copy(update={"count": 50})
    )
    *samples, rest = trial.samples
    assert heard.index("zca train images") < heard.index("expert"), "or its time would be a step's"
    assert [(each.what, each.once) for each in samples] == [
        ("zca train images", True),
        ("expert", False),
        ("zca test images", True),
        ("test", False),
    ]
    assert rest.steps == 49
    assert rest.whole_s == pytest.approx(49 * sum(each.whole_s for each in samples if not each.once))
