"""Stores elsewhere: their addresses, leases in them, what they answer where they are away, and what is secret."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from benching import Ear
from commands import run_bench
from leasing import held
from stores import Machine, Server, there

from bench.errors import StoreAway
from bench.storage.leases import LockHeld, holder, locked
from bench.storage.stores import opened, without_secrets


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


def test_messages_keep_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "opensesame")
    said = without_secrets("no opensesame at http://me:word@host/bucket")
    assert said == "no *** at http://***@host/bucket"
