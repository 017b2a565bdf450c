"""Stores elsewhere: their addresses, leases in them, what they answer where they are away, and what is secret."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from benching import Ear
from commands import run_bench
from gcsfs.core import GCSFileSystem
from leasing import held
from stores import Machine, Server

from bench.cli.folders import Folder, LocalPath
from bench.errors import StoreAway
from bench.storage.shared.leases import LockHeld, holder, locked
from bench.storage.shared.stores import without_secrets


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


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("report", "-o", "s3://b/site/"), "--output"),
        (("compare", "a", "b", "-o", "s3://b/both.html"), "--output"),
        (("export", "a", "--to", "pt", "-o", "gs://b/set"), "--output"),
        (("speed", "-o", "s3://b/speed.svg"), "--output"),
        (("new-plugin", "mine", "-o", "s3://b"), "--output"),
        (("run", "-m", "random", "-d", "digits", "--plan-only", "-o", "s3://b/plan"), "--output"),
        (("data", "fetch", "mnist", "--data-root", "s3://user:opensesame@b"), "--data-root"),
    ],
)
def test_where_only_this_machine_is_written_to_an_address_is_refused(
    tmp_path: Path, words: tuple[str, ...], option: str
) -> None:
    """It was a folder called `s3:`."""
    ended = run_bench(*words, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert option in ended.stderr and "names no place on this machine" in ended.stderr
    assert "opensesame" not in ended.stderr and not list(tmp_path.iterdir())


def test_an_address_of_this_machine_is_its_path(tmp_path: Path) -> None:
    assert Folder().convert(f"file://{tmp_path}", None, None) == tmp_path
    assert LocalPath().convert(f"file://{tmp_path}/", None, None) == f"{tmp_path}/"


def test_a_bucket_that_is_not_there_is_a_mistake(server: Server) -> None:
    address = f"{server.scheme}://buckt/x"
    ended = run_bench("list", "runs", "--runs", address)
    assert ended.returncode == 2 and ended.stderr == f"bench: {address}: there is no such bucket\n"


def test_a_folder_may_be_named_as_an_address(tmp_path: Path) -> None:
    ended = run_bench("list", "runs", "--runs", f"file://{tmp_path}")
    assert (ended.returncode, ended.stderr) == (0, "") and not list(tmp_path.iterdir())


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
    address = f"{server.scheme}://bucket/x"
    with pytest.raises(StoreAway, match=f"^{address} does not answer: .*[Cc]onnect"), here.run():
        here.write(a="1")
        server.stop()
    assert here.files() == {"a": "1"}
    ended = run_bench("report", address)
    assert ended.returncode == 1 and ended.stderr.startswith(f"bench: {address} does not answer: ")
    assert ended.stderr.count("\n") == 1
    server.start()
    with here.run():
        pass
    assert here.there() == {"a": "1"}


@pytest.mark.parametrize("command", [("list", "runs"), ("run", "-m", "random", "-d", "digits", "--dry-run")])
def test_without_a_name_to_ask_in_it_says_so_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    GCSFileSystem.clear_instance_cache()  # of whom other tests were
    nobody = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"), "HOME": str(tmp_path)}
    where = ("--runs", "gs://bucket/x")
    ended = run_bench(*command, *where, folder=tmp_path, environment={**os.environ, **nobody})
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("bench: gs://bucket/x: File ") and "was not found" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_messages_keep_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "opensesame")
    said = without_secrets("no opensesame at http://me:word@host/bucket")
    assert said == "no *** at http://***@host/bucket"
