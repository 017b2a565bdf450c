"""Sets without a manifest: read where their files say all, else refused by the field that a manifest must state."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benching import Bench
from foreign import gray, known_by_gray, readers
from keeping import keep
from torch import Tensor

from bench.cli.foreign_sets import described, read_against
from bench.condensation import Images
from bench.data.datasets import Dataset, Elsewhere
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.interchange.export import writing
from bench.interchange.export.forms import FORMS
from bench.interchange.importing import about, fingerprint, read_foreign
from bench.interchange.inferring import inferred
from bench.interchange.looking import Ranges, likeness
from bench.labels import HardLabels
from bench.sets.condensed import CondensedSet
from bench.sets.tensor_files import named

EACH = 4


@pytest.fixture(scope="module")
def some(digits: Dataset) -> Images:
    """Real images, class by class."""
    chosen = torch.cat([torch.nonzero(digits.train.labels == k).flatten()[:EACH] for k in range(3)])
    return Images(digits.train.take(chosen), digits.train.labels[chosen])


def bare(folder: Path, digits: Dataset, some: Images, to: str) -> Path:
    """What `bench export` writes, without the manifest and the card."""
    place = folder / "set"
    about: dict[str, Any] = {"method": "dm", "name": "a", "protocol": "dm", "dataset": "digits"}
    keep(place, CondensedSet(some, HardLabels(), digits.classes, digits.normalisation), "uint8", about)
    found = writing.read(place, to)
    writing.export(found, place, to, folder / "out", "a card")
    for name in ("manifest.json", "README.md"):
        (folder / "out" / name).unlink()
    return folder / "out"


@pytest.mark.parametrize("to", sorted(FORMS))
def test_the_forms_of_others_are_read_without_a_manifest(
    tmp_path: Path, digits: Dataset, some: Images, to: str
) -> None:
    found = read_against(bare(tmp_path, digits, some, to), digits, Registry())
    expected = CondensedSet(some, HardLabels(), digits.classes, digits.normalisation).normalised()
    assert torch.allclose(found.condensed.normalised(), expected, atol=1e-6)
    assert found.condensed.images.classes.tolist() == some.classes.tolist()
    assert found.inferred.startswith("inferred, for it has no manifest.json: ") and "\n" not in found.inferred
    for said in ("8×8", "hard labels", "the constants of digits"):
        assert said in found.inferred
    by_ids = to in ("folder", "parquet", "hf")
    assert ("classes by their ids" in found.inferred) == by_ids
    assert by_ids or "positions in the dataset's class order" in found.inferred


def test_it_is_said_in_one_line(
    tmp_path: Path, digits: Dataset, some: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bare(tmp_path, digits, some, "rded")
    found = described(folder, "digits", "3", (), tmp_path, tmp_path / "cache", Registry())
    assert (found.ipcs, found.origin.method, found.origin.protocol) == ((EACH,), "imported", "hard")
    err = capsys.readouterr().err
    assert err.count("inferred") == 1 and "pictures (image-folder)" in err


def test_it_is_evaluated(tmp_path: Path, digits: Dataset, some: Images) -> None:
    """Through planning and the run, which read it again."""
    bench = Bench(tmp_path, (str(Path(__file__).with_name("short_protocols.py")),))
    folder = bare(tmp_path, digits, some, "mtt")
    found = described(folder, "digits", "3", (), bench.folder / "data", bench.cache, Registry())
    asked: dict[str, Any] = {"ipcs": found.ipcs, "changes": found.changes, "origin": found.origin}
    (job,) = bench.jobs("imported", protocols=("short",), eval_backbones=("convnet3-w32-bn",), **asked)
    assert bench.run(job).status == "done"


def test_another_content_or_another_reading_is_another_set(
    tmp_path: Path, digits: Dataset, some: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bare(tmp_path, digits, some, "mtt")
    files = read_foreign(folder, digits, lambda name: Registry().load("reader", name)).files
    first = fingerprint(folder, files)
    monkeypatch.setattr("bench.interchange.inferring.PAIRS", ())
    assert fingerprint(folder, files) == first
    monkeypatch.setattr("bench.interchange.inferring.range_of", lambda *_: Ranges("0..1", "0..1"))
    assert fingerprint(folder, files) != first


def in_folders(place: Path, *names: str) -> Path:
    for name in names:
        (place / name).mkdir(parents=True)
        (place / name / "0.png").write_bytes(b"not looked at")
    return place


@pytest.mark.parametrize(
    ("names", "train"),
    [
        (("new000", "new001"), "."),
        (("syn/00000", "syn/00001"), "syn"),
        (("train/0", "train/1", "val/0", "val/1"), "train"),
    ],
)
def test_where_pictures_lie(tmp_path: Path, names: tuple[str, ...], train: str) -> None:
    source: Any = inferred(in_folders(tmp_path, *names)).source
    assert (source.layout, source.options) == ("image-folder", {"train": train})


def test_a_release_of_dc_is_read_with_what_lies_beside_its_images(
    tmp_path: Path, digits: Dataset, some: Images
) -> None:
    """Normalised images; its accuracies are numbers of NumPy, which torch does not read unless they are named."""
    data = [[digits.normalisation.apply(some.pixels), some.classes] for _ in range(2)]
    torch.save({"data": data, "accs_all_exps": {"ConvNet": [np.float64(0.5)]}}, tmp_path / "res_DM.pt")
    source: Any = inferred(tmp_path).source
    assert (source.images, source.labels, source.range) == ("data.0.0", "data.0.1", "normalised")
    (labels,) = named(tmp_path / "res_DM.pt", "data.1.1", fits=lambda shapes: "")
    assert labels.tolist() == some.classes.tolist()
    said = "'data.0.0' in res_DM.pt (the first of 2 sets; a manifest names another, as 'data.1.0'), normalised"
    assert said in read_foreign(tmp_path, digits, readers).inferred
    torch.save({"data": data[:1]}, tmp_path / "res_DM.pt")
    assert "'data.0.0' in res_DM.pt, normalised" in read_foreign(tmp_path, digits, readers).inferred


def test_normalised_images_of_nobody_known_need_constants_where_others_have_others(
    tmp_path: Path, digits: Dataset, some: Images
) -> None:
    """DC's CIFAR-100 read by SRe2L's constants is nine levels off, and looks well."""
    torch.save({"images": digits.normalisation.apply(some.pixels), "labels": some.classes}, tmp_path / "a.pt")
    both = replace(digits, elsewhere=Elsewhere(who="DC and DM", mean=(0.25,), std=(0.75,)))
    assert read_against(tmp_path, digits, Registry()).inferred
    with pytest.raises(UsageError, match=r"such as those of DC and DM \(mean \[0.25\], std \[0.75\]\)"):
        read_against(tmp_path, both, Registry())
    source = {"file": "a.pt", "range": "normalised"}
    stated = {"mean": [0.25], "std": [0.75]}
    for more, told in (({}, True), (stated, False)):
        (tmp_path / "manifest.json").write_text(json.dumps({"source": source, **more}))
        notes = read_against(tmp_path, both, Registry()).notes
        assert any("taken for the first; state 'mean' and 'std'" in note for note in notes) is told
    (tmp_path / "manifest.json").unlink()
    torch.save({"images": some.pixels, "labels": some.classes}, tmp_path / "a.pt")
    assert read_against(tmp_path, both, Registry()).inferred, "levels have no constants"


def whitened(pixels: Tensor) -> Tensor:
    """By the inverse root of the covariance, with MTT's eps of 0.1 (kornia's ZCA)."""
    flat = pixels.flatten(1) - pixels.flatten(1).mean(0)
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    matrix: Tensor = (vectors * (values.clamp(min=0) + 0.1).rsqrt()) @ vectors.T
    return (flat @ matrix).reshape(pixels.shape)


def test_normalised_pixels_are_told_from_whitened_ones(digits: Dataset) -> None:
    real = digits.normalisation.apply(digits.train.take(torch.arange(300)))
    assert likeness(real) > 0.5 > 0.2 > likeness(whitened(real))
    assert likeness(torch.ones(1, 1, 2, 2)) == 0.0


def refused(folder: Path, write: Callable[[Path], None]) -> str:
    folder.mkdir(exist_ok=True)
    write(folder)
    with pytest.raises(UsageError) as error:
        inferred(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def saved(name: str, content: Any) -> Callable[[Path], None]:  # noqa: ANN401 - whatever torch saves
    return lambda folder: torch.save(content, folder / name)


LABELS = torch.arange(4)
NOISE = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("write", "field"),
    [
        (saved("a.pt", {"images": NOISE, "labels": LABELS}), "'source.range'"),
        (saved("a.pt", {"images": NOISE.abs() * 99, "labels": LABELS}), "'source.range'"),
        (
            saved("a.pt", {"images": NOISE, "labels": torch.rand(4, 3)}),
            "'labels' in a.pt has shape (4, 3), not (N): write one that says what they are, 'source.soft', "
            "'source.logits' or 'source.regression', such as "
            '{"source": {"file": "a.pt", "images": "images", "labels": null, "logits": "labels", "range": "whitened"}',
        ),
        (saved("a.pt", {"images": NOISE, "labels": LABELS.float()}), "are float32; class indices are whole numbers"),
        (saved("a.pt", {"pictures": NOISE}), "a.pt holds 'pictures' (4, 1, 8, 8), not 'images' and 'labels'"),
        (saved("a.pt", [NOISE, 3]), "a.pt holds '0' (4, 1, 8, 8), not"),
        (lambda place: [saved(name, {"images": NOISE})(place) for name in ("a.pt", "b.pt")], "'source.file'"),
        (lambda place: (place / "labels.safetensors").touch(), "'labels'"),
        (lambda place: (place / "FKD" / "epoch_0").mkdir(parents=True), "'labels'"),
        (lambda place: in_folders(place, "a/0", "a/1", "b/0", "b/1"), "'source.options.train'"),
        (lambda place: None, "no condensed set at"),
    ],
)
def test_what_the_files_leave_open_is_refused_by_its_field(
    tmp_path: Path, write: Callable[[Path], None], field: str
) -> None:
    assert field in refused(tmp_path / "set", write)


def test_names_of_a_stranger_are_shown_in_a_manifest_that_reads_them(tmp_path: Path) -> None:
    said = refused(tmp_path / "set", saved("a.pt", {"x": NOISE.sigmoid(), "y": LABELS, "epoch": 3}))
    manifest = said.partition("such as ")[2].removesuffix(" (docs/concepts.md)")
    (tmp_path / "set" / "manifest.json").write_text(manifest)
    source: Any = about(tmp_path / "set")["source"]
    assert (source["images"], source["labels"], source["range"]) == ("x", "y", "0..1")


def test_two_tensors_in_a_list_are_shown_as_images_that_hold_several(tmp_path: Path) -> None:
    """As IDC and DREAM save them; trained on as they lie, with four images to a picture, they score far lower."""
    said = refused(tmp_path / "set", saved("data.pt", [NOISE.sigmoid(), LABELS]))
    manifest, remark, _ = said.partition("such as ")[2].partition("; IDC and DREAM save so")
    (tmp_path / "set" / "manifest.json").write_text(manifest)
    assert remark and about(tmp_path / "set")["decoder"] == {"kind": "grid", "factor": 2}


def test_a_run_a_folder_of_runs_and_a_file_lead_to_the_set_that_is_meant(tmp_path: Path) -> None:
    runs = in_folders(tmp_path / "runs", "a", "b")  # with a sheet in each, they look like a set of two classes
    (runs / "b" / "condensed").mkdir()
    (runs / "b" / "condensed" / "manifest.json").touch()
    (runs / "set.pt").touch()
    meant = {
        runs / "b": f"did you mean {runs / 'b' / 'condensed'}?",
        runs: f"it holds runs; name the set of one, such as {runs / 'b' / 'condensed'}",
        runs / "set.pt": f"it is a file; name the folder that holds it, {runs}",
        tmp_path / "nowhere": f"looked for {tmp_path / 'nowhere' / 'manifest.json'}",
    }
    for given, said in meant.items():
        with pytest.raises(UsageError) as error:
            inferred(given)
        assert str(error.value) == f"no condensed set at {given}: {said}"


def test_numbers_that_may_mean_two_orders_are_refused_as_with_a_manifest(tmp_path: Path) -> None:
    dataset = known_by_gray("1", "10", "2")
    pixels = torch.stack([gray(index) for index in range(3)])
    torch.save({"images": pixels, "labels": torch.arange(3)}, tmp_path / "a.pt")
    with pytest.raises(UsageError, match='"classes": '):
        read_against(tmp_path, dataset, Registry())
