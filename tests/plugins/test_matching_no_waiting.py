"""The matching methods and FRePo neither wait for their device between updates nor mix it with the host."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from elsewhere import ELSEWHERE, FETCHED, Counted, Watch, let_it_run
from matching import SMALL, task_of

from bench.condensation import Condenser, Task
from bench.extensions.registry import Registry
from bench.planning.configuring import build, configure
from bench_frepo import engines
from bench_matching import features

UPDATES = 3
TRAJECTORIES = ("mtt", "tesla", "datm")
LITTLE: dict[str, tuple[str, ...]] = {
    **{"dc": ("inner_epochs=1",), "dsa": ("inner_epochs=1",), "dm": (), "mtt": (), "tesla": ()},
    "datm": ("init=real",),  # what experts recognise is looked at once, before the loop
    **{"idc": ("learn_images=8", "batch_synthetic=3"), "idc-i": ("learn_images=8",)},
    "frepo": ("zca=false", "networks=2", "most_steps=0", "batch_real=8"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    let_it_run(monkeypatch)
    for module in (features, engines):
        monkeypatch.setattr(module, "check_headless", lambda *_: None)  # looks once, before the loop
    return task_of(tmp_path)


def ready(here: Task, there: Task, name: str, engine: str) -> Condenser[Any]:
    """The method over the device; experts are trained here, where they can be."""
    choice = configure(Registry(), name, here.setting, [*LITTLE[name], f"engine={engine}"])
    if name in TRAJECTORIES:
        choice = replace(choice, config={**choice.config, **SMALL, "iterations": 99, "engine": engine})
    method = build(Registry(), choice)
    method.prepare(here if name in TRAJECTORIES else there)
    return method


@dataclass(frozen=True)
class Seen(Counted):
    """Notes how many copies have waited by the end of each step, by loop in the order in which they begin."""

    watch: Watch = field(default_factory=Watch)
    waits: dict[str, list[int]] = field(default_factory=dict)

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        seen = self.waits.setdefault(what, [])
        for step in super().walk(what, start, stop, once=once):
            yield step
            seen.append(self.watch.waits)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("name", LITTLE)
def test_an_update_does_not_wait(here: Task, name: str, engine: str) -> None:
    """From the second on: what the first makes ready may have to be copied."""
    pace = Seen(UPDATES)
    there = replace(here, device=ELSEWHERE, pace=pace)
    method = ready(here, there, name, engine)
    with pace.watch, pytest.raises((RuntimeError, NotImplementedError), match=FETCHED):
        method.synthesize(there, method.units(there)[0])  # at its end the images are fetched
    of_updates = next(iter(pace.waits.values()))
    assert len(of_updates) == UPDATES
    assert of_updates[-1] == of_updates[0], "updates copy to the device and wait"
