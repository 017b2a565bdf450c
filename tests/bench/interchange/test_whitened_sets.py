"""Sets whose whitening no file holds, saved line by line as the releases save them, and fitted here as they fit it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import readers, write_manifest
from numpy.typing import NDArray
from torch import Tensor

from bench.condensation import Images, Task
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.interchange.importing import fingerprint, read_foreign
from bench.interchange.inferring import inferred
from bench.labels import RegressionLabels
from bench.testing import tiny_dataset, tiny_task
from bench_imports.method import Imported, ImportedConfig

Rows = NDArray[np.float64]
APART = {"file": "images_best.pt", "labels_file": "labels_best.pt", "images": "tensor", "labels": "tensor"}
NPZ = {"file": "step500000.npz", "images": "image", "labels": None, "regression": "label", "range": "whitened"}
ORDER = ("2", "0", "1")  # no permutation that is its own inverse


@pytest.fixture(params=[12, 40])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    """Of fewer training images than the 48 numbers of one, and of more."""
    made = tiny_dataset(resolution=4, per_class=request.param)
    return replace(made, classes=("0", "1", "2"), class_names=("0", "1", "2"))


def real(dataset: Dataset) -> Images:
    """Two images of each class, whose labels are positions in `ORDER`."""
    labels = dataset.train.labels
    chosen = torch.cat([torch.nonzero(labels == int(name)).flatten()[:2] for name in ORDER])
    return Images(dataset.train.take(chosen), torch.arange(3).repeat_interleave(2))


def in_unit(pixels: Tensor) -> Rows:
    """uint8 (N, C, H, W) -> (N, H, W, C) in 0..1, as the releases' arrays have them."""
    return pixels.permute(0, 2, 3, 1).double().numpy() / 255


def by_kornia(pixels: Tensor, train: Tensor) -> Tensor:
    """MTT's `zca(images)`: U (S + eps)^-1/2 U' of the covariance over N - 1, of images (C, H, W) less their mean."""
    rows, shown = (each.flatten(1).double().numpy() / 255 for each in (train, pixels))
    axes, variances, _ = np.linalg.svd(np.cov(rows, rowvar=False))
    matrix = axes @ np.diag((variances + 0.1) ** -0.5) @ axes.T
    return torch.from_numpy((shown - rows.mean(0)) @ matrix).float().view(pixels.shape)


def by_frepo(pixels: Tensor, train: Tensor) -> Rows:
    """FRePo's `preprocess_op`: channels standardised, then the mean and the matrix of flattened (H, W, C)."""
    seen, shown = in_unit(train), in_unit(pixels)
    mean, std = seen.mean((0, 1, 2)), seen.std((0, 1, 2))
    rows, flat = (((each - mean) / std).reshape(len(each), -1) for each in (seen, shown))
    centre = rows.mean(0)
    covariance = (rows - centre).T @ (rows - centre) / len(rows)
    ridge = 0.1 * np.trace(covariance) / len(covariance)
    axes, variances, _ = np.linalg.svd(covariance + ridge * np.eye(len(covariance)))
    scales = variances**-0.5
    scales[len(rows) :] = 1.0
    return np.asarray((flat - centre) @ (axes * scales) @ axes.T).reshape(shown.shape)


def every(dataset: Dataset) -> Tensor:
    return dataset.train.take(torch.arange(len(dataset.train)))


def as_mtt(folder: Path, dataset: Dataset, **zca: Any) -> Path:  # noqa: ANN401 - any field
    write_manifest(folder, source={**APART, "range": "whitened"}, zca={"fit": "kornia", **zca}, classes=ORDER)
    images = real(dataset)
    torch.save(by_kornia(images.pixels, every(dataset)), folder / "images_best.pt")
    torch.save(images.classes, folder / "labels_best.pt")
    return folder


def as_frepo(folder: Path, dataset: Dataset) -> Path:
    write_manifest(folder, source=NPZ, zca={"fit": "frepo", "eps": 0.1}, classes=ORDER)
    images = real(dataset)
    x_proto = by_frepo(images.pixels, every(dataset)).astype(np.float32)
    y_proto = np.eye(3, dtype=np.float32)[images.classes.numpy()] - 1 / 3
    np.savez(f"{folder}/step500000.npz", image=x_proto, label=y_proto)
    return folder


def imported(folder: Path, dataset: Dataset, place: Path) -> tuple[Task, Imported]:
    """The method as planning configures it, and prepared."""
    task = replace(tiny_task(place, dataset=dataset), readers=readers)
    files = read_foreign(folder, dataset, readers).files
    method = Imported(
        ImportedConfig(path=str(folder), content=fingerprint(folder, files), pixels="float32", whole=True)
    )
    method.prepare(task)
    return task, method


@pytest.mark.parametrize("save", [as_mtt, as_frepo])
def test_images_are_whitened_as_whoever_made_the_set_whitened_them(tmp_path: Path, dataset: Dataset, save: Any) -> None:  # noqa: ANN401 - either of the two
    """Turned back through the whitening that is fitted here, they are what was put in."""
    task, method = imported(save(tmp_path / "set", dataset), dataset, tmp_path)
    found = method.synthesize(task, method.units(task)[0])
    preprocessing = method.preprocessing(task)
    assert preprocessing.kind == "zca"
    back = preprocessing.invert(found.pixels)
    assert (back - real(dataset).pixels / 255).abs().max() < 1e-4
    assert found.classes.tolist() == [2, 2, 0, 0, 1, 1]


def test_another_eps_is_another_whitening_and_another_set(tmp_path: Path, dataset: Dataset) -> None:
    one, other = as_mtt(tmp_path / "one", dataset), as_mtt(tmp_path / "other", dataset, eps=0.2)
    files = [
        {path.relative_to(place) for path in read_foreign(place, dataset, readers).files} for place in (one, other)
    ]
    assert files[0] == files[1]
    assert fingerprint(one, [one / "images_best.pt"]) != fingerprint(other, [other / "images_best.pt"])
    task, method = imported(other, dataset, tmp_path)
    back = method.preprocessing(task).invert(method.synthesize(task, method.units(task)[0]).pixels)
    assert (back - real(dataset).pixels / 255).abs().max() > 0.01


def test_pixels_of_a_whitened_set_go_through_what_is_fitted(tmp_path: Path, dataset: Dataset) -> None:
    """As MTT's images_zca_5000.pt, which its release turned back."""
    folder = as_mtt(tmp_path / "set", dataset)
    write_manifest(folder, source={**APART, "range": "0..1"}, zca={"fit": "kornia"}, classes=ORDER)
    images = real(dataset)
    torch.save(images.pixels / 255, folder / "images_best.pt")
    task, method = imported(folder, dataset, tmp_path)
    found = method.synthesize(task, method.units(task)[0])
    assert (found.pixels - by_kornia(images.pixels, every(dataset))).abs().max() < 1e-4


def test_targets_of_a_regression_are_read_in_the_order_of_the_classes(tmp_path: Path, dataset: Dataset) -> None:
    folder = as_frepo(tmp_path / "set", dataset)
    found = read_foreign(folder, dataset, readers)
    assert found.left_to_a_run == {"whitening"} and found.notes == ()
    labels, images = found.condensed.labels, found.condensed.images
    assert isinstance(labels, RegressionLabels) and images.soft is None
    expected = torch.eye(3)[torch.tensor([2, 2, 0, 0, 1, 1])] - 1 / 3
    assert torch.allclose(labels.targets, expected) and images.targets is labels.targets
    task, method = imported(folder, dataset, tmp_path)
    own = method.synthesize(task, method.units(task)[0])
    order = own.classes.argsort(stable=True)
    kept = method.label(task, own.at(order))
    assert isinstance(kept, RegressionLabels) and torch.allclose(kept.targets, expected[order])
    other = replace(own.at(order), pixels=own.pixels + 1, targets=None)
    assert method.label(task, other).kind == "hard"


def test_targets_that_are_called_logits_are_doubted(tmp_path: Path, dataset: Dataset) -> None:
    folder = as_frepo(tmp_path / "set", dataset)
    source = {**{name: value for name, value in NPZ.items() if name != "regression"}, "logits": "label"}
    write_manifest(folder, source=source, zca={"fit": "frepo"}, classes=ORDER)
    (said,) = read_foreign(folder, dataset, readers).notes
    assert "'label' is called logits, of which 0.58 is left for the class" in said  # e^(2/3) / (e^(2/3) + 2 e^(-1/3))
    with np.load(folder / "step500000.npz") as held:
        np.savez(folder / "step500000.npz", image=held["image"], label=9 * held["label"])
    assert read_foreign(folder, dataset, readers).notes == ()


@pytest.mark.parametrize(("save", "kind"), [(as_mtt, None), (as_frepo, "regression")])
def test_what_is_offered_without_a_manifest_reads_the_set(
    tmp_path: Path,
    save: Any,  # noqa: ANN401 - either of the two
    kind: str | None,
) -> None:
    large = tiny_dataset(resolution=16, per_class=100)  # whose neighbours are alike, as of photographs
    dataset = replace(large, classes=("0", "1", "2"), class_names=("0", "1", "2"))
    folder = save(tmp_path / "set", dataset)
    (folder / "manifest.json").unlink()
    with pytest.raises(UsageError, match="its values look ZCA-whitened") as caught:
        inferred(folder)
    (folder / "manifest.json").write_text(str(caught.value).partition("such as ")[2].partition("; its values")[0])
    found = read_foreign(folder, dataset, readers)
    assert "whitening" in found.left_to_a_run and found.condensed.labels.kind == (kind or "hard")
    assert found.condensed.images.classes.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("zca", "said"),
    [
        ({"fit": "pca"}, "zca"),
        ({"fit": "kornia", "eps": 0}, "field 'eps'"),
        ({"fit": "kornia", "file": "zca.pt"}, "unknown field 'file'"),
    ],
)
def test_a_fit_that_cannot_be_is_one_line(tmp_path: Path, dataset: Dataset, zca: dict[str, Any], said: str) -> None:
    folder = as_mtt(tmp_path / "set", dataset)
    write_manifest(folder, source={**APART, "range": "whitened"}, zca=zca)
    with pytest.raises(UsageError, match=said) as caught:
        read_foreign(folder, dataset, readers)
    assert "\n" not in str(caught.value)


def test_images_that_are_too_large_for_one_matrix_need_a_file(tmp_path: Path) -> None:
    large = replace(tiny_dataset(resolution=65), classes=("0", "1", "2"), class_names=("0", "1", "2"))
    folder = tmp_path / "set"
    write_manifest(folder, source={**APART, "range": "whitened"}, zca={"fit": "kornia"})
    with pytest.raises(UsageError, match="fitted for images of up to 64 pixels a side"):
        read_foreign(folder, large, readers)
