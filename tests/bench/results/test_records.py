"""A record is written as it was read: what programs do not name stays, and no number changes its form."""

import json
from pathlib import Path
from typing import Any

import pytest
from ears import Ear

from bench.cli.filters import Conditions
from bench.cli.outcomes import rows_of
from bench.conformance.formats import sample_spec
from bench.errors import CorruptArtefact
from bench.results import records
from bench.results.changes import told
from bench.results.records import COSTS_FILE
from bench.results.rows import rows
from bench.results.spec import EvaluationSpec, Job
from bench.running.executors import Skipped
from bench.storage.files import write_json

MACHINE = {"threads": 2, "device": "cpu", "made": {"date": "2026-01-02T03:04:05+00:00", "command": None}}
SCORE = {
    **{"seconds": 1, "top1": 50, "best_top1": None, "epochs": 7, "top5": 90.5, "compiled": {"evaluate": {"why": "so"}}},
    **{"seed": 0, "stages": {"a": {"memory": {"rss": 5, "allocated": None, "reserved": None}, "seconds": 2}}},
}
EVALUATION = {
    **{"asked": ["paper"], "protocol": "hard", "protocol_id": "hard@1", "backbone": "convnet3", "status": "done"},
    **{"scores": [SCORE], "teacher_backbone": None, "label_kind": "hard", "reason": None, "unheard_of": {"a": 1}},
}
COSTS = {"synthesis_s": 2, "notes": {"b": 1, "a": [1.0, 2]}, "iterations": 30, "environment": MACHINE}


def content(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """A record in an order of its own, with whole numbers for floats and a field that nobody knows."""
    ended = {"run": sample_spec(0).name, "status": "done", "reason": None}
    parts = {"costs": COSTS, "evaluations": {"hard-convnet3": EVALUATION}, "controls": {}, "environment": MACHINE}
    return {"schema": 2, **ended, "spec": sample_spec(0).to_json(), **parts, **changes}


def test_what_is_read_is_written_again_byte_for_byte(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", content())
    before = (tmp_path / "record.json").read_bytes()
    records.write(tmp_path, records.read(tmp_path))
    assert (tmp_path / "record.json").read_bytes() == before


def test_what_a_file_leaves_out_is_known_as_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", content())
    record = records.read(tmp_path)
    (score,) = record.evaluations["hard-convnet3"].scores
    assert (record.costs.prepare_s, record.costs.stages, record.environment.precision) == (None, {}, None)
    assert (score.primary, score.metrics, score.test, score.made) == ("top1", {}, None, None)
    (row,) = rows([record])
    assert (row["prepare_s"], row["top1_mean"], row["synthesis_s"]) == (None, 50.0, 2)
    assert json.loads(json.dumps(row)) == row, "a row is JSON"


def test_one_evaluation_is_one_row_under_however_many_names_it_was_asked_for(tmp_path: Path) -> None:
    """`hard` by itself and as what `paper` stands for; a command has it under the name that it asked for."""
    both = {**EVALUATION, "asked": ["hard", "paper"]}
    write_json(tmp_path / "record.json", content(evaluations={"hard-convnet3": both}))
    record = records.read(tmp_path)
    (row,) = rows([record])
    assert (row["protocol"], row["asked"], row["protocol_id"]) == ("hard", ["hard", "paper"], "hard@1")
    assert [Conditions.of([f"protocol={name}"]).picked([row]) for name in ("hard", "paper", "soft")] == [
        [row],
        [row],
        [],
    ]
    hard, paper = (EvaluationSpec(name, "hard", 1, "convnet3", 1) for name in ("hard", "paper"))
    for evaluations, name in (((paper,), "paper"), ((hard,), "hard"), ((paper, hard), "hard")):
        assert rows_of([Job(record.spec, evaluations, {})], [record]) == [{**row, "protocol": name}]
    job = Job(record.spec, (paper, hard), {})
    (skipped,) = rows_of([job], [Skipped(job, "another has it")])
    assert (skipped["protocol"], skipped["asked"], skipped["status"]) == ("paper", ["paper", "hard"], "skipped")


def test_a_run_is_a_control_where_another_names_it_and_a_method_elsewhere(tmp_path: Path) -> None:
    """Two protocols of one draw of real images, and a method that was evaluated by one of them."""
    soft, by_hand = {**EVALUATION, "protocol": "soft", "protocol_id": "soft@1"}, sample_spec(1).name
    parts = [
        content(evaluations={"hard-convnet3": EVALUATION, "soft-convnet3": soft}),
        content(run=by_hand, spec=sample_spec(1).to_json(), controls={"hard-convnet3": sample_spec(0).name}),
    ]
    read = []
    for part in parts:
        write_json(tmp_path / part["run"] / "record.json", part)
        read.append(records.read(tmp_path / part["run"]))
    told = [(row["run"], row["protocol_id"], row["is_control"], row["control"]) for row in rows(read)]
    drawn = sample_spec(0).name
    assert told == [
        (drawn, "hard@1", True, None),
        (drawn, "soft@1", False, None),
        (by_hand, "hard@1", False, drawn),
    ]


def test_of_two_records_of_one_run_it_is_said_which_counts(tmp_path: Path) -> None:
    ear = Ear()
    for folder, status in (("a", "failed"), ("b", "done"), ("c", "failed")):
        (tmp_path / folder).mkdir()
        write_json(tmp_path / folder / "record.json", content(status=status))
    assert len(list(records.load_all(tmp_path, ear))) == 3
    a, b = tmp_path / "a", tmp_path / "b"
    assert ear.heard == [f"{a} and {b} hold two records of {sample_spec(0).name}; the second counts"]


def test_the_order_in_which_changes_were_said_tells_no_rows_apart(tmp_path: Path) -> None:
    both, said = {"lr": [0.1, 0.2], "iterations": [4000, 40]}, []
    for changed in (both, dict(reversed(both.items()))):
        spec = sample_spec(0).to_json()
        write_json(tmp_path / "record.json", content(spec={**spec, "method": {**spec["method"], "changed": changed}}))
        (row,) = rows([records.read(tmp_path)])
        said.append(told(row["changed"]))
    assert said == ["iterations 4000 -> 40; lr 0.1 -> 0.2"] * 2


def scored(*scores: dict[str, Any]) -> dict[str, Any]:
    return {"evaluations": {"hard-convnet3": {**EVALUATION, "scores": list(scores)}}}


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ("costs.synthesis_s", {"costs": {"synthesis_s": "2"}}),
        ("environment.threads", {"environment": {**MACHINE, "threads": 1.5}}),
        ("evaluations.hard-convnet3.scores.0.top1", scored({**SCORE, "top1": 101})),
        ("evaluations.hard-convnet3.scores.0", scored({**SCORE, "primary": "forgetting"})),
        ("evaluations.hard-convnet3", scored()),
    ],
)
def test_a_part_of_another_type_is_named(tmp_path: Path, where: str, wrong: dict[str, Any]) -> None:
    write_json(tmp_path / "record.json", content(**wrong))
    with pytest.raises(CorruptArtefact, match=rf"record\.json is no record: {where}: "):
        records.read(tmp_path)


def test_the_costs_of_a_set_say_where_it_was_made(tmp_path: Path) -> None:
    written = COSTS_FILE.write(tmp_path / "costs.json", COSTS)
    assert written == COSTS_FILE.read(tmp_path / "costs.json") and written.to_json() == COSTS
    with pytest.raises(CorruptArtefact, match="environment: Field required"):
        COSTS_FILE.checked({name: COSTS[name] for name in ("synthesis_s", "notes")}, tmp_path)
