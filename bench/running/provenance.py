"""The command, the date and the commit with which something was made."""

import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bench.version import __version__

ROOT = Path(__file__).parents[2]
PATIENCE_S = 10.0  # for git


def made(command: str) -> dict[str, Any]:
    """For the record: the command line, the date (UTC, ISO 8601), the project's version and commit."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"command": command, "date": date, "version": __version__, "commit": commit(ROOT)}


def typed() -> str:
    """The command line of this process as a user types it."""
    return shlex.join(["bench", *sys.argv[1:]])


@cache
def commit(root: Path) -> str | None:
    """What git calls the state of a checkout, "-dirty" where files were changed since; None where there is none."""
    if not (root / ".git").exists():  # an installed package may lie within the checkout of something else
        return None
    try:
        named = _git(root, "describe", "--always", "--tags")
        changed = _git(root, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{named}-dirty" if changed else named


def _git(root: Path, *words: str) -> str:
    """What git says. `describe --dirty` would write the index, which whoever works in the checkout may be writing."""
    asked = ["git", "-C", str(root), *words]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout.strip()
