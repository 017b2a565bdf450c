"""A run in pieces: the stages and units of its synthesis made by several, and the images of a run in one process."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import knitted_methods
import pytest
from benching import Bench

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors import LocalWorkers, SpreadExecutor
from bench.running.executors.orders import PrepareOrder, UnitsOrder
from bench.running.executors.processes import Child
from bench.running.runner import Run
from bench.running.synthesis import Synthesis
from bench.running.units import read_unit
from bench.storage.shared.company import at_work
from bench.storage.shared.leases import locked

PLUGIN = knitted_methods.__file__
REGISTRY = Registry((PLUGIN,))
UNITS = ["class-0", "class-1", "class-2"]


@pytest.fixture
def whole(tmp_path: Path) -> Bench:
    """A second place, of a run in one piece."""
    return Bench(tmp_path / "whole", (PLUGIN,))


def the_job(bench: Bench, **changes: Any) -> Job:  # noqa: ANN401 - the fields of Request
    bench.plugins = (PLUGIN,)
    (job,) = bench.jobs("knitted", protocols=("unseen",), **changes)
    return job


def made(bench: Bench) -> list[str]:
    """What was made, in order."""
    return (bench.cache / "made.txt").read_text().split()


def files(bench: Bench, job: Job) -> dict[str, bytes]:
    """Of the condensed set, but for its manifest, which tells the time."""
    folder = bench.runs / job.spec.name / "condensed"
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}


def another(bench: Bench, job: Job) -> Run:
    """The run as another process has it."""
    return Run(job, REGISTRY, bench.place())


def test_who_helps_names_what_it_made_and_not_what_others_made_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = the_job(bench)
    helping, holder, make = another(bench, job), another(bench, job), Synthesis.make

    def beside(self: Synthesis, names: list[str]) -> list[str]:
        if self is helping.synthesis and names == ["class-2"]:
            holder.attempted(lambda synthesis: make(synthesis, ["class-0"]))
        return make(self, names)

    monkeypatch.setattr(Synthesis, "make", beside)
    assert helping.helped() == ["class-2", "class-1"]
    assert made(bench) == ["stage", "class-0", "class-2", "class-1"]


def test_pieces_made_by_several_in_any_order_are_the_set_of_one_process(bench: Bench, whole: Bench) -> None:
    job = the_job(bench)
    assert another(bench, job).attempted(lambda synthesis: list(synthesis.units)) == UNITS
    assert made(bench) == ["stage"]
    first, second = another(bench, job), another(bench, job)
    assert first.attempted(lambda synthesis: synthesis.make(["class-2"])) == []
    assert second.attempted(lambda synthesis: synthesis.make(["class-1", "class-2"])) == []
    assert first.attempted(lambda synthesis: synthesis.make(["class-0"])) == []
    record = bench.run(job)
    assert made(bench) == ["stage", "class-2", "class-1", "class-0"], "each once, and none by who finishes"
    at_once = whole.run(job)
    assert files(bench, job) == files(whole, job)
    assert record.costs.notes == at_once.costs.notes
    assert record.costs.iterations == at_once.costs.iterations == knitted_methods.STEPS
    assert record.costs.stages.keys() == at_once.costs.stages.keys()


def test_a_unit_that_another_process_is_at_is_left_and_named(bench: Bench) -> None:
    job, units = the_job(bench), bench.runs / the_job(bench).spec.name / "units"
    with locked(units / ".class-1.lock", Silent(), wait=False):
        assert another(bench, job).attempted(lambda synthesis: synthesis.make(UNITS)) == ["class-1"]
    assert made(bench) == ["stage", "class-0", "class-2"]
    assert sorted(path.stem for path in units.glob("*.safetensors")) == ["class-0", "class-2"]


def test_what_another_maker_is_writing_is_no_leftover_of_ours(bench: Bench) -> None:
    job = the_job(bench)
    theirs = bench.runs / job.spec.name / "units" / "class-1.safetensors.1.part"
    ours = theirs.with_name("class-0.safetensors.1.part")
    theirs.parent.mkdir(parents=True)
    for part in (theirs, ours):
        part.touch()
    another(bench, job).attempted(lambda synthesis: synthesis.make(["class-0"]))
    assert theirs.exists() and not ours.exists()


def test_a_damaged_unit_is_set_aside_by_who_makes_it_again(bench: Bench) -> None:
    job = the_job(bench)
    another(bench, job).attempted(lambda synthesis: synthesis.make(UNITS))
    path = bench.runs / job.spec.name / "units" / "class-1.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with locked(path.with_name(".class-1.lock"), Silent(), wait=False):
        assert another(bench, job).attempted(lambda synthesis: synthesis.make(UNITS)) == ["class-1"]
    assert path.exists(), "who holds no lock touches nothing"
    assert another(bench, job).attempted(lambda synthesis: synthesis.make(UNITS)) == []
    assert made(bench)[-1] == "class-1" and path.with_name(f"{path.name}.corrupt-1").exists()


def test_a_finished_set_has_no_units_left(bench: Bench) -> None:
    job = the_job(bench)
    bench.run(job)
    before = made(bench)
    assert another(bench, job).attempted(lambda synthesis: list(synthesis.units)) == []
    assert another(bench, job).attempted(lambda synthesis: synthesis.make(UNITS)) == []
    assert made(bench) == before


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (lambda synthesis: synthesis.make(["class-1"]), "ValueError: it cannot be knitted"),
        (lambda synthesis: synthesis.make(["class-7"]), "the method has no unit 'class-7' here"),
    ],
)
def test_a_piece_that_fails_ends_the_run_with_its_reason(bench: Bench, piece: Callable[..., Any], reason: str) -> None:
    job = the_job(bench, changes=("fails=class-1",))
    record = another(bench, job).attempted(piece)
    assert isinstance(record, Record) and record.status == "failed" and str(record.reason).startswith(reason)
    assert bench.run(job).reason == record.reason, "it is kept"


def test_two_workers_make_the_set_of_one_and_say_that_they_were_two_though_nine_were_hired(
    bench: Bench, whole: Bench
) -> None:
    """Of two units: the others have nothing to do."""
    job = the_job(bench, classes="2")
    executor = SpreadExecutor(REGISTRY, bench.place(), hire=lambda: LocalWorkers(("cpu",) * 9, bench.cache))
    (record,) = executor.run([job])
    assert isinstance(record, Record) and record.status == "done"
    assert made(bench)[0] == "stage" and sorted(made(bench)[1:]) == UNITS[:2]
    alone = whole.run(job)
    assert files(bench, job) == files(whole, job)
    assert (record.costs.workers, alone.costs.workers) == (2, 1)


def test_a_stop_is_heard_between_units(bench: Bench) -> None:
    stops = iter([False, True])
    with pytest.raises(Interrupted):
        Run(the_job(bench), REGISTRY, bench.place(should_stop=lambda: next(stops, True))).complete()
    assert made(bench) == ["stage", "class-0"]


def test_a_process_does_pieces_of_one_run_until_it_is_let_go(bench: Bench) -> None:
    job = the_job(bench)
    order = vars(SpreadExecutor(REGISTRY, bench.place()).order(job))
    with closing(Child(bench.cache)) as child:
        assert child.obey(PrepareOrder(**order), Silent()).facts == {"units": UNITS}
        for unit in UNITS:
            assert child.obey(UnitsOrder(**order, units=(unit,)), Silent()).facts == {"left": []}
    makers = [value for note, value in bench.run(job).costs.notes.to_json().items() if note.startswith("maker of")]
    assert len(makers) == 3 and len(set(makers)) == 1


def test_a_piece_that_fails_ends_its_process_and_is_one_failed_row(bench: Bench) -> None:
    job = the_job(bench, changes=("fails=class-1",))
    order = vars(SpreadExecutor(REGISTRY, bench.place()).order(job))
    with closing(Child(bench.cache)) as child:
        ended = child.obey(UnitsOrder(**order, units=("class-1",)), Silent(), timeout=60)
    assert (ended.event, ended.status) == ("record", 0), "it was not killed for its time"
    executor = SpreadExecutor(
        REGISTRY, bench.place(), retry=True, timeout=100, hire=lambda: LocalWorkers(("cpu", "cpu"), bench.cache)
    )
    (record,) = executor.run([job])
    assert str(record.reason).startswith("ValueError: it cannot be knitted")


def test_a_piece_leaves_what_others_are_writing_and_who_finishes_the_run_takes_it_away(bench: Bench) -> None:
    job = the_job(bench)
    half = bench.runs / job.spec.name / "spec.json.1.part"
    half.parent.mkdir(parents=True)
    half.touch()
    another(bench, job).attempted(lambda synthesis: synthesis.make(UNITS))
    assert half.exists(), "another worker at the same run may be writing it"
    bench.run(job)
    assert not half.exists()


def test_what_was_begun_in_company_is_marked_whoever_ends_it(bench: Bench) -> None:
    job = the_job(bench)
    with at_work(bench.cache) as ours:
        with at_work(bench.cache), pytest.raises(Interrupted):
            bench.run(job, company=str(ours), should_stop=lambda: "class-1" in made(bench))
        later = Run(job, REGISTRY, bench.place(company=str(ours)))
        later.attempted(lambda synthesis: synthesis.make(["class-1", "class-2"]))
    units = bench.runs / job.spec.name / "units"
    assert [read_unit(units / f"{name}.safetensors").cost.workers for name in UNITS] == [2, 2, 1]
