"""Rows and floors in their order, each in a child; what becomes of children that fail."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ears import Ear

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.progress import Progress
from bench.running.executors.orders import Order
from bench.running.executors.processes import Ended
from bench.speed import session as module
from bench.speed.floor import FloorSpec
from bench.speed.measuring import StepSpec
from bench.speed.orders import FloorOrder, StepOrder
from bench.speed.planning import Planned, SpeedPlanner, SpeedRequest
from bench.speed.session import Session
from bench.storage.shared.slots import LEASES


class Children:
    """Stands in for `run_child`: remembers the orders, and ends each as told."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.ends: dict[str, Ended] = {}
        self.floor = 0.0

    def __call__(self, order: Order, cache: Path, progress: Progress, timeout: float | None) -> Ended:
        assert isinstance(order, StepOrder | FloorOrder)
        about = order.step if isinstance(order, StepOrder) else order.floor
        assert order.precision == about.precision
        name = " ".join(filter(None, [order.work, about.backbone, _engine(about)]))
        self.orders.append(name)
        if isinstance(order, FloorOrder):
            self.floor += 1.0
            return self.ends.get(name, Ended("measured", {"measured": self.floor}, 0, stopped=False))
        assert order.folder.is_dir()
        return self.ends.get(name, Ended("measured", {"measured": {"images": 6}}, 0, stopped=False))


def _engine(about: StepSpec | FloorSpec) -> str | None:
    return about.method.config["way"] if isinstance(about, StepSpec) else None


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    standing = Children()
    monkeypatch.setattr(module, "run_child", standing)
    return standing


@pytest.fixture
def rows(registry: Registry) -> list[Planned]:
    nothing: dict[str, Any] = dict.fromkeys(("table", "batch_size", "iterations", "engine", "vary", "compile"))
    request = SpeedRequest(
        methods=("looping",),
        backbones=("convnet3", "convnet3-bn"),
        dataset="digits",
        ipc=1,
        changes=(),
        device="cpu",
        precision="fp32",
        **nothing,
    )
    return SpeedPlanner(registry, request).rows()


@pytest.fixture
def session(registry: Registry, tmp_path: Path) -> Session:
    return Session(registry, torch.device("cpu"), tmp_path / "cache", Ear())


def test_floors_are_measured_around_every_row(children: Children, session: Session, rows: list[Planned]) -> None:
    ended = list(session.run(rows))
    assert children.orders == [
        *("floor convnet3", "step convnet3 reference"),
        *("floor convnet3", "step convnet3 quick", "floor convnet3"),
        *("floor convnet3-bn", "step convnet3-bn reference"),
        *("floor convnet3-bn", "step convnet3-bn quick", "floor convnet3-bn"),
    ]
    assert [outcome.floors for outcome in ended] == [[1.0, 2.0, 3.0]] * 2 + [[4.0, 5.0, 6.0]] * 2
    assert [outcome.status for outcome in ended] == ["done"] * 4
    assert not [each for each in session.cache.iterdir() if each.is_dir() and each.name != LEASES], (
        "scratch folders are gone"
    )


def test_a_child_that_fails_is_a_row_with_its_reason(children: Children, session: Session, rows: list[Planned]) -> None:
    children.ends["step convnet3 quick"] = Ended(None, {}, -9, stopped=False)
    children.ends["step convnet3-bn quick"] = Ended("failed", {"reason": "no room"}, 0, stopped=False)
    ended = list(session.run(rows))
    assert [outcome.status for outcome in ended] == ["done", "failed", "done", "failed"]
    assert "SIGKILL" in str(ended[1].reason)
    assert ended[3].reason == "no room"


def test_without_a_floor_the_rows_are_measured_all_the_same(
    children: Children, session: Session, rows: list[Planned]
) -> None:
    children.ends["floor convnet3"] = Ended("failed", {"reason": "no such layer"}, 0, stopped=False)
    ended = list(session.run(rows))
    assert [outcome.floors for outcome in ended] == [[], [], [4.0, 5.0, 6.0], [4.0, 5.0, 6.0]]
    assert {outcome.status for outcome in ended} == {"done"}
    assert isinstance(session.progress, Ear)
    assert session.progress.heard == ["no floor for convnet3: no such layer"] * 3


def test_a_stop_ends_the_session_even_where_the_child_was_done(
    children: Children, session: Session, rows: list[Planned]
) -> None:
    children.ends["step convnet3 quick"] = Ended("measured", {"measured": {}}, 0, stopped=True)
    ended = []
    with pytest.raises(Interrupted):
        for outcome in session.run(rows):
            ended.append(outcome)  # noqa: PERF402 - those before the stop
    assert len(ended) == 1
