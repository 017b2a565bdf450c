"""The images of one class over methods, one beneath the other: parts of the sheets that lie beside the runs' pages.

No image is read: a part of a sheet is shown by where it lies, which `bench.sets.contact_sheet` decides.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.reporting import Row
from bench.reporting.folders import RunFolder
from bench.storage.streams import one_line
from bench_reports.site.classes import class_words
from bench_reports.site.embeddings import CLASSES, Embedding, embedding

EMBEDDED = 4  # galleries, at most
HEADER = struct.Struct(">16xII")  # of a PNG: its width and height

Key = tuple[str, tuple[str, ...], int, tuple[int, int]]  # dataset, classes, images per class, size of a sheet


@dataclass(frozen=True)
class Strip:
    """A set: whose it is, by what tells it from the others, its run's page, its sheet."""

    facts: Sequence[str]
    link: str
    sheet: str

    @property
    def name(self) -> str:
        """In one line."""
        return one_line(", ".join(self.facts))


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
    """Of all that at least two sets show, in the order of the rows; controls that show the same images are one."""
    found: dict[Key, dict[str, Strip]] = {}
    for row in {row["run"]: row for row in rows}.values():
        folder = runs.get(row["run"])
        if folder is not None and (size := size_of(folder.path / "preview.png")) and row.get("class_ids"):
            key = (row["dataset"], tuple(row["class_ids"]), row["ipc"], size)
            strip = _strip(row, names[row["run"]])
            found.setdefault(key, {})[strip.name if row.get("is_control") else row["run"]] = strip
    every = [_gallery(key, list(strips.values())) for key, strips in found.items() if len(strips) > 1]
    made = [gallery for gallery in every if gallery]
    folders = {names[run]: folder.path for run, folder in runs.items() if run in names}
    return [*(_embedded(gallery, folders) for gallery in made[:EMBEDDED]), *made[EMBEDDED:]]


def _apart(facts: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """What all share but for the method, and the rest of each."""
    shared = [each[0] for place, each in enumerate(zip(*facts, strict=True)) if place and len(set(each)) == 1]
    return shared, [[fact for fact in each if fact not in shared] for each in facts]


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


def _strip(row: Row, link: str) -> Strip:
    facts = [f"{row['method']}{' (control)' if row.get('is_control') else ''}", row["backbone"], f"seed {row['seed']}"]
    return Strip(facts, link, link.removesuffix(".html") + ".png")


def _gallery(key: Key, strips: Sequence[Strip]) -> Gallery | None:
    """None where the sheets are none of ours, by their height."""
    from bench.sets import contact_sheet as sheet

    dataset, ids, ipc, size = key
    if (layout := sheet.rows_of(*size, len(ids))) is None:
        return None
    shown, step = layout
    names = class_words(dataset, [ids[place] for place in shown])
    facts, told = _apart([strip.facts for strip in strips])
    strips = [replace(strip, facts=each) for strip, each in zip(strips, told, strict=True)]
    heading = one_line(", ".join([dataset, f"{len(ids)} classes", f"{ipc} a class", *facts]))
    width = size[0] - sheet.LABEL_WIDTH - 2 * sheet.GAP
    first = class_words(dataset, ids[:CLASSES])
    return Gallery(heading, names, first, strips, sheet.LABEL_WIDTH, sheet.GAP, step, width, step - sheet.GAP)
