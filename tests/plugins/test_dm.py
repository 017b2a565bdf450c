"""DM: its gradient against float64 by hand, its engines against each other, its draws and recipes."""

import copy
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from reals import places_of, training_images
from torch import Tensor, nn

from bench.compiling import example_images
from bench.condensation import Task
from bench.data.datasets import Dataset, TensorSplit
from bench.errors import RunFailure
from bench.recipes import Setting
from bench.testing import tiny_dataset, tiny_task
from bench.training.augmentation import dsa
from bench.training.features import check_headless, headless
from bench.training.recipes import DSA_FAMILIES
from bench_backbones import convnet
from bench_backbones.convnet_names import Shape
from bench_matching import siamese
from bench_matching.dm import DM, DMConfig
from bench_matching.features import FastMatching, FeatureMatching, ReferenceMatching
from bench_matching.reals import Reals, start

ALL = "_".join(DSA_FAMILIES)
ENGINES = [FastMatching, ReferenceMatching]


def task_of(folder: Path, backbone: str = "convnet3", classes: int = 5, ipc: int = 2, **options: object) -> Task:
    dataset = tiny_dataset(classes=classes, per_class=6, resolution=8)
    return tiny_task(folder, dataset=dataset, ipc=ipc, backbone=backbone, **options)  # type: ignore[arg-type]


def in_float64(task: Task, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Networks and images of the task become float64; returns synthetic ones."""
    build = task.networks
    task.networks = lambda name: lambda *shape: build(name)(*shape).double()
    monkeypatch.setattr(Reals, "batch", lambda *arguments, batch=Reals.batch: batch(*arguments).double())
    monkeypatch.setattr("bench_matching.features.example_images", lambda *given: example_images(*given).double())
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    return start(task, "noise").double()


def by_hand(task: Task, images: Tensor, batch_real: int, strategy: str, iteration: int, *, together: bool) -> Tensor:
    """The gradient of DM's loss as the paper writes it, class by class, with the draws of the method."""
    matching = ReferenceMatching(task, Reals(task), batch_real, strategy)
    network = matching.network(iteration)
    network.classifier = nn.Identity()
    drawings = matching.drawings(iteration)
    augment = {label: drawings.augmentations[place].apply for place, label in enumerate(drawings.order)}
    leaf = images.clone().requires_grad_()
    classes = range(task.classes)
    real = [augment[c](matching.reals.batch([c], batch_real, matching._reals_seed, iteration)[0]) for c in classes]
    synthetic = [augment[c](leaf[c]) for c in classes]
    if together:
        real_features = network(torch.cat(real)).unflatten(0, (task.classes, -1))
        features = network(torch.cat(synthetic)).unflatten(0, (task.classes, -1))
    else:
        real_features, features = [network(batch) for batch in real], [network(batch) for batch in synthetic]
    loss = sum((features[c].mean(0) - real_features[c].mean(0)).pow(2).sum() for c in classes)
    return torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("backbone", "together"), [("convnet3", False), ("convnet3-bn", True)])
def test_the_gradient_is_that_of_the_papers_loss(
    engine: type[FeatureMatching], backbone: str, together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tmp_path, backbone)
    images = in_float64(task, monkeypatch)
    expected = by_hand(task, images, 4, ALL, 3, together=together)
    found = engine(task, Reals(task), 4, ALL).gradient(images, 3)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("pixels", "at_once"), [(64, 1), (192, 3), (320, 5), (640, 5)])
@pytest.mark.parametrize(("backbone", "together"), [("convnet3", False), ("convnet3-bn", True)])
def test_a_class_in_parts_gives_the_same_gradient(
    pixels: int, at_once: int, backbone: str, together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five real images of a class, three and two at a time; with BatchNorm all of them, whatever it takes."""
    monkeypatch.setattr("bench_matching.features.BYTES_TOGETHER", {"cpu": 4 * pixels})
    task = task_of(tmp_path, backbone)
    images = in_float64(task, monkeypatch)
    expected = by_hand(task, images, 5, ALL, 3, together=together)
    matching = FastMatching(task, Reals(task), 5, ALL)
    assert matching._at_once == (5 if together else at_once)
    torch.testing.assert_close(matching.gradient(images, 3), expected, rtol=1e-9, atol=1e-12)


def test_the_compiled_engine_gives_the_references_gradient(tmp_path: Path) -> None:
    """With a network of one block, which compiles in seconds."""
    task = task_of(tmp_path)
    task.networks = lambda name: partial(convnet.build, shape=Shape(1))
    task.compile = "always"
    images = start(task, "real")
    fast, reference = (engine(task, Reals(task), 4, ALL) for engine in ENGINES)
    fast.ready(10)
    assert task.measured.compiled["match features"]["compiled"]
    for iteration in (0, 1, 5):
        first, second = fast.gradient(images, iteration), reference.gradient(images, iteration)
        assert torch.cosine_similarity(first.flatten(), second.flatten(), dim=0) > 0.999999
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4 * float(second.abs().max()))


@pytest.mark.parametrize("engine", ENGINES)
def test_identical_real_and_synthetic_batches_are_at_no_distance(engine: type[FeatureMatching], tmp_path: Path) -> None:
    """Under the same drawing, which other draws for real and synthetic images would break."""
    task = task_of(tmp_path, ipc=6)
    reals = Reals(task)
    matching = engine(task, reals, 6, ALL)
    same = reals.batch(range(task.classes), 6, matching._reals_seed, 0)
    other = start(task, "noise")
    assert matching.gradient(same, 0).abs().max() < 1e-4 * matching.gradient(other, 0).abs().max()


def test_every_iteration_has_a_network_of_its_own_and_always_the_same(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    first, again = (FastMatching(task, Reals(task), 4, "") for _ in range(2))
    images = start(task, "real")
    gradients = [first.gradient(images, iteration) for iteration in (0, 1, 2)]
    assert torch.equal(again.gradient(images, 2), gradients[2])  # without those before it
    weights = [
        matching.network(iteration).state_dict()["classifier.weight"]
        for matching in (first, again)
        for iteration in (0, 1)
    ]
    assert torch.equal(weights[0], weights[2]) and torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[0], weights[1])


def test_families_come_equally_often_and_each_class_draws_its_own() -> None:
    drawings = [siamese.draw(ALL, 10, 16, seed=1, position=position) for position in range(600)]
    families = Counter(each.family for drawing in drawings for each in drawing.augmentations)
    assert set(families) == set(DSA_FAMILIES)
    assert all(abs(count - 1000) < 5 * (1000 * 5 / 6) ** 0.5 for count in families.values())
    assert all(len(each.values) == 1 for drawing in drawings for each in drawing.augmentations)
    assert all(sorted(drawing.order) == list(range(10)) for drawing in drawings)
    assert len({len({each.family for each in drawing.augmentations}) for drawing in drawings}) > 1


def test_classes_in_groups_are_augmented_as_each_alone() -> None:
    images = torch.randn(8, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for position in range(20):
        drawings = siamese.draw(ALL, 8, 16, 0, position)
        whole = drawings.apply(images)
        alone = torch.stack([each.apply(batch) for each, batch in zip(drawings.augmentations, images, strict=True)])
        torch.testing.assert_close(whole, alone)
        torch.testing.assert_close(drawings.apply(images[3:5], 3), alone[3:5])


def test_a_class_draws_the_same_whatever_others_there_are() -> None:
    for position in range(12):
        few, many = siamese.draw(ALL, 2, 16, 0, position), siamese.draw(ALL, 9, 16, 0, position)
        alone, among = (each.augmentations[each.order.index(1)] for each in (few, many))
        assert alone.family == among.family and torch.equal(alone.values, among.values)


def test_a_drawing_is_that_of_dsa() -> None:
    """Siamese: the values of one image, for all."""
    drawings = siamese.draw("rotate", 1, 16, 0, 0)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    angle = float(drawings.augmentations[0].values)
    every = dsa.Augmentation("rotate", torch.full((4, 1), angle)).apply(images)
    torch.testing.assert_close(drawings.apply(images[None])[0], every)


def test_real_batches_are_of_their_class_without_repetition(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    train, reals = task.dataset.train, Reals(task)
    everything = training_images(task)
    batch = reals.batch([3, 1], 4, seed=0, position=2)
    for label, images in zip((3, 1), batch, strict=True):
        found = places_of(images, everything)
        assert len(set(found)) == 4 and all(int(train.labels[index]) == label for index in found)
    assert torch.equal(reals.batch([1], 4, 0, 2)[0], batch[1])
    assert not torch.equal(reals.batch([1], 4, 0, 3)[0], batch[1])


def test_a_batch_is_no_larger_than_the_smallest_class(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    train = task.dataset.train
    kept = torch.cat([torch.nonzero(train.labels != 2).flatten(), torch.nonzero(train.labels == 2).flatten()[:3]])
    task.dataset = with_train(task.dataset, TensorSplit(train.take(kept), train.labels[kept]))
    assert Reals(task).batch([0, 2], 256, 0, 0).shape[1] == 3


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    train = task.dataset.train
    kept = torch.nonzero(train.labels != 2).flatten()
    task.dataset = with_train(task.dataset, TensorSplit(train.take(kept), train.labels[kept]))
    with pytest.raises(RunFailure, match="no training images"):
        Reals(task)


def with_train(dataset: Dataset, train: TensorSplit) -> Dataset:
    return replace(dataset, train=train)


def test_it_starts_from_real_images_or_from_noise(tmp_path: Path) -> None:
    task = task_of(tmp_path, classes=3, ipc=4)
    train = task.dataset.train
    everything = training_images(task)
    for label, images in enumerate(start(task, "real")):
        found = places_of(images, everything)
        assert len(set(found)) == 4 and all(int(train.labels[index]) == label for index in found)
    noise = start(tiny_task(tmp_path, ipc=50), "noise")
    assert abs(float(noise.mean())) < 0.02 and abs(float(noise.std()) - 1) < 0.02


def test_matching_brings_features_nearer(tmp_path: Path) -> None:
    """To those of all real images, in a network it has not seen."""
    task = task_of(tmp_path, classes=3)
    method = DM(DMConfig(iterations=50, lr=1.0))
    method.prepare(task)
    made = method.synthesize(task, method.units(task)[0]).pixels.unflatten(0, (3, 2))
    far, near = (features_apart(task, images) for images in (start(task, "real"), made))
    assert near < 0.95 * far


def features_apart(task: Task, images: Tensor) -> float:
    network = headless(task.network(task.seed_for("another")))
    real = Reals(task).batch(range(task.classes), 6, 0, 0)
    with torch.no_grad():
        means = [network(each.flatten(0, 1)).unflatten(0, each.shape[:2]).mean(1) for each in (real, images)]
    return float((means[0] - means[1]).square().sum())


class Scaled(nn.Module):
    """A network that does something to its last layer's output."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 12)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 2, 2) -> (B, 12)."""
        return 2 * self.head(images.flatten(1))  # type: ignore[no-any-return]


def test_what_cannot_be_found_by_leaving_the_head_out_is_refused() -> None:
    network = Scaled()
    with pytest.raises(RunFailure, match="engine=reference"):
        check_headless(headless(copy.deepcopy(network)), network, torch.ones(2, 3, 2, 2))
    with pytest.raises(RunFailure, match="no linear layer"):
        headless(nn.Conv2d(3, 3, 1))


# --- recipes ---------------------------------------------------------------------------------------------------------


def setting(dataset: str, ipc: int, resolution: int = 32) -> Setting:
    return Setting(dataset, resolution, 3, 10, ipc, "convnet3")


@pytest.mark.parametrize(("dataset", "ipc", "lr"), [("cifar10", 50, 1), ("cifar10", 100, 10), ("cifar100", 100, 1)])
def test_the_step_grows_with_the_images_of_cifar10(dataset: str, ipc: int, lr: float) -> None:
    assert DM.recipe(setting(dataset, ipc)).values["lr"] == lr


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="families of color, crop"):
        DMConfig(iterations=1, lr=1.0, dsa="color_blur")


@pytest.mark.parametrize(("ipc", "rate"), [(1, 1.0), (10, 1.0), (50, 1.0), (100, 10.0), (1250, 10.0)])
def test_every_number_of_images_of_the_paper_has_its_own_rate(ipc: int, rate: float) -> None:
    recipe = DM.recipe(Setting("cifar10", 32, 3, 10, ipc, "convnet3"))
    assert recipe.values["lr"] == rate and "at IPC" not in recipe.source
