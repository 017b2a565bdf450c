"""Labels are doubted where the images show the dataset's classes in another order, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benching import Bench, Ear
from child_work import children_here
from foreign import readers, write_manifest
from torch import Tensor
from torch.nn import functional as F

from bench.data.datasets import Dataset, TensorSplit
from bench.data.opening import open_dataset, select_classes
from bench.extensions.registry import Registry
from bench.interchange.importing import fingerprint
from bench.progress import Silent
from bench.sets.label_fit import fit_of_labels
from bench.testing import tiny_task
from bench_imports.method import Imported, ImportedConfig

REPETITIONS = range(20)
UNTRAINED = Path(__file__).parents[1] / "running" / "lying_methods.py"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    return open_dataset(Registry(), "digits", folder, folder / "cache", Silent())


def draws(repetition: int) -> torch.Generator:
    return torch.Generator().manual_seed(repetition)


def real(dataset: Dataset, ipc: int, repetition: int) -> tuple[Tensor, Tensor]:
    """Real training images in [0, 1], so many of each class, and their classes."""
    found = (torch.nonzero(dataset.train.labels == k).flatten() for k in range(len(dataset.classes)))
    chosen = torch.cat([of[torch.randperm(len(of), generator=draws(repetition))[:ipc]] for of in found])
    return dataset.train.take(chosen) / 255, dataset.train.labels[chosen]


def permuted(classes: Tensor, count: int, repetition: int) -> Tensor:
    return torch.randperm(count, generator=draws(100 + repetition))[classes]


@pytest.mark.parametrize("ipc", [1, 2, 10])
def test_right_labels_are_never_doubted(digits: Dataset, ipc: int) -> None:
    for repetition in REPETITIONS:
        fit = fit_of_labels(*real(digits, ipc, repetition), digits.test, 10)
        assert fit is not None and fit.given > 4 and not fit.doubtful


@pytest.mark.parametrize("ipc", [2, 10])
def test_permuted_labels_are_doubted_every_time(digits: Dataset, ipc: int) -> None:
    for repetition in REPETITIONS:
        pixels, classes = real(digits, ipc, repetition)
        fit = fit_of_labels(pixels, permuted(classes, 10, repetition), digits.test, 10)
        assert fit is not None and fit.doubtful


@pytest.mark.parametrize("ipc", [1, 3, 10])
@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (lambda images: images.transpose(2, 3), "transposed"),
        (lambda images: images.flip(2), "upside down"),
        (lambda images: 1 - images, "inverted"),
    ],
)
def test_images_that_lie_otherwise_are_named(
    digits: Dataset, turn: Callable[[Tensor], Tensor], said: str, ipc: int
) -> None:
    named = []
    for repetition in REPETITIONS:
        pixels, classes = real(digits, ipc, repetition)
        fit = fit_of_labels(turn(pixels), classes, digits.test, 10)
        assert fit is not None
        named += [fit.turned] if fit.doubtful and fit.turned else []
    assert {each.partition(" (")[0] for each in named} == {said}
    assert len(named) > 0.6 * len(REPETITIONS), "of some digits too little is left to be sure"


def test_images_with_blue_first_are_named() -> None:
    colours = torch.rand(10, 3, 1, 1, generator=draws(0)).expand(-1, 3, 8, 8)
    classes = torch.arange(10).repeat(20)
    taken = colours[classes] + 0.1 * torch.randn(200, 3, 8, 8, generator=draws(1))
    test = TensorSplit(taken.mul(255).clamp(0, 255).to(torch.uint8), classes)
    for ipc in (1, 5):
        own = torch.arange(10).repeat_interleave(ipc)
        pixels = colours[own] + 0.1 * torch.randn(len(own), 3, 8, 8, generator=draws(2))
        turned, kept = (fit_of_labels(each, own, test, 10) for each in (pixels.flip(1), pixels))
        assert turned is not None and turned.turned == "blue first (BGR)" and turned.doubtful
        assert kept is not None and not kept.doubtful


def patterns(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=generator)


def smooth(count: int, generator: torch.Generator) -> Tensor:
    return F.interpolate(torch.rand(count, 1, 3, 3, generator=generator), size=(8, 8), mode="bilinear")


def shades(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, 1, 1, 1, generator=generator).expand(-1, 1, 8, 8)


@pytest.mark.parametrize("abstract", [patterns, smooth, shades])
@pytest.mark.parametrize("ipc", [1, 10])
def test_images_with_a_structure_of_their_own_are_no_reason_for_doubt(
    digits: Dataset, abstract: Callable[[int, torch.Generator], Tensor], ipc: int
) -> None:
    classes = torch.arange(10).repeat_interleave(ipc)
    for repetition in REPETITIONS:
        noise = 0.1 * torch.randn(len(classes), 1, 8, 8, generator=draws(repetition))
        fit = fit_of_labels(abstract(10, draws(repetition))[classes] + noise, classes, digits.test, 10)
        assert fit is not None and not fit.doubtful


def test_noise_is_no_reason_for_doubt(digits: Dataset) -> None:
    classes = torch.arange(10).repeat_interleave(5)
    for repetition in REPETITIONS:
        noise = torch.randn(50, 1, 8, 8, generator=draws(repetition))
        fit = fit_of_labels(noise, classes, digits.test, 10)
        assert fit is not None and not fit.doubtful


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_classes_are_no_reason_for_doubt(digits: Dataset, count: int) -> None:
    dataset = select_classes(digits, str(count))
    for repetition in REPETITIONS:
        pixels, classes = real(dataset, 3, repetition)
        for labels in (classes, permuted(classes, count, repetition)):
            fit = fit_of_labels(pixels, labels, dataset.test, count)
            assert fit is None or not fit.doubtful


@pytest.mark.parametrize("whitened", [False, True])
def test_a_set_from_elsewhere_with_permuted_labels_is_warned_about(
    tmp_path: Path, digits: Dataset, whitened: bool
) -> None:
    pixels, classes = real(digits, 3, 0)
    zca = {"zca": {"file": "set.pt"}} if whitened else {}
    source = {"file": "set.pt", "range": "whitened" if whitened else "0..1"}
    folder = write_manifest(tmp_path / "set", source=source, classes=[*digits.classes[1:], digits.classes[0]], **zca)
    matrix, mean = 5 * torch.eye(64), torch.full((64,), 0.3)
    stored = ((pixels.flatten(1) - mean) @ matrix).view_as(pixels) if whitened else pixels
    torch.save({"images": stored, "labels": classes, "mean": mean, "matrix": matrix}, folder / "set.pt")
    ear = Ear()
    task = replace(tiny_task(tmp_path, dataset=digits, ipc=3), readers=readers, progress=ear)
    method = Imported(
        ImportedConfig(path=str(folder), content=fingerprint(folder, [folder / "set.pt"]), pixels="float32")
    )
    method.synthesize(task, method.units(task)[0])
    (said,) = ear.heard
    assert said.startswith("labels fit the dataset's classes no better than chance would")
    assert said.endswith("is the class order right?")
    assert task.facts["labels_fit"]["in_some_order"] > 4 > task.facts["labels_fit"]["given"]


def test_a_command_warns_of_the_labels_once_and_a_dry_one_too(tmp_path: Path, digits: Dataset) -> None:
    """Of two runs of one set, whether tried, done, without all scores or found again; each row of a table has it."""
    pixels, classes = real(digits, 3, 0)
    shifted = [*digits.classes[1:], digits.classes[0]]
    folder = write_manifest(tmp_path / "set", source={"file": "set.pt", "range": "0..1"}, classes=shifted)
    torch.save({"images": pixels, "labels": classes}, folder / "set.pt")
    place = Bench(tmp_path)
    words = f"evaluate {folder} -d digits --eval-backbone convnet3 --eval-seeds 1 --protocol untrained --no-control"
    words += f" --plugin {UNTRAINED} --ipc 1 --ipc 2 --device cpu --precision fp32 --format json --runs {place.runs}"
    with children_here():
        for how in (["--dry-run"], [], ["--eval-seeds=2", "--dry-run"], []):
            ended = place.spoken(*words.split(), *how)
            assert ended.returncode == 0, ended.stderr
            assert ended.stderr.count("is the class order right?") == 1, how
    assert ended.stdout.count("is the class order right?") == 2
