"""What runs left on disk, as formats are given it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunFolder:
    """What a run left on disk.

    Attributes:
        path: its folder.
    """

    path: Path

    def record(self) -> dict[str, Any]:
        """The content of its record.json, verified.

        Raises:
            FileNotFoundError, CorruptArtefact, UnreadableArtefact: as `bench.results.records.read`.
        """
        from bench.results.records import read

        return read(self.path).to_json()
