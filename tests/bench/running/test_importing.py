"""Sets that somebody else made: ours, images in folders, tensors; what does not fit is one line."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benching import Bench
from PIL import Image
from safetensors.torch import save_file

from bench import importing
from bench.data.opening import open_dataset, select_classes
from bench.errors import CorruptArtefact, UsageError
from bench.imagery import Dataset, Reader
from bench.plugins import Registry
from bench.progress import Silent


@pytest.fixture
def digits(tmp_path: Path) -> Dataset:
    """Digits 0 to 2."""
    return select_classes(open_dataset(Registry(), "digits", tmp_path, tmp_path / "cache", Silent()), "3")


def pixels() -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 1, 8, 8), generator=draws, dtype=torch.uint8)


def readers(name: str) -> type[Reader]:
    found: type[Reader] = Registry().load("reader", name)
    return found


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


def test_pickled_code_is_not_run(tmp_path: Path, digits: Dataset) -> None:
    folder = manifest(tmp_path / "set", source={"file": "set.pt", "range": "0..255"})
    torch.save({"images": Path("anything but a tensor")}, folder / "set.pt")
    with pytest.raises(UsageError, match="not a readable tensor file"):
        importing.read(folder, digits, readers)


def test_a_set_of_ours_is_scored_as_by_its_own_run_and_a_damaged_one_is_not(bench: Bench, digits: Dataset) -> None:
    (job,) = bench.jobs("random", protocols=("hard",))
    bench.run(job)
    folder = bench.runs / job.spec.name / "condensed"
    command = "-m bench evaluate -d digits --classes 3 --eval-backbone convnet3-bn --protocol hard --budget quick"
    options = f"--eval-seeds 1 --no-control --precision fp32 --device cpu --format json --runs {bench.runs}"
    ended = bench.spoken([sys.executable, *command.split(), *options.split(), str(folder)])
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    own = bench.run(job).evaluations["hard-convnet3-bn"]["scores"]
    assert row["top1_values"] == [score["top1"] for score in own]
    assert (row["method"], row["synthesis_s"], row["seconds_per_image"]) == ("imported", None, None)
    (folder / "images.safetensors").write_bytes(b"damaged")
    with pytest.raises(CorruptArtefact):
        importing.read(folder, digits, readers)
