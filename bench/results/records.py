"""What a run leaves: record.json.

A record keeps raw outcomes, one score an evaluation seed; means and other metrics are computed when it is read
(`bench.results.rows`), so a new metric needs no new run.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import CorruptArtefact, UnreadableArtefact, understood
from bench.progress import Progress
from bench.results.outcomes import Costs, Environment, Evaluation, SetCosts, Status
from bench.results.spec import RunSpec
from bench.storage.artefacts import UNSTAMPED, Kind, Part, parted, unchanged
from bench.storage.files import read_json, write_json
from bench.storage.run_folder import RECORD, SPEC

SCHEMA = 2
MIGRATED = 1  # the schema in which notes stood among the costs


class Left(Part):
    """A record; its spec has a type of its own (`bench.results.spec.RunSpec`)."""

    spec: dict[str, Any]
    status: Status
    reason: str | None
    costs: Costs
    evaluations: dict[str, Evaluation]
    controls: dict[str, str]
    environment: Environment


@dataclass(frozen=True)
class Record:
    """One run as it was left.

    Attributes:
        spec: what it is.
        status: of the synthesis: "done", "failed" or "refused".
        reason: why it failed, or None.
        costs: what the synthesis took, what else is known of it, and what its method noted; empty where it failed.
        evaluations: by key, what was asked, what each seed gave, and status and reason of each.
        controls: the control's run by evaluation key.
        environment: machine, device, versions.
    """

    spec: RunSpec
    status: Status
    reason: str | None
    costs: Costs
    evaluations: Mapping[str, Evaluation]
    controls: Mapping[str, str]
    environment: Environment

    def to_json(self) -> dict[str, Any]:
        """The content of record.json."""
        return {
            "schema": SCHEMA,
            "run": self.spec.name,
            "status": self.status,
            "reason": self.reason,
            "spec": self.spec.to_json(),
            "costs": self.costs.to_json(),
            "evaluations": {key: value.to_json() for key, value in self.evaluations.items()},
            "controls": dict(self.controls),
            "environment": self.environment.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Record":
        """The inverse of `to_json`.

        Raises:
            CorruptArtefact: a part is missing or is not what tables take it for.
        """
        left = parted(Left, content)
        spec, ended = RunSpec.from_json(left.spec), (left.status, left.reason)
        return cls(spec, *ended, left.costs, left.evaluations, left.controls, left.environment)


def write(folder: Path, record: Record) -> None:
    """Writes the record of the run folder."""
    write_json(folder / RECORD, record.to_json())


def read(folder: Path) -> Record:
    """Reads the record of a run folder.

    Raises:
        FileNotFoundError: there is none.
        CorruptArtefact: it is altered, of another schema, or of another shape.
        UnreadableArtefact: the system does not let it be read.
    """
    path = folder / RECORD
    content = read_json(path)
    if content.get("schema") == MIGRATED:
        with understood(path):
            content = {**content, "schema": SCHEMA, "costs": with_notes_apart(content.get("costs") or {})}
    if content.get("schema") != SCHEMA:
        raise CorruptArtefact(f"{path} has schema {content.get('schema')!r}; this program reads {MIGRATED} to {SCHEMA}")
    try:
        return Record.from_json(content)
    except CorruptArtefact as error:
        raise CorruptArtefact(f"{path} is no record: {error}") from error


def with_notes_apart(costs: Mapping[str, Any]) -> dict[str, Any]:
    """Costs as they are kept now: once what a method noted stood among them."""
    if not costs or "notes" in costs:
        return dict(costs)
    known = {name: value for name, value in costs.items() if name in Costs.model_fields}
    return {**known, "notes": {name: value for name, value in costs.items() if name not in known}}


COSTS_FILE = Kind("costs", 1, SetCosts, {UNSTAMPED: with_notes_apart})
SPEC_FILE = Kind("a run's spec", 1, Part, {UNSTAMPED: unchanged})


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run folder. Raises as `read`."""
    path = folder / SPEC
    content = SPEC_FILE.read(path).to_json()
    try:
        return RunSpec.from_json(content)
    except CorruptArtefact as error:
        raise CorruptArtefact(f"{path} is no spec of a run: {error}") from error


def load_all(runs: Path, progress: Progress) -> Iterator[Record]:
    """Every readable record below a folder of runs, by name, one at a time; unreadable ones are warned about."""
    return (record for _, record in with_folders(runs, progress))


def with_folders(runs: Path, progress: Progress) -> Iterator[tuple[Path, Record]]:
    """As `load_all`, each with its run's folder. Where two folders hold other records of one run, that is said."""
    met: dict[str, Path] = {}
    for folder in sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else ():
        with suppress(FileNotFoundError):  # a run that has begun, or a folder that is none
            if (record := read_or_warn(folder, progress)) is not None:
                first = met.setdefault(record.spec.name, folder)
                if first != folder and _differ(first / RECORD, folder / RECORD):
                    progress.warn(f"{first} and {folder} hold two records of {record.spec.name}; the second counts")
                yield folder, record


def _differ(one: Path, other: Path) -> bool:
    """Whether two files hold other bytes; not of one that is gone by now."""
    try:
        return one.read_bytes() != other.read_bytes()
    except OSError:
        return False


def unfinished(folder: Path) -> list[Path]:
    """The folders of runs that have begun and left no record: this one, or those below it."""
    folders = [folder] if (folder / SPEC).exists() else folder.iterdir() if folder.is_dir() else ()
    return [each for each in folders if not os.path.lexists(each / RECORD) and (each / SPEC).exists()]


def read_or_warn(folder: Path, progress: Progress) -> Record | None:
    """The record of a run folder; None, after a warning, for one that cannot be read. Raises FileNotFoundError."""
    try:
        return read(folder)
    except (CorruptArtefact, UnreadableArtefact) as error:
        progress.warn(f"left out: {error}")
        return None
