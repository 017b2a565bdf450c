"""Curves of trainings: what is counted, when it is looked, what a continued training has, and where they lie."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stopping import StopAfter
from torch import nn

from bench.condensation import Task
from bench.errors import CorruptArtefact, Interrupted, RunFailure
from bench.evaluation import Curves
from bench.results import curves
from bench.training import loop
from bench.training.curves import Curve, spaced
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import HardSupervision

MakeTask = Callable[..., Task]
CPU = torch.device("cpu")


def job(task: Task, curve: Curve, **changes: Any) -> TrainingJob:  # noqa: ANN401 - of a recipe
    fields = {"epochs": 4, "batch_size": 16, "lr": 0.05, "weight_decay": 1e-3, **changes}
    data = task.dataset
    return TrainingJob(
        recipe=TrainingRecipe.model_validate(fields),
        feed=Feed(data.train, data.normalisation, task.device),
        supervision=HardSupervision(),
        view_seed=11,
        checkpoint=task.workspace / "training.checkpoint.safetensors",
        what="test",
        curve=curve,
    )


def watched(task: Task, **changes: Any) -> tuple[Curve, list[nn.Module]]:  # noqa: ANN401 - of a recipe
    seen: list[nn.Module] = []

    def look(network: nn.Module) -> float:
        seen.append(network)
        return 10.0 * len(seen)

    curve = Curve(4, 3, look, CPU)
    loop.train(task, task.network(5), job(task, curve, **changes))
    return curve, seen


@pytest.mark.parametrize(
    ("count", "epochs", "found"),
    [(3, 100, (25, 50, 75)), (0, 100, ()), (1, 2, (1,)), (5, 1, ()), (9, 4, (1, 2, 3)), (2, 10, (3, 7))],
)
def test_looks_lie_evenly_apart_before_the_last_epoch(count: int, epochs: int, found: tuple[int, ...]) -> None:
    assert spaced(count, epochs) == found


def test_what_is_counted_of_an_epoch() -> None:
    curve = Curve(2, 0, lambda network: 0.0, CPU)
    curve.count(torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), torch.tensor([0, 1, 1]))
    curve.count(torch.tensor([[2.0, 1.0]]), torch.tensor([0]))
    curve.end(0, 0.5, nn.Identity())
    curve.count(torch.tensor([[2.0, 1.0]]), torch.tensor([1]))
    curve.end(1, 0.25, nn.Identity())
    assert curve.train_top1.tolist() == [75.0, 0.0]
    assert curve.train_loss.tolist() == [0.5, 0.25]


def test_a_training_fills_its_curves(make_task: MakeTask) -> None:
    curve, seen = watched(make_task())
    assert curve.train_loss.isfinite().all()
    assert curve.train_loss[-1] < curve.train_loss[0]
    assert ((curve.train_top1 >= 0) & (curve.train_top1 <= 100)).all()
    assert curve.test_top1.tolist() == [10.0, 20.0, 30.0]
    assert len(seen) == 3


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(make_task: MakeTask) -> None:
    """In two batches of 23, of a network that hardly moves: the cross-entropy of the whole set, in float64."""
    task, curve = make_task(), Curve(1, 0, lambda network: 0.0, CPU)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    train, before = task.dataset.train, copy.deepcopy(network).double()
    loop.train(task, network, job(task, curve, epochs=1, batch_size=23, lr=1e-30, weight_decay=0.0))
    every = torch.arange(46)
    logits = before(task.dataset.normalisation.apply(train.take(every)).double())
    expected = -logits.log_softmax(1)[every, train.labels].mean().item()
    assert curve.train_loss.tolist() == [pytest.approx(expected, rel=1e-6)]


def test_what_is_looked_at_is_what_would_be_tested(make_task: MakeTask) -> None:
    """The moving average, where there is one."""
    _, (first, *_) = watched(make_task(), ema=0.9)
    _, (plain, *_) = watched(make_task())
    tensors = first.state_dict()
    assert any(not torch.equal(tensor, tensors[name]) for name, tensor in plain.state_dict().items())


def test_curves_change_no_weight(make_task: MakeTask) -> None:
    task = make_task()
    without = loop.train(task, task.network(5), replace(job(task, Curve(4, 0, lambda network: 0.0, CPU)), curve=None))
    looked = loop.train(task, task.network(5), job(task, Curve(4, 3, lambda network: 0.0, CPU)))
    for name, tensor in without.state_dict().items():
        assert torch.equal(tensor, looked.state_dict()[name])


def test_an_interrupted_training_has_the_same_curves(make_task: MakeTask) -> None:
    unbroken, _ = watched(make_task())
    for calls in (2, 3, 4):
        with pytest.raises(Interrupted):
            watched(make_task(should_stop=StopAfter(calls)))
    task = make_task()
    again = Curve(4, 3, lambda network: 50.0, CPU)
    loop.train(task, task.network(5), job(task, again))
    assert torch.equal(again.train_loss, unbroken.train_loss)
    assert torch.equal(again.train_top1, unbroken.train_top1)
    assert again.test_top1.isfinite().all()


def kept(confusion: list[list[int]]) -> Curves:
    loss, train, test = (torch.ones(count, dtype=torch.float64) for count in (2, 2, 1))
    return Curves(loss, train, torch.tensor([1]), test, torch.tensor(confusion))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    path = curves.path_of(tmp_path, "soft-convnet1", 0)
    path.parent.mkdir()
    curves.write(path, kept([[3, 1], [0, 4]]), "abc")
    found = curves.read(path)
    assert torch.equal(found.confusion, torch.tensor([[3, 1], [0, 4]]))
    assert curves.class_accuracies([found, kept([[4, 0], [2, 2]])]).tolist() == [87.5, 75.0]


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.curves.safetensors"
    curves.write(path, kept([[3, 1], [0, 4]]), "abc")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptArtefact, match="its checksum does not match"):
        curves.read(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confusion": torch.ones(2, 3)}, "a confusion is square"),
        ({"train_top1": torch.ones(3)}, "train_loss and train_top1 are lists of one length"),
        ({"test_top1": torch.ones(1, 1)}, "test_epochs and test_top1 are lists of one length"),
    ],
)
def test_what_are_no_curves_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(RunFailure, match=said):
        curves.write(tmp_path / "a", replace(kept([[1, 0], [0, 1]]), **change), "abc")
