"""A few of the kills of `python -m tests.soak`, and that the harness would see a difference."""

import re
import subprocess
import sys
from pathlib import Path

from tests.soak.grounds import Outcome

ROOT = Path(__file__).parents[2]
FEW = "kills --no-keep --scene decode --kills 4 --moments 4 --jobs 1"


def test_four_kills_end_the_same() -> None:
    command = [sys.executable, "-m", "tests.soak", *FEW.split()]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(re.findall(r"^\[\d+/4\] decode: .*: the same$", ended.stderr, re.MULTILINE)) == 4, ended.stderr
    assert "0 attacks ended otherwise" in ended.stdout


def test_what_a_kill_must_not_leave_is_a_difference() -> None:
    whole = Outcome({"images": "a", "labels": "b"}, frozenset({"images", "labels"}), [{"top1_values": [50.0]}])
    left = Outcome({"images": "c", "labels": "b"}, frozenset({"images", "x.part"}), [{"top1_values": [51.0]}])
    assert not whole.differences(whole)
    said = whole.differences(left)
    assert said[:3] == ["no labels", "more x.part", "other bytes in images"] and said[3].startswith("another table")
