"""What a method or a protocol notes is kept apart from what the harness measured, and never takes its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benching import Bench

from bench.condensation.notes import Notes
from bench.errors import RunFailure
from bench.results import records
from bench.results import rows as table
from bench.storage.files import read_json, write_json
from bench.storage.tensor_files import read_tensors, write_tensors

PLUGIN = str(Path(__file__).with_name("noting_methods.py"))


@pytest.fixture
def noting(bench: Bench) -> Bench:
    return Bench(bench.folder, (PLUGIN,))


def test_notes_stand_under_their_own_key_in_the_costs_and_in_the_row(noting: Bench) -> None:
    (job,) = noting.jobs("modest", protocols=("honest",))
    record = noting.run(job)
    (row,) = table.rows([record])
    assert row["notes"] == record.costs.notes.to_json() == {"own_iterations": 7, "candidates": [1, 2]}
    assert (row["status"], row["iterations"], row["teacher_top1"]) == ("done", None, None)
    assert not {"own_iterations", "candidates"} & (row.keys() | record.costs.to_json().keys())
    ((score,),) = (each.scores for each in record.evaluations.values())
    assert score.notes == {"margin": 88.8}


@pytest.mark.parametrize(("method", "name"), [("boaster", "iterations"), ("thief", "teacher_top1")])
def test_a_note_with_the_name_of_a_measurement_ends_the_row_with_its_reason(
    noting: Bench, method: str, name: str
) -> None:
    (row,) = table.rows([noting.run(noting.jobs(method, protocols=("honest",))[0])])
    assert (row["status"], row[name]) == ("failed", None)
    assert f"a note cannot be called '{name}'" in row["reason"] and f"'own_{name}'" in row["reason"]


def test_a_note_that_json_cannot_hold_is_refused_when_it_is_noted(noting: Bench) -> None:
    (row,) = table.rows([noting.run(noting.jobs("vague", protocols=("honest",))[0])])
    assert row["status"] == "failed" and "the note 'loss' is no JSON value" in row["reason"]


def test_a_score_no_better_than_chance_is_warned_of_in_the_row(noting: Bench) -> None:
    (row,) = table.rows([noting.run(noting.jobs("modest", protocols=("honest",))[0])])  # 12.5 % of three classes
    (said,) = row["warnings"]
    assert said.startswith("top-1 is not to be told from chance by ")


def test_a_protocol_cannot_note_a_score(noting: Bench) -> None:
    (row,) = table.rows([noting.run(noting.jobs("modest", protocols=("flattering",))[0])])
    assert (row["status"], row["top1_mean"]) == ("failed", None)
    assert "a note cannot be called 'top1'" in row["reason"]


@pytest.mark.parametrize(
    "note",
    [
        lambda notes: notes.__setitem__("top1", 1),
        lambda notes: notes.update({"top1": 1}),
        lambda notes: notes.update(top1=1),
        lambda notes: notes.setdefault("top1", 1),
        lambda notes: notes.__ior__({"top1": 1}),
    ],
)
def test_there_is_no_way_around_it(note: Callable[[Notes], Any]) -> None:
    with pytest.raises(RunFailure, match="own_top1"):
        note(Notes({"top1"}))
    free = Notes()
    note(free)
    assert free == {"top1": 1}


def test_every_field_that_the_harness_fills_is_reserved(noting: Bench) -> None:
    record = noting.run(noting.jobs("modest", protocols=("honest",))[0])
    (row,) = table.rows([record])
    assert {*row, *record.costs.to_json()} - {"notes"} <= table.reserved()
    assert "synthesis_s" in table.reserved() and "own_iterations" not in table.reserved()


def test_a_unit_that_was_kept_with_notes_and_findings_in_one_is_read(noting: Bench) -> None:
    (job,) = noting.jobs("modest", protocols=("honest",))
    noting.run(job)
    folder = noting.runs / job.spec.name
    (folder / "costs.json").unlink()
    (unit,) = (folder / "units").glob("*.safetensors")
    tensors, about = read_tensors(unit)
    notes = {name: about.pop(name) for name in ("schema", "notes", "measured")}["notes"]
    compiled = {"compiled": {"recover": {"compiled": False, "why": "so", "seconds": 0.1}}}
    write_tensors(unit, tensors, {**about, "facts": {**notes, **compiled}})
    costs = noting.run(job).costs.to_json()
    assert costs["notes"] == notes and costs["compiled"] == compiled["compiled"]
    assert not noting.ear.heard


def test_a_record_with_notes_among_its_costs_is_read_with_them_apart(noting: Bench) -> None:
    (job,) = noting.jobs("modest", protocols=("honest",))
    new = noting.run(job)
    folder = noting.runs / job.spec.name
    notes = new.costs.to_json()["notes"]
    old = {**{name: value for name, value in new.costs.to_json().items() if name != "notes"}, **notes}
    write_json(folder / "costs.json", old)
    write_json(folder / "record.json", {**read_json(folder / "record.json"), "schema": 1, "costs": old})
    assert records.read(folder).costs == new.costs
    assert noting.run(job).costs == new.costs
