"""Sets that somebody else might bring, in every layout, of a dataset whose classes are known by their gray."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from bench.data.datasets import Dataset, Reader
from bench.extensions.registry import Registry
from bench.testing import tiny_dataset

SIZE = 8


def known_by_gray(*ids: str, words: Sequence[str] | None = None) -> Dataset:
    """A dataset of these classes; image of class k in a set is all of the level 100 + 10 * k."""
    dataset = tiny_dataset(classes=len(ids), resolution=SIZE)
    return replace(dataset, classes=ids, class_names=tuple(words or ids))


def gray(index: int) -> Tensor:
    """uint8 (3, 8, 8), the picture of the class with that index in class order."""
    return torch.full((3, SIZE, SIZE), 100 + 10 * index, dtype=torch.uint8)


def told(pixels: Tensor) -> list[int]:
    """Of which class each picture is, by its gray; independent of all labels."""
    return [int(level) // 10 - 10 for level in pixels[:, 0, 0, 0].tolist()]


def write_manifest(folder: Path, **content: Any) -> Path:  # noqa: ANN401 - any manifest
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def in_folders(place: Path, named: Mapping[str, int], *, each: int = 2, **about: Any) -> Path:  # noqa: ANN401
    """An image folder: for each folder name the class whose pictures it holds."""
    for name, index in named.items():
        (place / "images" / name).mkdir(parents=True)
        for number in range(each):
            picture = Image.fromarray(gray(index).permute(1, 2, 0).numpy())
            picture.save(place / "images" / name / f"{number}.png")
    return write_manifest(place, source={"layout": "image-folder", "options": {"train": "images"}}, **about)


def in_parquet(
    place: Path,
    labels: Sequence[int | str],
    indices: Sequence[int],
    names: Sequence[str] | None,
    **about: Any,  # noqa: ANN401 - any manifest
) -> Path:
    """Parquet in the columns of Hugging Face: row i has labels[i] and the picture of class indices[i]."""
    write_manifest(place, source={"layout": "parquet"}, **about)
    table = pa.table({"image": [_encoded(index) for index in indices], "label": list(labels)})
    if names is not None:
        features = {"info": {"features": {"label": {"names": list(names)}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, place / "train-0.parquet")
    return place


def in_tensors(place: Path, pixels: Tensor, labels: Tensor, range_: str = "0..255", **about: Any) -> Path:  # noqa: ANN401
    """One PyTorch file."""
    write_manifest(place, source={"file": "set.pt", "range": range_}, **about)
    torch.save({"images": pixels, "labels": labels}, place / "set.pt")
    return place


def readers(name: str) -> type[Reader]:
    """The registered reader of a layout."""
    found: type[Reader] = Registry().load("reader", name)
    return found


def _encoded(index: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(gray(index).permute(1, 2, 0).numpy()).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}
