"""Small files that save work, the seconds of attempts and digests of large files: damage costs that work alone."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from benching import Ear
from damage import misread

from bench.data.fingerprints import Fingerprints
from bench.storage.files import LEFTOVER, digest
from bench.storage.shared.elapsed import lasting

DEAD = 2**22 + 1  # above the most that Linux gives a process


def test_whatever_the_note_of_earlier_attempts_says_it_is_what_was_noted_or_nothing(tmp_path: Path) -> None:
    note, ear = tmp_path / "elapsed.json", Ear()
    with lasting(note):
        pass
    good = note.read_bytes()
    with lasting(note) as whole:
        pass
    for what, bad in misread(good):
        note.write_bytes(bad)
        ear.heard.clear()
        with lasting(note, progress=ear) as watch:
            assert watch.before >= 0, what
        assert watch.before in (0.0, whole.before) or (not ear.heard and watch.before == 2.5), what
        assert all(str(note) in said for said in ear.heard), what


@pytest.fixture
def digests(tmp_path: Path) -> Path:
    """Where they are remembered."""
    return tmp_path / "digests"


def test_whatever_is_remembered_of_a_file_its_digest_is_right(tmp_path: Path, digests: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"what it holds")
    right = hashlib.sha256(b"what it holds").hexdigest()
    assert Fingerprints(digests).of_file(large, "sha256") == right
    (memory,) = digests.glob("*.json")
    for what, bad in [*misread(memory.read_bytes()), ("a word", sealed_digest("text"))]:
        memory.write_bytes(bad)
        assert Fingerprints(digests).of_file(large, "sha256") == right, what


def sealed_digest(text: str) -> bytes:
    content = {"schema": 1, "digest": text}
    return json.dumps({**content, "checksum": digest(content)}).encode()


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path, digests: Path) -> None:
    digests.mkdir()
    left, kept = digests / f"a.json.{DEAD}{LEFTOVER}", digests / f"b.json.{os.getpid()}{LEFTOVER}"
    for each in (left, kept):
        each.write_text("half")
    Fingerprints(digests).of_file(kept, "md5")
    assert not left.exists() and kept.exists()
