"""Small instances of each layout on disk."""

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Files = dict[str, bytes]
Row = tuple[bytes | None, int | str | None]  # (encoded image, label)
Rows = dict[str, list[Row]]

WNIDS = ("n01000003", "n01000001", "n01000002")  # not sorted, like wnids.txt of the official archive


def jpeg(seed: int, size: int = 16) -> bytes:
    """A JPEG file of smooth colours."""
    return picture(seed, size, "JPEG")


def picture(seed: int, size: int, form: str) -> bytes:
    """A file of smooth colours in one of PIL's formats."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((size, size)).save(stream, form)
    return stream.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """The files as the official archive has them: below one folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"tiny-imagenet-200/{name}", content)
    return path


def arrange_by_class(folder: Path) -> Path:
    """Moves val/images into val/<wnid>/images, as many training scripts do."""
    annotations = folder / "val" / "val_annotations.txt"
    for line in annotations.read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        target = folder / "val" / wnid / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "val" / "images" / name, target)
    (folder / "val" / "images").rmdir()
    return folder


def write_parquet(
    path: Path,
    rows: list[Row],
    names: list[str] | None = None,
    row_group: int = 4,
    columns: tuple[str, str] = ("image", "label"),
) -> Path:
    """Rows of (encoded image, label) in the columns of Hugging Face datasets, with the names of labels if given."""
    images = [{"bytes": content, "path": f"{number}.JPEG"} for number, (content, _) in enumerate(rows)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    image, label = columns
    table = pa.table({image: pa.array(images, kind), label: [number for _, number in rows]})
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group)
    return path
