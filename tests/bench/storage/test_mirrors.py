"""Mirrors: what is sent and brought, in which order, and what a kill or another machine makes of it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import Machine

from bench.errors import StoreAway
from bench.storage.shared.mirrors import Mirror, looked_at
from bench.storage.shared.stores import Entry, Store


def test_what_is_written_is_sent_and_brought_elsewhere_and_what_is_taken_away_goes(
    machine: Callable[[str], Machine],
) -> None:
    here, other = machine("here"), machine("other")
    with here.run():
        here.write(spec_json="{}", work="half")
    assert here.there() == {"spec.json": "{}", "work": "half"}
    with other.run():
        assert other.files() == {"spec.json": "{}", "work": "half"}
        other.write(record_json="done")
        (other.root / "run" / "work").unlink()
    assert here.there() == {"spec.json": "{}", "record.json": "done"}
    with here.run():
        assert here.files() == here.there()


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
    assert calls[0] == "-run/record.json" and here.there() == {}


def test_while_it_works_it_sends_and_a_kill_loses_little(machine: Callable[[str], Machine]) -> None:
    """What was not sent stays here and is sent by the next; whoever goes on elsewhere first is right."""
    here, other = machine("here"), machine("other")
    with here.run():
        here.write(a="1")
        deadline = time.monotonic() + 20
        while here.there() != {"a": "1"} and time.monotonic() < deadline:
            time.sleep(0.02)
        assert here.there() == {"a": "1"}
    here.write(a="2", b="1")  # as a process that was killed leaves it
    with here.run():
        assert here.files() == {"a": "2", "b": "1"}
    assert here.there() == {"a": "2", "b": "1"}
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
        assert here.files() == here.there() == {"record.json": "done"}


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
    assert here.there() == {"a": "1"}
    with here.run():
        assert here.files() == {"a": "1", "b": "1"}
    assert here.there() == here.files()


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
        assert here.there() == other.files()
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


def test_what_is_taken_away_while_the_store_is_looked_at_hides_nothing(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed; by the time it is asked for, another machine has cleaned it. The bucket and the rest are there."""
    here, other = machine("here"), machine("other")
    with here.run():
        here.write(spec_json="{}", record_json="done", work="half")
    listed = Store.find

    def then_cleaned(self: Store, under: str = "") -> dict[str, Entry]:
        found = listed(self, under)
        self.remove("run/record.json")
        return found

    monkeypatch.setattr(Store, "find", then_cleaned)
    looked_at(other.root)
    assert other.files() == {"spec.json": "{}"}


def test_who_slept_and_lost_its_lease_sends_nothing_more(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine("here")
    with here.run():
        here.write(a="mine")
        store = here.store
        (name,) = [each for each in store.find() if ".leases" in each]
        store.create(f"{name.rpartition('/')[0]}/99", b"somebody else")
        time.sleep(1.6)
        here.write(b="late")
    assert "b" not in here.there()


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
    assert asked == [0, 0] and here.there() == {"a": "1"}
