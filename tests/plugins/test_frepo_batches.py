"""Which images FRePo's steps see, and what belongs to them: synthetic ones with targets, real ones with classes."""

from pathlib import Path

import pytest
import torch
from reals import places_of, training_images
from torch import Tensor

from bench.condensation import Task
from bench.testing import tiny_dataset, tiny_task
from bench_frepo.method import Reals
from bench_frepo.pool import Member, Pool


@pytest.fixture
def task(tmp_path: Path) -> Task:
    dataset = tiny_dataset(classes=4, per_class=6, resolution=8)
    return tiny_task(tmp_path, dataset=dataset, backbone="convnet1-bn", ipc=2)


def test_a_network_trains_on_some_of_the_images_with_their_own_targets(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(Member, "train", lambda _, __, images, targets: seen.append((images, targets)))
    numbers = torch.arange(8.0)
    images, targets = numbers.view(8, 1, 1, 1).expand(-1, 3, 8, 8), numbers[:, None].expand(-1, 4)
    pool = Pool(task, size=1, most=9, rate=1e-3, batch=4)
    for iteration in range(12):
        pool.advance(iteration, images, targets)
    chosen = [shown[:, 0, 0, 0].tolist() for shown, _ in seen]
    assert chosen == [wanted[:, 0].tolist() for _, wanted in seen]
    assert len(chosen) == 12 and all(len(set(some)) == 4 for some in chosen)
    assert len(set(map(tuple, chosen))) > 6 and {number for some in chosen for number in some} == {*range(8)}


def test_a_turn_of_real_images_shows_each_once_at_most_with_its_own_class(task: Task) -> None:
    """24 images in batches of 10: two to a turn, which leaves four out; the next turn has another order."""
    reals, everything, labels = Reals(task, 10), training_images(task), task.dataset.train.labels
    places = []
    for iteration in range(4):
        images, classes = reals.batch(iteration)
        found = places_of(images, everything)
        own = torch.eye(4)[labels[found]] - 0.25
        torch.testing.assert_close(classes, own)
        places.append(found)
    for turn in (places[:2], places[2:]):
        assert len({place for batch in turn for place in batch}) == 20
    assert places[0] != places[2] and places[1] != places[3]
    again = Reals(task, 10)
    assert [places_of(again.batch(iteration)[0], everything) for iteration in (3, 0, 2)] == [
        places[at] for at in (3, 0, 2)
    ]
