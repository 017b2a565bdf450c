"""The images of one class over methods, one beneath the other: parts of the sheets that lie beside the runs' pages.

No image is read: a part of a sheet is shown by where it lies, which `bench.sets.contact_sheet` decides.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.reporting import Row
from bench.reporting.folders import RunFolder
from bench.storage.streams import one_line
from bench_reports.site.classes import class_words

HEADER = struct.Struct(">16xII")  # of a PNG: its width and height

Key = tuple[str, tuple[str, ...], int, tuple[int, int]]  # dataset, classes, images per class, size of a sheet


@dataclass(frozen=True)
class Strip:
    """A set: whose it is, its run's page, its sheet."""

    name: str
    link: str
    sheet: str


@dataclass(frozen=True)
class Gallery:
    """Sets of the same classes, with as many images of each.

    Attributes:
        names: of the classes that sheets show, from the top.
        left, top, step: where in a sheet the first row of images begins, and how far the next is.
        width, height: of a row.
    """

    heading: str
    names: Sequence[str]
    strips: Sequence[Strip]
    left: int
    top: int
    step: int
    width: int
    height: int


def galleries(rows: Sequence[Row], runs: Mapping[str, RunFolder], names: Mapping[str, str]) -> list[Gallery]:
    """Of all that at least two sets show, in the order of the rows; controls that show the same images are one."""
    found: dict[Key, dict[str, Strip]] = {}
    for row in {row["run"]: row for row in rows}.values():
        folder = runs.get(row["run"])
        if folder is not None and (size := size_of(folder.path / "preview.png")) and row.get("class_ids"):
            key = (row["dataset"], tuple(row["class_ids"]), row["ipc"], size)
            strip = _strip(row, names[row["run"]])
            found.setdefault(key, {})[strip.name if row.get("is_control") else row["run"]] = strip
    made = [_gallery(key, list(strips.values())) for key, strips in found.items() if len(strips) > 1]
    return [gallery for gallery in made if gallery]


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
    return Strip(one_line(", ".join(facts)), link, link.removesuffix(".html") + ".png")


def _gallery(key: Key, strips: Sequence[Strip]) -> Gallery | None:
    """None where the sheets are none of ours, by their height."""
    from bench.sets import contact_sheet as sheet

    dataset, ids, ipc, size = key
    if (layout := sheet.rows_of(*size, len(ids))) is None:
        return None
    shown, step = layout
    names = class_words(dataset, [ids[place] for place in shown])
    heading = one_line(f"{dataset}, {len(ids)} classes, {ipc} a class")
    width = size[0] - sheet.LABEL_WIDTH - 2 * sheet.GAP
    return Gallery(heading, names, strips, sheet.LABEL_WIDTH, sheet.GAP, step, width, step - sheet.GAP)
