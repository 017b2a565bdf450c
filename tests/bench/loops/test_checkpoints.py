"""State of loops without pickle: everything comes back, and a foreign file changes nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.loops import checkpoints


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
def test_a_network_and_its_optimiser_come_back(tmp_path: Path, kind: type[torch.optim.Optimizer]) -> None:
    options = {"lr": 0.1, "momentum": 0.9} if kind is torch.optim.SGD else {"lr": 0.1}

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        return network, kind(network.parameters(), **options)  # type: ignore[arg-type]

    def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        network(torch.ones(2, 1, 5, 5).cumsum(-1)).square().sum().backward()
        optimizer.step()

    network, optimizer = fresh()
    step(network, optimizer)
    checkpoints.save(tmp_path / "c", {"network": network, "optimizer": optimizer}, {"done": 1})
    step(network, optimizer)
    other, its = fresh()
    assert checkpoints.restore(tmp_path / "c", {"network": other, "optimizer": its}) == {"done": 1}
    step(other, its)
    for mine, theirs in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_checkpoint_of_something_else_changes_nothing(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "c", {"images": torch.ones(2)}, {"done": 1})
    mine = torch.zeros(2)
    assert checkpoints.restore(tmp_path / "c", {"other": mine}) is None
    assert checkpoints.restore(tmp_path / "absent", {"images": mine}) is None
    assert torch.equal(mine, torch.zeros(2))


@pytest.mark.parametrize(("took", "pause"), [(0.1, 30), (3, 60), (100, 600)])
def test_the_slower_the_saving_the_rarer_it_is(monkeypatch: pytest.MonkeyPatch, took: float, pause: float) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    rhythm = checkpoints.CheckpointSchedule(30)
    with rhythm.saving():
        now += took
    now += pause - 0.01
    assert not rhythm.due()
    now += 0.02
    assert rhythm.due()
