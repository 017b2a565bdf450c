"""The images of one class over methods, one beneath the other: parts of the sheets that lie beside the runs' pages.

No image is decoded: a part of a sheet is shown by where it lies, which `bench.sets.contact_sheet` decides.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.reporting import Row, common
from bench.reporting.columns import lines
from bench.reporting.folders import RunFolder
from bench.reporting.units import UNKNOWN
from bench.reporting.view import identity
from bench.storage.files import file_digest
from bench.storage.streams import one_line
from bench_reports.site.classes import class_words
from bench_reports.site.embeddings import CLASSES, Embedding, embedding

EMBEDDED = 4  # galleries, at most
OF_SETS = ("method", "set", "backbone", "seed")  # of which the same images are shown once
HEADER = struct.Struct(">16xII")  # of a PNG: its width and height

Key = tuple[str, tuple[str, ...], int, tuple[int, int]]  # dataset, classes, images per class, size of a sheet


@dataclass(frozen=True)
class Strip:
    """A set: whose it is and what tells it from the others, in one line; its run's page, its sheet."""

    name: str
    link: str
    sheet: str


@dataclass(frozen=True)
class Gallery:
    """Sets of the same classes, with as many images of each.

    Attributes:
        names: of the classes that sheets show, from the top; and of the `first` ones of all.
        left, top, step: where in a sheet the first row of images begins, and how far the next is.
        width, height: of a row.
        embedding: where a network sees images of a few classes, where there is one.
    """

    heading: str
    names: Sequence[str]
    first: Sequence[str]
    strips: Sequence[Strip]
    left: int
    top: int
    step: int
    width: int
    height: int
    embedding: Embedding | None = None


def galleries(rows: Sequence[Row], runs: Mapping[str, RunFolder], names: Mapping[str, str]) -> list[Gallery]:
    """Of all that at least two sets show, in the order of the rows; runs that show the same images are one."""
    found: dict[Key, dict[Any, Row]] = {}
    for row in {row["run"]: row for row in rows}.values():
        folder = runs.get(row["run"])
        if folder is not None and (size := size_of(sheet := folder.path / "preview.png")) and row.get("class_ids"):
            sets = found.setdefault((row["dataset"], tuple(row["class_ids"]), row["ipc"], size), {})
            shown = (*(row.get(name) for name in OF_SETS), file_digest(sheet))
            if shown not in sets or row.get("is_control"):
                sets[shown] = row
    every = [_gallery(key, list(sets.values()), names) for key, sets in found.items() if len(sets) > 1]
    made = [gallery for gallery in every if gallery]
    folders = {names[run]: folder.path for run, folder in runs.items() if run in names}
    return [*(_embedded(gallery, folders) for gallery in made[:EMBEDDED]), *made[EMBEDDED:]]


def _names(rows: Sequence[Row]) -> list[str]:
    """What tells each set from the others, in words; no two are called alike."""
    columns = identity(rows)
    return [", ".join(_words(columns, texts)) for texts in lines(columns)]


def _words(titles: Iterable[str], texts: Sequence[str]) -> list[str]:
    return [
        f"seed {text}" if title == "seed" else text
        for title, text in zip(titles, texts, strict=True)
        if text != UNKNOWN
    ]


def _embedded(gallery: Gallery, folders: Mapping[str, Path]) -> Gallery:
    sets = {strip.name: folders[strip.link] for strip in gallery.strips}
    return replace(gallery, embedding=embedding(sets, gallery.first))


def size_of(png: Path) -> tuple[int, int] | None:
    """Width and height in pixels; None of what is no PNG, or not there."""
    try:
        with png.open("rb") as file:
            head = file.read(HEADER.size)
    except OSError:
        return None
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < HEADER.size:
        return None
    width, height = HEADER.unpack(head)
    return width, height


def _gallery(key: Key, rows: Sequence[Row], names: Mapping[str, str]) -> Gallery | None:
    """None where the sheets are none of ours, by their height."""
    from bench.sets import contact_sheet as sheet

    dataset, ids, ipc, size = key
    if (layout := sheet.rows_of(*size, len(ids))) is None:
        return None
    shown, step = layout
    links = [names[row["run"]] for row in rows]
    pages = zip(_names(rows), links, strict=True)
    strips = [Strip(name, link, f"{link.removesuffix('.html')}.png") for name, link in pages]
    heading = one_line(", ".join([dataset, f"{len(ids)} classes", f"{ipc} a class", *_shared(rows)]))
    first = class_words(dataset, ids[:CLASSES])
    named = class_words(dataset, [ids[place] for place in shown])
    width = size[0] - sheet.LABEL_WIDTH - 2 * sheet.GAP
    return Gallery(heading, named, first, strips, sheet.LABEL_WIDTH, sheet.GAP, step, width, step - sheet.GAP)


def _shared(rows: Sequence[Row]) -> list[str]:
    """What all were made with, as far as it is known."""
    backbone, seed = common(rows, "backbone"), common(rows, "seed")
    return [*([] if backbone is None else [backbone]), *([] if seed is None else [f"seed {seed}"])]
