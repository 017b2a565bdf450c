"""A source whose images are not those of the card's others: another dataset to stages and runs, as every row says."""

from pathlib import Path

import pytest
import torch
from small_layouts import Row, jpeg, picture, write_files, write_parquet

from bench.data.cards import DatasetCard, SourceCard
from bench.data.datasets import Dataset
from bench.data.finding import find_source, load_card
from bench.data.opening import open_dataset
from bench.data.verification import verify
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.planning.planner import Planner
from bench.planning.request import Request
from bench.progress import Silent
from bench.reporting import rankings
from bench.results.rows import blank_row
from bench.results.spec import Job, RunSpec

PLUGIN = """
from pathlib import Path
from bench.hookspecs import Offer, hookimpl

@hookimpl
def bench_datasets():
    return [Offer("flowers", Path(__file__).with_name("flowers.toml"), "flowers")]
"""
CARD = """
name = "flowers"
resolution = 16
normalisation = "half"
class_ids = ["daisy", "rose"]
[[sources]]
layout = "image-folder"
options = { path = "official" }
[[sources]]
layout = "parquet"
options = { path = "copy" }
differs = "copies"
"""
ROWS: list[Row] = [(jpeg(number), number % 2) for number in range(4)]
OF_CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def flowers(tmp_path: Path) -> Registry:
    """Knows `flowers`, whose images lie below the folder as the official ones and as copies."""
    (tmp_path / "flowers.toml").write_text(CARD)
    (tmp_path / "flowers_plugin.py").write_text(PLUGIN)
    names = [f"official/{split}/{name}/0.jpg" for split in ("train", "test") for name in ("daisy", "rose")]
    write_files(tmp_path, {name: jpeg(number) for number, name in enumerate(names)})
    _copy(tmp_path, ROWS)
    return Registry([str(tmp_path / "flowers_plugin.py")])


def _copy(root: Path, rows: list[Row], names: tuple[str, str] = ("daisy", "rose")) -> None:
    for split in ("train", "test"):
        write_parquet(root / "copy" / f"{split}.parquet", rows, list(names))


def _open(registry: Registry, root: Path) -> Dataset:
    return open_dataset(registry, "flowers", root, root / "cache", Silent())


def _planned(registry: Registry, root: Path) -> Job:
    names = (("random",), ("flowers",), (1,), ("convnet3",), ("convnet3",), ("hard",), (0,))
    request = Request(*names, 1, None, (), "quick", "cpu", "fp32", "auto", False, root, root / "cache")
    (job,) = Planner(registry, request, Silent()).jobs()
    return job


def test_the_official_source_comes_first_and_keeps_its_hash(flowers: Registry, tmp_path: Path) -> None:
    dataset = _open(flowers, tmp_path)
    assert (dataset.source, dataset.source_differs) == ("image-folder", None)
    card = load_card(flowers, "flowers")
    assert dataset.card_hash == card.hash() == card.model_copy(update={"sources": card.sources[:1]}).hash()


def test_hashes_are_what_they_were_before_sources_could_differ(registry: Registry) -> None:
    assert load_card(registry, "cifar10").hash() == "7580af23b6e802bfd7b0e789b687ab6b"
    assert load_card(registry, "tiny-imagenet").hash() == "5540088e4a52ae59a550a4a6ddc366a6"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cifar100", "0b2417c4d1a478d03ae66bec01b72bee"),
        ("fashion-mnist", "79bd19822b586866d384c9ae48fbc625"),
        ("mnist", "15f16b210606d3e36e52683721057041"),
        ("svhn", "10f00f3357d7152c44196de5e73124e9"),
    ],
)
def test_hashes_are_what_they_were_before_cards_named_sources_of_the_same_images(
    registry: Registry, name: str, expected: str
) -> None:
    assert load_card(registry, name).hash() == expected


def test_copies_are_another_dataset_and_say_so(flowers: Registry, tmp_path: Path) -> None:
    official = _open(flowers, tmp_path)
    (tmp_path / "official").rename(tmp_path / "away")
    copies = _open(flowers, tmp_path)
    assert (copies.source, copies.source_differs) == ("parquet", "copies")
    _copy(tmp_path, list(reversed(ROWS)))
    others = _open(flowers, tmp_path)
    assert len({official.card_hash, copies.card_hash, others.card_hash}) == 3
    assert copies.known_as == "flowers"


def test_runs_and_rows_are_told_apart(flowers: Registry, tmp_path: Path) -> None:
    jobs = [_planned(flowers, tmp_path)]
    (tmp_path / "official").rename(tmp_path / "away")
    jobs.append(_planned(flowers, tmp_path))
    assert jobs[0].spec.name != jobs[1].spec.name
    rows = [blank_row(job.spec, job.evaluations[0], "done", "") for job in jobs]
    said = [(row["dataset_source"], row["source_differs"]) for row in rows]
    assert said == [("image-folder", None), ("parquet", "copies")]
    headings = [ranking.heading for ranking in rankings(rows)]
    assert ["flowers (parquet: copies)" in heading for heading in headings] == [False, True]


def test_a_spec_from_before_has_no_source(flowers: Registry, tmp_path: Path) -> None:
    spec = _planned(flowers, tmp_path).spec
    old = {name: value for name, value in spec.to_json().items() if name not in ("dataset_source", "source_differs")}
    read = RunSpec.from_json(old)
    assert (read.hash, read.dataset_source, read.source_differs) == (spec.hash, None, None)


def test_the_user_is_told_once(flowers: Registry, tmp_path: Path) -> None:
    (tmp_path / "official").rename(tmp_path / "away")
    (note,) = verify(flowers, "flowers", tmp_path, Silent()).source.notes
    assert note == f"read from {tmp_path / 'copy'} (parquet): copies"


def test_labels_are_understood_by_their_names(flowers: Registry, tmp_path: Path) -> None:
    (tmp_path / "official").rename(tmp_path / "away")
    _copy(tmp_path, ROWS, ("rose", "daisy"))
    assert _open(flowers, tmp_path).train.labels.tolist() == [1, 0, 1, 0]
    _copy(tmp_path, ROWS, ("rose", "tulip"))
    with pytest.raises(UsageError, match=r"classes of .*copy are not those of the card of flowers: daisy, tulip"):
        _open(flowers, tmp_path)


def test_what_differs_is_said_in_words() -> None:
    with pytest.raises(ValueError, match="differs"):
        SourceCard(layout="parquet", differs="")


def _cifar(root: Path, names: list[str]) -> DatasetCard:
    rows: list[Row] = [(jpeg(number, 32), number) for number in range(10)]
    for split in ("train", "test"):
        write_parquet(root / "cifar10" / "data" / f"{split}-00000-of-00001.parquet", rows, names)
    return load_card(Registry(), "cifar10")


def test_cifar10_is_read_from_parquet_where_the_archive_is_not(registry: Registry, tmp_path: Path) -> None:
    card = _cifar(tmp_path, list(reversed(OF_CIFAR)))
    found = find_source(registry, "cifar10", card, tmp_path)
    assert found.card.layout == "parquet" and found.source.classes == tuple(OF_CIFAR)
    assert torch.equal(found.reader.labels(found.source, "test"), torch.arange(9, -1, -1))
    assert "JPEG copies of quality 75" in str(found)
    with pytest.raises(UsageError, match=r"'cifar10' has 10 train images below .*; its card says 50000"):
        open_dataset(registry, "cifar10", tmp_path, tmp_path / "cache", Silent())
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert find_source(registry, "cifar10", card, tmp_path).card.layout == "cifar"


FASHION = ["T - shirt / top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


@pytest.mark.parametrize(
    ("name", "folder", "columns"),
    [
        ("cifar10", "plain_text", ("img", "label")),
        ("cifar10", "data", ("image", "label")),
        ("cifar100", "cifar100", ("img", "fine_label")),
        ("mnist", "mnist", ("image", "label")),
        ("fashion-mnist", "fashion_mnist", ("image", "label")),
        ("svhn", "cropped_digits", ("image", "label")),
        ("svhn", "", ("image", "label")),
    ],
)
def test_copies_that_keep_every_pixel_are_the_dataset_itself(
    registry: Registry, tmp_path: Path, name: str, folder: str, columns: tuple[str, str]
) -> None:
    """In the columns and under the names of labels of Hugging Face's copies."""
    card = load_card(registry, name)
    ids = list(card.order or ())
    names = {"cifar100": [{"crab": "cra"}.get(each, each) for each in ids], "fashion-mnist": FASHION}.get(name, ids)
    rows: list[Row] = [(picture(number, 32, "PNG"), number) for number in range(len(ids))]
    for split in ("train", "test"):
        path = tmp_path / name / folder / f"{split}-00000-of-00001.parquet"
        write_parquet(path, rows, names, columns=columns)
    found = find_source(registry, name, card, tmp_path)
    assert (found.card.layout, found.card.differs, found.source.classes) == ("parquet", None, card.order)
    assert torch.equal(found.reader.labels(found.source, "test"), torch.arange(len(ids)))
    (first,) = found.reader.encoded(found.source, "test", [0])
    assert first[1] == rows[0][0]


def test_images_in_another_form_are_passed_by(registry: Registry, tmp_path: Path) -> None:
    rows: list[Row] = [(jpeg(number, 32), number) for number in range(10)]
    write_parquet(tmp_path / "svhn" / "test-0.parquet", rows, [str(number) for number in range(10)])
    with pytest.raises(UsageError, match=r"not below .*svhn/train\*\.parquet .* of PNG images \(parquet\)"):
        find_source(registry, "svhn", load_card(registry, "svhn"), tmp_path)


def test_damaged_files_are_told_and_not_passed_by(registry: Registry, tmp_path: Path) -> None:
    write_files(tmp_path, {"svhn/test-0.parquet": b"damaged"})
    found = find_source(registry, "svhn", load_card(registry, "svhn"), tmp_path)
    with pytest.raises(RunFailure, match=r"test-0\.parquet is not readable as Parquet"):
        found.reader.labels(found.source, "test")


def test_cifar10_with_other_classes_is_refused(registry: Registry, tmp_path: Path) -> None:
    card = _cifar(tmp_path, [*OF_CIFAR[:9], "zeppelin"])
    with pytest.raises(UsageError, match="not those of the card of cifar10: truck, zeppelin"):
        find_source(registry, "cifar10", card, tmp_path)
