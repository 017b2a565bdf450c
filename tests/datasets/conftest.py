"""A small Tiny-ImageNet, and the same images as rows."""

import numpy as np
import pytest
from small_layouts import WNIDS, Files, Row, Rows, jpeg

from bench.extensions.registry import Registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Everything installed."""
    return Registry()


@pytest.fixture(scope="session")
def official() -> Files:
    """A Tiny-ImageNet of three classes as name -> content: five training and two validation images a class."""
    files = {
        "wnids.txt": "".join(f"{wnid}\n" for wnid in WNIDS).encode(),
        "words.txt": b"",
        "test/images/test_0.JPEG": b"",
    }
    for number, wnid in enumerate(WNIDS):
        for index in range(5):
            files[f"train/{wnid}/images/{wnid}_{index}.JPEG"] = jpeg(10 * number + index)
        files[f"train/{wnid}/{wnid}_boxes.txt"] = b""
    annotations = []
    for index in range(6):
        files[f"val/images/val_{index}.JPEG"] = jpeg(100 + index)
        annotations.append(f"val_{index}.JPEG\t{WNIDS[index % 3]}\t0\t32\t44\t62\n")
    return {**files, "val/val_annotations.txt": "".join(annotations).encode()}


@pytest.fixture(scope="session")
def parquet_rows(official: Files) -> Rows:
    """The same images as rows, training rows shuffled; label i is the i-th of the sorted ids."""
    order = sorted(WNIDS)
    train: list[Row] = [
        (content, order.index(name.split("/")[1]))
        for name, content in official.items()
        if name.startswith("train/") and name.endswith(".JPEG")
    ]
    shuffled = [train[index] for index in np.random.default_rng(0).permutation(len(train))]
    lines = official["val/val_annotations.txt"].decode().splitlines()
    test: list[Row] = [(official[f"val/images/{line.split()[0]}"], order.index(line.split()[1])) for line in lines]
    return {"train": shuffled, "test": test}
