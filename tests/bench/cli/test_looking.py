"""`bench list`, `show` and `doctor`: what a user sees before the first run."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli import COMMANDS, run_list
from bench.conformance.formats import sample_record, sample_spec
from bench.extensions.registry import KINDS, Registry
from bench.results import records
from bench.results.spec import Origin
from bench.storage.files import write_json

DATE = "2026-01-02T03:04:05+00:00"
LISTS = ("methods", "backbones", "datasets", "protocols", "formats", "ladders", "speed-tables")


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of a command run here, which spares it importing torch again."""
    from bench.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with a failed run, one that is not finished, and one whose record is damaged."""
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


@pytest.mark.parametrize("what", LISTS)
def test_lists_name_everything_registered(capsys: pytest.CaptureFixture[str], what: str) -> None:
    kind = what.removesuffix("s").replace("-", " ")
    status, table, _ = in_process(capsys, "list", what)
    assert status == 0
    _, text, _ = in_process(capsys, "list", what, "--format", "json")
    rows = json.loads(text)
    assert [row["name"] for row in rows] == Registry().names(kind)
    assert all(row["name"] in table and row["summary"] and row["plugin"] for row in rows)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("edc-figure-1", ("ladder", "smoother learning rate", "g-vbsm-smooth", "recover.flatness=0.25", "38.7")),
        ("statistics-step", ("speed table", "tiny-imagenet", "g-vbsm", "resnet18", "100", "no paper")),
    ],
)
def test_a_ladder_and_a_speed_table_are_shown_row_by_row(
    capsys: pytest.CaptureFixture[str], name: str, words: tuple[str, ...]
) -> None:
    status, page, _ = in_process(capsys, "show", name)
    assert status == 0 and all(word in page for word in words)


@pytest.mark.parametrize("option", ["--method=edc", "--protocol=edc"])
def test_what_a_ladder_has_of_its_own_is_not_asked_for_beside_it(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    status, _, errors = in_process(capsys, "run", "--ladder=edc-figure-1", "--dataset=digits", option)
    assert status == 2 and f"{option.partition('=')[0]} does not go with --ladder" in errors


def listed(capsys: pytest.CaptureFixture[str], runs: Path, *where: str) -> list[dict[str, Any]]:
    words = [word for each in where for word in ("--where", each)]
    status, text, errors = in_process(capsys, "list", "runs", "--runs", str(runs), "--format", "json", *words)
    assert status == 0, errors
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_a_list_of_runs_says_when_and_with_what(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    (done, begun) = sorted(listed(capsys, runs), key=lambda row: str(row["status"]))
    assert (done["ipc"], done["seed"], done["top1_mean"]) == (10, 0, 61.25)
    assert (done["date"], done["changed"]) == (DATE, {"lr": [0.1, 0.2]})
    assert (begun["status"], begun["ipc"], begun["seed"], begun["date"]) == ("incomplete", 10, 1, None)
    _, table, _ = in_process(capsys, "list", "runs", "--runs", str(runs))
    assert "2026-01-02 03:04" in table and "lr 0.1 -> 0.2" in table and " 61.25 (1)" in table


def test_a_list_of_runs_says_what_they_are(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    """A quick run is not taken for one of the paper's budget; trainings of 61.25 and 63.25 deviate by the root of 2."""
    folder = runs / sample_spec(0).name
    record = records.read(folder)
    (evaluation,) = (each.to_json() for each in record.evaluations.values())
    (first,) = evaluation["scores"]
    evaluation["scores"] = [first, {**first, "top1": 63.25, "seed": 1}]
    costs, made = record.costs.to_json(), record.environment.to_json()
    records.write(folder, sample_record(record.spec, costs, {"hard-convnet3": evaluation}, made))
    done = next(row for row in listed(capsys, runs) if row["status"] == "done")
    said = ("method", "dataset", "classes", "backbone", "budget", "label_kind", "eval_seeds", "is_control")
    assert [done[name] for name in said] == ["random", "digits", 10, "convnet3", "quick", "hard", 2, False]
    _, table, _ = in_process(capsys, "list", "runs", "--runs", str(runs))
    head, line = table.splitlines()[0].split(), next(line for line in table.splitlines() if "done" in line)
    assert {"run", "method", "dataset", "ipc", "backbone", "seed", "budget", "protocol", "top-1"} <= set(head)
    assert all(each in line.split() for each in ("random", "digits", "convnet3", "quick", "hard@1"))
    assert "62.25 ± 1.41 (2)" in line


def test_results_of_several_metrics_name_theirs() -> None:
    drop = {"mean": 3.5, "std": 0.5, "values": [3, 4], "unit": "points", "better": "lower"}
    blank = {"run": "a", "status": "done", "method": "random", "eval_seeds": 2, "seed": 0}
    rows = [
        {**blank, "primary": "top1", "top1_mean": 50.0, "top1_std": 1.0},
        {**blank, "primary": "drop", "metrics": {"drop": drop}},
    ]
    text = run_list.table(rows)
    assert "top-1 % 50.00 ± 1.00 (2)" in text and "drop points 3.50 ± 0.50 (2)" in text


def test_a_list_of_runs_tells_sets_from_elsewhere_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for seed, name in enumerate(("first-set", "second-set")):
        origin = Origin(name, "mtt", "dsa", "stated")
        spec = replace(sample_spec(seed), origin=origin)
        write_json(tmp_path / spec.name / "spec.json", spec.to_json())
    assert sorted(row["set"] for row in listed(capsys, tmp_path)) == ["first-set", "second-set"]


@pytest.mark.parametrize("command", ["show", "clean"])
def test_a_name_like_no_other_is_not_answered_with_every_run(
    capsys: pytest.CaptureFixture[str], runs: Path, command: str
) -> None:
    status, _, errors = in_process(capsys, command, "zzzzzzzz", "--runs", str(runs))
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
def test_runs_are_picked_by_their_fields(
    capsys: pytest.CaptureFixture[str], runs: Path, where: tuple[str, ...], seeds: list[int]
) -> None:
    assert sorted(row["seed"] for row in listed(capsys, runs, *where)) == seeds


def test_a_report_is_of_the_rows_that_fit(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    words = ("report", "--runs", str(runs), "--format", "json")
    status, every, _ = in_process(capsys, *words)
    assert status == 0
    assert in_process(capsys, *words, "--where", "seed=0", "--where", "changed.lr=0.2")[:2] == (0, every)
    status, out, errors = in_process(capsys, *words, "--where", "seed=0", "--where", "method=sre2l")
    assert (status, out) == (2, "") and "no row has method=sre2l; there is random" in errors
    status, out, errors = in_process(capsys, *words, "--where", "sed=0")
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
    capsys: pytest.CaptureFixture[str], runs: Path, where: tuple[str, ...], said: str
) -> None:
    words = [word for each in where for word in ("--where", each)]
    status, out, errors = in_process(capsys, "report", "--runs", str(runs), *words)
    assert (status, out) == (2, "") and said in errors.splitlines()[-1]
    for command in (("list", "runs"), ("clean",)):
        status, _, errors = in_process(capsys, *command, "--runs", str(runs), *words)
        assert status == 0 and said in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs", "--where", "metod=sre2l"), "unknown --where field 'metod'; did you mean 'method'?"),
        (("runs", "--where", "method"), "--where takes FIELD=VALUE, not 'method'"),
        (("methods", "--where", "name=dc"), "--where picks runs"),
    ],
)
def test_a_mistaken_condition_is_one_line(
    capsys: pytest.CaptureFixture[str], runs: Path, words: tuple[str, ...], said: str
) -> None:
    status, out, errors = in_process(capsys, "list", *words, "--runs", str(runs))
    assert (status, out) == (2, "") and said in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, text, _ = in_process(capsys, command, "--help")
    assert status == 0 and text.startswith(f"Usage: bench {command}")
    assert f"\n  {command} " in in_process(capsys, "--help")[1]


def test_a_broken_plugin_is_named_on_standard_error(tmp_path: Path) -> None:
    metadata = tmp_path / "stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[bench.plugins]\nstranger = a_module_that_nobody_has\n")
    ended = bench("list", "methods", cwd=tmp_path)  # -m puts the working folder on the path
    assert ended.returncode == 0
    assert "stranger" not in ended.stdout
    assert "plugin 'stranger' is unavailable: ModuleNotFoundError" in ended.stderr
    ended = bench("doctor", "--format", "json", cwd=tmp_path)
    assert ended.returncode == 1
    finding = next(each for each in json.loads(ended.stdout) if each["what"] == "plugin stranger")
    assert finding["state"] == "missing"
    assert finding["remedy"]


def test_list_of_runs(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    status, text, errors = in_process(capsys, "list", "runs", "--runs", str(runs), "--format", "json")
    assert status == 0
    rows = {row["run"]: row for row in json.loads(text)}
    assert rows[sample_spec(0).name]["top1_mean"] == 61.25
    assert rows[sample_spec(0).name]["status"] == "done"
    assert rows[sample_spec(1).name]["status"] == "incomplete"
    assert "record.json is not valid JSON" in " ".join(errors.split())


def test_list_of_no_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert in_process(capsys, "list", "runs", "--runs", str(tmp_path / "none"))[:2] == (0, "no runs\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("list", "method"), "bench: unknown list 'method'; did you mean 'methods'?\n"),
        (("show", "sre2"), "bench: unknown name 'sre2'; did you mean 'sre2l'?\n"),
        (("sho", "sre2l"), "bench: unknown command 'sho'; did you mean 'show'?\n"),
        (("new-plugin", "x", "--kind", "metod"), "bench: unknown kind of plugin 'metod'; did you mean 'method'?\n"),
    ],
)
def test_mistakes_are_one_line_with_the_nearest(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    assert in_process(capsys, *arguments) == (2, "", line)


@pytest.mark.parametrize(
    "kind", ["method", "backbone", "dataset", "protocol", "format", "reader", "ladder", "speed table"]
)
def test_show_has_a_page_for_everything(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert kind in KINDS
    for registered in Registry().registered(kind):
        status, text, _ = in_process(capsys, "show", registered.offer.name)
        assert status == 0
        assert f"{kind} {registered.offer.name}" in text
        assert registered.offer.summary in text


def test_show_of_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = in_process(capsys, "show", "sre2l")
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "required of the recipe" in rows["recover.iterations"] or "4000" in rows["recover.iterations"]
    assert "squeeze.lr" in rows
    assert "sre2l-tiny" in rows["paper's protocol"]
    assert "SRe2L paper Table 7c" in text
    assert "squeeze: SRe2L paper Table 7a" in text
    assert "Images are stored as JPEG of quality 75" in text, "what the package says of paper and code"
    assert "recover.iterations 4000 -> " in text


@pytest.mark.parametrize(
    ("backbone", "count"),
    [("convnet3", "320,010"), ("resnet18", "11,173,962"), ("resnet18", "11,271,432")],
)
def test_show_of_a_backbone_counts_parameters(capsys: pytest.CaptureFixture[str], backbone: str, count: str) -> None:
    assert count in in_process(capsys, "show", backbone)[1]


def test_show_of_a_dataset_says_where_it_was_looked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, text, _ = in_process(capsys, "show", "cifar10", "--data-root", str(tmp_path))
    assert f"not below {tmp_path}" in text
    assert "cifar-10-python.tar.gz" in text
    assert "bench data fetch cifar10" in text


def test_show_of_a_run_by_name_and_by_path(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    name = sample_spec(0).name
    _, text, _ = in_process(capsys, "show", name, "--runs", str(runs))
    assert in_process(capsys, "show", str(runs / name))[1] == text
    for expected in ("61.25", "4.50 s", "record.json", "hard@1", "2.9", "2026-01-02 03:04 (UTC)"):
        assert expected in text


def test_the_page_of_a_run_begins_with_its_result_beside_its_controls(
    capsys: pytest.CaptureFixture[str], runs: Path
) -> None:
    """61 and 63 beside 50 and 52 of the control: 11 points, and each deviates by the root of 2. No line is empty."""
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
    _, text, _ = in_process(capsys, "show", folder.name, "--runs", str(runs))
    result = next(line for line in text.splitlines() if line.startswith("hard@1 on convnet3 "))
    assert re.split("  +", result) == [
        *("hard@1 on convnet3", "top-1 % 62.00 ± 1.41 (2)", "51.00 ± 1.41 (2)", "+11.00", "hard")
    ]
    places = [text.index(f"\n{title}\n") for title in ("results", "costs", "recipe", "spec", "made with", "files")]
    assert places == sorted(places)
    assert "717 MiB" in text and "752226304" not in text
    lines = text.splitlines()
    facts = lines[lines.index("spec") + 1 : lines.index("made with")]
    assert not [line for line in facts if line and len(line.split()) == 1 and line not in ("notes", "controls")]


def test_show_of_a_run_says_where_it_was_made_once_and_keeps_its_scores_narrow(
    capsys: pytest.CaptureFixture[str], runs: Path
) -> None:
    folder = runs / sample_spec(0).name
    record = records.read(folder)
    made = {"command": "bench run " + "--set key=value " * 20}
    evaluation = record.evaluations["hard-convnet3"].to_json()
    evaluation["scores"] = [{**each, "made": made} for each in evaluation["scores"]]
    machine = record.environment.to_json()
    costs = {**record.costs.to_json(), "environment": machine}
    records.write(folder, sample_record(record.spec, costs, {"hard-convnet3": evaluation}, machine))
    _, text, _ = in_process(capsys, "show", folder.name, "--runs", str(runs))
    assert text.count("v1-dirty") == 1 and "61.25" in text and "--set key=value" not in text


def test_show_of_a_run_that_is_not_finished(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    assert "incomplete" in in_process(capsys, "show", sample_spec(1).name, "--runs", str(runs))[1]


def test_show_of_a_damaged_run(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    status, text, errors = in_process(capsys, "show", sample_spec(2).name, "--runs", str(runs))
    assert (status, text) == (2, "")
    assert "cannot be read" in errors


def test_doctor_finds_what_is_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    places = ("--runs", str(tmp_path / "runs"), "--data-root", str(tmp_path))
    status, text, _ = in_process(capsys, "doctor", "--format", "json", *places)
    findings = {each["what"]: each for each in json.loads(text)}
    assert status == (1 if any(each["state"] == "missing" for each in findings.values()) else 0)
    for what in ("python", "torch", "torchvision", "memory", "bf16", "c++ compiler", "runs", "cache", "BENCH_DATA"):
        assert what in findings
    assert findings["dataset digits"]["state"] == "ok"
    assert "bench data fetch cifar10" in findings["dataset cifar10"]["remedy"]
    assert all(each["remedy"] for each in findings.values() if each["state"] != "ok")
    assert list((tmp_path).iterdir()) == [], "a doctor changes nothing"


def test_doctor_says_what_to_do_without_a_compiler(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    _, text, _ = in_process(capsys, "doctor")
    assert "c++ compiler: install no-such-compiler or name another in CXX" in text


def test_doctor_works_where_torch_does_not(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so: cannot open shared object file')")
    ended = bench("doctor", cwd=tmp_path)  # -m puts the working folder on the path
    assert ended.returncode == 1
    assert "libcudart.so" in ended.stdout
    assert "torch: pip install --force-reinstall torch" in ended.stdout
    assert ended.stderr == ""


def test_show_of_an_own_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    card = tmp_path / "flowers.toml"
    text = 'name = "flowers"\nresolution = 8\nnormalisation = "half"\nsplit = { test = 0.2 }\n'
    card.write_text(text + '[[sources]]\nlayout = "image-folder"\n')
    status, out, err = in_process(capsys, "show", str(card))
    assert (status, err) == (0, "")
    assert out.startswith("dataset flowers\n")
    assert "20 % of train, by class, seed 0" in out
    assert f"not below {tmp_path}" in out
    status, out, err = in_process(capsys, "show", str(tmp_path / "none.toml"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "none.toml cannot be read: No such file" in err


def test_a_list_shows_escapes_in_columns_that_stay_straight() -> None:
    blank = {"status": None, "method": None}
    rows = [{"run": "a\x1b[2J\n\u202eb", "changed": {"x": [None, "\x9b"]}}, {"run": "plain", "changed": {}}]
    lines = run_list.table([{**blank, **row} for row in rows]).splitlines()
    assert lines[2].split() == [r"a\u001b[2J", r"\u202eb", "x", r"\u009b"]
    assert lines[2].index("x ") == lines[0].index("changed")


def test_datasets_with_one_recipe_share_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    """Their names stand above each other; every dataset is in one column, and no two columns are alike."""
    _, text, _ = in_process(capsys, "show", "dsa")
    lines = text.split("recipe for")[1].split("\n\n")[0].splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("---"))
    starts = [found.start() for found in re.finditer("-+", lines[rule])]
    cuts = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    columns = [[line[cut].strip() for line in lines[rule + 1 :]] for cut in cuts]
    headings = [[line[cut].strip() for line in ["recipe for" + lines[0], *lines[1:rule]]] for cut in cuts[1:]]
    named = sorted(name for heading in headings for name in heading if name)
    assert named == sorted(Registry().names("dataset"))
    assert len({tuple(column) for column in columns}) == len(columns) == 4
    assert headings[2][:2] == ["mnist", "svhn"]
