"""The page of `bench show` of a run. Needs no torch: all of it stands in files of JSON."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.errors import CorruptArtefact, UnreadableArtefact, UsageError
from bench.reporting.facts import flat as flat
from bench.results import records

Facts = Iterable[tuple[str, object]]


def run(folder: Path) -> str:
    """What a run is, and what it left: costs, scores, files with their sizes."""
    try:
        record = records.read(folder)
    except FileNotFoundError:
        return _begun(folder)
    except (CorruptArtefact, UnreadableArtefact) as error:
        raise UsageError(f"the record of this run cannot be read: {error}") from error
    state = [("status", record.status), *([("reason", record.reason)] if record.reason else [])]
    return joined(
        [
            f"run {folder.name}",
            tabulate(state, tablefmt="plain"),
            section("spec", flat(record.spec.to_json())),
            section(
                "costs", flat({name: cost for name, cost in record.costs.to_json().items() if name != "environment"})
            ),
            *(_evaluation(key, each.to_json()) for key, each in record.evaluations.items()),
            section("controls", record.controls.items()),
            section("made with", flat(record.environment.to_json())),
            _files(folder),
        ]
    )


def _begun(folder: Path) -> str:
    """What a run without a record is."""
    try:
        spec = section("spec", flat(records.read_spec(folder).to_json()))
    except (FileNotFoundError, CorruptArtefact, UnreadableArtefact) as error:
        raise UsageError(f"what this run is cannot be read: {error}") from error
    return joined([f"run {folder.name}", "incomplete: the same command continues it", spec, _files(folder)])


def _evaluation(key: str, outcome: Mapping[str, Any]) -> str:
    """What is said of a score in more than one value lies in its own file, which the list of files names."""
    about = section(f"evaluation {key}", flat({name: value for name, value in outcome.items() if name != "scores"}))
    scores = [_numbers(each) for each in outcome["scores"]]
    return f"{about}\n\n{tabulate(scores, 'keys', floatfmt='.2f')}" if scores else about


def _numbers(score: Mapping[str, Any]) -> dict[str, Any]:
    """Of a training, metrics of the protocol's own by their names."""
    single = {name: value for name, value in score.items() if not isinstance(value, dict)}
    return {**single, **{name: metric["value"] for name, metric in score.get("metrics", {}).items()}}


def joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def section(title: str, facts: Facts) -> str:
    body = tabulate(facts, tablefmt="plain", disable_numparse=True)
    return f"{title}\n{body}" if body else ""


def _files(folder: Path) -> str:
    sizes = [
        (str(path.relative_to(folder)), f"{path.stat().st_size:,} bytes")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "units"
    ]
    return section("files", sizes)
