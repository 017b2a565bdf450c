"""Runs and stages in a store elsewhere: moto's server, on this machine, stands for it."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from benching import Bench, Ear, until
from child_work import children_here
from commands import run_bench
from leasing import held
from moto.server import ThreadedMotoServer

from bench.errors import StoreAway
from bench.progress import Silent
from bench.sets import condensed as sets
from bench.storage.leases import LockHeld, holder, locked
from bench.storage.mirrors import Mirror, mirror_of, mirrored
from bench.storage.stores import Entry, Store, opened, without_secrets

SECRETS = {"AWS_ACCESS_KEY_ID": "AKIDOFNOBODYATALL", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-is-told"}
PLUGIN = str(Path(__file__).with_name("slow_methods.py"))
SLOW = ("-m", "slow", "--protocol", "unseen", "--no-control", "--plugin", PLUGIN)


@dataclass
class Server:
    """S3 on this machine, which can go away and come back with what it had."""

    port: int = 0
    running: ThreadedMotoServer | None = None

    def start(self) -> None:
        self.running = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.running.start()
        self.port = self.running.get_host_and_port()[1]

    def stop(self) -> None:
        assert self.running
        self.running.stop()


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """An empty one; who may use it comes from the environment."""
    import requests

    there = f"http://127.0.0.1:{running.port}"
    requests.post(f"{there}/moto-api/reset", timeout=10)
    for name, value in {**SECRETS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": there}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_LEASE_TTL", "1.5")
    opened("s3://any").fs.mkdir("bucket")
    return running


@dataclass
class Machine:
    """A machine's own mirror of the store at s3://bucket/x."""

    root: Path

    @property
    def mirror(self) -> Mirror:
        there = mirrored(self.root / "any")
        assert there
        return there.mirror

    def run(self) -> AbstractContextManager[None]:
        """The lease on the run of all tests here."""
        return locked(self.root / ".run.lock", Silent(), wait=False)

    def write(self, **files: str) -> None:
        """Files of the run, in this order; None: taken away."""
        for name, text in files.items():
            path = self.root / "run" / name.replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def files(self) -> dict[str, str]:
        """What lies here of the run."""
        return {path.name: path.read_text() for path in sorted((self.root / "run").glob("*"))}


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(mirror_of("s3://bucket/x", tmp_path / name))


def there(under: str = "run") -> dict[str, str]:
    """What is in the store of the run."""
    store = opened("s3://bucket/x")
    return {name.removeprefix(f"{under}/"): store.read(name).decode() for name in store.find(under)}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://user:opensesame@bucket/x", "a s3:// address with a name or password in it is refused"),
        ("s3://AKIDOPENSESAME@bucket", "comes from the environment"),
        ("s3://bucket/x?X-Amz-Signature=opensesame", "ends with its folder"),
        ("memory://x", "memory:// could not tell which was first"),
        ("nowhere://x", "no store is reached by nowhere://; s3:// and gs:// are, and folders"),
        ("http://host/x", "http:// could not tell which was first"),
        ("s3:///x", "names no bucket"),
    ],
)
@pytest.mark.parametrize("variable", ["BENCH_RUNS", "BENCH_CACHE"])
def test_an_address_that_is_none_is_refused_in_one_line_without_what_is_secret_in_it(
    tmp_path: Path, address: str, said: str, variable: str
) -> None:
    words = ("run", "-m", "random", "-d", "digits", "--dry-run")
    ended = run_bench(*words, folder=tmp_path, environment={**os.environ, "HOME": str(tmp_path), variable: address})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr and ended.stderr.count("\n") == 1 and "opensesame" not in ended.stderr.lower()
    assert not list(tmp_path.iterdir())


def test_a_bucket_that_is_not_there_is_a_mistake(server: Server) -> None:
    ended = run_bench("list", "runs", "--runs", "s3://buckt/x")
    assert ended.returncode == 2 and ended.stderr == "bench: s3://buckt/x: The specified bucket does not exist\n"


def test_a_folder_may_be_named_as_an_address(tmp_path: Path) -> None:
    ended = run_bench("list", "runs", "--runs", f"file://{tmp_path}")
    assert (ended.returncode, ended.stderr) == (0, "") and not list(tmp_path.iterdir())


def test_one_of_two_makes_a_file_and_an_answer_that_was_lost_is_no_refusal(server: Server) -> None:
    store = opened("s3://bucket/x")
    assert store.create("a", b"one") and not store.create("a", b"two")
    assert store.create("a", b"one"), "asked again because the answer was lost"
    assert store.read("a") == b"one"


def test_a_lease_in_a_store_holds_between_machines(machine: Callable[[str], Machine]) -> None:
    here, other = machine("here"), machine("other")
    lock = other.root / ".run.lock"
    with held(lock, machine="elsewhere") as process:
        with pytest.raises(LockHeld, match=f"in use by process {process.pid} on"), here.run():
            pass
        os.kill(process.pid, signal.SIGKILL)
        ear = Ear()
        with locked(here.root / ".run.lock", ear, wait=False):
            assert f"process {os.getpid()} on" in str(holder(lock))
        assert "looking for 1.5 s at most whether that still works" in ear.heard[0]
    with held(lock) as process:  # on this machine a dead owner is seen at once
        process.kill()
        process.wait()
        assert holder(here.root / ".run.lock") is None
    assert not list(here.root.rglob(".leases"))


def test_what_is_written_is_sent_and_brought_elsewhere_and_what_is_taken_away_goes(
    machine: Callable[[str], Machine],
) -> None:
    here, other = machine("here"), machine("other")
    with here.run():
        here.write(spec_json="{}", work="half")
    assert there() == {"spec.json": "{}", "work": "half"}
    with other.run():
        assert other.files() == {"spec.json": "{}", "work": "half"}
        other.write(record_json="done")
        (other.root / "run" / "work").unlink()
    assert there() == {"spec.json": "{}", "record.json": "done"}
    with here.run():
        assert here.files() == there()


def test_seals_are_sent_after_what_they_seal_and_taken_away_before_it(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    put, remove = Store.put, Store.remove

    def noted_put(self: Store, path: Path, name: str) -> Entry:
        calls.append(name)
        return put(self, path, name)

    def noted_remove(self: Store, name: str) -> None:
        calls.append(f"-{name}")
        remove(self, name)

    monkeypatch.setattr(Store, "put", noted_put)
    monkeypatch.setattr(Store, "remove", noted_remove)
    monkeypatch.setattr(Mirror, "_keep_sending", lambda *_: None)
    here = machine("here")
    with here.run():
        here.write(z="1", a="2", record_json="3")
        os.utime(here.root / "run" / "a", ns=(0, (here.root / "run" / "record.json").stat().st_mtime_ns))
    assert [name for name in calls if ".leases" not in name] == ["run/z", "run/a", "run/record.json"]
    calls.clear()
    here.mirror.remove("run")
    assert calls[0] == "-run/record.json" and there() == {}


def test_while_it_works_it_sends_and_a_kill_loses_little(machine: Callable[[str], Machine]) -> None:
    """What was not sent stays here and is sent by the next; whoever goes on elsewhere first is right."""
    here, other = machine("here"), machine("other")
    with here.run():
        here.write(a="1")
        deadline = time.monotonic() + 20
        while there() != {"a": "1"} and time.monotonic() < deadline:
            time.sleep(0.02)
        assert there() == {"a": "1"}
    here.write(a="2", b="1")  # as a process that was killed leaves it
    with here.run():
        assert here.files() == {"a": "2", "b": "1"}
    assert there() == {"a": "2", "b": "1"}
    here.write(a="3", c="1")
    with other.run():
        other.write(a="4")
    with here.run():
        assert here.files() == {"a": "4", "b": "1", "c": "1"}


def test_files_that_were_wiped_here_are_brought_again_and_never_taken_away_there(
    machine: Callable[[str], Machine],
) -> None:
    here = machine("here")
    with here.run():
        here.write(record_json="done")
    (here.root / "run" / "record.json").unlink()
    with here.run():
        assert here.files() == {"record.json": "done"}
    (here.root / ".store.sqlite").write_bytes(b"noise" * 1000)
    with here.run():
        assert here.files() == there() == {"record.json": "done"}


def test_a_kill_between_a_file_s_arrival_and_its_note_loses_nothing(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, put = machine("here"), Store.put

    def killed(self: Store, path: Path, name: str) -> None:
        put(self, path, name)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "put", killed)
    monkeypatch.setattr(Mirror, "_keep_sending", lambda *_: None)
    with pytest.raises(KeyboardInterrupt), here.run():
        here.write(a="1", b="1")
    monkeypatch.setattr(Store, "put", put)
    assert there() == {"a": "1"}
    with here.run():
        assert here.files() == {"a": "1", "b": "1"}
    assert there() == here.files()


def test_what_was_being_sent_when_it_was_killed_replaces_nothing_that_others_made_since(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other, put = machine("here"), machine("other"), Store.put

    def killed(self: Store, path: Path, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Mirror, "_keep_sending", lambda *_: None)
    with here.run():
        here.write(a="1")
    for ours, theirs in ({"a": "2"}, {"a": "3"}), ({"b": "1"}, {"b": "2"}):
        monkeypatch.setattr(Store, "put", killed)
        with pytest.raises(KeyboardInterrupt), here.run():
            here.write(**ours)
        monkeypatch.setattr(Store, "put", put)
        with other.run():
            other.write(**theirs)
        with here.run():
            assert here.files() == other.files()
        assert there() == other.files()
    monkeypatch.setattr(Store, "put", killed)
    with pytest.raises(KeyboardInterrupt), here.run():
        here.write(a="4")
    monkeypatch.setattr(Store, "put", put)
    with here.run():
        assert here.files() == {"a": "4", "b": "2"}, "nobody made another since"


def test_what_another_process_sends_while_the_store_is_listed_stays_here(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, listed = machine("here"), Mirror._there
    with here.run():
        here.write(a="1", spec_json="1")

    def meanwhile(self: Mirror, name: str) -> dict[str, Entry]:
        found = listed(self, name)
        here.write(**{f"b{len(here.files())}": "1", "a": "sent", "spec_json": "sent"})
        self.send("run")
        here.write(spec_json="not sent yet")
        return found

    monkeypatch.setattr(Mirror, "_there", meanwhile)
    here.mirror.look()
    assert here.files() == {"a": "sent", "b2": "1", "spec.json": "not sent yet"}
    here.write(a="2")
    here.mirror.bring("run")
    assert here.files() == {"a": "sent", "b2": "1", "b3": "1", "spec.json": "not sent yet"}


def test_who_slept_and_lost_its_lease_sends_nothing_more(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine("here")
    with here.run():
        here.write(a="mine")
        store = opened("s3://bucket/x")
        (name,) = [each for each in store.find() if ".leases" in each]
        store.create(f"{name.rpartition('/')[0]}/99", b"somebody else")
        time.sleep(1.6)
        here.write(b="late")
    assert "b" not in there()


def test_a_store_that_is_away_is_waited_for_and_nothing_is_lost(
    server: Server, machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_STORE_PATIENCE", "1")
    here = machine("here")
    with pytest.raises(StoreAway, match=r"^s3://bucket/x does not answer: Could not connect"), here.run():
        here.write(a="1")
        server.stop()
    assert here.files() == {"a": "1"}
    ended = run_bench("report", "s3://bucket/x")
    assert ended.returncode == 1 and ended.stderr.startswith("bench: s3://bucket/x does not answer: ")
    assert ended.stderr.count("\n") == 1
    server.start()
    with here.run():
        pass
    assert there() == {"a": "1"}


def test_a_file_that_did_not_arrive_is_sent_again(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, put, asked = machine("here"), Store.put, list[float]()

    def lost(self: Store, path: Path, name: str) -> Entry:
        asked.append(self.patience)
        if len(asked) == 1:
            raise StoreAway("not now")
        return put(self, path, name)

    monkeypatch.setattr(Store, "put", lost)
    with here.run():
        here.write(a="1")
        deadline = time.monotonic() + 20
        while len(asked) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert asked == [0, 0] and there() == {"a": "1"}


def test_messages_keep_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "opensesame")
    said = without_secrets("no opensesame at http://me:word@host/bucket")
    assert said == "no *** at http://***@host/bucket"


@dataclass
class Elsewhere(Bench):
    """A machine whose runs and stages are in the store."""

    home: str = "first"
    step_s: float = 0.0

    def environment(self) -> dict[str, str]:
        leases = {"BENCH_LEASE_TTL": "2", "BENCH_LEASE_HEARTBEAT": "0.2"}
        own = {
            "HOME": str(self.folder / self.home),
            "BENCH_CACHE": "s3://bucket/cache",
            "SLOW_STEP_S": str(self.step_s),
        }
        return {**super().environment(), **leases, **own}

    def words(self, *arguments: str) -> list[str]:
        return super().words(*arguments, "--runs", "s3://bucket/runs")


def test_killed_in_the_middle_it_goes_on_elsewhere_with_the_same_images(server: Server, tmp_path: Path) -> None:
    alone, first, second = Bench(tmp_path / "alone"), Elsewhere(tmp_path, step_s=2), Elsewhere(tmp_path, home="second")
    alone.folder.mkdir()
    with children_here():
        assert alone.typed(*SLOW).returncode == 0
    store = opened("s3://bucket/runs")
    under_way = first.started(*SLOW)
    sent = re.compile(r".*/units/class-1\.work/synthesis\.checkpoint\.safetensors")
    until(lambda: [Path(name) for name in store.find() if sent.fullmatch(name)], seconds=200)
    os.killpg(under_way.pid, signal.SIGKILL)
    under_way.wait()
    assert not any(name.endswith("record.json") for name in store.find())
    began = sum(name.endswith("class-0.safetensors") for name in store.find())
    with children_here():
        continued = second.typed(*SLOW, "--format", "json")
    assert continued.returncode == 0, continued.stderr
    assert began == 1 and len(json.loads(continued.stdout)) == 1
    (ours,) = (tmp_path / "second").rglob("condensed")
    (theirs,) = alone.runs.rglob("condensed")
    assert torch.equal(sets.load(ours).images.pixels, sets.load(theirs).images.pixels)
    assert not [name for name in store.find() if ".work/" in name]
    _say_the_same_of_the_run(first, ours.parent.name)
    _hold_no_secret(tmp_path, store)


def _say_the_same_of_the_run(machine: Elsewhere, name: str) -> None:
    """Every command that reads runs, on the machine whose work was killed; then the run is taken away."""
    runs = ("--runs", "s3://bucket/runs")
    (row,) = json.loads(machine.spoken("report", "s3://bucket/runs", "--format", "json").stdout)
    assert (row["run"], row["status"]) == (name, "done")
    assert name in machine.spoken("list", "runs", *runs).stdout
    assert name in machine.spoken("show", name, *runs).stdout
    with children_here():
        assert machine.typed(*SLOW).returncode == 0
    assert "class-0" not in machine.spoken("clean", name, *runs).stdout
    assert machine.spoken("clean", name, *runs, "--yes").returncode == 0
    assert not [each for each in opened("s3://bucket/runs").find() if ".leases" not in each]


def _hold_no_secret(folder: Path, store: Store) -> None:
    """All files that were written, here and there."""
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for each in (store, opened("s3://bucket/cache")):
        kept += [each.read(name) for name in each.find()]
    assert len(kept) > 30
    for secret in SECRETS.values():
        assert not any(secret.encode() in content for content in kept)
