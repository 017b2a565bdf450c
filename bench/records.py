"""What a run leaves: record.json.

A record keeps raw outcomes, one score an evaluation seed; means and other metrics are computed when it is read
(`bench.rows`), so a new metric needs no new run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.errors import CorruptArtefact
from bench.files import read_json, write_json
from bench.notes import Findings
from bench.progress import Progress
from bench.spec import RunSpec

SCHEMA = 2
MIGRATED = 1  # the schema in which notes stood among the costs
COSTS = (
    *("ms_per_image_iteration", "iterations", "prepare_s", "synthesis_s", "label_s", "seconds_per_image", "warm_up_s"),
    *("peak_memory_bytes", "set_bytes", "label_bytes", "teacher_top1", "teacher_on_set"),
)
BESIDE_COSTS = (
    *("label_kind", "preprocessing", "class_order_hash", "environment", "stages"),
    *(each.name for each in fields(Findings)),
)


@dataclass(frozen=True)
class Record:
    """One run as it was left.

    Attributes:
        spec: what it is.
        status: of the synthesis: "done", "failed".
        reason: why it failed, or None.
        costs: what the synthesis took (`COSTS`), what else is known of it (`BESIDE_COSTS`) and, under "notes", what
            its method noted; empty where it failed.
        evaluations: by key, what was asked, what each seed gave, and status and reason of each.
        controls: the control's run by evaluation key.
        environment: machine, device, versions.
    """

    spec: RunSpec
    status: str
    reason: str | None
    costs: Mapping[str, Any]
    evaluations: Mapping[str, Mapping[str, Any]]
    controls: Mapping[str, str]
    environment: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The content of record.json."""
        return {
            "schema": SCHEMA,
            "run": self.spec.name,
            "status": self.status,
            "reason": self.reason,
            "spec": self.spec.to_json(),
            "costs": dict(self.costs),
            "evaluations": {key: dict(value) for key, value in self.evaluations.items()},
            "controls": dict(self.controls),
            "environment": dict(self.environment),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Record":
        """The inverse of `to_json`. Raises KeyError or TypeError where something is missing."""
        kept = ("status", "reason", "costs", "evaluations", "controls", "environment")
        return cls(RunSpec.from_json(content["spec"]), **{name: content[name] for name in kept})


def write(folder: Path, record: Record) -> None:
    """Writes the record of the run folder."""
    write_json(folder / "record.json", record.to_json())


def read(folder: Path) -> Record:
    """Reads the record of a run folder.

    Raises:
        FileNotFoundError: there is none.
        CorruptArtefact: it is altered or of another schema.
    """
    content = read_json(folder / "record.json")
    if content.get("schema") == MIGRATED:
        content = {**content, "schema": SCHEMA, "costs": with_notes_apart(content.get("costs") or {})}
    if content.get("schema") != SCHEMA:
        raise CorruptArtefact(f"{folder / 'record.json'} has schema {content.get('schema')}, not {SCHEMA}")
    try:
        return Record.from_json(content)
    except (KeyError, TypeError) as error:
        raise CorruptArtefact(f"{folder / 'record.json'} lacks what a record holds: {error}") from error


def with_notes_apart(costs: Mapping[str, Any]) -> dict[str, Any]:
    """Costs as they are kept now: once what a method noted stood among them."""
    if not costs or "notes" in costs:
        return dict(costs)
    known = {name: value for name, value in costs.items() if name in (*COSTS, *BESIDE_COSTS)}
    return {**known, "notes": {name: value for name, value in costs.items() if name not in known}}


def load_all(runs: Path, progress: Progress) -> list[Record]:
    """Every readable record below a folder of runs, by name; unreadable ones are warned about."""
    found = []
    for path in sorted(runs.glob("*/record.json")):
        try:
            found.append(read(path.parent))
        except CorruptArtefact as error:
            progress.warn(f"left out: {error}")
    return found
