"""A dataset of ImageNet-1K's shape, made of Tiny-ImageNet: `python -m tests.soak.imagenet_shaped FOLDER`.

Tiny-ImageNet's 200 classes of 500 images become 1,000 classes of 100 JPEG files of 500×375 pixels, some 30 KB each: as
many classes as ImageNet-1K has, files of its commonest size, and a thirteenth of their number. The pictures are blurred
and five classes at a time show the same things, so nothing is learned from it: it is for memory, time and disks.
What is there already is not made again.
"""

import io
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.storage.files import whole

SIZE, QUALITY = (500, 375), 92
CLASSES, TINY = 1000, 200
IN_SHARD, IN_ROW_GROUP = 2000, 100  # images
NUMBERS = {"train": 100, "test": 1}  # images of a class
SOURCES = {"train": "train-*.parquet", "test": "valid-*.parquet"}
LAYOUTS = {
    "image-folder": 'options = { path = "folder" }',
    "parquet": 'options = { path = "parquet" }',
    "webdataset": 'options = { path = "webdataset", label = "cls" }',
}
CARD = """name = "imagenet-shaped"
title = "1,000 classes of 100 images of 500×375, upscaled Tiny-ImageNet, used at 224×224"
resolution = 224
resize = 256
channels = 3
class_ids = [{ids}]
normalisation = "imagenet"
images = {{ train = {train}, test = {test} }}

[[sources]]
layout = "{layout}"
{options}
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--tiny", type=click.Path(path_type=Path, exists=True), required=True, help="Tiny-ImageNet's Parquet.")
@click.option("--layout", "layouts", multiple=True, type=click.Choice(list(LAYOUTS)), default=["image-folder"])
def command(folder: Path, tiny: Path, layouts: Sequence[str]) -> None:
    """Make it in FOLDER, with a card for each layout; the other layouts are made of the folder's files."""
    for split, pattern in SOURCES.items():
        planned = _planned(folder / "folder" / split, tiny, pattern, NUMBERS[split])
        with click.progressbar(planned, CLASSES * NUMBERS[split], f"{split} images", file=sys.stderr) as files:
            for path, small in files:
                _make(path, small)
    for layout in layouts:
        for split in SOURCES:
            _WRITERS[layout](folder, split)
        _write_card(folder, layout)


def name_of(label: int) -> str:
    """The id of a class."""
    return f"c{label:04d}"


def _planned(folder: Path, tiny: Path, pattern: str, number: int) -> Iterator[tuple[Path, bytes]]:
    """Every file to be, with the small image that it is made of: those of a small class go to its five in turn."""
    counts, fold = [0] * TINY, CLASSES // TINY
    for shard in sorted(tiny.glob(pattern)):
        for batch in pq.ParquetFile(shard).iter_batches(256):
            for row in batch.to_pylist():
                turn, label = counts[row["label"]], row["label"]
                counts[label] += 1
                if turn < number * fold:
                    place = folder / name_of(fold * label + turn % fold)
                    yield place / f"{turn // fold:04d}.jpg", row["image"]["bytes"]


def _make(path: Path, small: bytes) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with Image.open(io.BytesIO(small)) as image:
        image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(part, "JPEG", quality=QUALITY)
    part.replace(path)


def _files(folder: Path, split: str) -> list[tuple[int, Path]]:
    """Label and file of every image, the classes in turn, as shuffled shards have them."""
    places = ((turn, label) for turn in range(NUMBERS[split]) for label in range(CLASSES))
    return [(label, folder / "folder" / split / name_of(label) / f"{turn:04d}.jpg") for turn, label in places]


def _shards(folder: Path, split: str, layout: str, suffix: str) -> Iterator[tuple[Path, list[tuple[int, Path]]]]:
    """The shards that are not there, each with the images that it is to hold."""
    files = _files(folder, split)
    (folder / layout).mkdir(exist_ok=True)
    for number, start in enumerate(range(0, len(files), IN_SHARD)):
        path = folder / layout / f"{split}-{number:05d}.{suffix}"
        if not path.exists():
            yield path, files[start : start + IN_SHARD]


def _write_parquet(folder: Path, split: str) -> None:
    for path, files in _shards(folder, split, "parquet", "parquet"):
        images = pa.array([{"bytes": file.read_bytes(), "path": file.name} for _, file in files])
        table = pa.table({"image": images, "label": pa.array([label for label, _ in files], pa.int64())})
        with whole(path) as part:
            pq.write_table(table, part, row_group_size=IN_ROW_GROUP, compression="none")


def _write_webdataset(folder: Path, split: str) -> None:
    for path, files in _shards(folder, split, "webdataset", "tar"):
        with whole(path) as part, tarfile.open(part, "w") as archive:
            for number, (label, file) in enumerate(files):
                _add(archive, f"{number:06d}.jpg", file.read_bytes())
                _add(archive, f"{number:06d}.cls", str(label).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _write_card(folder: Path, layout: str) -> None:
    ids = ", ".join(f'"{name_of(label)}"' for label in range(CLASSES))
    counts = {split: CLASSES * number for split, number in NUMBERS.items()}
    text = CARD.format(ids=ids, layout=layout, options=LAYOUTS[layout], **counts)
    tomllib.loads(text)
    (folder / f"{layout}.toml").write_text(text, encoding="utf-8")


_WRITERS = {"image-folder": lambda folder, split: None, "parquet": _write_parquet, "webdataset": _write_webdataset}

if __name__ == "__main__":
    command()
