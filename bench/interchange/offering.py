"""The manifest that is offered to whoever has to write one: what a set's files say, and what is likely of the rest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.interchange.looking import range_of, rows_of
from bench.sets.tensor_files import named

Shapes = Mapping[str, tuple[int, ...]]
LISTED = ("0", "1")  # how what lies in a list of two is called
CUT = {"kind": "grid", "factor": 2}
CUT_TOLD = (
    "; IDC and DREAM save so, two tensors in a list, and each image of theirs holds 2 × 2 smaller ones (of ImageNet's "
    "subsets 3 × 3), as 'decoder' says: leave it out where each image is one"
)
FITS = {"regression": ("frepo", "FRePo's"), "": ("kornia", "MTT's, TESLA's and DATM's")}  # by what labels are
FIT_TOLD = "; its values look ZCA-whitened, which 'zca' fits here in {} way; of another it names the file"


def shown(held: Shapes) -> str:
    """Tensors by name with their shapes, as in "'x' (10, 3, 32, 32), 'y' (10,)"."""
    return ", ".join(f"{name!r} {shape}" for name, shape in held.items()) or "no tensors"


def likely_pair(held: Shapes) -> tuple[str, str] | None:
    """The names of the one tensor (N, C, H, W), and of the one (N), or else (N, K), of its labels."""
    images = [name for name, shape in held.items() if len(shape) == 4]
    for sides in (1, 2):
        labels = [name for name, shape in held.items() if len(shape) == sides]
        if len(images) == len(labels) == 1:
            return images[0], labels[0]
    return None


def offered(folder: Path, where: Mapping[str, str], images: str, labels: str) -> str:
    """As ", such as {...}", to go on after "write one".

    Args:
        where: the `file`, and the `labels_file` where that is another.
        images, labels: the names of the two.

    Raises:
        UsageError: no files of tensors, or not these in them.
    """
    (rows,) = named(folder / where.get("labels_file", where["file"]), labels, fits=lambda shapes: "")
    kind = rows_of(rows) if rows.ndim == 2 else ""
    called: dict[str, Any] = {"labels": None, kind: labels} if kind else {"labels": labels}
    likely = range_of(folder / where["file"], images).likely
    manifest: dict[str, Any] = {"source": {**where, "images": images, **called, "range": likely}, "method": "theirs"}
    remark = ""
    if likely == "whitened":
        fit, who = FITS.get(kind, FITS[""])
        manifest["zca"], remark = {"fit": fit, "eps": 0.1}, FIT_TOLD.format(who)
    if (images, labels) == LISTED:
        manifest["decoder"], remark = CUT, remark + CUT_TOLD
    return f", such as {json.dumps(manifest)}{remark}"
