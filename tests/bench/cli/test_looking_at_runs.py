"""`bench list runs`, `show RUN` and reports of some runs: what a user finds again of what was run."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import answer

from bench.cli import run_list
from bench.conformance.formats import sample_record, sample_spec
from bench.results import records
from bench.results.spec import Origin
from bench.storage.files import write_json

DATE = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a failed run, one that is not finished, and one whose record is damaged; a wide terminal."""
    monkeypatch.setenv("COLUMNS", "120")
    failed, begun, damaged = (sample_spec(seed) for seed in (0, 1, 2))
    made = {"command": "bench run", "date": DATE, "version": "0.1", "commit": "v1-dirty"}
    environment = {"device": "cpu", "precision": "fp32", "versions": {"torch": "2.9"}, "made": made}
    evaluation = {
        **{"protocol": "hard", "protocol_id": "hard@1", "backbone": "convnet3", "asked": ["paper"]},
        **{"label_kind": "hard", "teacher_backbone": None, "note": "", "status": "done", "reason": None},
        "scores": [{"top1": 61.25, "top5": None, "best_top1": None, "epochs": 3, "seconds": 1.0, "seed": 0}],
    }
    for spec in (failed, begun, damaged):
        write_json(tmp_path / spec.name / "spec.json", spec.to_json())
    changed = replace(failed, method=replace(failed.method, changed={"lr": [0.1, 0.2]}))
    record = sample_record(changed, {"synthesis_s": 4.5}, {"hard-convnet3": evaluation}, environment)
    records.write(tmp_path / failed.name, record)
    (tmp_path / damaged.name / "record.json").write_text("{")
    return tmp_path


def listed(runs: Path, *where: str) -> list[dict[str, Any]]:
    words = [word for each in where for word in ("--where", each)]
    status, text, errors = answer("list", "runs", "--runs", str(runs), "--format", "json", *words)
    assert status == 0, errors
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_a_list_of_runs_says_when_and_with_what(runs: Path) -> None:
    (done, begun) = sorted(listed(runs), key=lambda row: str(row["status"]))
    assert (done["ipc"], done["seed"], done["top1_mean"]) == (10, 0, 61.25)
    assert (done["date"], done["changed"]) == (DATE, {"lr": [0.1, 0.2]})
    assert (begun["status"], begun["ipc"], begun["seed"], begun["date"]) == ("incomplete", 10, 1, None)
    _, table, _ = answer("list", "runs", "--runs", str(runs))
    assert "2026-01-02 03:04" in table and "[1] lr 0.1 -> 0.2" in table and " 61.25 (1)  [1] " in table
    assert "incomplete" in table


def test_a_list_of_runs_says_what_they_are(runs: Path) -> None:
    """A quick run is not taken for one of the paper's budget; trainings of 61.25 and 63.25 deviate by the root of 2."""
    folder = runs / sample_spec(0).name
    record = records.read(folder)
    (evaluation,) = (each.to_json() for each in record.evaluations.values())
    (first,) = evaluation["scores"]
    evaluation["scores"] = [first, {**first, "top1": 63.25, "seed": 1}]
    costs, made = record.costs.to_json(), record.environment.to_json()
    records.write(folder, sample_record(record.spec, costs, {"hard-convnet3": evaluation}, made))
    done = next(row for row in listed(runs) if row["status"] == "done")
    said = ("method", "dataset", "classes", "backbone", "budget", "label_kind", "eval_seeds", "is_control")
    assert [done[name] for name in said] == ["random", "digits", 10, "convnet3", "quick", "hard", 2, False]
    _, table, _ = answer("list", "runs", "--runs", str(runs))
    heading, _, head, *lines = table.splitlines()
    assert heading == "2 runs, 2 evaluations; all of them: dataset digits, quick budget"
    assert head.split() == ["run", "protocol", "top-1", "%", "notes", "made", "(UTC)"]
    (line,) = (line for line in lines if line.startswith(folder.name))
    assert line.split()[1] == "hard@1" and "62.25 ± 1.41 (2)" in line


def test_results_of_several_metrics_name_theirs() -> None:
    drop = {"mean": 3.5, "std": 0.5, "values": [3, 4], "unit": "points", "better": "lower"}
    blank = {"run": "a", "status": "done", "method": "random", "eval_seeds": 2, "seed": 0}
    rows = [
        {**blank, "primary": "top1", "top1_mean": 50.0, "top1_std": 1.0},
        {**blank, "primary": "drop", "metrics": {"drop": drop}},
    ]
    text = run_list.table(rows)
    assert "top-1 % 50.00 ± 1.00 (2)" in text and "drop points 3.50 ± 0.50 (2)" in text


NAMES = tuple(f"some-method-cifar10-ipc{ipc}-convnet3-s0-abcdef" for ipc in (1, 10))
MANY = [
    {
        **{"run": name, "status": "done", "dataset": "cifar10", "budget": budget, "backbone": "convnet3", "seed": 0},
        **{"protocol_id": "hard@1", "eval_backbone": network, "top1_mean": 50.0, "top1_std": 1.0, "eval_seeds": 2},
        **{"is_control": control, "changed": {"lr": [0.1, 0.2]}, "made": {"date": DATE}},
    }
    for name, budget, control in zip(NAMES, ("paper", "quick"), (False, True), strict=True)
    for network in ("convnet3", "resnet18")
]


@pytest.mark.parametrize(
    ("width", "date"),
    [(None, "2026-01-02 03:04"), (130, "2026-01-02 03:04"), (112, "2026-01-02"), (104, None), (80, "2026-01-02 03:04")],
)
def test_a_list_keeps_to_the_terminal_and_cuts_no_name(width: int | None, date: str | None) -> None:
    lines = run_list.table(MANY, width).splitlines()
    assert lines[0] == "2 runs, 4 evaluations; all of them: dataset cifar10"
    assert width is None or max(map(len, lines)) <= width
    folded = width == 80
    for name, budget in zip(NAMES, ("paper", "quick"), strict=True):
        (at, *others) = (place for place, line in enumerate(lines) if line.startswith(name))
        assert len(others) == (width is None), "where there is no terminal each line says its run"
        first = lines[at + folded]
        assert (lines[at] == name) is folded
        assert budget in first.split() and "hard@1" in first and "50.00 ± 1.00 (2)" in first
        assert (re.search(r"2026-01-02( \d\d:\d\d)?", first) or [None])[0] == date
        assert "hard@1 on resnet18" in lines[at + folded + 1]
        assert ("  c [1]" in first) is (budget == "quick")
    assert lines[-2:] == ["  c: control, real images drawn at random", "  [1] lr 0.1 -> 0.2"]


def test_a_list_of_one_run_says_what_it_is_of() -> None:
    heading, _, head, *_ = run_list.table(MANY[:1], 120).splitlines()
    assert heading == "1 run, 1 evaluation; dataset cifar10, paper budget"
    assert "budget" not in head


def test_a_list_of_runs_tells_sets_from_elsewhere_apart(tmp_path: Path) -> None:
    for seed, name in enumerate(("first-set", "second-set")):
        origin = Origin(name, "mtt", "dsa", "stated")
        spec = replace(sample_spec(seed), origin=origin)
        write_json(tmp_path / spec.name / "spec.json", spec.to_json())
    assert sorted(row["set"] for row in listed(tmp_path)) == ["first-set", "second-set"]


@pytest.mark.parametrize("command", ["show", "clean"])
def test_a_name_like_no_other_is_not_answered_with_every_run(runs: Path, command: str) -> None:
    status, _, errors = answer(command, "zzzzzzzz", "--runs", str(runs))
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "bench list" in errors and "names all" in errors and sample_spec(0).name not in errors


@pytest.mark.parametrize(
    ("where", "seeds"),
    [
        (("method=random",), [0, 1]),
        (("method=random", "seed=1"), [1]),
        (("status=done",), [0]),
        (("ipc=10.0",), [0, 1]),
        (("class_ids=7",), [0, 1]),
        (("changed.lr=2e-1",), [0]),
        (("changed.lr=0.1",), []),
        (("made.commit=v1-dirty",), [0]),
        (("is_control=false", "top1_mean=61.25"), [0]),
        (("method=sre2l",), []),
    ],
)
def test_runs_are_picked_by_their_fields(runs: Path, where: tuple[str, ...], seeds: list[int]) -> None:
    assert sorted(row["seed"] for row in listed(runs, *where)) == seeds


def test_a_report_is_of_the_rows_that_fit(runs: Path) -> None:
    words = ("report", "--runs", str(runs), "--format", "json")
    status, every, _ = answer(*words)
    assert status == 0
    assert answer(*words, "--where", "seed=0", "--where", "changed.lr=0.2")[:2] == (0, every)
    status, out, errors = answer(*words, "--where", "seed=0", "--where", "method=sre2l")
    assert (status, out) == (2, "") and "no row has method=sre2l; there is random" in errors
    status, out, errors = answer(*words, "--where", "sed=0")
    assert (status, out) == (2, "") and "did you mean 'seed'?" in errors


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (("method=radnom",), "no row has method=radnom; did you mean method=random?"),
        (("ipc=50",), "no row has ipc=50; did you mean ipc=10?"),
        (("changed.lr=0.3",), "no row has changed.lr=0.3; did you mean changed.lr=0.2?"),
        (("class_ids=n0144",), "`bench list runs` shows them all"),
        (("is_control=True",), "there is false"),
        (("made.commit=zzz",), "there is v1-dirty"),
        (("changed.momentum=x",), "no row has changed.momentum=x; there is none"),
    ],
)
def test_a_value_that_no_row_has_is_answered_with_the_nearest_there_is(
    runs: Path, where: tuple[str, ...], said: str
) -> None:
    words = [word for each in where for word in ("--where", each)]
    status, out, errors = answer("report", "--runs", str(runs), *words)
    assert (status, out) == (2, "") and said in errors.splitlines()[-1]
    for command in (("list", "runs"), ("clean",)):
        status, _, errors = answer(*command, "--runs", str(runs), *words)
        assert status == 0 and said in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs", "--where", "metod=sre2l"), "unknown --where field 'metod'; did you mean 'method'?"),
        (("runs", "--where", "method"), "--where takes FIELD=VALUE, not 'method'"),
        (("methods", "--where", "name=dc"), "--where picks runs"),
    ],
)
def test_a_mistaken_condition_is_one_line(runs: Path, words: tuple[str, ...], said: str) -> None:
    status, out, errors = answer("list", *words, "--runs", str(runs))
    assert (status, out) == (2, "") and said in errors and len(errors.splitlines()) == 1


def test_list_of_runs(runs: Path) -> None:
    status, text, errors = answer("list", "runs", "--runs", str(runs), "--format", "json")
    assert status == 0
    rows = {row["run"]: row for row in json.loads(text)}
    assert rows[sample_spec(0).name]["top1_mean"] == 61.25
    assert rows[sample_spec(0).name]["status"] == "done"
    assert rows[sample_spec(1).name]["status"] == "incomplete"
    assert "record.json is not valid JSON" in " ".join(errors.split())


def test_list_of_no_runs(tmp_path: Path) -> None:
    assert answer("list", "runs", "--runs", str(tmp_path / "none"))[:2] == (0, "no runs\n")


def test_show_of_a_run_by_name_and_by_path(runs: Path) -> None:
    name = sample_spec(0).name
    _, text, _ = answer("show", name, "--runs", str(runs))
    assert answer("show", str(runs / name))[1] == text
    for expected in ("61.25", "4.50 s", "record.json", "hard@1", "2.9", "2026-01-02 03:04 (UTC)"):
        assert expected in text


def test_the_page_of_a_run_begins_with_its_result_beside_its_controls(runs: Path) -> None:
    """61 and 63 beside 50 and 52 of the control: 11 points, and each deviates by the root of 2. No line is empty.

    The interval is of 6.08 points on both sides: 4.303, t of two degrees of freedom, times the root of 2.
    """
    folder, other = runs / sample_spec(0).name, sample_spec(7)
    record = records.read(folder)
    (evaluation,) = (each.to_json() for each in record.evaluations.values())
    memory = {"allocated": None, "reserved": None, "rss": 752226304}
    made, costs = record.environment.to_json(), {"synthesis_s": 4.5, "peak_memory_bytes": memory}
    (first,) = evaluation["scores"]
    for spec, values in ((record.spec, (61.0, 63.0)), (other, (50.0, 52.0))):
        scored = {**evaluation, "scores": [{**first, "top1": top1, "seed": seed} for seed, top1 in enumerate(values)]}
        beside = {"hard-convnet3": other.name} if spec is not other else None
        records.write(runs / spec.name, sample_record(spec, costs, {"hard-convnet3": scored}, made, beside))
    _, text, _ = answer("show", folder.name, "--runs", str(runs))
    result = next(line for line in text.splitlines() if line.startswith("hard@1 on convnet3 "))
    assert re.split("  +", result) == [
        *("hard@1 on convnet3", "top-1 % 62.00 ± 1.41 (2)", "51.00 ± 1.41 (2)", "+11.00 (+4.92 to +17.08)", "hard")
    ]
    places = [text.index(f"\n{title}\n") for title in ("results", "costs", "recipe", "spec", "made with", "files")]
    assert places == sorted(places)
    assert "717 MiB" in text and "752226304" not in text
    lines = text.splitlines()
    facts = lines[lines.index("spec") + 1 : lines.index("made with")]
    assert not [line for line in facts if line and len(line.split()) == 1 and line not in ("notes", "controls")]


def test_show_of_a_run_says_where_it_was_made_once_and_keeps_its_scores_narrow(runs: Path) -> None:
    folder = runs / sample_spec(0).name
    record = records.read(folder)
    made = {"command": "bench run " + "--set key=value " * 20}
    evaluation = record.evaluations["hard-convnet3"].to_json()
    evaluation["scores"] = [{**each, "made": made} for each in evaluation["scores"]]
    machine = record.environment.to_json()
    costs = {**record.costs.to_json(), "environment": machine}
    records.write(folder, sample_record(record.spec, costs, {"hard-convnet3": evaluation}, machine))
    _, text, _ = answer("show", folder.name, "--runs", str(runs))
    assert text.count("v1-dirty") == 1 and "61.25" in text and "--set key=value" not in text


def test_show_of_a_run_that_is_not_finished(runs: Path) -> None:
    assert "incomplete" in answer("show", sample_spec(1).name, "--runs", str(runs))[1]


def test_show_of_a_damaged_run(runs: Path) -> None:
    status, text, errors = answer("show", sample_spec(2).name, "--runs", str(runs))
    assert (status, text) == (2, "")
    assert "cannot be read" in errors


def test_a_list_shows_escapes_in_columns_that_stay_straight() -> None:
    blank = {"status": None, "method": None}
    rows = [{"run": "a\x1b[2J\n\u202eb", "changed": {"x": [None, "\x9b"]}}, {"run": "plain", "changed": {}}]
    lines = run_list.table([{**blank, **row} for row in rows]).splitlines()
    head, first, second = lines[2], lines[4], lines[5]
    assert first.split() == [r"a\u001b[2J", r"\u202eb", "[1]"] and second == "plain"
    assert first.index("[1]") == head.index("notes")
    assert lines[-1] == r"  [1] x \u009b"
