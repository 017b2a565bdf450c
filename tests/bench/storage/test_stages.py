"""Stages: kept by content, verified, made once, their cost kept (DESIGN section 9, promises 4 to 6)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from damage import altered
from ears import Ear
from leasing import killed_with

from bench.errors import RunFailure, UnreadableArtefact
from bench.hardware import waiting
from bench.hardware.waiting import CoreTime
from bench.progress import Silent
from bench.storage.files import digest, read_json, write_json
from bench.storage.shared.elapsed import beside_others
from bench.storage.shared.leases import holder, is_of_dead, locked
from bench.storage.shared.slots import LEASES
from bench.storage.shared.stages import RESULT, Made, StageKey, StageStore
from bench.storage.tensor_files import read_rows, write_tensors

CPU = torch.device("cpu")


def make(folder: Path) -> Made:
    return Made({"weights": torch.arange(4.0)}, {"top1": 59.5})


def refuse(folder: Path) -> Made:
    raise AssertionError("made although it is there")


KEY = StageKey("teacher", 1, {"seed": 0, "recipe": {"lr": 0.2}})


def test_a_stage_is_made_once_and_keeps_what_it_cost(tmp_path: Path) -> None:
    made = StageStore(tmp_path).get_or_make(KEY, make, CPU)
    found = StageStore(tmp_path).get_or_make(KEY, refuse, CPU)
    assert (made.cached, found.cached) == (False, True)
    assert found.facts == {"top1": 59.5}
    assert torch.equal(found.tensors["weights"], made.tensors["weights"])
    assert found.cost == made.cost
    assert found.cost.seconds > 0


def test_a_stage_says_what_its_result_takes_on_the_disk(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    made, found = store.get_or_make(KEY, make, CPU), store.get_or_make(KEY, refuse, CPU)
    size = store.file(KEY.kind, KEY.hash).stat().st_size
    assert made.bytes == found.bytes == made.to_json()["bytes"] == size


def test_a_stage_from_before_says_nothing_of_waiting(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    store.get_or_make(KEY, make, CPU)
    about = store.folder(KEY.kind, KEY.hash) / "stage.json"
    content = read_json(about)
    del content["cost"]["waited"]
    write_json(about, content)
    found = store.get_or_make(KEY, refuse, CPU)
    assert found.cost.waited is None and found.bytes


def test_a_stage_with_a_fact_that_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    with pytest.raises(RunFailure, match=r"^teacher\.top1 is nan"):
        store.get_or_make(KEY, lambda folder: Made({}, {"top1": float("nan")}), CPU)
    assert store.read(KEY.kind, KEY.hash) is None


def test_what_a_stage_within_another_took_is_no_cost_of_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    store, told = StageStore(tmp_path), []

    def lasts(seconds: float) -> Made:
        now[0] += seconds
        return make(tmp_path)

    def outer(folder: Path) -> Made:
        now[0] += 5
        told.append(store.get_or_make(StageKey("inner", 1, {}), lambda _: lasts(100), CPU).cost.seconds)
        told.append(store.spent_s)
        return lasts(7)

    assert store.get_or_make(KEY, outer, CPU).cost.seconds == 12
    assert told == [100, 105]
    assert store.spent_s == 112 and not store.making


def test_nor_is_what_its_threads_waited_for_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outer one has cores for 6 s and waits for 2, the inner for 4 and 12; who asks for both has that apart."""
    thread, now = tmp_path / "threads" / "1" / "schedstat", [0, 0]
    thread.parent.mkdir(parents=True)
    monkeypatch.setattr(waiting, "THREADS", tmp_path / "threads")

    def works(had: int, waited: int) -> Made:
        now[0], now[1] = now[0] + had, now[1] + waited
        thread.write_text(f"{now[0]}000000000 {now[1]}000000000 3\n")
        return make(tmp_path)

    works(50, 50)
    store = StageStore(tmp_path)

    def outer(folder: Path) -> Made:
        works(5, 1)
        assert store.get_or_make(StageKey("inner", 1, {}), lambda _: works(4, 12), CPU).cost.waited == 12 / 16
        assert store.spent_cores == CoreTime(9, 13)
        return works(1, 1)

    with beside_others(tmp_path, "", aside=lambda: store.spent_cores) as others:
        works(1, 0)
        assert store.get_or_make(KEY, outer, CPU).cost.waited == 2 / 8
        works(8, 1)
    assert store.spent_cores == CoreTime(10, 14)
    assert others.waited() == 1 / 10


@pytest.mark.parametrize(
    "other",
    [
        StageKey("experts", 1, KEY.parameters),
        StageKey("teacher", 2, KEY.parameters),
        StageKey("teacher", 1, {**KEY.parameters, "seed": 1}),
        StageKey("teacher", 1, {**KEY.parameters, "recipe": {"lr": 0.1}}),
    ],
)
def test_the_key_covers_kind_version_and_every_parameter(other: StageKey) -> None:
    assert other.hash != KEY.hash


@pytest.mark.parametrize("name", ["result.safetensors", "stage.json"])
def test_a_flipped_byte_is_detected_and_the_stage_made_again_with_a_warning(tmp_path: Path, name: str) -> None:
    ear = Ear()
    store = StageStore(tmp_path, ear)
    store.get_or_make(KEY, make, CPU)
    path = store.folder("teacher", KEY.hash) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    again = store.get_or_make(KEY, make, CPU)
    assert not again.cached
    assert len(ear.heard) == 1
    assert "made again" in ear.heard[0]
    assert (store.root / f"teacher-{KEY.hash}.corrupt-1").is_dir()


def test_a_stage_that_holds_something_else_is_set_aside_whatever_its_checksum(tmp_path: Path) -> None:
    """Tensors or facts that are missing, and whatever stands at a key of what lies beside them."""
    ear, store = Ear(), StageStore(tmp_path)
    store.get_or_make(KEY, make, CPU)
    about, result = (store.folder(KEY.kind, KEY.hash) / name for name in ("stage.json", RESULT))
    content = read_json(about)
    for tensors, facts in (({}, {"top1": 59.5}), ({"weights": torch.arange(4.0)}, {})):
        write_tensors(result, tensors, facts)
        assert store.read(KEY.kind, KEY.hash) is None
    write_tensors(result, {"weights": torch.arange(4.0)}, {"top1": 59.5})
    refused = 0
    for _, changed in altered({name: content[name] for name in ("schema", "cost", "tensors", "facts")}):
        about.write_text(json.dumps({**changed, "checksum": digest(changed)}))
        refused += store.read(KEY.kind, KEY.hash) is None
    assert refused > 50
    write_json(about, {"schema": 99})
    assert StageStore(tmp_path, ear).get_or_make(KEY, make, CPU).facts == {"top1": 59.5}
    assert str(about) in ear.heard[0] and "made again" in ear.heard[0]


def test_a_stage_from_before_versions_is_read_as_it_is(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    made = store.get_or_make(KEY, make, CPU)
    about = store.folder(KEY.kind, KEY.hash) / "stage.json"
    write_json(about, {name: read_json(about)[name] for name in ("kind", "version", "parameters", "cost")})
    assert store.get_or_make(KEY, refuse, CPU).cost == made.cost


def test_a_lease_that_cannot_be_held_is_named(tmp_path: Path) -> None:
    (tmp_path / LEASES).mkdir()
    (tmp_path / LEASES / "a.lock").write_text("")
    with (
        pytest.raises(UnreadableArtefact, match=r"a\.lock cannot be locked"),
        locked(tmp_path / "a.lock", Silent(), wait=True),
    ):
        pass
    assert "cannot be locked" in str(holder(tmp_path / "a.lock"))


def test_reading_a_corrupt_stage_leaves_it_for_the_lock_s_holder(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    folder = store.folder("teacher", store.get_or_make(KEY, make, CPU).hash)
    (folder / "stage.json").write_text("{")
    assert store.read("teacher", KEY.hash) is None
    assert sorted(path.name for path in store.root.iterdir()) == [LEASES, folder.name]


def test_checkpoints_that_a_killed_maker_left_beside_a_finished_stage_go(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    work = store.folder("teacher", store.get_or_make(KEY, make, CPU).hash) / "work"
    work.mkdir()
    assert store.get_or_make(KEY, refuse, CPU).cached
    assert not work.exists()


def test_the_name_of_an_owner_that_was_killed_at_the_very_end_goes_and_a_live_one_s_stays(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    folder = store.folder("teacher", store.get_or_make(KEY, make, CPU).hash)
    lock = folder.with_name(f"{folder.name}.lock")
    killed_with(lock)
    assert is_of_dead(lock) and store.get_or_make(KEY, refuse, CPU).cached
    assert not is_of_dead(lock)
    with locked(lock, Silent(), wait=False):
        assert store.get_or_make(KEY, refuse, CPU).cached
        assert holder(lock) == f"process {os.getpid()} on {os.uname().nodename}"


def test_an_interrupted_stage_finds_its_checkpoints_and_adds_its_time_up(tmp_path: Path) -> None:
    def fail(folder: Path) -> Made:
        (folder / "epoch").write_text("7")
        raise KeyboardInterrupt

    def go_on(folder: Path) -> Made:
        assert (folder / "epoch").read_text() == "7"
        return make(folder)

    store = StageStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.get_or_make(KEY, fail, CPU)
    assert store.read("teacher", KEY.hash) is None
    store.get_or_make(KEY, go_on, CPU)
    assert not (store.folder("teacher", KEY.hash) / "work").exists()


def test_whoever_does_not_wait_is_told_that_another_makes_the_stage(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    lock = store.folder("teacher", KEY.hash)
    with locked(lock.with_name(lock.name + ".lock"), Silent(), wait=False):
        script = (
            "import sys, torch; from pathlib import Path\n"
            "from bench.storage.shared.leases import LockHeld\n"
            "from bench.storage.shared.stages import StageKey, StageStore\n"
            "key = StageKey('teacher', 1, {'seed': 0, 'recipe': {'lr': 0.2}})\n"
            "try:\n"
            "    StageStore(Path(sys.argv[1])).get_or_make(key, None, torch.device('cpu'), wait=False)\n"
            "except LockHeld as error:\n"
            "    print(error)\n"
        )
        told = subprocess.check_output([sys.executable, "-c", script, str(tmp_path)], text=True)
    assert told.startswith(f"in use by process {os.getpid()}")
    assert not store.get_or_make(KEY, make, CPU, wait=False).cached


def test_rows_of_a_finished_stage_are_read_alone(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    made = store.get_or_make(KEY, make, CPU)
    assert read_rows(store.file("teacher", made.hash), "weights", [3, 0]).tolist() == [3.0, 0.0]
