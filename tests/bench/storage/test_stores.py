"""What every kind of store is held to, and which answers of each are asked for again."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gcsfs.retry import validate_response
from google_storage import LONGEST_PAGE, Asked, Buckets, Refused
from stores import Google, Server

from bench.errors import StoreAway
from bench.storage.shared.stores import Store, is_final, opened

MAKING = (
    "import sys; from bench.storage.shared.stores import opened\n"
    "store = opened(sys.argv[1]); store.find(); print('ready', flush=True); sys.stdin.readline()\n"
    "print(*(each for each in range(30) if store.create(f'race/{each}', sys.argv[2].encode())))\n"
)
ODD = ["a b", "a#1", "50%", "x+y", "q?", "größe", "a/b/c", "a//b", "a.json"]


@pytest.fixture
def store(server: Server) -> Store:
    return opened(f"{server.scheme}://bucket/x")


def test_of_processes_that_want_a_file_one_makes_it_and_the_others_are_told(store: Store) -> None:
    commands = [[sys.executable, "-c", MAKING, store.address, name] for name in ("one", "two", "three")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racing = [subprocess.Popen(command, **pipes) for command in commands]
    assert [process.stdout and process.stdout.readline() for process in racing] == ["ready\n"] * 3
    for process in racing:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in racing]
    won = {command[-1]: answer for command, answer in zip(commands, answers, strict=True)}
    assert sorted(int(each) for mine in won.values() for each in mine) == list(range(30))
    for name, mine in won.items():
        assert all(store.read(f"race/{each}") == name.encode() for each in mine)


def test_an_answer_that_was_lost_is_no_refusal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, asked = store.fs.pipe_file, list[str]()

    def lost(path: str, content: bytes, **how: Any) -> None:  # noqa: ANN401 - as fsspec takes it
        asked.append(path)
        pipe(path, content, **how)
        if len(asked) == 1:
            raise ConnectionResetError("the answer did not come")

    monkeypatch.setattr(store.fs, "pipe_file", lost)
    assert store.create("a", b"one") and len(asked) == 2
    assert not store.create("a", b"two") and store.read("a") == b"one"


def test_a_file_that_was_taken_away_before_it_could_be_looked_at_was_another_s(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat = store.fs.cat_file
    store.create("a", b"one")

    def late(path: str) -> bytes:
        store.remove("a")
        content: bytes = cat(path)
        return content

    monkeypatch.setattr(store.fs, "cat_file", late)
    assert not store.create("a", b"one")


def test_versions_change_with_content_alone_and_all_that_tell_them_agree(store: Store) -> None:
    store.write("a", b"1")
    first = store.entry("a")
    assert store.find() == {"a": first} and store.entry("a") == first and first.size == 1 and first.version
    store.write("a", b"2")
    assert store.find()["a"] == store.entry("a") and store.entry("a").version != first.version
    store.remove("a")
    store.remove("a")
    assert store.find() == {}
    for gone in (store.read, store.entry):
        with pytest.raises(FileNotFoundError):
            gone("a")


def test_all_pages_of_a_listing_are_read_and_only_what_lies_below_the_name(store: Store) -> None:
    names = {f"run/{number}" for number in range(2 * LONGEST_PAGE + 1)}
    for name in (*names, "run2/0", "other"):
        store.write(name, b"1")
    assert store.find("run").keys() == names
    assert store.find().keys() == {*names, "run2/0", "other"}


def test_any_name_is_found_as_it_was_given(store: Store) -> None:
    for name in ODD:
        store.write(name, name.encode())
    assert store.find().keys() == set(ODD)
    assert [store.read(name).decode() for name in ODD] == ODD


@pytest.mark.parametrize("size", [0, 7, 51 * 2**20])
def test_a_file_comes_back_as_it_was_sent_in_however_many_pieces(store: Store, tmp_path: Path, size: int) -> None:
    content = (b"\r\n--==0==\n" + bytes(range(256)) * (size // 256))[:size]
    (tmp_path / "sent").write_bytes(content)
    sent = store.put(tmp_path / "sent", "f")
    assert sent.size == size
    store.get(["f"], [tmp_path / "brought"])
    assert (tmp_path / "brought").read_bytes() == content


@pytest.mark.parametrize("running", ["gs"], indirect=True)
def test_what_is_asked_once_is_asked_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """gcsfs asks six times by itself, with half a minute of pauses, and logs how it failed."""
    asked = []

    def busy(self: Buckets, what: Asked) -> None:
        asked.append(what)
        raise Refused(503, "Backend Error", "backendError")

    monkeypatch.setattr(Buckets, "answer", busy)
    for ask in (lambda: store.hasty.read("a"), lambda: store.hasty.get(["a"], [tmp_path / "a"])):
        asked.clear()
        with pytest.raises(StoreAway, match="Backend Error"):
            ask()
        assert len({each.path for each in asked}) == len(asked)
    assert not caplog.records


@pytest.mark.parametrize(("status", "final"), [(400, True), (401, True), (403, True), (429, False), (503, False)])
def test_a_refusal_is_told_at_once_and_a_server_that_is_busy_asked_again(status: int, final: bool) -> None:
    said = b'{"error": {"code": %d, "message": "as Google says it"}}' % status
    with pytest.raises(Exception, match="Google") as caught:
        validate_response(status, said, "b/bucket/o")
    assert is_final(caught.value) is final


def test_an_emulator_is_asked_in_nobody_s_name_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    google = Google(tmp_path)
    google.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.environment["STORAGE_EMULATOR_HOST"])
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(StoreAway, match="Invalid Credentials"):
        opened("gs://bucket/x").read("a")
    google.stop()
