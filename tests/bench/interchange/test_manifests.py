"""What a manifest may name, and what makes a set another one."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from foreign import gray, in_folders, in_tensors, known_by_gray, readers, write_manifest
from PIL import Image

from bench.data.datasets import Normalisation
from bench.errors import RunFailure, UsageError
from bench.interchange.importing import about, fingerprint, read_foreign
from bench.testing import tiny_task
from bench_imports.method import Imported, ImportedConfig

PAIR = known_by_gray("a", "b")
TENSORS = {"file": "set.pt", "range": "0..255"}


@pytest.mark.parametrize(
    "said",
    [
        {"source": {**TENSORS, "file": "../set.pt"}},
        {"source": TENSORS, "zca": {"file": "../zca.pt"}},
        {"source": TENSORS, "labels": {"fkd": "x/../../FKD", "temperature": 20}},
        {"source": {"layout": "image-folder", "options": {"path": "..", "train": "images"}}},
        {"source": {"layout": "image-folder", "options": {"train": "../images"}}},
    ],
)
def test_nothing_of_a_set_lies_outside_its_folder(tmp_path: Path, said: dict[str, object]) -> None:
    in_tensors(tmp_path, torch.stack([gray(0), gray(1)]), torch.arange(2))
    in_folders(tmp_path, {"a": 0, "b": 1})
    with pytest.raises(UsageError, match=r"lies? below the set's folder") as caught:
        read_foreign(write_manifest(tmp_path / "set", **said), PAIR, readers)
    assert "\n" not in str(caught.value)


def test_content_behind_links_counts_and_links_back_end(tmp_path: Path) -> None:
    elsewhere = in_folders(tmp_path / "elsewhere", {"a": 0, "b": 1})
    folder = write_manifest(tmp_path / "set", source={"layout": "image-folder", "options": {"train": "images"}})
    (folder / "images").symlink_to(elsewhere / "images")
    (elsewhere / "images" / "a" / "back").symlink_to(tmp_path)

    def content() -> str:
        return fingerprint(folder, read_foreign(folder, PAIR, readers).files)

    before = content()
    assert content() == before
    (elsewhere / "images" / "a" / "0.png").write_bytes((elsewhere / "images" / "b" / "0.png").read_bytes())
    assert content() != before


def test_a_set_is_told_by_the_files_that_are_read_and_by_no_other(tmp_path: Path) -> None:
    pixels = torch.stack([gray(0), gray(1)])
    folder = in_tensors(tmp_path / "set", pixels, torch.arange(2))
    files = read_foreign(folder, PAIR, readers).files
    assert files == (folder / "set.pt",)
    before = fingerprint(folder, files)
    with (folder / "beside.bin").open("wb") as beside:
        beside.truncate(1 << 40)  # a terabyte of zeros, which would take an hour to read
    os.mkfifo(folder / "pipe")
    assert fingerprint(folder, read_foreign(folder, PAIR, readers).files) == before
    torch.save({"images": pixels.flip(0), "labels": torch.arange(2)}, folder / "set.pt")
    assert fingerprint(folder, files) != before


def test_a_set_that_changes_between_planning_and_reading_is_a_failed_run(tmp_path: Path) -> None:
    folder = in_tensors(tmp_path / "set", torch.stack([gray(0), gray(1)]), torch.arange(2))
    task = replace(tiny_task(tmp_path, dataset=PAIR), readers=readers)
    method = Imported(ImportedConfig(path=str(folder), content=fingerprint(folder, [folder / "set.pt"])))
    unit = method.units(task)[0]
    assert method.synthesize(task, unit).classes.tolist() == [0, 1]
    torch.save({"images": torch.stack([gray(1), gray(0)]), "labels": torch.arange(2)}, folder / "set.pt")
    with pytest.raises(RunFailure, match="has changed since this run was asked for"):
        method.synthesize(task, unit)


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"source": {"file": "set.pt", "range": "0..255"}, "classes": ["a", "b"], "classes": ["b", "a"]}', "classes"),
        ('{"source": {"file": "set.pt", "range": "0..1", "range": "0..255"}}', "range"),
    ],
)
def test_a_manifest_that_says_something_twice_is_refused(tmp_path: Path, text: str, twice: str) -> None:
    folder = in_tensors(tmp_path / "set", torch.stack([gray(0), gray(1)]), torch.arange(2))
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=f"manifest.json says '{twice}' twice"):
        read_foreign(folder, PAIR, readers)


def test_a_manifest_that_cannot_be_read_and_numbers_without_end_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a" / "manifest.json").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"manifest\.json cannot be read: it is a folder"):
        about(tmp_path / "a")
    with pytest.raises(UsageError, match="field 'learned_lr': Input should be a finite number"):
        about(write_manifest(tmp_path / "b", source=TENSORS, learned_lr=float("inf")))


def test_constants_of_images_that_are_not_normalised_are_refused_unless_they_are_the_datasets(tmp_path: Path) -> None:
    own = PAIR.normalisation
    assert isinstance(own, Normalisation)
    same = in_folders(tmp_path / "same", {"a": 0, "b": 1}, mean=own.mean, std=own.std)
    assert read_foreign(same, PAIR, readers).notes == ()
    with pytest.raises(UsageError, match="say what range 'normalised' means, and these images have none"):
        read_foreign(in_folders(tmp_path / "other", {"a": 0, "b": 1}, mean=[0.1, 0.2, 0.3], std=own.std), PAIR, readers)


def test_images_of_another_size_are_scaled_with_a_word(tmp_path: Path) -> None:
    folder = in_folders(tmp_path / "set", {"a": 0, "b": 1})
    Image.new("RGB", (16, 24)).save(folder / "images" / "a" / "0.png")
    (said,) = read_foreign(folder, PAIR, readers).notes
    assert said == "images of 16×24 pixels are scaled and cut to 8×8, as the dataset's are"


@pytest.mark.parametrize(("columns", "doubted"), [([0, 1, 2, 3], False), ([1, 2, 3, 0], True)])
def test_soft_labels_of_other_classes_than_their_labels_are_doubted(
    tmp_path: Path, columns: list[int], doubted: bool
) -> None:
    dataset, order = known_by_gray("a", "b", "c", "d"), ["d", "a", "b", "c"]
    pixels = torch.stack([gray(dataset.classes.index(name)) for name in order])
    source = {**TENSORS, "soft": "probabilities"}
    folder = write_manifest(tmp_path / "set", source=source, classes=order)
    soft = torch.eye(4)[:, columns] * 0.8 + 0.05
    torch.save({"images": pixels, "labels": torch.arange(4), "probabilities": soft}, folder / "set.pt")
    said = "'probabilities' is highest for the class in 'labels' for 0 % of the images; are both in one order?"
    assert read_foreign(folder, dataset, readers).notes == ((said,) if doubted else ())


@pytest.mark.parametrize(("name", "value"), [("logits", 3.0), ("soft", 1.0)])
def test_soft_labels_in_a_file_of_their_own_say_the_classes_too(tmp_path: Path, name: str, value: float) -> None:
    """As DATM keeps its sets: images_best.pt, and the logits of labels_best.pt, whose softmax is trained on."""
    dataset = known_by_gray("a", "b", "c")
    source: dict[str, str | None] = {
        "file": "images_best.pt",
        "labels_file": "labels_best.pt",
        "images": "tensor",
        "range": "0..255",
    }
    folder = write_manifest(
        tmp_path / "set", source={**source, "labels": None, name: "tensor"}, classes=["c", "a", "b"]
    )
    torch.save(torch.stack([gray(0), gray(2), gray(1)]), folder / "images_best.pt")
    torch.save(value * torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]), folder / "labels_best.pt")
    found = read_foreign(folder, dataset, readers).condensed
    assert found.images.classes.tolist() == [0, 2, 1]
    high, low = (math.exp(3) / (math.exp(3) + 2), 1 / (math.exp(3) + 2)) if name == "logits" else (1.0, 0.0)
    wanted = torch.full((3, 3), low)
    wanted[torch.arange(3), torch.tensor([0, 2, 1])] = high
    torch.testing.assert_close(found.labels.tensors["probabilities"], wanted)


def test_a_source_without_labels_needs_soft_ones(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "set", source={**TENSORS, "labels": None})
    with pytest.raises(UsageError, match="without 'labels' it needs 'soft', 'logits' or 'regression'"):
        read_foreign(folder, known_by_gray("a", "b", "c"), readers)


def test_a_step_size_beside_the_images_is_read_unless_the_manifest_states_one(tmp_path: Path) -> None:
    """As DATM saves it: a number without a side, in a file of the same save."""
    source = {"file": "kept/images_best.pt", "labels_file": "kept/labels_best.pt", "range": "0..255"}
    said = {"source": {**source, "images": "tensor", "labels": "tensor"}}
    folder = write_manifest(tmp_path / "set", **said)
    (folder / "kept").mkdir()
    torch.save(torch.stack([gray(0), gray(1)]), folder / "kept" / "images_best.pt")
    torch.save(torch.arange(2), folder / "kept" / "labels_best.pt")
    without = read_foreign(folder, PAIR, readers)
    assert without.condensed.learned_lr is None and without.notes == ()
    torch.save(torch.tensor(0.0433).requires_grad_().detach().cpu(), folder / "kept" / "lr_best.pt")
    found = read_foreign(folder, PAIR, readers)
    assert found.condensed.learned_lr == pytest.approx(0.0433)
    assert found.notes == ("the step size that was learned with its images is that of lr_best.pt, 0.0433",)
    assert fingerprint(folder, found.files) != fingerprint(folder, without.files)
    write_manifest(folder, **said, learned_lr=0.5)
    stated = read_foreign(folder, PAIR, readers)
    assert (stated.condensed.learned_lr, stated.notes) == (0.5, ())
    assert set(stated.files) == set(without.files), "what is not read does not count"
    write_manifest(folder, **said)
    torch.save(torch.tensor(0.0433).item(), folder / "kept" / "lr_best.pt")  # as others of MTT's heirs save it
    assert read_foreign(folder, PAIR, readers).condensed.learned_lr == pytest.approx(0.0433)
    for wrong, why in ((torch.tensor(-1.0), "above 0 is expected"), (torch.ones(2), "holds no one number")):
        torch.save(wrong, folder / "kept" / "lr_best.pt")
        with pytest.raises(UsageError, match=why):
            read_foreign(folder, PAIR, readers)
