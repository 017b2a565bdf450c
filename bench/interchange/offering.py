"""The manifest that is offered to whoever has to write one: what a file of tensors says of itself, the rest likely."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.interchange.looking import range_of
from bench.sets.tensor_files import shapes_held

LISTED = ("0", "1")  # how what lies in a list of two is called
CUT = {"kind": "grid", "factor": 2}
CUT_TOLD = (
    "; IDC and DREAM save so, two tensors in a list, and each image of theirs holds 2 × 2 smaller ones (of ImageNet's "
    "subsets 3 × 3), as 'decoder' says: leave it out where each image is one"
)


def shown(held: Mapping[str, Sequence[int]]) -> str:
    """Tensors by name with their shapes, as in "'x' (10, 3, 32, 32), 'y' (10,)"."""
    return ", ".join(f"{name!r} {shape}" for name, shape in held.items()) or "no tensors"


def offered(path: Path) -> str:
    """As ", such as {...}", to go on after "write one"; "" where no two tensors look like images and labels.

    Raises:
        UsageError: no file of tensors.
    """
    held = shapes_held(path)
    images = [name for name, shape in held.items() if len(shape) == 4]
    labels = [name for name, shape in held.items() if len(shape) == 1]
    if not len(images) == len(labels) == 1:
        return ""
    likely = range_of(path, images[0]).likely
    source = {"file": path.name, "images": images[0], "labels": labels[0], "range": likely}
    manifest: dict[str, Any] = {"source": source, "method": "theirs"}
    if (images[0], labels[0]) != LISTED:
        return f", such as {json.dumps(manifest)}"
    return f", such as {json.dumps({**manifest, 'decoder': CUT})}{CUT_TOLD}"
