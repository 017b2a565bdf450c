"""What the planners of one command share."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from benching import Bench

from bench.data.opening import open_dataset
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.planning.inventory import DataUnready
from bench.planning.networks import check_network
from bench.planning.planner import Planner
from bench.planning.request import inventory_of
from bench.progress import Silent


def test_planners_of_one_command_open_a_dataset_and_build_a_network_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, built = Mock(wraps=open_dataset), Mock(wraps=check_network)
    monkeypatch.setattr("bench.planning.inventory.open_dataset", opened)
    monkeypatch.setattr("bench.planning.checks.check_network", built)
    registry, request = Registry(), Bench(tmp_path).request("random")
    shared = inventory_of(registry, request, Silent())
    plans = [Planner(registry, request, Silent(), None, shared).jobs() for _ in range(3)]
    assert plans[0] == plans[1] == plans[2] == Planner(registry, request, Silent()).jobs()
    assert (opened.call_count, built.call_count) == (2, 2)  # what is shared, and the last planner for itself


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "a.png"), RunFailure("a torn file")])
def test_files_that_vanish_while_they_are_looked_at_are_on_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("bench.planning.inventory.open_dataset", Mock(side_effect=error))
    registry, request = Registry(), Bench(tmp_path).request("random")
    with pytest.raises(DataUnready, match=r"a\.png|torn"):
        inventory_of(registry, request, Silent(), whole=True).dataset("digits")
    with pytest.raises(type(error)):
        inventory_of(registry, request, Silent()).dataset("digits")
