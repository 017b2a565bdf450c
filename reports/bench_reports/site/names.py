"""Names of a run's files: what every file system and every address takes, whatever the run is called."""

import re
from collections.abc import Iterable

from bench.storage.files import digest

UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = 150
FOLDER = "runs"


def file_names(runs: Iterable[str]) -> dict[str, str]:
    """The page of each run, relative to the site: no two are one, and none leads out of it."""
    return {run: f"{FOLDER}/{_stem(run)}.html" for run in runs}


def _stem(run: str) -> str:
    """The name itself where it is an ordinary one; else what is ordinary of it, told apart by a hash of the whole."""
    cleaned = UNUSUAL.sub("-", run).strip(".-")[:LONGEST]
    return cleaned if cleaned == run != "" else f"{cleaned}-{digest(run)[:12]}"
