"""What the planners of one command share."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from benching import Bench

from bench.data.opening import open_dataset
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.running.networks import check_network
from bench.running.planning import Planner
from bench.running.request import inventory_of


def test_planners_of_one_command_open_a_dataset_and_build_a_network_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, built = Mock(wraps=open_dataset), Mock(wraps=check_network)
    monkeypatch.setattr("bench.running.inventory.open_dataset", opened)
    monkeypatch.setattr("bench.running.checks.check_network", built)
    registry, request = Registry(), Bench(tmp_path).request("random")
    shared = inventory_of(registry, request, Silent())
    plans = [Planner(registry, request, Silent(), None, shared).jobs() for _ in range(3)]
    assert plans[0] == plans[1] == plans[2] == Planner(registry, request, Silent()).jobs()
    assert (opened.call_count, built.call_count) == (2, 2)  # what is shared, and the last planner for itself
