"""The README.md of an exported set: what it is, under which licence, how it was made, what it scored."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.data.cards import DatasetCard
from bench.results.rows import Row
from bench.storage.streams import one_line

MARKUP = re.compile(r"([\\`*_{}<>\[\]|#~&])")
PLACE = re.compile(r"""[^"',=]*/+(?=[^/"',=])""")  # of a path, all before its last name
NOT_STATED = "not stated"


def card_of(manifest: Mapping[str, Any], card: DatasetCard | None, rows: Sequence[Row], form: str) -> str:
    """The text.

    Args:
        manifest: what the run says of the set.
        card: of the dataset that it is of, where that is known here.
        rows: of its evaluations.
        form: "hf" for the head that Hugging Face reads.
    """
    parts = [_head(manifest, card) if form == "hf" else "", _title(manifest), _facts(manifest, card, rows)]
    return "\n\n".join(filter(None, [*parts, _accuracy(rows), _use(manifest, rows)])) + "\n"


def _head(manifest: Mapping[str, Any], card: DatasetCard | None) -> str:
    """YAML, of which JSON is a part."""
    facts: dict[str, Any] = {
        "license": "other",
        "license_name": one_line(card.licence if card else NOT_STATED),
        "task_categories": ["image-classification"],
        "tags": ["dataset-condensation", "dataset-distillation", one_line(manifest["method"])],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in facts.items()), "---"])


def _title(manifest: Mapping[str, Any]) -> str:
    made = f"{_plain(manifest.get('dataset'))}, condensed by {_plain(manifest['method'])}"
    return f"# {_plain(manifest.get('name') or manifest['method'])}\n\n{made}: {_counted(manifest)}."


def _counted(manifest: Mapping[str, Any]) -> str:
    """As "100 images", or of a set with a decoder "400 images, decoded from 100 stored ones"."""
    stored, decoder = manifest["images"], manifest.get("decoder")
    return (
        f"{stored * decoder['factor'] ** 2} images, decoded from {stored} stored ones"
        if decoder
        else f"{stored} images"
    )


def _facts(manifest: Mapping[str, Any], card: DatasetCard | None, rows: Sequence[Row]) -> str:
    lines = [f"| {name} | {_plain(value)} |" for name, value in _said(manifest, card, rows) if value not in (None, "")]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _said(manifest: Mapping[str, Any], card: DatasetCard | None, rows: Sequence[Row]) -> Iterator[tuple[str, Any]]:
    row = rows[0] if rows else {}
    yield "method", manifest["method"]
    yield "dataset", (card.title if card else "") or manifest.get("dataset")
    yield "licence of the dataset", card.licence if card else NOT_STATED
    yield "citation of the dataset", card.citation if card else NOT_STATED
    yield "classes", len(manifest["classes"])
    yield "stored images per class" if manifest.get("decoder") else "images per class", manifest.get("ipc")
    side = manifest["resolution"]
    yield "pixels", f"{side} × {side}, {manifest['channels']} channels"
    yield "condensed with", manifest.get("backbone")
    yield "iterations", manifest.get("iterations")
    yield "budget", manifest.get("budget")
    yield "seed", manifest.get("seed")
    yield "labels", manifest["labels"]["kind"]
    yield "protocol of the method", f"{manifest.get('protocol')}@{manifest.get('protocol_version')}"
    plugins = (manifest.get("plugins") or {}).items()
    yield "plugins that have them", ", ".join(f"{offer}: {plugin}" for offer, plugin in plugins)
    made = row.get("made") or {}
    yield "made by", without_places(made.get("command"))
    yield "made with", f"condensation-bench {made['version']}" if made.get("version") else None


def without_places(command: str | None) -> str | None:
    """A command line whose paths are their last names: where things lie on a machine is nobody else's affair."""
    try:
        words = shlex.split(command or "")
    except ValueError:  # it was cut, or is none
        return None
    return shlex.join(PLACE.sub("", word).rstrip("/") for word in words) or None


def _accuracy(rows: Sequence[Row]) -> str:
    done = [row for row in rows if row["status"] == "done" and row.get("top1_mean") is not None]
    if not done:
        return ""
    head = ["protocol", "trained on it", "top-1 %", "trainings", "device", "precision"]
    lines = [" | ".join(map(_plain, _cells(row))) for row in done]
    table = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {line} |" for line in lines)]
    return "\n".join(["## Accuracy", "", "Of the last epoch on the dataset's test split.", "", *table])


def _cells(row: Row) -> list[Any]:
    std = row["top1_std"]
    top1 = f"{row['top1_mean']:.2f}" + ("" if std is None else f" ± {std:.2f}")
    return [row["protocol_id"], row["eval_backbone"], top1, row["eval_seeds"], row["device_name"], row["precision"]]


def _use(manifest: Mapping[str, Any], rows: Sequence[Row]) -> str:
    names = ["-d", manifest.get("dataset") or "DATASET", "--eval-backbone", _student(manifest, rows)]
    some = [f"--classes={','.join(manifest['classes'])}"] if _is_of_some(rows) else []
    line = shlex.join(["bench", "evaluate", ".", *(one_line(each) for each in (*names, *some))])
    said = "`manifest.json` says all that reading the set needs (condensation-bench):"
    return "\n".join(["## Use", "", said, "", f"    {line}"])


def _student(manifest: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The network condensed with, or where the method's protocol trained others alone, as FRePo's, one of those."""
    own = f"{manifest.get('protocol')}@{manifest.get('protocol_version')}"
    trained = [row["eval_backbone"] for row in rows if row["status"] == "done" and row["protocol_id"] == own]
    backbone = manifest.get("backbone") or "NAME"
    return backbone if backbone in trained else str(next(iter(trained), backbone))


def _is_of_some(rows: Sequence[Row]) -> bool:
    """Whether the set is of some of its dataset's classes alone."""
    return bool(rows) and rows[0]["classes"] != rows[0]["all_classes"]


def _plain(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """In one line, with every character quoted that Markdown or a table would take for markup."""
    return MARKUP.sub(r"\\\1", one_line(value))
