"""`bench.run`, `bench.evaluate` and `bench.records`: the command line by calls."""

import inspect
import json
import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
import torch
from benching import Bench
from child_work import children_here

import bench
from bench.cli.commands import compare as compare_command
from bench.cli.commands import evaluate as evaluate_command
from bench.cli.commands import export as export_command
from bench.cli.commands import report as report_command
from bench.cli.commands import run as run_command
from bench.extensions.registry import Registry
from bench.interface.words import arguments_of, understood, words_of
from bench.planning.configuring import typed_value
from bench.results.fields import names

MEASURED = Path(__file__).parents[3] / "reports" / "bench_reports" / "measured"
SMALL: dict[str, Any] = {
    **{"ipc": 2, "backbone": "convnet3", "eval_seeds": 1, "classes": 3, "budget": "quick", "control": False},
    **{"precision": "fp32", "protocol": "plain", "plugin": Path(__file__).with_name("plain_protocols.py")},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name in ("BENCH_RUNS", "BENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in Bench(tmp_path).environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def test_the_import_is_quick_and_what_is_offered_is_there() -> None:
    asked = "import sys, bench; assert not {'torch', 'pandas', 'click'} & {*sys.modules}; [getattr(bench, n) for n in "
    subprocess.run([sys.executable, "-c", f"{asked}bench.OFFERED]; assert dir(bench)"], check=True)


def test_what_is_not_offered_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        bench.rnu  # noqa: B018


@pytest.mark.parametrize(
    ("call", "command", "beside"),
    [
        (bench.run, run_command.command, {"quiet"}),
        (bench.evaluate, evaluate_command.command, {"quiet"}),
        (bench.records, report_command.command, {"quiet"}),
        (bench.compare, compare_command.command, {"quiet"}),
        (bench.export, export_command.command, set()),
    ],
    ids=["run", "evaluate", "records", "compare", "export"],
)
def test_a_call_takes_what_the_command_takes(
    call: Callable[..., Any], command: click.Command, beside: set[str]
) -> None:
    parameters = inspect.signature(call).parameters
    assert {*parameters} - beside == {*arguments_of(command)}


@pytest.mark.parametrize(
    ("call", "command"), [(bench.run, run_command.command), (bench.evaluate, evaluate_command.command)]
)
def test_a_call_has_the_defaults_of_the_command(call: Callable[..., Any], command: click.Command) -> None:
    parameters = inspect.signature(call).parameters.values()
    given = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
    assert given.pop("quiet") is False
    assert words_of(command, **given) == []


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("run", "ipcs", "ipc"),
        ("evaluate", "eval_backbones", "eval_backbone"),
        ("records", "wher", "where"),
        ("compare", "run", "runs"),
        ("export", "plugins", "plugin"),
        ("load_set", "class", "classes"),
    ],
)
def test_an_unknown_keyword_is_told_with_the_nearest(name: str, typed: str, meant: str) -> None:
    call = getattr(bench, name)
    with pytest.raises(TypeError, match=rf"^bench\.{name}: unknown keyword '{typed}'; did you mean '{meant}'\?$"):
        call(**{typed: 1})
    assert (call.__name__, call.__module__.rpartition(".")[0]) == (name, "bench.interface")
    assert meant in inspect.signature(call).parameters and "Args:" in call.__doc__


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"method": "sre2l", "dataset": ["digits", "mnist"]}, "--method=sre2l --dataset=digits --dataset=mnist"),
        ({"seed": range(2), "eval_seeds": 3}, "--seed=0 --seed=1"),
        ({"seed": 0, "control": True, "budget": "paper", "data_root": None}, ""),
        ({"control": False, "retry_failed": True}, "--no-control --retry-failed"),
        ({"classes": ["3", "5"], "runs": Path("a b")}, "--classes=3,5 '--runs=a b'"),
        ({"set": {"recover.lr": 1e-05, "zca": True}}, "--set=recover.lr=1e-05 --set=zca=true"),
        ({"set": {"a": "stored", "b": "1", "c": [1, 2]}}, "--set=a=stored '--set=b=\"1\"' '--set=c=[1, 2]'"),
        ({"set": ("dc:lr_img=-1",)}, "--set=dc:lr_img=-1"),
    ],
)
def test_a_call_is_a_line(given: Mapping[str, Any], line: str) -> None:
    assert shlex.join(words_of(run_command.command, **given)) == line


@pytest.mark.parametrize("value", [1, 0.1, 1e-05, True, "stored", "1", "true", " x", [1, 2], 'say "a"', "", math.inf])
def test_a_setting_arrives_as_it_was(value: Any) -> None:  # noqa: ANN401 - any value
    (word,) = words_of(run_command.command, set={"key": value})
    assert typed_value(word.removeprefix("--set=key=").strip()) == value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "sre2"}, "unknown method 'sre2'; did you mean 'sre2l'?"),
        ({"ipc": 0}, "0 is not in the range"),
        ({"budget": "fast"}, "'paper', 'quick'"),
        ({"set": {"recover.iteration": 5}}, "did you mean 'recover.iterations'?"),
        ({"ladder": "x"}, "--method does not go with --ladder"),
        ({"timeout": "soon"}, "soon"),
        ({"runs": ""}, "an empty text names no folder"),
    ],
    ids=str,
)
def test_a_mistake_is_what_the_command_says(place: Bench, given: Mapping[str, Any], said: str) -> None:
    call = {"method": "sre2l", "dataset": "digits", "backbone": "convnet3-bn", "budget": "quick", **given}
    with pytest.raises(bench.UsageError) as refused:
        bench.run(**call)
    assert said in str(refused.value)
    typed = place.spoken("run", *words_of(run_command.command, **call))
    assert (typed.returncode, typed.stderr) == (2, f"bench: {refused.value}\n")
    assert not place.runs.exists()


def test_a_run_by_a_call(place: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    with children_here():
        done = bench.run("random", "digits", **SMALL)
    out, errors = capfd.readouterr()
    assert out == "" and "evaluate" in errors
    assert done.whole
    (row,) = done.rows
    assert row["command" if "command" in row else "made"]["command"].startswith(
        "bench run --method=random --dataset=digits"
    )
    assert "claim" in row and {*names()} <= {*row}
    assert done.frame["top1_mean"].tolist() == [row["top1_mean"]]
    assert "random" in str(done) and done.table("json").startswith("[")
    with pytest.raises(bench.UsageError, match="did you mean 'table'"):
        done.table("tabel")

    again = bench.run("random", "digits", **SMALL, quiet=True)
    assert again.rows == done.rows
    assert capfd.readouterr() == ("", "")

    as_typed = place.spoken(*shlex.split(row["made"]["command"])[1:], "--format=json")
    assert as_typed.stdout == done.table("json")

    found = bench.records(where={"method": "random", "ipc": 2})
    assert found["run"].tolist() == [row["run"]]

    folder = place.runs / row["run"]
    for given in (folder / "condensed", folder, row["run"]):  # all name the same set, which is not scored again
        with children_here():
            scored = bench.evaluate(given, "digits", "convnet3", **_of_sets(SMALL), quiet=True)
        (other,) = scored.rows
        assert other["imported"] and other["top1_values"] == row["top1_values"]
    assert len(list(place.runs.glob("imported-*"))) == 1
    assert _labelling(row["run"], eval_backbone="convnet3-w32") == ("convnet3",)  # as the run's own soft labels are
    other = {"eval_backbone": "convnet3", "backbone": "convnet3-w32"}
    assert _labelling(row["run"], protocol="soft", **other) == ("convnet3-w32",)
    with pytest.raises(bench.UsageError, match="--backbone convnet3-w32 would label nothing: dc takes hard labels"):
        _labelling(row["run"], **other)  # whose own protocol is `dc`
    theirs = place.folder / "theirs"  # by a network that is not here
    theirs.mkdir()
    torch.save({"images": torch.rand(6, 1, 8, 8), "labels": torch.arange(6) // 2}, theirs / "set.pt")
    source = {"file": "set.pt", "images": "images", "labels": "labels", "range": "0..1"}
    about = {"source": source, "method": "m", "protocol": "hard", "backbone": "a-network"}
    (theirs / "manifest.json").write_text(json.dumps(about))
    assert _labelling(theirs, eval_backbone="convnet3-w32") == ("convnet3-w32",)


def _labelling(folder: Path | str, **given: str) -> tuple[str, ...]:
    """The network that labels, where a protocol makes labels."""
    command = evaluate_command.command
    asked = understood(command, words_of(command, folder=folder, dataset="digits", classes=3, **given))
    for name in ("plugins", "retry_failed", "timeout", "dry_run", "form"):
        del asked[name]
    return evaluate_command.requested(Registry(), **asked, quiet=True).backbones


def _of_sets(small: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in small.items() if name not in ("backbone", "ipc")}


def test_a_failed_run_is_a_row_also_in_a_thread_where_python_hears_no_signals(place: Bench) -> None:
    with ThreadPoolExecutor() as threads:
        done = threads.submit(lambda: bench.run("random", "digits", **SMALL, timeout=0.01, quiet=True)).result()
    assert not done.whole
    assert "over its time" in done.rows[0]["reason"]


def test_ctrl_c_ends_the_call(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.running.runner.Run.found", pressed)
    with pytest.raises(KeyboardInterrupt, match="the same call continues"):
        bench.run("random", "digits", **SMALL, quiet=True)


def test_records_are_a_frame(place: Bench) -> None:
    run = next(MEASURED.glob("*/record.json")).parent
    shutil.copytree(run, place.runs / "one")
    shutil.copytree(run, place.runs / "two")
    (place.runs / "two" / "record.json").write_text("{}")
    found = bench.records(quiet=True)
    assert isinstance(found, pd.DataFrame)
    assert len(found) == len(bench.records(place.runs / "one"))
    assert {*names()} <= {*found.columns}
    with pytest.raises(bench.UsageError, match="unknown --where field 'metod'; did you mean 'method'"):
        bench.records(where={"metod": "x"})


def test_two_runs_are_compared_by_a_call(place: Bench) -> None:
    run = next(MEASURED.glob("*/record.json")).parent
    found = bench.compare(run, run)
    assert isinstance(found, bench.Comparison)
    assert (found.spec, found.alone, found.scores[0].together) == ((), (), True)
    with pytest.raises(bench.UsageError, match="no run and no folder of runs is called 'nowhere'"):
        bench.compare(run, "nowhere", runs=place.runs)


def test_a_set_is_exported_by_a_call(place: Bench) -> None:
    place = replace(place, plugins=(str(SMALL["plugin"]),))
    (job,) = place.jobs("random", protocols=("plain",), eval_backbones=("convnet3-w32",))
    place.run(job)
    written = bench.export(job.spec.name, "folder", place.folder / "out")
    assert written == place.folder / "out" and len(list(written.glob("images/*/*.png"))) == 6
    with pytest.raises(bench.UsageError, match="unknown form 'foldr'; did you mean 'folder'"):
        bench.export(job.spec.name, "foldr", place.folder / "other")
    with pytest.raises(bench.UsageError, match="is there already"):
        bench.export(job.spec.name, "pt", place.folder / "out")


def test_what_is_understood_is_what_is_typed() -> None:
    words: Iterable[str] = words_of(report_command.command, named=["a", "-b"], where={"ipc": 10})
    assert understood(report_command.command, list(words))["named"] == ("a", "-b")
