"""The order in which a method is asked, and in which task."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.errors import RunFailure
from bench.labels import HardLabels, Labels
from bench.running.procedure import Procedure
from bench.testing import tiny_task

Asked = list[tuple[str, int]]  # what, and in a task of how many images per class


class Noting(Condenser[MethodConfig]):
    """Notes what it is asked and in which task, which `ipc` tells; works in one of its own, if it is given one."""

    def __init__(self, asked: Asked, works_in: object = None) -> None:
        super().__init__(MethodConfig())
        self._asked, self._works_in = asked, works_in

    def prepare(self, task: Task) -> Task | None:
        self._asked.append(("prepare", task.ipc))
        return self._works_in  # type: ignore[return-value]

    def warm_up(self, task: Task) -> None:
        self._asked.append(("warm_up", task.ipc))

    def units(self, task: Task) -> list[Unit]:
        self._asked.append(("units", task.ipc))
        return [Unit("all", (0, 1, 2))]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        self._asked.append((f"synthesize in {task.workspace.name}", task.ipc))
        return Images(torch.zeros(3, 3, 16, 16, dtype=torch.uint8), torch.arange(3))

    def label(self, task: Task, images: Images) -> Labels:
        self._asked.append((f"label in {task.precision}", task.ipc))
        return HardLabels()


def a_task(folder: Path, ipc: int) -> Task:
    return tiny_task(folder, ipc=ipc, workspace=f"ipc{ipc}")


def walked(procedure: Procedure, folder: Path) -> None:
    procedure.prepare()
    procedure.warm_up()
    for unit in procedure.units():
        procedure.warm_up()
        images = procedure.synthesize(unit, workspace=folder / "unit")
    procedure.prepare_labels()
    assert procedure.label(procedure.stored(images), precision="bf16") == HardLabels()


@pytest.mark.parametrize("own", [True, False])
def test_all_after_prepare_is_asked_in_the_task_that_it_returned(tmp_path: Path, own: bool) -> None:
    asked: Asked = []
    task, method = a_task(tmp_path, 1), Noting(asked, a_task(tmp_path, 7) if own else None)
    walked(Procedure(method, task, method), tmp_path)
    ipc = 7 if own else 1
    later = ["warm_up", "units", "synthesize in unit", "label in bf16"]
    assert asked == [("prepare", 1), *((what, ipc) for what in later)]


def test_another_labeller_starts_from_the_task_of_the_run(tmp_path: Path) -> None:
    images, labels = Asked(), Asked()
    made, labelled = (Noting(*each) for each in ((images, a_task(tmp_path, 7)), (labels, a_task(tmp_path, 5))))
    walked(Procedure(made, a_task(tmp_path, 1), labelled), tmp_path)
    assert [what for what, _ in images] == ["prepare", "warm_up", "units", "synthesize in unit"]
    assert labels == [("prepare", 1), ("label in bf16", 5)]


def test_what_is_no_task_is_refused_by_name(tmp_path: Path) -> None:
    method = Noting([], works_in=True)
    with pytest.raises(RunFailure, match=r"prepare returned a bool; it must return the bench\.condensation\.Task"):
        Procedure(method, a_task(tmp_path, 1), method).prepare()


def test_the_time_of_a_unit_ends_when_the_device_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method may hand over images that a GPU is still making."""
    asked: Asked = []
    method = Noting(asked)

    def timer(work: Callable[[], Images]) -> tuple[Images, float]:
        images = work()
        asked.append(("clock", 1))
        return images, 0.0

    monkeypatch.setattr("bench.running.procedure.synchronize", lambda device: asked.append(("waited", 1)))
    Procedure(method, a_task(tmp_path, 1), method).measured(Unit("all", (0, 1, 2)), timer)
    assert [what for what, _ in asked] == ["synthesize in ipc1", "waited", "clock"]
