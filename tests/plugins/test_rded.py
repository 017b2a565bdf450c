"""RDED: which patches are chosen and how they are tiled, against plain loops; recipes; what it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tv

from bench import seeds
from bench.condensation import Images, Task
from bench.data.datasets import Normalisation, TensorSplit
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.loops.pace import FirstSteps
from bench.recipes import Budget, Setting
from bench.sets.pixel_formats import to_stored
from bench.testing import MethodConformance, tiny_dataset, tiny_task
from bench.training.recipes import TeacherRecipe
from bench.training.teachers import RECIPES as TEACHERS
from bench_rded.method import RDED, RECIPES, RDEDConfig
from bench_rded.patches import centred, easiest, square_boxes, tiled
from bench_rded.protocols import PROTOCOL

BUDGETS: tuple[Budget, ...] = ("paper", "quick")
OBSERVER = {"epochs": 1, "batch_size": 30, "lr": 0.05, "weight_decay": 0.0}


class TestTilesConformance(MethodConformance):
    """The suite over all methods takes single crops, as the recipe for so small images does."""

    name = "rded"
    changes: ClassVar[Sequence[str]] = ("factor=2", "pixel_format=uint8")


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def setting(
    dataset: str, resolution: int, *, ipc: int = 10, backbone: str = "resnet18", budget: Budget = "paper"
) -> Setting:
    return Setting(dataset, resolution, 3, 10, ipc, backbone, budget)


# --- patches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "size"), [(4, 8), (3, 8), (8, 8)])
def test_a_centred_patch_is_surrounded_by_the_mean_colour(side: int, size: int) -> None:
    patches = random(2, 3, side, side)
    shown = centred(patches, size)
    before = (size - side) // 2
    assert shown.shape == (2, 3, size, size)
    assert torch.equal(shown[:, :, before : before + side, before : before + side], patches)
    assert torch.isclose(shown.abs().sum(), patches.abs().sum())


@given(images=st.integers(1, 8), crops=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_the_easiest_crop_of_each_of_the_easiest_images(
    images: int, crops: int, seed: int, data: st.DataObject
) -> None:
    losses = torch.randint(9, (images, crops), generator=torch.Generator().manual_seed(seed)).float()
    count = data.draw(st.integers(1, images))
    best = [min(range(crops), key=lambda crop: row[crop]) for row in losses.tolist()]
    ranked = sorted(range(images), key=lambda image: losses[image, best[image]].item())[:count]
    chosen, of_each = easiest(losses, count)
    assert chosen.tolist() == ranked
    assert of_each.tolist() == [best[image] for image in ranked]


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_tiles_are_filled_one_after_the_other_over_all_images(factor: int) -> None:
    patches, count, side = random(4 * factor**2, 3, 5, 5), 4, 5
    whole = tiled(patches, factor)
    assert whole.shape == (count, 3, factor * side, factor * side)
    for place in range(factor**2):
        top, left = side * (place // factor), side * (place % factor)
        tile = whole[:, :, top : top + side, left : left + side]
        assert torch.equal(tile, patches[place * count : (place + 1) * count])


# --- the method ------------------------------------------------------------------------------------------------------


def test_crops_are_squares_of_8_to_100_percent_and_every_class_has_its_own(tmp_path: Path) -> None:
    dataset = tiny_dataset(classes=3, per_class=14, resolution=64)
    task = tiny_task(tmp_path, dataset=dataset, ipc=3)
    method = RDED(RDEDConfig.model_validate({"observer": OBSERVER}))
    boxes = method._boxes(task, 0, 200)
    top, left, height, width = boxes.unbind(-1)
    assert boxes.shape == (200, 5, 4) and torch.equal(height, width)
    area = height.double().square() / 64**2
    assert 0.07 < float(area.min()) < 0.12 and 0.9 < float(area.max()) <= 1
    assert float(area.mean()) == pytest.approx(0.54, abs=0.03), "uniform in the area"
    assert (
        int((top + height).max()) <= 64 and int((left + width).max()) <= 64 and int(torch.minimum(top, left).min()) == 0
    )
    assert not torch.equal(boxes, method._boxes(task, 1, 200))
    assert not torch.equal(boxes, method._boxes(replace(task, seed=1), 0, 200))
    small = RDED(RDEDConfig.model_validate({"observer": OBSERVER, "crop_scale": (0.25, 0.25)}))
    assert small._boxes(task, 0, 9)[..., 2].unique().tolist() == [32]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=3, per_class=14, resolution=16), ipc=3)


def prepared(task: Task, **changes: Any) -> RDED:  # noqa: ANN401 - the fields of RDEDConfig
    made = RDED(RDEDConfig.model_validate({"observer": OBSERVER, **changes}))
    made.prepare(task)
    return made


def of_class(method: RDED, task: Task, label: int) -> Images:
    return method.synthesize(task, method.units(task)[label])


def literally(method: RDED, task: Task, label: int) -> Tensor:
    """A class's images by plain loops over images and crops, with torchvision's crops of pixels in [0, 1]."""
    config, dataset, size = method.config, task.dataset, task.dataset.resolution
    pool, normalisation = method._pool(task, label), dataset.normalisation
    assert isinstance(normalisation, Normalisation)
    best: list[tuple[float, Tensor]] = []
    for image, boxes in images_and_boxes(method, task, label, pool):
        scored = []
        for box in boxes:
            crop = tv.resized_crop(image / 255, *box, [size // config.factor] * 2, antialias=True)
            crop = tv.normalize(crop, list(normalisation.mean), list(normalisation.std))
            margin = size - size // config.factor
            shown = F.pad(crop, (margin // 2, margin - margin // 2, margin // 2, margin - margin // 2))
            probabilities = method._observer.network(shown[None]).softmax(1)
            scored.append((-float(probabilities[0, label].log()), crop))
        best.append(min(scored, key=lambda each: each[0]))
    patches = [crop for _, crop in sorted(best, key=lambda each: each[0])][: task.ipc * config.factor**2]
    rows = []
    for index in range(task.ipc):
        mine = patches[index :: task.ipc]
        joined = [torch.cat(mine[row : row + config.factor], 2) for row in range(0, len(mine), config.factor)]
        rows.append(torch.cat(joined, 1))
    return torch.stack(rows)


def images_and_boxes(method: RDED, task: Task, label: int, pool: Tensor) -> list[tuple[Tensor, list[list[int]]]]:
    config, dataset = method.config, task.dataset
    if config.crop_from == "dataset":
        return list(zip(dataset.train.take(pool), method._boxes(task, label, len(pool)).tolist(), strict=True))
    seed, found = task.seed_for("crops", dataset.classes[label]), dataset.train.originals(pool)
    drawn = []
    for place, (_, height, width) in enumerate(each.shape for each in found):
        rng = seeds.counter(seed, place)
        drawn.append(square_boxes(rng, config.crops_per_image, height, width, config.crop_scale).tolist())
    return list(zip(found, drawn, strict=True))


@dataclass
class Filed(TensorSplit):
    """Images whose files are larger, and no squares: what is taken is cut out of them."""

    def originals(self, indices: Tensor) -> list[Tensor]:
        draws = torch.Generator().manual_seed(1)
        size = self.images.shape[-1]
        frames = [
            torch.randint(256, (3, size + 2 * (index % 3), size + 5), generator=draws, dtype=torch.uint8)
            for index in range(len(self))
        ]
        return [frames[index] for index in indices.tolist()]


@pytest.mark.parametrize("factor", [1, 2])
def test_crops_of_files_are_those_of_plain_loops_over_whole_files(task: Task, factor: int) -> None:
    train = Filed(task.dataset.train.take(torch.arange(len(task.dataset.train))), task.dataset.train.labels)
    task = replace(task, dataset=replace(task.dataset, train=train))
    files, cut = (
        prepared(task, factor=factor, images_per_class=13, batch_size=7, crop_from=source)
        for source in ("files", "dataset")
    )
    images = of_class(files, task, 1)
    torch.testing.assert_close(images.pixels, literally(files, task, 1), rtol=0, atol=1e-5)
    assert not torch.equal(images.pixels, of_class(cut, task, 1).pixels)


def test_squares_of_a_rectangle_are_shares_of_its_area_anywhere_in_it() -> None:
    boxes = square_boxes(seeds.counter(0), 4000, 40, 60, (0.08, 0.5))
    top, left, height, width = boxes.unbind(1)
    assert torch.equal(height, width)
    area = height.double().square() / (40 * 60)
    assert 0.06 < float(area.min()) < 0.1 and 0.47 < float(area.max()) < 0.53
    assert float(area.mean()) == pytest.approx(0.29, abs=0.01), "uniform in the area"
    assert (int(top.min()), int(left.min())) == (0, 0)
    assert (int((top + height).max()), int((left + width).max())) == (40, 60)


def test_where_no_square_fits_the_largest_central_one_is_taken() -> None:
    """10 x 90: a square of half of the area would have 21 pixels a side."""
    assert square_boxes(seeds.counter(0), 2, 10, 90, (0.5, 1.0)).tolist() == [[0, 40, 10, 10]] * 2


@pytest.mark.parametrize(("factor", "batch_size"), [(1, 100), (2, 7), (2, 2)])
def test_images_are_those_of_plain_loops(task: Task, factor: int, batch_size: int) -> None:
    method = prepared(task, factor=factor, batch_size=batch_size, images_per_class=13)
    for label in range(3):
        images = of_class(method, task, label)
        assert images.classes.tolist() == [label] * 3
        torch.testing.assert_close(images.pixels, literally(method, task, label), rtol=0, atol=1e-5)


def test_a_pool_is_drawn_and_never_more_than_the_class_has(task: Task) -> None:
    some, whole = prepared(task, images_per_class=9), prepared(task, images_per_class=600)
    assert task.facts["scored_images"] == 3 * 14
    prepared(task, images_per_class=9)
    assert task.facts["scored_images"] == 3 * 9
    for label in range(3):
        pool = some._pool(task, label)
        assert len(set(pool.tolist())) == 9 and (task.dataset.train.labels[pool] == label).all()
        assert len(set(whole._pool(task, label).tolist())) == 14
    assert not torch.equal(some._pool(task, 0), some._pool(replace(task, seed=1), 0))


def test_what_was_chosen_is_easier_than_what_was_not(task: Task) -> None:
    """The observer's loss on the chosen crops is below that of every other image's best."""
    method = prepared(task)
    pool = method._pool(task, 1)
    losses = method._losses(task, 1, pool)
    assert losses.shape == (14, 5) and losses.isfinite().all()
    shown = of_class(method, task, 1).pixels
    chosen = F.cross_entropy(method._observer.network(shown), torch.ones(3, dtype=torch.int64), reduction="none")
    torch.testing.assert_close(chosen, losses.min(1).values.sort().values[:3], rtol=1e-4, atol=1e-5)


def test_a_trial_scores_a_few_and_still_fills_the_images(task: Task) -> None:
    method = prepared(task, batch_size=5)
    images = of_class(method, replace(task, pace=FirstSteps(1)), 0)
    assert images.pixels.shape == (3, 3, 16, 16) and images.pixels.isfinite().all()


@pytest.mark.parametrize("form", ["jpeg", "uint8"])
def test_images_fit_into_the_format_that_the_user_chose(task: Task, form: str) -> None:
    method = prepared(task, pixel_format=form)
    assert method.pixel_format == form
    stored = to_stored(of_class(method, task, 0), method.pixel_format, task.dataset.normalisation)
    assert stored.pixels.dtype == torch.uint8


def test_the_observer_labels_every_view_at_the_temperature(task: Task) -> None:
    method = prepared(task, temperature=7.0)
    labels = method.label(task, of_class(method, task, 0))
    (teacher,) = labels.teachers
    assert (labels.kind, labels.facts["temperature"]) == ("online", 7) and teacher.stage in task.used_stages
    assert teacher.top1 == task.used_stages[teacher.stage].facts["top1"] is not None


def test_a_control_has_the_observers_labels_and_scores_nothing(task: Task) -> None:
    method = RDED(RDEDConfig.model_validate({"observer": OBSERVER}))
    method.prepare_labels(task)
    assert "scored_images" not in task.facts
    images = Images(task.dataset.train.take(torch.arange(4)), task.dataset.train.labels[:4])
    labels = method.label(task, images)
    assert labels.kind == "online" and labels.teachers[0].stage in task.used_stages


def test_crops_are_scored_in_fp32_whatever_the_precision(task: Task) -> None:
    method = prepared(task)
    pool = torch.arange(6)
    scores = [method._losses(replace(task, precision=each), 0, pool) for each in ("fp32", "bf16")]
    assert torch.equal(*scores)


# --- what it refuses -------------------------------------------------------------------------------------------------


def test_a_factor_must_divide_the_resolution() -> None:
    method = RDED(RDEDConfig.model_validate({"observer": OBSERVER, "factor": 3}))
    with pytest.raises(UsageError, match=r"factor 3 does not divide the 32 pixels of mine; --set factor=2 does"):
        method.check(setting("mine", 32))
    method.check(setting("mine", 33))


def test_a_pool_must_have_a_patch_for_every_place() -> None:
    method = RDED(RDEDConfig.model_validate({"observer": OBSERVER, "factor": 2, "images_per_class": 39}))
    with pytest.raises(
        UsageError, match=r"a pool of 40 real images a class, and images_per_class is 39; --set images_"
    ):
        method.check(setting("mine", 32, ipc=10))
    method.check(setting("mine", 32, ipc=9))


def test_a_small_class_is_named_before_the_observer_is_trained(task: Task) -> None:
    with pytest.raises(UsageError, match="class 'class-000' has 14 training images, fewer than the 16 asked for"):
        prepared(replace(task, ipc=4), factor=2)
    assert not task.used_stages


@pytest.mark.parametrize(
    "changes",
    [{"crop_scale": (0.5, 0.2)}, {"crop_scale": (0.0, 1.0)}, {"factor": 0}, {"pixel_format": "float32"}, {"mipc": 300}],
)
def test_values_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RDEDConfig.model_validate({"observer": OBSERVER, **changes})


# --- recipes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_is_valid_and_its_observer_is_that_of_all_methods(name: str, budget: Budget, classes: int) -> None:
    """Then all methods share the network: the key of its stage covers the recipe."""
    where = replace(setting(name, 224 if name in ("imagenet-1k", "large") else 64, budget=budget), classes=classes)
    recipe = RDED.recipe(where)
    assert recipe.name == name and ("ours" in recipe.source or "RDED code" in recipe.source)
    config = RDEDConfig.model_validate(recipe.at(budget))
    assert config.observer == TeacherRecipe.model_validate(TEACHERS.pick(where).at(budget))
    assert bool(config.observer.weights) == (name == "imagenet-1k" and classes == 1000)
    RDED(config).check(where)


def test_the_values_of_the_scripts() -> None:
    for name, resolution, factor in (
        ("cifar10", 32, 1),
        ("cifar100", 32, 1),
        ("tiny-imagenet", 64, 1),
        ("imagenet-1k", 224, 2),
    ):
        values = RDED.recipe(setting(name, resolution)).values
        pool = (values["images_per_class"], values["crops_per_image"], values["crop_scale"], values["temperature"])
        assert pool == (300, 5, [0.08, 1.0], 20.0) and values["factor"] == factor
        assert values.get("crop_from", "dataset") == ("files" if resolution > 64 else "dataset")


@pytest.mark.parametrize(
    ("dataset", "resolution", "classes", "sizes"),
    [
        ("cifar10", 32, 10, {1: 10, 5: 10, 10: 50, 20: 50, 50: 100, 100: 100}),
        ("cifar100", 32, 100, {1: 20, 10: 100, 50: 200}),
        ("tiny-imagenet", 64, 200, {1: 100, 10: 100, 50: 100}),
        ("tiny-imagenet", 64, 10, {1: 100, 10: 100, 50: 100}),
        ("imagenet-1k", 224, 1000, {1: 20, 10: 100, 50: 200}),
        ("imagenet-1k", 224, 10, {1: 10, 10: 50, 50: 100}),  # as Nette and Woof
        ("mine", 224, 100, {1: 20, 10: 100, 50: 200}),
    ],
)
def test_batch_sizes_follow_images_per_class_and_double_with_many_classes(
    dataset: str, resolution: int, classes: int, sizes: dict[int, int]
) -> None:
    where = replace(setting(dataset, resolution), classes=classes)
    plans = {ipc: PROTOCOL.plan(replace(where, ipc=ipc)).training for ipc in sizes}
    assert {ipc: plan.batch_size for ipc, plan in plans.items()} == sizes
    assert {(plan.epochs, plan.lr, plan.schedule) for plan in plans.values()} == {(300, 0.001, "half-cosine")}


def test_students_see_each_batch_twice_and_small_images_are_tested_enlarged() -> None:
    """As the release does: a pass without gradients in training mode, and 64 // 7 * 8 pixels, or 128 // 7 * 8."""
    enlarged = [("tiny-imagenet", 64, 72), ("imagenette-128", 128, 144), ("imagenet-100-128", 128, 144)]
    for dataset, resolution, resize in (*enlarged, ("cifar10", 32, None), ("imagenet-1k", 224, None)):
        plan = PROTOCOL.plan(setting(dataset, resolution))
        assert (plan.training.bn_updates, plan.test_resize) == (2, resize)
        assert not plan.training.t_squared and not plan.training.decay_all


def test_some_backbones_have_rates_of_their_own() -> None:
    conv = PROTOCOL.plan(setting("cifar100", 32, ipc=50, backbone="convnet3-bn")).training
    assert (conv.batch_size, conv.lr) == (25, 0.002)
    rates = {"deit-tiny": 1e-4, "swin-tiny": 1e-4, "alexnet": 1e-4, "vgg11-bn": 5e-4, "efficientnet-b0": 0.002}
    rates |= {"mobilenetv2": 0.0025, "mobilenetv2-1.0": 0.0025, "resnet18": 0.001, "resnet101": 0.001}
    for backbone, rate in rates.items():
        assert PROTOCOL.plan(setting("imagenet-1k", 224, backbone=backbone)).training.lr == rate


def test_subsets_of_imagenet_say_what_differs_from_their_published_cells() -> None:
    """The release has observers of its own, and 128 pixels for ConvNets of ImageNette, ImageWoof and ImageNet-100."""
    usual = dict.fromkeys(("imagenette", "imagewoof", "imagenet-10", "imagenet-100"), 224)
    small = dict.fromkeys(("imagenette-128", "imagewoof-128", "imagenet-100-128"), 128)
    for name, side in (usual | small).items():
        recipe = RDED.recipe(setting(name, side))
        assert (recipe.name, recipe.values) == (name, RDED.recipe(setting("imagenet-1k", 224)).values)
        assert len(recipe.differs) == 1


@pytest.mark.parametrize("name", PROTOCOL.book.names())
def test_views_are_of_tiles_where_images_are_tiled(name: str) -> None:
    where = setting(name, 224 if name in ("imagenet-1k", "large") else 32)
    factor, training = RDED.recipe(where).values["factor"], PROTOCOL.plan(where).training
    assert training.shuffle_patches == factor and training.mix == "cutmix"
    assert (training.crop, training.crop_scale[0]) == (("none", 0.08) if factor == 1 else ("resized", 1 / factor))


def test_method_and_protocol_are_registered() -> None:
    registry = Registry()
    assert registry.load("method", "rded") is RDED and not registry.find("method", "rded").offer.needs
    assert registry.load("protocol", RDED.protocol(setting("mine", 64))) is PROTOCOL
