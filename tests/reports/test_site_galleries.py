"""Images of one class over methods: which part of a sheet is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from bench.reporting import Row
from bench.reporting.folders import RunFolder
from bench.sets.contact_sheet import GAP, LABEL_WIDTH, rows_of, write_preview
from bench_reports.site.galleries import galleries

RowMaker = Callable[..., Row]


def sheet(path: Path, classes: int, side: int, count: int = 2) -> Path:
    """Of each class images that are as grey as its index, one level a class."""
    labels = torch.arange(classes).repeat_interleave(count)
    pixels = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, side, side)
    write_preview(path, pixels, labels, [f"class {index}" for index in range(classes)])
    return path


@pytest.mark.parametrize(("classes", "side"), [(2, 8), (10, 64), (37, 32), (200, 64), (12, 224), (3, 300)])
def test_the_rows_of_a_sheet_are_found_by_its_size(tmp_path: Path, classes: int, side: int) -> None:
    with Image.open(sheet(tmp_path / "preview.png", classes, side)) as picture:
        found = rows_of(*picture.size, classes)
        assert found is not None
        shown, step = found
        seen = [picture.getpixel((LABEL_WIDTH + 1, GAP + line * step + 1)) for line in range(len(shown))]
    assert seen == [(index,) * 3 for index in shown]


def test_a_picture_that_is_no_sheet_has_no_rows() -> None:
    assert rows_of(1001, 1001, 10) is None


def test_sets_of_the_same_classes_are_together_and_what_is_the_control_too_is_shown_once(
    tmp_path: Path, row: RowMaker, control: RowMaker
) -> None:
    rows = [
        row(run="a"),
        control(run="b"),
        control(run="c", labels_of="rded"),
        row(run="d", ipc=50),
        row(run="e", method="dm"),
        control(run="f", is_control=False),
        control(run="g", seed=1),
    ]
    for each in rows:
        (tmp_path / each["run"]).mkdir()
        each["class_ids"] = ["n01443537", "of nobody"]
        sheet(tmp_path / each["run"] / "preview.png", 2, 8)
    (tmp_path / "e" / "preview.png").write_bytes(b"none")
    runs = {each["run"]: RunFolder(tmp_path / each["run"]) for each in rows}
    (gallery,) = galleries(rows, runs, {name: f"runs/{name}.html" for name in runs})
    assert [strip.link for strip in gallery.strips] == ["runs/a.html", "runs/c.html", "runs/g.html"]
    assert [strip.name for strip in gallery.strips] == [
        "sre2l, seed 0",
        "random (control), seed 0",
        "random (control), seed 1",
    ]
    assert gallery.heading == "tiny-imagenet, 2 classes, 10 a class, convnet4-bn"
    assert gallery.names == ["goldfish", "of nobody"]
    assert (gallery.strips[0].sheet, gallery.width, gallery.height) == ("runs/a.png", 2 * (128 + GAP) - GAP, 128)
