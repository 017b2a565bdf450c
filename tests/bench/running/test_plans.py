"""Plan files: written by one command, worked off by as many others as there are, each piece once."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench, kill, until
from child_work import children_here
from leasing import elsewhere, slots
from small_layouts import jpeg, write_files

from bench.cli import plans
from bench.cli.console import Console
from bench.cli.plans import Shard, unplanned
from bench.errors import RunFailure, UsageError
from bench.extensions.code import content_of
from bench.extensions.registry import Registry
from bench.planning.checks import check_machine
from bench.planning.plan_files import PLAN_LINE, PlannedJob, as_offered, check_offered, plan_text, read_plan
from bench.planning.planner import Planner
from bench.progress import Silent
from bench.running.environment import describe
from bench.running.executors.processes import Ended
from bench.storage.files import SEAL, digest
from bench.storage.shared.leases import locked

SHARED = Path(__file__).with_name("shared_methods.py")


@pytest.fixture
def shared(bench: Bench) -> Bench:
    """With a plan of three runs, of one to three units; marks go to a folder `marks`."""
    bench.plugins = (str(SHARED),)
    (bench.folder / "marks").mkdir()
    ipcs = [word for ipc in (1, 2, 3) for word in ("--ipc", str(ipc))]
    ended = bench.spoken(
        *("run", "-m", "marked", "-d", "digits", *ipcs, "--backbone", "convnet3-w32-bn", "--classes", "3"),
        *("--protocol", "untrained-shared", "--eval-seeds", "1", "--no-control", "--precision", "fp32"),
        *("--set", f"folder={bench.folder / 'marks'}", "--device", "cpu", "--plugin", str(SHARED)),
        *("--plan-only", "-o", "jobs.jsonl"),
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert not bench.runs.exists()
    return bench


def work(bench: Bench, shard: str, *more: str) -> "subprocess.Popen[str]":
    """`bench work` under way."""
    words = ["work", "jobs.jsonl", "--shard", shard, "--runs", str(bench.runs), "--format", "json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        env=bench.environment(),
        cwd=bench.folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def made(bench: Bench) -> Counter[str]:
    """How often each unit was made."""
    return Counter(path.name.split(".")[0] for path in (bench.folder / "marks").glob("*.made"))


def test_a_plan_is_a_line_a_run_and_names_no_folder_of_the_machine(shared: Bench) -> None:
    lines = [json.loads(line) for line in (shared.folder / "jobs.jsonl").read_text().splitlines()]
    assert [line["job"]["spec"]["ipc"] for line in lines] == [1, 2, 3]
    for line in lines:
        config = line["job"]["spec"]["method"]["config"].pop("folder")
        assert config == str(shared.folder / "marks"), "what the user named"
        command = line.pop("command")
        assert (
            command.startswith("bench run -m marked") and "--plan-only" not in command and "jobs.jsonl" not in command
        )
        line["job"]["spec"]["method"].pop("changed")
        plugins = line.pop("plugins")
        assert plugins == [os.path.relpath(SHARED, shared.folder)]
        assert str(shared.folder) not in json.dumps(line)


@pytest.mark.parametrize(
    "asked",
    [
        "--plan-only -o 'a b.jsonl'",
        "--output=jobs.jsonl --plan-only",
        "-ojobs.jsonl --plan-only",
        "--plan-only --machine 'NVIDIA H100' -o jobs.jsonl",
        "--machine=H100 --plan-only -ojobs.jsonl",
    ],
)
def test_a_record_names_the_line_that_makes_its_run(asked: str) -> None:
    line = "bench run -m dm --set 'dm:pool=[1, 2]' -d digits"
    assert unplanned(f"{line} {asked} --ipc 1") == f"{line} --ipc 1"


def test_shards_side_by_side_make_each_unit_once_and_a_killed_one_continues(shared: Bench) -> None:
    """The first is killed in the middle of a unit; then the same command, beside another shard, finds work and ends."""
    marks = shared.folder / "marks"
    (marks / "wait").touch()
    first = work(shared, "1/2")
    until(lambda: list(marks.glob("ipc1-*")))
    kill(first)
    other = work(shared, "2/2")
    until(lambda: list(marks.glob("ipc2-*")))
    (marks / "wait").unlink()
    same = ("work", "jobs.jsonl", "--shard", "1/2", "--runs", str(shared.runs), "--format", "json")
    again = shared.spoken(*same)
    out, errors = other.communicate(timeout=120)
    assert (again.returncode, other.returncode) == (0, 0), (again.stderr, errors)
    expected = {f"ipc{ipc}-part-{index}": 1 for ipc in (1, 2, 3) for index in range(ipc)}
    assert made(shared) == expected, "each once, the killed shard's too"
    assert {row["ipc"] for text in (again.stdout, out) for row in json.loads(text)} == {1, 2, 3}
    third = shared.spoken(*same)
    assert third.returncode == 0
    assert "shard 1/2: nothing of the plan is left to take\n" in third.stderr
    assert [row["ipc"] for row in json.loads(third.stdout)] == [1, 3], "its own share, as it lies"
    assert made(shared) == expected
    table = shared.spoken("report", str(shared.runs), "--format", "json")
    assert sorted(row["ipc"] for row in json.loads(table.stdout)) == [1, 2, 3]


def test_what_others_are_at_is_left_to_them(shared: Bench) -> None:
    wait = shared.folder / "marks" / "wait"
    wait.touch()
    other = work(shared, "1/3")
    until(lambda: list((shared.folder / "marks").glob("ipc1-*")))
    lines = (shared.folder / "jobs.jsonl").read_text().splitlines(keepends=True)
    (shared.folder / "first.jsonl").write_text(lines[0])
    ended = shared.spoken("work", "first.jsonl", "--shard", "2/2", "--runs", str(shared.runs))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "shard 2/2: nothing of the plan is left to take; others are at 1 of its 1 runs" in ended.stderr
    os.killpg(other.pid, signal.SIGKILL)
    other.communicate()


def test_a_shard_without_a_run_of_its_own_makes_units_of_one_that_another_has(shared: Bench) -> None:
    """The other is in the middle of the first of three, and finds the two others made."""
    marks = shared.folder / "marks"
    (marks / "wait").touch()
    lines = (shared.folder / "jobs.jsonl").read_text().splitlines(keepends=True)
    (shared.folder / "jobs.jsonl").write_text(lines[2])
    other = work(shared, "1/2")
    until(lambda: list(marks.glob("ipc3-part-0.*")))
    (marks / "wait").rename(marks / "wait-ipc3-part-0")
    with children_here():
        ended = shared.spoken("work", "jobs.jsonl", "--shard", "2/2", "--runs", str(shared.runs))
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert ", which another has: made part-2, part-1\n" in ended.stderr
    assert made(shared) == {"ipc3-part-1": 1, "ipc3-part-2": 1}
    (marks / "wait-ipc3-part-0").unlink()
    out, errors = other.communicate(timeout=120)
    assert [row["status"] for row in json.loads(out)] == ["done"], errors
    assert made(shared) == {f"ipc3-part-{index}": 1 for index in range(3)}, "each once"


def test_what_fails_while_a_shard_helps_is_for_whoever_has_the_run_to_say(shared: Bench) -> None:
    lines = (shared.folder / "jobs.jsonl").read_text().splitlines(keepends=True)
    (shared.folder / "jobs.jsonl").write_text(lines[2])
    (job,) = (each.job for each in read_plan(shared.folder / "jobs.jsonl"))
    shutil.rmtree(shared.folder / "marks")
    with locked(shared.runs / f".{job.spec.name}.lock", Silent(), wait=False), children_here():
        ended = shared.spoken("work", "jobs.jsonl", "--runs", str(shared.runs))
    assert (ended.returncode, ended.stdout) == (0, "") and "made part" not in ended.stderr
    assert not (shared.runs / job.spec.name / "record.json").exists()


def test_a_stop_in_the_last_unit_that_a_shard_helps_with_ends_the_shard(
    shared: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "run_child", lambda *_: Ended("helped", {"units": ["part-2"]}, 0, True))
    planned = read_plan(shared.folder / "jobs.jsonl")
    place = plans.Place(shared.runs, shared.cache, shared.folder / "data", "cpu", None)
    with Console(quiet=True) as console:
        shift = plans.Shift(plans.Shard(1, 1), planned, Registry((str(SHARED),)), place, torch.device("cpu"), console)
        assert (shift._help(planned), shift.stopped) == (False, True)


def test_what_a_shard_had_that_died_on_another_machine_is_done(shared: Bench) -> None:
    lines = (shared.folder / "jobs.jsonl").read_text().splitlines(keepends=True)
    (shared.folder / "first.jsonl").write_text(lines[0])
    name = json.loads(lines[0])["job"]["spec"]["name"]
    assert slots(shared.runs / f".{name}.lock").create(1, elsewhere(life=1.5).written(7))
    ended = shared.spoken("work", "first.jsonl", "--runs", str(shared.runs), "--format", "json")
    assert ended.returncode == 0, ended.stderr
    assert "in use by process 1 on elsewhere: looking for 1.5 s at most whether that still works" in ended.stderr
    assert [row["status"] for row in json.loads(ended.stdout)] == ["done"]


def test_shares_are_whole_and_apart() -> None:
    planned: list[Any] = list(range(10))  # any sequence is shared alike
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    own: list[Any] = [each.own(planned) for each in shards]
    assert own == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    others: list[Any] = list(shards[1].others(planned))
    assert others == [8, 5, 2, 9, 6, 3, 0], "the next one's first, from their ends"
    assert Shard(1, 1).others(planned) == []


def _altered(line: str, **changes: object) -> str:
    content = {**json.loads(line), **changes}
    del content[SEAL]
    return json.dumps({**content, SEAL: digest(content)})


def _other_method(line: str) -> str:
    job = json.loads(line)["job"]
    job["spec"]["method"]["version"] += 1
    return _altered(line, job=_renamed(job))


def _renamed(job: dict[str, dict[str, object]]) -> dict[str, object]:
    from bench.results.spec import Job, RunSpec

    spec = RunSpec.from_json(job["spec"])
    return Job.from_json({**job, "spec": spec.to_json()}).to_json()


def _on(line: str, device: str, machine: str) -> str:
    job = json.loads(line)["job"]
    job["spec"] |= {"device": device, "machine": machine}
    return _altered(line, job=_renamed(job))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda line: _altered(line, schema=PLAN_LINE.version + 1), "line 2, has schema 2 of a plan; this program"),
        (lambda line: line[: len(line) // 2], "line 2, is not valid JSON"),
        (lambda line: line.replace('"ipc": 2', '"ipc": 3'), "line 2, was altered: its checksum does not match"),
        (lambda line: _altered(line, job={}), "line 2, does not hold what it should: it lacks"),
        (lambda line: "", "line 2, is not valid JSON"),
        (lambda line: _altered(line, plugins=["nowhere_at_all"]), "plugin 'nowhere_at_all' cannot be loaded"),
        (_other_method, "the plan is for version 2 of the method marked, and here it is 1: plan again"),
        (lambda line: _on(line, "cpu", "another"), "the plan is for another and cpu: one machine cannot do both"),
    ],
)
def test_a_plan_that_cannot_be_done_here_is_one_line(shared: Bench, damage: Callable[[str], str], said: str) -> None:
    path = shared.folder / "jobs.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], damage(lines[1]), *lines[2:]]) + "\n")
    ended = shared.spoken("work", "jobs.jsonl", "--runs", str(shared.runs))
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
    assert said in ended.stderr
    assert not shared.runs.exists()


def test_words_that_cannot_be_right(shared: Bench) -> None:
    def refused(*words: str) -> str:
        ended = shared.spoken(*words)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
        return ended.stderr

    for shard in ("0/2", "3/2", "1", "a/b", "1/0"):
        assert "--shard takes I/N with I from 1 to N, such as 2/8" in refused("work", "jobs.jsonl", "--shard", shard)
    assert "the plan away.jsonl cannot be read: No such file" in refused("work", "away.jsonl")
    (shared.folder / "empty.jsonl").touch()
    assert "the plan empty.jsonl holds no run" in refused("work", "empty.jsonl")
    run = ("run", "-m", "random", "-d", "digits", "--backbone", "convnet3", "--ipc", "1")
    assert "--output goes with --plan-only" in refused(*run, "-o", "x")
    assert "--machine goes with --plan-only, or with an executor elsewhere; local is here" in refused(
        *run, "--machine", "NVIDIA H100 80GB HBM3"
    )
    assert "choose one" in refused(*run, "--plan-only", "--dry-run")
    elsewhere = (*run, "--plan-only", "--machine", "NVIDIA H100 80GB HBM3")
    assert "--machine needs --precision fp32, tf32 or bf16" in refused(*elsewhere)
    assert "not with --device cpu" in refused(*elsewhere, "--precision", "bf16", "--device", "cpu")


def test_a_machine_that_lacks_the_plugin_says_of_which_plugin_the_method_is(shared: Bench) -> None:
    planned = read_plan(shared.folder / "jobs.jsonl")
    with pytest.raises(
        UsageError, match=r"needs the method 'marked' \(of the plugin bench_file_shared_methods\), which"
    ):
        check_offered(planned, Registry())


def test_a_plugin_that_was_edited_since_the_plan_is_known_as_it_is_here(shared: Bench) -> None:
    """Else what fails would be recorded as of the file before, and tried again for ever, or never."""
    edited = shared.folder / SHARED.name
    edited.write_text(f"{SHARED.read_text()}\n# another thought\n")
    (first, *_) = read_plan(shared.folder / "jobs.jsonl")
    found = as_offered(first, Registry((str(edited),)))
    assert first.job.spec.method.plugin_version == content_of(SHARED)
    assert found.job.spec.method.plugin_version == content_of(edited) != content_of(SHARED)
    assert found.job.spec.name == first.job.spec.name and found.job.evaluations == first.job.evaluations


def test_what_a_plan_takes_the_place_of_is_said(bench: Bench) -> None:
    run = ("run", "-m", "random", "-d", "digits", "--backbone", "convnet3", "--no-control", "--plan-only", "--ipc", "1")

    def said(*more: str) -> list[str]:
        return bench.spoken(*run, *more, "-o", "jobs.jsonl").stderr.splitlines()

    one = "1 run is planned: bench work jobs.jsonl --shard I/N does a share"
    two = "2 runs are planned: bench work jobs.jsonl --shard I/N does a share"
    assert said() == [one]
    assert said("--ipc", "2") == [two, "replaced the plan of 1 run that was there"]
    assert said() == [one, "replaced the plan of 2 runs that was there"]
    (bench.folder / "jobs.jsonl").write_text("notes")
    assert said() == [one, "replaced the file, no plan of this version, that was there"]


def test_a_gpu_that_is_not_here_is_planned_for_by_its_name(shared: Bench) -> None:
    """The plan of a machine without a GPU is, but for the words typed, that of the machine with it."""
    run = ("run", "-m", "random", "-d", "digits", "--backbone", "convnet3", "--ipc", "1", "--plan-only")
    ended = shared.spoken(*run, "--machine", "NVIDIA H100 80GB HBM3", "--precision", "tf32")
    spec = json.loads(ended.stdout.splitlines()[0])["job"]["spec"]
    assert (spec["device"], spec["machine"], spec["precision"]) == ("cuda", "NVIDIA H100 80GB HBM3", "tf32")
    here = json.loads(shared.spoken(*run, "--precision", "fp32", "--device", "cpu").stdout.splitlines()[0])
    assert spec.keys() == here["job"]["spec"].keys()


CARD = """
name = "flowers"
resolution = 16
normalisation = "half"
class_ids = ["daisy", "rose"]
[[sources]]
layout = "image-folder"
options = { path = "official" }
"""
OFFER = """
from pathlib import Path
from bench.hookspecs import Offer, hookimpl

@hookimpl
def bench_datasets():
    return [Offer("flowers", Path(__file__).with_name("flowers.toml"), "flowers")]
"""


@pytest.fixture
def flowers(tmp_path: Path) -> Registry:
    """Knows a dataset by its card; nothing of it is there yet."""
    (tmp_path / "flowers.toml").write_text(CARD)
    (tmp_path / "flowers_plugin.py").write_text(OFFER)
    return Registry([str(tmp_path / "flowers_plugin.py")])


def test_a_dataset_that_is_not_here_is_planned_by_its_card(flowers: Registry, bench: Bench) -> None:
    """The runs are those that are planned where it is."""
    asked = bench.request("random", datasets=("flowers",), ipcs=(1,), protocols=("hard",), classes=None, control=True)
    with pytest.raises(UsageError, match="'flowers' is not below"):
        Planner(flowers, asked, Silent()).jobs()
    planner = Planner(flowers, replace(asked, elsewhere=True), Silent())
    by_card = planner.jobs()
    assert planner.remarks == ["flowers is not here: planned by its card, its images not counted"]
    names = [f"official/{split}/{name}/0.jpg" for split in ("train", "test") for name in ("daisy", "rose")]
    write_files(bench.folder / "data", {name: jpeg(number) for number, name in enumerate(names)})
    by_files = Planner(flowers, asked, Silent()).jobs()
    assert [(job.spec.name, job.controls, job.evaluations) for job in by_card] == [
        (job.spec.name, job.controls, job.evaluations) for job in by_files
    ]
    own = replace(asked, elsewhere=True, datasets=(str(bench.folder / "flowers.toml"),), data_root=bench.folder / "x")
    (bench.folder / "data").rename(bench.folder / "away")
    with pytest.raises(UsageError, match="content is part of what a run is, so it must be here"):
        Planner(flowers, own, Silent()).jobs()


def test_what_was_planned_for_another_machine_is_not_done_here(bench: Bench) -> None:
    """Nor need whoever writes that down have the GPU."""
    (job,) = bench.jobs("random", protocols=("hard",))
    check_machine(job.spec, torch.device("cpu"))
    there = replace(job.spec, device="cuda", machine="NVIDIA A100")
    with pytest.raises(RunFailure, match=r"it is planned for NVIDIA A100, and cpu of .* is cpu"):
        check_machine(there, torch.device("cpu"))
    assert describe(torch.device("cuda"), "bf16", there, "").device_name == "NVIDIA A100"


def test_paths_in_a_plan_follow_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are relative to its folder, whatever folder it is read from."""
    monkeypatch.chdir(bench.folder)
    for name in ("plans", "elsewhere"):
        (bench.folder / name).mkdir()
    (job,) = bench.jobs("random", protocols=("hard",))
    planned = PlannedJob(replace(job, spec=replace(job.spec, card="cards/mine.toml")), 2, ("own.py", "module"), "x")
    path = bench.folder / "plans" / "jobs.jsonl"
    path.write_text(plan_text([planned], path.parent))
    assert '"../cards/mine.toml"' in path.read_text() and '"../own.py", "module"' in path.read_text()
    assert read_plan(Path("plans/jobs.jsonl")) == [planned]
    monkeypatch.chdir(bench.folder / "elsewhere")
    (found,) = read_plan(path)
    assert (found.job.spec.card, found.plugins) == ("../cards/mine.toml", ("../own.py", "module"))
    assert found.job.spec.name == job.spec.name


def test_the_device_is_the_one_that_was_planned_for(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared.folder / "jobs.jsonl"
    path.write_text("".join(_on(line, "cuda", "NVIDIA A100") + "\n" for line in path.read_text().splitlines()))
    monkeypatch.setattr("bench.cli.plans.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("bench.cli.plans.device_name", lambda device: "NVIDIA H100")
    ended = shared.spoken("work", "jobs.jsonl", "--runs", str(shared.runs))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert "the plan is for NVIDIA A100, and --device auto is NVIDIA H100 here; plan for it with --mach" in ended.stderr
