"""A record says which words made it, when, and by which state of the project; nothing of it is in any hash."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benching import Bench
from child_work import children_here

from bench import __version__
from bench.running.provenance import commit
from bench.storage.files import read_json


def test_a_row_and_its_scores_say_what_was_typed_and_when(bench: Bench) -> None:
    words = ("-m", "random", "--protocol", "hard", "--no-control")
    began = datetime.now(UTC)
    with children_here():
        ended = bench.typed(*words, "--format", "json")
    (row,) = json.loads(ended.stdout)
    assert row["made"]["command"].startswith("bench run -d digits --ipc 2")
    assert row["made"]["command"].endswith("-m random --protocol hard --no-control --format json")
    assert began - timedelta(seconds=1) <= datetime.fromisoformat(row["made"]["date"]) <= datetime.now(UTC)
    assert row["made"]["version"] == __version__
    (score,) = (bench.runs / row["run"] / "evaluations").glob("*.json")
    assert read_json(score)["made"]["command"] == row["made"]["command"]


def test_a_checkout_has_the_commit_that_git_names_and_anything_else_none(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    hash_ = git("rev-parse", "HEAD")
    named = commit(tmp_path)
    assert named and hash_.startswith(named)
    index = (tmp_path / ".git/index").read_bytes()
    os.utime(tmp_path / "file", (0, 0))  # git would note in the index that the file is still the same
    commit.cache_clear()
    assert commit(tmp_path) == named
    assert (tmp_path / ".git/index").read_bytes() == index, "the index is another's to write"
    (tmp_path / "file").write_text("two")
    commit.cache_clear()
    assert commit(tmp_path) == f"{named}-dirty"
    inside = tmp_path / "site-packages"
    inside.mkdir()
    assert commit(inside) is None, "the checkout around an installed package is another project's"
