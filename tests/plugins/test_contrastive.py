"""MoCo's loop: when the key network follows, what the queue holds, at which rate, and in which colours."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.condensation import Task
from bench.testing import tiny_dataset, tiny_task
from bench_statistics import colours, contrastive
from bench_statistics.colours import Colours
from bench_statistics.contrastive import ContrastiveRecipe, _Contrast

RECIPE = ContrastiveRecipe(epochs=2, batch_size=6, lr=0.1, weight_decay=1e-3, queue=20, parts=2)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), backbone="convnet3-bn", ipc=2)


@pytest.fixture
def training(task: Task, tmp_path: Path) -> _Contrast:
    return _Contrast(task, task.network(0), RECIPE, 1, tmp_path / "checkpoint")


@pytest.fixture
def losses_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Keys, and the queue as it was, of each loss that is taken."""
    seen: list[tuple[Tensor, Tensor]] = []
    info_nce = contrastive.info_nce

    def noting(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
        seen.append((keys, queue.clone()))
        return info_nce(queries, keys, queue, temperature)

    monkeypatch.setattr(contrastive, "info_nce", noting)
    return seen


def weights_of(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().double().flatten() for weight in network.parameters()])


def test_the_key_network_follows_before_each_step(training: _Contrast) -> None:
    """As MoCo's `forward` does: w_k <- 0.99 w_k + 0.01 w_q, of the w_q that the step then changes."""
    first = expected = weights_of(training.key)
    for batch in range(4):
        expected = 0.99 * expected + 0.01 * weights_of(training.query)
        training._update(0, batch)
        torch.testing.assert_close(weights_of(training.key), expected, rtol=0, atol=1e-6)
        if batch == 0:
            assert torch.equal(weights_of(training.key), first), "both networks start with the same weights"
    assert float((expected - first).abs().max()) > 1e-4, "far more than what is tolerated"


def test_keys_join_the_queue_after_their_own_loss_and_in_the_place_of_the_oldest(
    training: _Contrast, losses_of: list[tuple[Tensor, Tensor]]
) -> None:
    """Over two epochs, the second of which goes on where the first ended: after 36 keys in row 16 of 20."""
    queue, row, batches = training.queue.clone(), 0, training.views[0].batches
    assert batches * 6 % 20 == 16
    for step in range(2 * batches):
        training._update(*divmod(step, batches))
        keys, before = losses_of[step]
        assert torch.equal(before, queue)
        for key in keys:
            queue[row] = key
            row = (row + 1) % 20
        assert torch.equal(training.queue, queue)
    assert not torch.equal(losses_of[0][0], losses_of[1][0])


def test_the_rate_falls_along_a_cosine_a_step_an_epoch(training: _Contrast, monkeypatch: pytest.MonkeyPatch) -> None:
    """(1 + cos(pi e / 2)) / 2 of two epochs e = 0 and 1: all, and half of it."""
    rates = []
    monkeypatch.setattr(training, "_update", lambda *_: rates.append(training.optimizer.param_groups[0]["lr"]))
    training.run()
    batches = training.views[0].batches
    assert rates == pytest.approx([0.1] * batches + [0.05] * batches)


def test_each_view_of_each_batch_has_colours_of_its_own(training: _Contrast, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Colours] = []
    draw = colours.draw

    def noting(*given: object) -> Colours:
        seen.append(draw(*given))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(colours, "draw", noting)
    asked = [(which, epoch, batch) for which in range(2) for epoch in range(2) for batch in range(2)]
    for which, epoch, batch in asked:
        training._seen(which, epoch, batch)
    assert len({tuple(each.amounts.flatten().tolist()) for each in seen}) == len(seen) == 8
