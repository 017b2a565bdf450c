"""`bench clean`: what would go is shown, what was asked for goes and nothing else, and nobody at work is disturbed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from leasing import elsewhere, killed_with, slots
from leasing import held as owned

from bench.conformance.formats import sample_spec
from bench.results.spec import RunSpec
from bench.storage.files import quarantine, write_json
from bench.storage.shared.leases import is_of_dead

Clean = Callable[..., tuple[int, str, str]]
HOLD = (
    "import sys, time; from pathlib import Path\n"
    "from bench.progress import Silent; from bench.storage.shared.leases import locked\n"
    "with locked(Path(sys.argv[1]), Silent(), wait=False):\n    print('held', flush=True); time.sleep(600)"
)


def put(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def made_run(runs: Path, seed: int, status: str, *, stages: tuple[str, ...] = (), taught: str | None = None) -> RunSpec:
    """A run's folder as the runner leaves it: costs that name stages of its synthesis, a score that names a teacher."""
    spec = sample_spec(seed)
    folder = runs / spec.name
    write_json(folder / "spec.json", spec.to_json())
    content = {"status": status, "reason": None, "spec": spec.to_json(), "costs": {}, "evaluations": {}}
    write_json(folder / "record.json", {"schema": 2, **content, "controls": {}, "environment": {}})
    if status == "done":
        write_json(folder / "costs.json", {"stages": {stage: {} for stage in stages}})
        write_json(folder / "evaluations" / "soft-0.json", {"stages": {taught: {}} if taught else {}})
        put(folder / "condensed" / "images.safetensors", 100_000)
    return spec


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two runs, one of them failed; stages that one uses and that none does; damaged files; decoded images."""
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    made_run(runs, 0, "done", stages=("a" * 32,), taught="b" * 32)
    made_run(runs, 1, "failed")
    for name, made in (("teacher-" + "a" * 32, True), ("teacher-" + "b" * 32, True), ("experts-" + "c" * 32, True)):
        put(cache / "stages" / name / "result.safetensors", 2_000_000)
        write_json(cache / "stages" / name / "stage.json", {"made": made})
    put(cache / "stages" / ("teacher-" + "d" * 32) / "work" / "squeeze.checkpoint.safetensors", 1000)
    quarantine(put(cache / "stages" / ("teacher-" + "e" * 32) / "result.safetensors", 500).parent)
    put(cache / "images" / "digits-0011" / "train.u8", 3_000_000)
    put(cache / "images" / "digests" / "file.json", 10)
    return tmp_path


@pytest.fixture
def clean(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clean:
    from bench.cli import main

    monkeypatch.setenv("BENCH_CACHE", str(place / "cache"))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", "clean", *words, "--runs", str(place / "runs")])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def held() -> Iterator[Callable[[Path], None]]:
    """Has another process hold a lock until the test is over."""
    started: list[subprocess.Popen[str]] = []

    def hold(lock: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout and process.stdout.readline() == "held\n"

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def content(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file() and ".leases" not in path.parts}


GONE = {
    "--failed": f"runs/{sample_spec(1).name}/",
    "--stages": ("cache/stages/experts-" + "c" * 32, "cache/stages/teacher-" + "d" * 32),
    "--corrupt": "cache/stages/teacher-" + "e" * 32 + ".corrupt-1/",
    "--images": "cache/images/digits-0011/",
    sample_spec(0).name: f"runs/{sample_spec(0).name}/",
    "--where seed=0": f"runs/{sample_spec(0).name}/",
}


@pytest.mark.parametrize(("asked", "gone"), GONE.items())
def test_what_is_asked_for_is_shown_and_with_yes_it_goes_and_nothing_else(
    place: Path, clean: Clean, asked: str, gone: str | tuple[str, ...]
) -> None:
    if asked.startswith("--where"):  # rows are of evaluations; a run without its record has one as well
        (place / "runs" / sample_spec(0).name / "record.json").unlink()
    before = content(place)
    status, shown, _ = clean(*asked.split(" "))
    assert status == 0 and content(place) == before and "nothing was taken away; --yes does it" in shown
    doomed = {path for path in before if path.startswith(gone)}
    assert doomed and all(f"{place / each}" in shown for each in ((gone,) if isinstance(gone, str) else gone))
    status, _, _ = clean(*asked.split(" "), "--yes")
    assert status == 0 and content(place) == before - doomed


def test_without_a_word_everything_that_may_go_is_summed_up(place: Path, clean: Clean) -> None:
    before = content(place)
    status, shown, _ = clean()
    lines = {line.split()[0]: line.split()[-3:] for line in shown.splitlines()[2:]}
    assert status == 0 and content(place) == before
    assert lines["--images"] == ["1", "2.9", "MiB"] and lines["--stages"] == ["2", "1.9", "MiB"]
    assert lines["--failed"][0] == "1" and lines["--corrupt"] == ["1", "500", "B"]
    assert clean("--yes")[0] == 2 and content(place) == before


def test_a_name_that_is_no_run_is_a_mistake(place: Path, clean: Clean) -> None:
    before, name = content(place), sample_spec(0).name
    status, out, said = clean(name[:-1], "--yes")
    assert (status, out) == (2, "") and f"did you mean '{name}'" in said and content(place) == before


def test_a_run_that_somebody_has_is_left_and_so_is_every_stage_meanwhile(
    place: Path, clean: Clean, held: Callable[[Path], None]
) -> None:
    name = sample_spec(0).name
    held(place / "runs" / f".{name}.lock")
    before = content(place)
    status, _, said = clean(name, "--failed", "--yes")
    assert status == 1 and f"left: {name} is in use by process" in said
    assert content(place) == {path for path in before if sample_spec(1).name not in path}
    status, _, said = clean("--stages", "--yes")
    assert status == 2 and name in said and "experts-" in "".join(content(place))


def test_a_stage_that_somebody_makes_is_left(place: Path, clean: Clean, held: Callable[[Path], None]) -> None:
    stage = place / "cache" / "stages" / ("teacher-" + "d" * 32)
    held(stage.with_name(f"{stage.name}.lock"))
    status, _, said = clean("--stages", "--yes")
    assert status == 1 and f"left: {stage.name} is in use by process" in said
    assert stage.exists() and not stage.with_name("experts-" + "c" * 32).exists()


def test_stages_of_runs_that_are_not_finished_are_warned_of(place: Path, clean: Clean) -> None:
    status, _, said = clean("--stages")
    assert status == 0 and "1 run has not made a set yet" in said  # the failed one
    assert f"no run below {place / 'runs'} uses these; runs in other folders were not asked" in said


def test_what_killed_processes_left_goes_and_nothing_else(
    place: Path, clean: Clean, held: Callable[[Path], None]
) -> None:
    runs, cache = place / "runs", place / "cache"
    held(cache / "trial-alive" / "held.lock")
    folder = next(path for path in runs.iterdir() if (path / "costs.json").exists())
    put(folder / "units" / "a.safetensors", 1)
    dead = 2**22 + 1  # above the most that Linux gives a process
    left = [
        put(folder / "units" / "a.work" / "recover.checkpoint.safetensors", 1).parent,
        put(folder / "evaluations" / f"soft-1.json.{dead}.part", 1),
        put(runs / f".{folder.name}.owner", 1),
        put(cache / "stages" / ("teacher-" + "b" * 32 + ".lock"), 1),
        put(cache / "choices" / f"c.json.{dead}.part", 1),
        put(cache / "images" / "digests" / f"d.json.{dead}.part", 1),
        put(cache / "stages" / ("teacher-" + "a" * 32) / "work" / "elapsed.json", 1).parent,
        put(cache / "trial-dead" / "any", 1).parent,
        put(cache / "speed-dead" / "work" / "any", 1).parents[1],
    ]
    kept = [
        put(folder / "units" / "b.work" / "recover.checkpoint.safetensors", 1),
        put(cache / "choices" / f"e.json.{os.getpid()}.part", 1),
        cache / "stages" / ("teacher-" + "d" * 32) / "work",
        cache / "trial-alive" / ".leases" / "held.lock" / "1",
    ]
    killed_with(cache / "trial-dead" / "held.lock")
    names = [runs / ".another.lock", cache / "stages" / ("teacher-" + "a" * 32 + ".lock")]
    for name in names:
        killed_with(name)
    status, out, _ = clean("--leftovers")
    assert all(str(name) in out for name in names)
    assert status == 0 and all(each.exists() for each in left) and all(str(each) in out for each in left)
    assert clean("--leftovers", "--yes")[0] == 0
    assert not any(map(is_of_dead, names))
    assert not any(each.exists() for each in left) and all(each.exists() for each in kept)


def test_stages_of_a_run_that_cannot_be_read_are_not_taken_for_unused(place: Path, clean: Clean) -> None:
    costs = next((place / "runs").glob("*/costs.json"))
    costs.unlink()
    costs.symlink_to(costs)  # the system refuses to read it
    status, _, err = clean("--stages", "--yes")
    assert status == 2 and f"no stage is unused for sure: {costs} cannot be read" in err
    assert (place / "cache" / "stages" / ("teacher-" + "a" * 32)).exists()


def test_what_another_machine_is_writing_is_no_leftover(place: Path, clean: Clean) -> None:
    cache, gone = place / "cache", 2**22 + 1  # the number of no process here
    parts = [cache / "images" / "digits-0011" / f"test.u8.{gone}.part", cache / "choices" / f"c.json.{gone}.part"]
    locks = [parts[0].with_name("test.lock"), cache / "choices.lock"]
    for part, lock in zip(parts, locks, strict=True):
        put(part, 1)
        with owned(lock, machine="elsewhere"):
            clean("--leftovers", "--yes")
            assert part.exists()


def test_what_an_owner_on_another_machine_had_goes_once_that_gave_no_sign_of_life(place: Path, clean: Clean) -> None:
    """Not before, and not for being asked what would go; two owners are looked at side by side."""
    names = [sample_spec(seed).name for seed in (0, 1)]
    for name in names:
        slots(place / "runs" / f".{name}.lock").create(1, elsewhere(life=1.0).written(0))
    before = content(place)
    status, _, said = clean(*names)
    assert status == 0 and said == "".join(f"left: {name} is in use by process 1 on elsewhere\n" for name in names)
    assert content(place) == before
    status, out, said = clean(*names, "--yes")
    assert status == 0 and "freed" in out
    assert said.count("is in use by process 1 on elsewhere: looking for 1 s at most whether that still works") == 2
    assert not [path for path in content(place) if path.startswith("runs/")]


def test_what_a_live_owner_on_another_machine_has_is_left(
    place: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LEASE_TTL", "2")
    name, before = sample_spec(1).name, content(place)
    with owned(place / "runs" / f".{name}.lock", machine="elsewhere"):
        status, _, said = clean("--failed", "--yes")
        assert status == 1 and f"left: {name} is in use by process" in said
        assert clean("--stages", "--yes")[0] == 2, "nothing that it may use goes"
    assert content(place) == before
    assert clean("--stages", "--yes")[0] == 0, "it was killed, and this is seen by its lease"
