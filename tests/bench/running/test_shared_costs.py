"""What several rows use is a cost of its own, the same in each: nobody pays for all by being the first."""

from pathlib import Path

import costly_methods
import pytest
from benching import Bench
from costly_methods import COMPILING_S, STAGE_S, SYNTHESIS_S, TEACHER_S, TRAINING_S

from bench.results import rows as table
from bench.storage.files import write_json
from bench.storage.shared.elapsed import lasting

PLUGIN = str(costly_methods.__file__)


class Clock:
    """It stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    return clock


def test_a_protocols_teacher_costs_every_row_the_same_and_its_training_nothing_of_that(
    bench: Bench, clock: Clock
) -> None:
    costly = Bench(bench.folder, (PLUGIN,))
    jobs = costly.jobs("late", protocols=("slow",), control=True, eval_seeds=2)
    first, second = table.rows([costly.run(job) for job in jobs])
    assert first["method"] != second["method"]
    assert first["evaluation_s"] == second["evaluation_s"] == 2 * TRAINING_S
    assert first["evaluation_prepare_s"] == second["evaluation_prepare_s"] == TEACHER_S
    assert (first["evaluation_warm_up_s"], second["evaluation_warm_up_s"]) == (COMPILING_S, 0)


def test_a_stage_costs_every_row_the_same_wherever_a_method_asks_for_it(bench: Bench, clock: Clock) -> None:
    costly = Bench(bench.folder, (PLUGIN,))
    rows = table.rows([costly.run(costly.jobs("late", ipcs=(ipc,), protocols=("slow",))[0]) for ipc in (1, 2)])
    assert [row["synthesis_s"] for row in rows] == [SYNTHESIS_S, SYNTHESIS_S]
    assert [row["prepare_s"] for row in rows] == [STAGE_S, STAGE_S]


def test_without_a_shared_stage_there_is_no_cost_but_a_reason(bench: Bench) -> None:
    (row,) = table.rows([bench.run(bench.jobs()[0])])  # online labels: the teacher is the set's own cost
    assert row["evaluation_prepare_s"] is None
    assert row["null_reasons"]["evaluation_prepare_s"] == "evaluations share no stage"


def test_what_is_another_s_cost_is_in_no_attempt(tmp_path: Path, clock: Clock) -> None:
    others = [100.0]
    write_json(tmp_path / "elapsed.json", {"seconds": 7.0})
    with lasting(tmp_path / "elapsed.json", lambda: others[0]) as watch:
        clock.now += 50
        others[0] += 30
        assert (watch.now(), watch.total()) == (20, 27)
    with lasting(tmp_path / "elapsed.json") as again:
        assert again.before == 27
