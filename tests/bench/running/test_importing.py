"""Sets that somebody else made: ours, images in folders, tensors; what does not fit is one line."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from benching import Bench
from foreign import readers
from PIL import Image
from safetensors.torch import save_file

from bench.data.datasets import Dataset
from bench.errors import CorruptArtefact, UsageError
from bench.interchange import importing
from bench.interchange.importing import fingerprint
from bench.testing import tiny_task
from bench_imports.method import Imported, ImportedConfig


def pixels() -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 1, 8, 8), generator=draws, dtype=torch.uint8)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def manifest(folder: Path, **content: Any) -> Path:  # noqa: ANN401 - any manifest
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def tensors(folder: Path, name: str) -> Path:
    source = {"file": name, "range": "0..255"}
    manifest(folder, source=source)
    match name.rpartition(".")[2]:
        case "safetensors":
            save_file({"images": pixels(), "labels": LABELS}, folder / name)
        case "npz":
            np.savez(folder / name, images=pixels().numpy(), labels=LABELS.numpy())
        case _:
            torch.save({"images": pixels(), "labels": LABELS}, folder / name)
    return folder


@pytest.mark.parametrize("name", ["set.safetensors", "set.npz", "set.pt"])
def test_tensors_are_read_from_every_kind_of_file(tmp_path: Path, digits: Dataset, name: str) -> None:
    found = importing.read(tensors(tmp_path / "set", name), digits, readers)
    assert torch.equal(found.images.pixels, pixels())
    assert torch.equal(found.images.classes, LABELS)
    assert found.preprocessing == digits.normalisation


@pytest.mark.parametrize(("given", "scale"), [("0..1", 255.0), ("normalised", None)])
def test_floats_are_what_their_range_says(tmp_path: Path, digits: Dataset, given: str, scale: float | None) -> None:
    folder = manifest(tmp_path / "set", source={"file": "set.pt", "range": given})
    values = pixels().float() / 255 if scale else digits.normalisation.apply(pixels())
    torch.save({"images": values, "labels": LABELS}, folder / "set.pt")
    found = importing.read(folder, digits, readers)
    assert torch.allclose(found.normalised(), digits.normalisation.apply(pixels()), atol=1e-5)


def test_images_in_folders_are_read_by_a_datasets_reader(tmp_path: Path, digits: Dataset) -> None:
    folder = manifest(tmp_path / "set", source={"layout": "image-folder", "options": {"train": "images"}})
    for number, (image, label) in enumerate(zip(pixels(), LABELS.tolist(), strict=True)):
        place = folder / "images" / digits.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(place / f"{number}.png")
    found = importing.read(folder, digits, readers)
    assert found.images.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(found.images.pixels, pixels()[LABELS.argsort(stable=True)])


def test_labels_in_another_class_order_are_put_into_the_datasets(tmp_path: Path, digits: Dataset) -> None:
    folder = tensors(tmp_path / "set", "set.pt")
    manifest(folder, source={"file": "set.pt", "range": "0..255"}, classes=list(reversed(digits.classes)))
    assert importing.read(folder, digits, readers).images.classes.tolist() == [2, 1, 0, 2, 1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"source": {"file": "absent.pt", "range": "0..1"}}, "cannot be read"),
        ({"source": {"file": "set.pt", "range": "0..255", "images": "x"}}, "holds no 'x'; it has images, labels"),
        ({"source": {"file": "set.pt", "range": "0..255"}, "classes": ["0", "1", "9"]}, "are not those of digits"),
        ({"source": {"file": "set.pt", "range": "0..255"}, "protokol": "hard"}, "protokol"),
        ({"source": {"file": "set.pt"}}, "'range' is missing"),
        ({"source": {"layout": "image-folder", "option": {}}}, "did you mean 'options'"),
        ({"method": "dm"}, "source"),
        ({"source": {"file": "set.pt", "range": "whitened"}}, "range 'whitened' needs 'zca'"),
        ({"source": {"file": "set.pt", "range": "0..255", "soft": "probs"}}, "holds no 'probs'"),
        (
            {"source": {"file": "set.pt", "range": "0..255", "soft": "labels"}},
            r"the labels 'labels' have shape \(6,\)",
        ),
        ({"source": {"file": "set.pt", "range": "0..255"}, "zca": {"file": "none.pt"}}, "none.pt cannot be read"),
        (
            {
                "source": {"file": "set.pt", "range": "0..255"},
                "zca": {"file": "set.pt", "mean": "labels", "matrix": "images"},
            },
            r"must have 64 and \(64, 64\) numbers, not \(6,\)",
        ),
        ({"source": {"file": "set.pt", "range": "0..255"}, "zca": {"fil": "z.pt"}}, "did you mean 'file'"),
        (
            {"source": {"file": "set.pt", "range": "normalised"}, "mean": [0.5] * 3, "std": [0.5] * 3},
            "must have 1 numbers each",
        ),
    ],
)
def test_a_manifest_that_cannot_be_right_is_one_line(
    tmp_path: Path, digits: Dataset, content: dict[str, Any], said: str
) -> None:
    folder = tensors(tmp_path / "set", "set.pt")
    manifest(folder, **content)
    with pytest.raises(UsageError, match=said) as caught:
        importing.read(folder, digits, readers)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["0..255", "0..1", "normalised", "whitened"])
@pytest.mark.parametrize("shape", [(6, 3, 8, 8), (6, 1, 9, 9), (5, 1, 8, 8), (1, 1, 8, 8)])
def test_images_of_another_shape_are_one_line_whatever_their_range(
    tmp_path: Path, digits: Dataset, given: str, shape: tuple[int, ...]
) -> None:
    zca = {"file": "zca.pt", "mean": "mean_vector", "matrix": "transform_matrix"}
    folder = manifest(tmp_path / "set", source={"file": "set.pt", "range": given}, zca=zca)
    torch.save(a_whitening(), folder / "zca.pt")
    torch.save({"images": torch.zeros(shape), "labels": LABELS}, folder / "set.pt")
    fewer = {5: "5 images but 6 labels", 1: "1 image but 6 labels"}
    said = fewer.get(shape[0], f"have shape {shape}, not (6, 1, 8, 8)")
    with pytest.raises(UsageError, match=re.escape(said)):
        importing.read(folder, digits, readers)


def a_whitening() -> dict[str, torch.Tensor]:
    """As kornia keeps one: a mean vector (1, D) and a matrix (D, D)."""
    draws = torch.Generator().manual_seed(3)
    return {"mean_vector": torch.rand(1, 64, generator=draws), "transform_matrix": 3 * torch.eye(64)}


@pytest.mark.parametrize("given", ["whitened", "0..255", "0..1", "normalised"])
def test_a_set_that_belongs_to_whitened_data_says_so_whatever_its_range(
    tmp_path: Path, digits: Dataset, given: str
) -> None:
    zca = {"file": "zca.pt", "mean": "mean_vector", "matrix": "transform_matrix"}
    folder = manifest(tmp_path / "set", source={"file": "set.pt", "range": given}, zca=zca)
    torch.save(a_whitening(), folder / "zca.pt")
    levels = pixels().float() / 255
    white = 3 * (levels - a_whitening()["mean_vector"].view(1, 1, 8, 8))
    normalised = digits.normalisation.apply(pixels())
    by_range = {"whitened": white, "0..255": pixels(), "0..1": levels, "normalised": normalised}
    torch.save({"images": by_range[given], "labels": LABELS}, folder / "set.pt")
    found = importing.read(folder, digits, readers)
    assert found.preprocessing.kind == "zca"
    assert torch.allclose(found.normalised(), white, atol=1e-5)


def test_constants_before_a_whitening_are_folded_into_it_as_the_page_says(tmp_path: Path, digits: Dataset) -> None:
    mean, std, centre = 0.3, 0.2, torch.rand(64, generator=torch.Generator().manual_seed(4))
    matrix = torch.randn(64, 64, generator=torch.Generator().manual_seed(5))
    folder = tensors(tmp_path / "set", "set.pt")
    manifest(folder, source={"file": "set.pt", "range": "0..255"}, zca={"file": "zca.pt"})
    torch.save({"mean": mean + std * centre, "matrix": matrix / std}, folder / "zca.pt")
    by_hand = ((pixels().flatten(1) / 255 - mean) / std - centre) @ matrix
    assert torch.allclose(importing.read(folder, digits, readers).normalised().flatten(1), by_hand, atol=1e-3)


def test_soft_labels_are_put_into_the_datasets_class_order(tmp_path: Path, digits: Dataset) -> None:
    """From an order whose permutation is not its own inverse."""
    first, second, third = digits.classes
    source = {"file": "set.pt", "range": "0..255", "soft": "soft"}
    folder = manifest(tmp_path / "set", source=source, classes=[second, third, first])
    soft = torch.tensor([[0.7, 0.2, 0.1]]).repeat(6, 1)
    torch.save({"images": pixels(), "labels": LABELS, "soft": soft}, folder / "set.pt")
    found = importing.read(folder, digits, readers)
    assert found.images.classes.tolist() == [1, 2, 0, 1, 2, 0]
    assert found.labels.kind == "soft"
    assert torch.equal(found.labels.tensors["probabilities"], torch.tensor([[0.1, 0.7, 0.2]]).repeat(6, 1))


def test_a_control_beside_soft_labels_is_labelled_hard_and_seen_through_the_sets_whitening(
    tmp_path: Path, digits: Dataset
) -> None:
    source = {"file": "set.pt", "range": "0..255", "soft": "soft"}
    zca = {"file": "set.pt", "mean": "mean_vector", "matrix": "transform_matrix"}
    folder = manifest(tmp_path / "set", source=source, zca=zca)
    soft = torch.rand(6, 3, generator=torch.Generator().manual_seed(6)).softmax(1)
    torch.save({"images": pixels(), "labels": LABELS, "soft": soft, **a_whitening()}, folder / "set.pt")
    task = replace(tiny_task(tmp_path, dataset=digits), readers=readers)
    method = Imported(ImportedConfig(path=str(folder), content=fingerprint(folder, [folder / "set.pt"])))
    own = method.synthesize(task, method.units(task)[0])
    labels = method.label(task, own.at(LABELS.argsort(stable=True)))
    assert labels.kind == "soft" and torch.equal(labels.tensors["probabilities"], soft[[0, 3, 1, 4, 2, 5]])
    assert method.label(task, replace(own, soft=None)).kind == "hard"
    assert method.preprocessing(task).kind == "zca"


def test_what_a_set_is_seen_through_is_asked_without_reading_it_again(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tensors(tmp_path / "set", "set.pt")
    read = mock.Mock(wraps=importing.read_foreign)
    monkeypatch.setattr("bench_imports.method.read_foreign", read)
    task = replace(tiny_task(tmp_path, dataset=digits), readers=readers)
    method = Imported(ImportedConfig(path=str(folder), content=fingerprint(folder, [folder / "set.pt"])))
    method.synthesize(task, method.units(task)[0])
    assert [method.preprocessing(task), method.image_files(task), method.preprocessing(task)] == [
        digits.normalisation,
        None,
        digits.normalisation,
    ]
    assert read.call_count == 1


def test_the_page_names_every_field_of_a_manifest_by_hand() -> None:
    page = (Path(__file__).parents[3] / "docs" / "concepts.md").read_text(encoding="utf-8")
    table = page.partition("### A set that somebody else made")[2].partition("\n### ")[0]
    named = {
        name for line in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(.*?)`", line)
    }
    tensors = {f"source.{name}" for name in importing.TensorSource.model_fields} - {"source.file"}
    assert named == {*importing.HandWritten.model_fields, *tensors}
    for example in re.findall(r"```json\n(.*?)```", table, re.DOTALL):
        importing.HandWritten.model_validate_json(example)


def test_pickled_code_is_not_run(tmp_path: Path, digits: Dataset) -> None:
    folder = manifest(tmp_path / "set", source={"file": "set.pt", "range": "0..255"})
    torch.save({"images": Path("anything but a tensor")}, folder / "set.pt")
    with pytest.raises(UsageError, match="not a readable tensor file"):
        importing.read(folder, digits, readers)


def test_a_set_of_ours_is_scored_as_by_its_own_run_and_a_damaged_one_is_not(bench: Bench, digits: Dataset) -> None:
    (job,) = bench.jobs("random", protocols=("hard",))
    bench.run(job)
    folder = bench.runs / job.spec.name / "condensed"
    command = "evaluate -d digits --classes 3 --eval-backbone convnet3-w32-bn --protocol hard --budget quick"
    options = f"--eval-seeds 1 --no-control --precision fp32 --device cpu --format json --runs {bench.runs}"
    ended = bench.spoken(*command.split(), *options.split(), str(folder))
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    own = bench.run(job).evaluations["hard-convnet3-w32-bn"].scores
    assert row["top1_values"] == [score.top1 for score in own]
    assert (row["method"], row["backbone"], row["imported"]) == ("random", "convnet3-w32-bn", True)
    assert (row["set"], row["synthesis_s"], row["seconds_per_image"]) == (job.spec.name, None, None)
    (folder / "images.safetensors").write_bytes(b"damaged")
    with pytest.raises(CorruptArtefact):
        importing.read(folder, digits, readers)
