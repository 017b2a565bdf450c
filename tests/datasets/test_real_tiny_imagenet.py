"""The real Tiny-ImageNet, where it is on this machine."""

import csv
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_layouts import arrange_by_class, write_files

from bench.data.datasets import Dataset
from bench.data.decoding import DecodedForm, decoded
from bench.data.finding import load_card
from bench.data.opening import open_dataset, select_classes
from bench.extensions.registry import Registry
from bench.progress import Silent

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="session")
def root() -> Path:
    """The data root."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    root = Path(os.environ.get("BENCH_DATA") or beside)
    if not (root / "tiny-imagenet").is_dir():
        pytest.skip(f"real data absent: no tiny-imagenet below {root}; set BENCH_DATA")
    return root


@pytest.fixture(scope="session")
def dataset(registry: Registry, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(registry, "tiny-imagenet", root, tmp_path_factory.mktemp("cache"), Silent())


def test_all_classes_and_images_are_there(dataset: Dataset, root: Path) -> None:
    with (root / "tiny-imagenet" / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert dataset.classes == tuple(row["wnid"] for row in rows)
    assert dataset.class_names == tuple(row["words"] for row in rows)
    assert torch.bincount(dataset.train.labels).tolist() == [500] * 200
    assert torch.bincount(dataset.test.labels).tolist() == [50] * 200


def test_validation_images_are_those_of_the_file(dataset: Dataset, root: Path) -> None:
    table = pq.read_table(root / "tiny-imagenet" / "data" / "valid-00000-of-00001.parquet").slice(5000, 40)
    images = dataset.test.take(torch.arange(5000, 5040))
    for image, label, row in zip(images, dataset.test.labels[5000:5040], table.to_pylist(), strict=True):
        assert int(label) == row["label"]
        np.testing.assert_array_equal(image.numpy(), decoded("row", row["image"]["bytes"], DecodedForm(3, 64, 64)))


def test_other_layouts_of_the_same_images_agree(
    dataset: Dataset, registry: Registry, root: Path, tmp_path: Path
) -> None:
    """Two classes of the validation split, laid out as the extracted archive and arranged by class."""
    rows = pq.read_table(root / "tiny-imagenet" / "data" / "valid-00000-of-00001.parquet").to_pylist()
    names = dataset.classes[:2]
    kept = [row for row in rows if row["label"] < 2]
    files = {f"val/images/{row['image']['path']}": row["image"]["bytes"] for row in kept}
    lines = [f"{row['image']['path']}\t{names[row['label']]}\t0\t0\t63\t63" for row in kept]
    files |= {f"train/{name}/images/{name}_0.JPEG": kept[0]["image"]["bytes"] for name in names}
    files |= {"val/val_annotations.txt": "\n".join(lines).encode(), "wnids.txt": "\n".join(reversed(names)).encode()}
    two = select_classes(dataset, "2")
    expected = _by_label(two)
    for layout, arrange in (("tiny-imagenet-folder", lambda folder: folder), ("image-folder", arrange_by_class)):
        folder = tmp_path / layout / "tiny-imagenet-200"
        arrange(write_files(folder, files))
        card = tmp_path / f"{layout}.toml"
        options = '{ path = "tiny-imagenet-200", test = "val" }' if layout == "image-folder" else "{}"
        card.write_text(
            'name = "two"\nresolution = 64\nnormalisation = "half"\n'
            f'[[sources]]\nlayout = "{layout}"\noptions = {options}\n'
        )
        opened = open_dataset(registry, str(card), folder.parent, tmp_path / "cache", Silent())
        assert opened.class_order_hash == two.class_order_hash
        assert _by_label(opened) == expected


def _by_label(dataset: Dataset) -> list[tuple[int, bytes]]:
    images, labels = next(dataset.test.chunks(1000))
    return sorted((int(label), image.numpy().tobytes()) for image, label in zip(images, labels, strict=True))


def test_the_card_is_the_one_the_images_were_read_with(dataset: Dataset, registry: Registry) -> None:
    assert dataset.card_hash == load_card(registry, "tiny-imagenet").hash()
