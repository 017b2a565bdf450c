"""A set larger than memory is joined, saved, read and trained on in parts, and is what a small one would be."""

from pathlib import Path

import pytest
import torch
from benching import Bench
from foreign import in_tensors, write_manifest
from large_sets import MadeWhole, count_as_large, lies_in_a_file

from bench import load_set
from bench.cli.foreign_sets import described
from bench.condensation import Images
from bench.data.datasets import Normalisation
from bench.extensions.registry import Registry
from bench.interchange.export import writing
from bench.interchange.export.forms import png
from bench.results.records import Record
from bench.sets import condensed as sets
from bench.sets.wellformed import far_out, malformed
from bench.storage import paging
from bench.storage.tensor_files import read_tensors, write_tensors

HERE = Path(__file__)
PLUGINS = (str(HERE.with_name("noisy_methods.py")), str(HERE.parents[1] / "interchange" / "short_protocols.py"))
IPC = 31  # more than a batch of all classes
NUMBERS = 3 * IPC * 8 * 8  # of three classes of digits


def made(place: Bench, method: str, *changes: str) -> tuple[Path, Record]:
    """The set of a run, and its record."""
    place.plugins = PLUGINS
    (job,) = place.jobs(method, protocols=("short",), ipcs=(IPC,), changes=changes)
    record = place.run(job)
    return place.runs / job.spec.name / "condensed", record


def top1_of(record: Record) -> list[float | None]:
    return [score.top1 for each in record.evaluations.values() for score in each.scores]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MadeWhole:
    """From here on a tensor of the whole set is large, in whatever type."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "scratch"))
    count_as_large(monkeypatch, NUMBERS)
    return MadeWhole(NUMBERS)


@pytest.mark.parametrize(
    ("method", "changes"),
    [("noise", ["form=uint8"]), ("noise", ["form=jpeg"]), ("noise", ["form=float32"]), ("random", [])],
)
def test_no_step_of_a_run_holds_a_large_set(
    bench: Bench, tmp_path: Path, large: MadeWhole, method: str, changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its files and scores are those of a small one."""
    with large:
        folder, record = made(bench, method, *changes)
    assert large.names == []
    assert list((tmp_path / "scratch").iterdir()) == [], "what was in files had no names"
    monkeypatch.undo()
    small, expected = made(Bench(tmp_path / "small"), method, *changes)
    for name in (sets.IMAGES, sets.LABELS):
        assert (folder / name).read_bytes() == (small / name).read_bytes(), name
    assert top1_of(record) == top1_of(expected)


def test_who_loads_and_exports_a_large_set_holds_none_of_it(
    bench: Bench, tmp_path: Path, large: MadeWhole, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = made(bench, "noise", "form=jpeg")
    with large:
        loaded = load_set(folder)
        items = [loaded[place] for place in range(len(loaded))]
        found = writing.read(folder, "parquet")
        writing.export(found, folder, "parquet", tmp_path / "exported", "a card")
    assert large.names == []
    monkeypatch.undo()
    whole = load_set(folder)
    assert all(torch.equal(image, whole.images[place]) for place, (image, _) in enumerate(items))
    writing.export(writing.read(folder, "parquet"), folder, "parquet", tmp_path / "small", "a card")
    ours, theirs = (tmp_path / each / "train.parquet" for each in ("exported", "small"))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("source", ["0..255", "0..1", "normalised", "folders"])
def test_a_large_foreign_set_is_read_in_parts(bench: Bench, tmp_path: Path, large: MadeWhole, source: str) -> None:
    """Checked, told by its labels, copied into the run and trained on; its pixels are those that were brought."""
    levels = torch.randint(0, 256, (3 * IPC, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.arange(3).repeat_interleave(IPC)
    folder = _brought(tmp_path / "brought", levels, labels, source)
    bench.plugins = PLUGINS
    with large:
        found = described(folder, "digits", "3", (), bench.folder / "data", bench.cache, Registry())
        (job,) = bench.jobs(
            "imported", protocols=("short",), ipcs=found.ipcs, changes=found.changes, origin=found.origin
        )
        record = bench.run(job)
    assert large.names == [] and record.status == "done"
    kept = sets.load(bench.runs / job.spec.name / "condensed")
    seen = kept.preprocessing.apply(levels) if source != "folders" else levels
    torch.testing.assert_close(kept.images.pixels if source != "0..255" else kept.normalised(), seen)


def _brought(folder: Path, levels: torch.Tensor, labels: torch.Tensor, source: str) -> Path:
    if source == "folders":
        for number, (image, label) in enumerate(zip(levels, labels.tolist(), strict=True)):
            (place := folder / "images" / str(label)).mkdir(parents=True, exist_ok=True)
            (place / f"{number:03}.png").write_bytes(png(image))
        return write_manifest(folder, source={"layout": "image-folder", "options": {"train": "images"}})
    unit, half = levels / 255, {"mean": [0.5], "std": [0.5]} if source == "normalised" else {}
    values = {"0..255": levels, "0..1": unit, "normalised": (unit - 0.5) / 0.5}
    return in_tensors(folder, values[source], labels, source, classes=["0", "1", "2"], **half)


def test_looking_at_images_loses_nothing_that_a_method_wrote_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one may that maps a file of its own and works on it in memory."""
    write_tensors(tmp_path / "own", {"pixels": torch.ones(1024, 1, 8, 8)})
    pixels = read_tensors(tmp_path / "own")[0]["pixels"].mul_(0.5)
    count_as_large(monkeypatch, pixels.nbytes)
    assert malformed(Images(pixels, torch.zeros(1024, dtype=torch.int64)), (1, 8, 8), 2) == ""
    assert far_out(pixels, Normalisation((0.5,), (0.5,))) == ""
    assert torch.equal(pixels, torch.full((1024, 1, 8, 8), 0.5))


def test_rows_in_parts_are_those_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken in any order, some twice; made of others; put together from pieces, and from bytes."""
    draws = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 256, (100, 3, 4), generator=draws, dtype=torch.uint8)
    chosen = torch.randint(0, 100, (150,), generator=draws)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "scratch"))
    count_as_large(monkeypatch, 400)
    taken = Images(rows, torch.arange(100)).at(chosen)
    assert lies_in_a_file(taken.pixels) and torch.equal(taken.pixels, rows[chosen])
    halves = paging.converted(rows, lambda part: part.float() / 2)
    assert lies_in_a_file(halves) and torch.equal(halves, rows.float() / 2)
    assert all(len(part) * 12 <= 100 for part in paging.parts(rows)) and torch.equal(
        torch.cat([*paging.parts(rows)]), rows
    )
    order = torch.randperm(100, generator=draws)
    put = paging.assembled(zip(order.split(40), rows[order].split(40), strict=True), 100)
    assert lies_in_a_file(put) and torch.equal(put, rows)
    contents = [bytes(each.flatten().tolist()) for each in rows]
    assert torch.equal(paging.joined(contents, expected=1200).view(100, 3, 4), rows)
    assert torch.equal(paging.joined(contents, expected=0).view(100, 3, 4), rows)
