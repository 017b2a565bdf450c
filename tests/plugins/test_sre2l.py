"""SRe2L: recipes, units, storage, labels; what it refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.condensation import Images, Task
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.labels import OnlineLabels
from bench.planning.configuring import configure
from bench.recipes import Budget, Setting, value_at
from bench.recovery.terms import CrossEntropy, Observed
from bench.sets.pixel_formats import to_stored
from bench.testing import tiny_dataset, tiny_task
from bench.training import teachers
from bench.training.protocol import VIEW_FIELDS
from bench.training.recipes import TeacherRecipe, TrainingRecipe
from bench.training.teachers import Teacher, load_teacher
from bench_sre2l.cda import CDA
from bench_sre2l.method import RECIPES, SRe2L, SRe2LConfig
from bench_sre2l.protocols import PROTOCOLS

BUDGETS: tuple[Budget, ...] = ("paper", "quick")


def setting(dataset: str, resolution: int, budget: Budget = "paper", backbone: str = "resnet18") -> Setting:
    return Setting(dataset, resolution, 3, 10, 10, backbone, budget)


def small(**tables: dict[str, Any]) -> SRe2LConfig:
    """A configuration of seconds; tables are laid over it."""
    values: dict[str, Any] = {
        "squeeze": {"epochs": 2, "batch_size": 12, "lr": 0.05, "weight_decay": 0.0},
        "recover": {"iterations": 3, "lr": 0.1, "bn_weight": 1.0, "batch_size": 2},
        "relabel": {"temperature": 4.0},
    }
    return SRe2LConfig.model_validate({name: table | tables.get(name, {}) for name, table in values.items()})


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=5, per_class=6, resolution=8))


def prepared(task: Task, config: SRe2LConfig) -> SRe2L:
    made = SRe2L(config)
    made.prepare(task)
    return made


# --- recipes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("resolution", "name"), [(8, "small"), (64, "small"), (65, "large"), (224, "large")])
def test_a_dataset_of_the_users_own_has_a_recipe_by_its_size(resolution: int, name: str) -> None:
    assert SRe2L.recipe(setting("mine", resolution)).name == name


@pytest.mark.parametrize(
    ("dataset", "key", "value"),
    [
        ("tiny-imagenet", "squeeze.epochs", 50),
        ("tiny-imagenet", "squeeze.lr", 0.2),
        ("tiny-imagenet", "squeeze.batch_size", 256),
        ("tiny-imagenet", "recover.iterations", 4000),
        ("tiny-imagenet", "recover.lr", 0.1),
        ("tiny-imagenet", "recover.bn_weight", 1.0),
        ("tiny-imagenet", "recover.roll", [-4, 4]),
        ("tiny-imagenet", "relabel.temperature", 20.0),
        ("cifar100", "squeeze.epochs", 200),
        ("cifar100", "squeeze.weight_decay", 5e-4),
        ("cifar100", "recover.iterations", 1000),
        ("cifar100", "recover.lr", 0.25),
        ("cifar100", "recover.bn_weight", 0.01),
        ("cifar100", "recover.crop", "none"),
        ("cifar100", "recover.roll", [0, 4]),
        ("cifar100", "relabel.temperature", 30.0),
        ("imagenet-1k", "squeeze.weights", "IMAGENET1K_V1"),
        ("imagenet-1k", "recover.iterations", 4000),
        ("imagenet-1k", "recover.lr", 0.25),
        ("imagenet-1k", "recover.bn_weight", 0.01),
        ("imagenet-1k", "recover.roll", [0, 32]),
        ("imagenet-1k", "relabel.labels", "stored"),
    ],
)
def test_recipes_have_the_papers_values(dataset: str, key: str, value: object) -> None:
    assert value_at(SRe2L.recipe(replace(setting(dataset, 224), classes=1000)).values, key) == value


def test_some_classes_of_imagenet_have_no_published_weights_and_are_squeezed() -> None:
    some, every = (SRe2L.recipe(replace(setting("imagenet-1k", 224), classes=count)) for count in (10, 1000))
    assert "weights" not in some.values["squeeze"] and "ours" in some.source
    assert {**every.values, "squeeze": some.values["squeeze"]} == some.values
    assert "squeeze.epochs 90 -> 9" in some.taken() and "squeeze.epochs 90 -> 9" not in every.taken()


def test_cifar10_follows_cifar100_and_says_that_it_is_ours() -> None:
    ten, hundred = (SRe2L.recipe(setting(name, 32)) for name in ("cifar10", "cifar100"))
    assert ten.values == hundred.values
    assert "no official setting" in ten.source


@pytest.mark.parametrize("name", [name for name in RECIPES.names() if name != "digits"])
def test_bn_vit_is_squeezed_by_deits_recipe(name: str) -> None:
    """SRe2L, "BN-ViT Model Structure"; the rate is for 512 images (DeiT)."""
    recipe = SRe2L.recipe(setting(name, 64, backbone="bn-vit-tiny"))
    squeeze = SRe2LConfig.model_validate(recipe.values).squeeze
    assert squeeze.weights == "", "torchvision has none"
    assert (squeeze.epochs, squeeze.warmup_epochs, squeeze.schedule) == (300, 5, "cosine")
    assert (squeeze.optimizer, squeeze.weight_decay, squeeze.decay_all) == ("adamw", 0.05, False)
    assert squeeze.lr == pytest.approx(5e-4 * squeeze.batch_size / 512)
    assert squeeze.lr * squeeze.warmup_factor == pytest.approx(1e-6), "DeiT's warm-up rate"
    assert (squeeze.randaugment, squeeze.erasing, squeeze.label_smoothing) == (9, 0.25, 0.1)
    assert (squeeze.mix, squeeze.mix_alpha, squeeze.mixup_alpha, squeeze.mix_probability) == ("switch", 1.0, 0.8, 1.0)
    assert "not released" in recipe.source and "ours" in recipe.source


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", RECIPES.names())
def test_recipes_for_bn_vit_are_valid_and_change_nothing_for_others(name: str, budget: Budget) -> None:
    recipe = SRe2L.recipe(setting(name, 64, budget, "bn-vit-tiny"))
    config = SRe2LConfig.model_validate(recipe.at(budget))
    assert config.squeeze.optimizer == "adamw"
    assert SRe2L.recipe(setting(name, 64, budget)).values["squeeze"]["optimizer"] == "sgd"


@pytest.mark.parametrize("network", ["deit-tiny", "bn-vit-tiny"])
def test_a_transformer_has_adamw_where_other_students_have_sgd(network: str) -> None:
    for dataset in ("tiny-imagenet", "mine"):
        for resolution in (64, 224):
            plain, recipe = (
                PROTOCOLS["sre2l-tiny"].plan(setting(dataset, resolution, backbone=backbone)).training
                for backbone in ("resnet18", network)
            )
            assert (recipe.optimizer, recipe.t_squared, recipe.warmup_epochs) == ("adamw", False, 5)
            assert same_views(recipe, plain)


def same_views(recipe: TrainingRecipe, other: TrainingRecipe) -> bool:
    """Whether stored labels for the one are labels for the other."""
    return all(getattr(recipe, field) == getattr(other, field) for field in VIEW_FIELDS)


@pytest.mark.parametrize(
    ("dataset", "resolution", "name"),
    [
        ("tiny-imagenet", 64, "sre2l-tiny"),
        ("cifar10", 32, "sre2l-c100"),
        ("cifar100", 32, "sre2l-c100"),
        ("digits", 8, "sre2l-c100"),
        ("imagenet-1k", 224, "sre2l-in1k"),
        ("mine", 48, "sre2l-tiny"),
        ("mine", 96, "sre2l-in1k"),
    ],
)
def test_the_papers_protocol_is_registered(dataset: str, resolution: int, name: str) -> None:
    assert SRe2L.protocol(setting(dataset, resolution)) == name
    assert Registry().load("protocol", name) is PROTOCOLS[name]


def test_the_temperature_is_squared_with_sgd_alone() -> None:
    for name, protocol in PROTOCOLS.items():
        recipe = protocol.plan(setting("mine", 64)).training
        assert recipe.t_squared is (recipe.optimizer == "sgd"), name


def test_the_squeeze_trains_by_the_recipe_without_its_own_key() -> None:
    fields = {"epochs": 3, "batch_size": 8, "lr": 0.1, "weight_decay": 1e-4}
    assert TeacherRecipe.model_validate(fields | {"weights": ""}).training() == TrainingRecipe.model_validate(fields)


# --- units -----------------------------------------------------------------------------------------------------------


@given(classes=st.integers(1, 30), ipc=st.integers(1, 4), batch=st.integers(1, 35))
def test_units_partition_classes_times_ipc(classes: int, ipc: int, batch: int) -> None:
    task = _Sized(classes, ipc)
    units = SRe2L(small(recover={"batch_size": batch})).units(task)  # type: ignore[arg-type]
    made = sorted((unit.index, index) for unit in units for index in unit.classes)
    assert made == [(image, index) for image in range(ipc) for index in range(classes)]
    assert len({unit.name for unit in units}) == len(units)
    for unit in units:
        assert len(unit.classes) <= batch
        assert list(unit.classes) == list(range(unit.classes[0], unit.classes[-1] + 1)), "consecutive, all different"
    assert len(units) == ipc * -(-classes // batch)


class _Sized:
    """All of a task that units depend on."""

    def __init__(self, classes: int, ipc: int) -> None:
        self.classes, self.ipc = classes, ipc


def test_units_are_named_by_what_they_make() -> None:
    units = SRe2L(small(recover={"batch_size": 100})).units(_Sized(200, 4))  # type: ignore[arg-type]
    assert [unit.name for unit in units][-2:] == ["image003-classes000-099", "image003-classes100-199"]


def test_groups_make_units_of_several_image_indices() -> None:
    units = SRe2L(small(recover={"batch_size": 2, "groups": 3})).units(_Sized(4, 5))  # type: ignore[arg-type]
    assert [(unit.name, unit.index, unit.count) for unit in units] == [
        ("image000-002-classes000-001", 0, 3),
        ("image000-002-classes002-003", 0, 3),
        ("image003-004-classes000-001", 3, 2),
        ("image003-004-classes002-003", 3, 2),
    ]


# --- a run -----------------------------------------------------------------------------------------------------------


def test_a_batch_has_one_image_of_each_of_its_classes(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepared(task, small(recover={"engine": "reference"}))
    batches: list[list[int]] = []

    def watched(_: CrossEntropy, observed: Observed) -> torch.Tensor:
        batches.extend(observed.targets.tolist())
        return observed.logits.sum((1, 2))

    monkeypatch.setattr(CrossEntropy, "loss", watched)
    unit = made.units(task)[1]
    images = made.synthesize(task, unit)
    assert batches == [[2, 3]] * 3
    assert images.classes.tolist() == [2, 3]
    assert images.pixels.shape == (2, 3, 8, 8)


def test_a_group_makes_the_images_of_its_units_alone(task: Task, tmp_path: Path) -> None:
    alone, grouped = prepared(task, small()), prepared(task, small(recover={"groups": 2}))
    expected = {
        (unit.classes, unit.index): alone.synthesize(replace(task, workspace=tmp_path / unit.name), unit).pixels
        for unit in alone.units(task)
    }
    assert [unit.count for unit in grouped.units(task)] == [2] * (len(expected) // 2)
    for unit in grouped.units(task):
        made = grouped.synthesize(replace(task, workspace=tmp_path / unit.name), unit)
        assert made.classes.tolist() == list(unit.classes) * 2
        for offset, pixels in enumerate(made.pixels.split(len(unit.classes))):
            torch.testing.assert_close(pixels, expected[unit.classes, unit.index + offset], atol=1e-4, rtol=0)


def test_images_depend_on_the_units_name_and_the_seed_alone(task: Task, tmp_path: Path) -> None:
    made = prepared(task, small())
    places = iter(range(9))

    def recovered(index: int, seed: int = 0) -> torch.Tensor:
        other = replace(task, seed=seed, workspace=tmp_path / f"place {next(places)}")
        return made.synthesize(other, made.units(task)[index]).pixels

    last_first = [recovered(index) for index in (3, 0)]
    assert torch.equal(recovered(0), last_first[1])
    assert torch.equal(recovered(3), last_first[0])
    assert not torch.equal(recovered(0), last_first[0])
    assert not torch.equal(recovered(0, seed=1), last_first[1])


def test_the_teacher_is_recorded_evaluating_and_unchanged(task: Task) -> None:
    made = prepared(task, small())
    network = made._teacher.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = made.synthesize(task, made.units(task)[0])
    made.label(task, to_stored(images, made.pixel_format, task.dataset.normalisation))
    assert not any(part.training for part in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    kept = load_teacher(task, made._teacher.ref).state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in kept.items())
    assert task.measured.to_json().keys() >= {"teacher_bn_loss_real", "teacher_bn_loss_noise"}


def test_a_second_run_takes_the_teacher_from_its_stage(task: Task) -> None:
    first = prepared(task, small())
    again = prepared(task, small(recover={"iterations": 5}))
    assert again._teacher.ref == first._teacher.ref
    assert task.used_stages[again._teacher.ref.stage].cached


def test_another_seed_squeezes_another_teacher(task: Task) -> None:
    refs = [prepared(replace(task, seed=seed), small())._teacher.ref for seed in (0, 1)]
    assert refs[0].stage != refs[1].stage


def test_published_weights_are_taken_where_the_recipe_names_them(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = prepared(task, small())._teacher
    asked: list[str] = []

    def published(task: Task, weights: str, *, backbone: str | None) -> Teacher:
        asked.append(weights)
        return teacher

    monkeypatch.setattr(teachers, "pretrained", published)
    monkeypatch.delattr(teachers, "squeeze")
    assert prepared(task, small(squeeze={"weights": "IMAGENET1K_V1"}))._teacher is teacher
    assert asked == ["IMAGENET1K_V1"]


def test_a_backbone_without_batchnorm_is_refused(task: Task) -> None:
    with pytest.raises(RunFailure, match="has no BatchNorm"):
        prepared(replace(task, backbone="convnet3"), small())
    assert "batchnorm" in Registry().find("method", "sre2l").offer.needs


# --- storage and labels ----------------------------------------------------------------------------------------------


def synthesised(made: SRe2L, task: Task) -> Images:
    images = made.synthesize(task, made.units(task)[0])
    return to_stored(images, made.pixel_format, task.dataset.normalisation)


def test_images_are_stored_lossless_or_through_jpeg(task: Task) -> None:
    lossless, jpeg = (synthesised(prepared(task, small(recover={"images": form})), task) for form in ("uint8", "jpeg"))
    assert lossless.pixels.dtype == jpeg.pixels.dtype == torch.uint8
    difference = (lossless.pixels.int() - jpeg.pixels.int()).abs()
    assert difference.max() > 1, "quality 75 with chroma subsampling must cost something"


@pytest.mark.parametrize("method", [SRe2L, CDA])
@pytest.mark.parametrize("dataset", ["tiny-imagenet", "cifar100", "imagenet-1k"])
@pytest.mark.parametrize("budget", ["paper", "quick"])
def test_images_are_stored_as_the_releases_do(method: type[SRe2L], dataset: str, budget: Budget) -> None:
    """Both save .jpg files by Pillow, whose own quality is 75."""
    config = SRe2LConfig.model_validate(method.recipe(Setting(dataset, 64, 3, 200, 50, "resnet18")).at(budget))
    assert method(config).pixel_format == "jpeg"


def test_the_teachers_mode_of_the_code_for_cifar_is_to_be_had_by_name() -> None:
    setting = Setting("cifar100", 32, 3, 100, 50, "resnet18")
    usual, theirs = (configure(Registry(), "sre2l", setting, change) for change in ([], ["relabel.teacher_mode=train"]))
    assert (usual.config["relabel"]["teacher_mode"], theirs.config["relabel"]["teacher_mode"]) == ("eval", "train")
    assert any("evaluation mode" in said for said in usual.differs) and theirs.differs == ()


@pytest.mark.parametrize("labels", ["online", "stored"])
def test_the_teachers_mode_reaches_the_labels(task: Task, labels: str) -> None:
    made = prepared(task, small(relabel={"labels": labels, "teacher_mode": "train"}))
    images = synthesised(made, task)
    found, usual = made.label(task, images), prepared(task, small(relabel={"labels": labels})).label(task, images)
    if found.kind == usual.kind == "stored":
        assert not torch.equal(found.tensors["logits"], usual.tensors["logits"])
    else:
        assert (found.kind, found.facts["teacher_mode"]) == ("online", "train")


def test_lossless_is_to_be_had_by_name() -> None:
    setting = Setting("tiny-imagenet", 64, 3, 200, 50, "resnet18")
    choices = [configure(Registry(), "sre2l", setting, [f"recover.images={name}"]) for name in ("lossless", "uint8")]
    assert choices[0].config == choices[1].config and choices[0].config["recover"]["images"] == "uint8"


def test_labels_are_online_or_stored_for_the_papers_views(task: Task) -> None:
    made = prepared(task, small())
    images = synthesised(made, task)
    online = made.label(task, images)
    assert online == OnlineLabels(made._teacher.ref, 4.0)
    stored = prepared(task, small(relabel={"labels": "stored"})).label(task, images)
    assert (stored.kind, stored.teachers, stored.facts["temperature"]) == ("stored", (made._teacher.ref,), 4.0)
    recipe = PROTOCOLS["sre2l-c100"].plan(task.setting).training
    assert stored.facts["recipe"] == recipe.model_dump(mode="json")
    assert stored.tensors["logits"].shape == (recipe.epochs, len(images), 5)
