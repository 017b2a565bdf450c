"""Teachers: squeezed once, kept, found again; torchvision's weights, planted instead of downloaded."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from ears import Ear
from stopping import StopAfter
from torch import nn

from bench.condensation import Task
from bench.data.datasets import Dataset, TensorSplit
from bench.errors import Interrupted, RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.labels import TeacherRef
from bench.loops.pace import FirstSteps
from bench.progress import DOUBT
from bench.recipes import Setting
from bench.training import loop
from bench.training.recipes import TeacherRecipe, TrainingRecipe
from bench.training.teachers import (
    check_weights,
    equal_norms,
    load_teacher,
    load_teachers,
    obtain,
    pretrained,
    squeeze,
    together,
)
from bench.training.testing import accuracy

MakeTask = Callable[..., Task]
RECIPE = TrainingRecipe(epochs=8, batch_size=16, lr=0.05, weight_decay=1e-4, crop="resized", flip=True)


def test_a_squeezed_teacher_knows_its_data_and_says_how_well(make_task: MakeTask) -> None:
    task = make_task()
    teacher = squeeze(task, RECIPE, seed=1)
    top1, _ = accuracy(teacher.network, task.dataset.test, task.dataset.normalisation, task)
    assert teacher.ref.top1 == top1 > 60
    assert teacher.ref.stage in task.used_stages and teacher.ref.backbone == "small"
    assert teacher.ref.bytes == sum(tensor.nbytes for tensor in teacher.network.state_dict().values())
    assert not teacher.network.training
    assert not any(weight.requires_grad for weight in teacher.network.parameters())


def test_a_teacher_is_made_once(make_task: MakeTask) -> None:
    made, found = squeeze(make_task(), RECIPE, seed=1), squeeze(again := make_task(), RECIPE, seed=1)
    assert found.ref == made.ref and again.used_stages[found.ref.stage].cached
    for name, tensor in made.network.state_dict().items():
        assert torch.equal(tensor, found.network.state_dict()[name])


@pytest.mark.parametrize("change", [{"seed": 2}, {"recipe": RECIPE.model_copy(update={"lr": 0.04})}])
def test_another_recipe_or_seed_is_another_teacher(make_task: MakeTask, change: dict[str, object]) -> None:
    short = RECIPE.model_copy(update={"epochs": 1})
    first = squeeze(make_task(), short, seed=1)
    recipe = change.get("recipe", short)
    assert isinstance(recipe, TrainingRecipe)
    other = squeeze(make_task(), recipe.model_copy(update={"epochs": 1}), seed=int(str(change.get("seed", 1))))
    assert other.ref.stage != first.ref.stage


def test_an_interrupted_squeeze_ends_with_the_same_teacher(make_task: MakeTask, tmp_path: Path) -> None:
    from bench.storage.shared.stages import StageStore

    unbroken = squeeze(make_task(stages=StageStore(tmp_path / "other")), RECIPE, seed=1)
    with pytest.raises(Interrupted):
        squeeze(make_task(should_stop=StopAfter(5)), RECIPE, seed=1)
    continued = squeeze(make_task(), RECIPE, seed=1)
    for name, tensor in unbroken.network.state_dict().items():
        assert torch.equal(tensor, continued.network.state_dict()[name])


def test_a_kept_teacher_is_loaded(make_task: MakeTask) -> None:
    teacher = squeeze(make_task(), RECIPE, seed=1)
    network = load_teacher(make_task(), teacher.ref)
    assert not network.training
    for name, tensor in teacher.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_another_backbone_than_the_task_s_is_another_teacher(make_task: MakeTask) -> None:
    build = make_task().networks("small")
    networks = {"small": build, "other": build}.__getitem__
    recipe = TeacherRecipe(**RECIPE.model_copy(update={"epochs": 1}).model_dump())
    own = obtain(make_task(networks=networks), recipe, seed=1)
    named = obtain(make_task(networks=networks), recipe, seed=1, backbone="small")
    other = obtain(make_task(networks=networks), recipe, seed=1, backbone="other")
    assert named.ref == own.ref
    assert other.ref.stage != own.ref.stage and other.ref.backbone == "other"


def test_a_network_that_became_another_has_teachers_of_its_own(make_task: MakeTask) -> None:
    """Those of the first version are found by the name alone, as before there were versions."""
    recipe = TeacherRecipe(**RECIPE.model_copy(update={"epochs": 1}).model_dump())
    before = obtain(make_task(), recipe, seed=1)
    first = obtain(make_task(network_version=lambda _: 1), recipe, seed=1)
    second = obtain(make_task(network_version=lambda _: 2), recipe, seed=1)
    assert first.ref == before.ref
    assert second.ref.stage != first.ref.stage


def test_a_teacher_of_a_network_that_was_edited_since_is_said_to_be_one(make_task: MakeTask) -> None:
    """No more than said: the edit may be one of something else in the plugin."""
    recipe = TeacherRecipe(**RECIPE.model_copy(update={"epochs": 1}).model_dump())
    ears = [Ear() for _ in range(3)]
    codes = zip(("first", "first", "second"), ears, strict=True)
    tasks = [make_task(network_code=lambda _, code=code: code, progress=ear) for code, ear in codes]
    refs = [obtain(task, recipe, seed=1).ref for task in tasks]
    assert refs[0] == refs[1] == refs[2], "it is not made again"
    said = [[each for each in ear.heard if "plugin of backbone small was edited" in each] for ear in ears]
    assert [len(each) for each in said] == [0, 0, 1]
    assert DOUBT not in tasks[2].facts


def test_weights_that_do_not_fit_say_which(make_task: MakeTask) -> None:
    ref = squeeze(make_task(), RECIPE.model_copy(update={"epochs": 1}), seed=1).ref
    wider = make_task(networks=lambda _: lambda classes, *_: nn.Sequential(nn.Flatten(), nn.Linear(7, classes)))
    with pytest.raises(RunFailure, match=r"do not fit 'small' for this dataset: \S.*[^:]$"):
        load_teacher(wider, ref)


def test_teachers_together_give_the_mean_of_their_logits(make_task: MakeTask) -> None:
    short, task = RECIPE.model_copy(update={"epochs": 1}), make_task()
    refs = [squeeze(task, short, seed=seed).ref for seed in (1, 2, 3)]
    images = task.dataset.normalisation.apply(task.dataset.test.take(torch.arange(7)))
    alone = [load_teacher(task, ref)(images).double() for ref in refs]
    found = load_teachers(task, refs)(images)
    torch.testing.assert_close(found.double(), (alone[0] + alone[1] + alone[2]) / 3, atol=1e-5, rtol=1e-5)
    assert not load_teachers(task, refs).training and set(task.used_stages) == {ref.stage for ref in refs}
    assert torch.equal(load_teachers(task, refs[:1])(images).double(), alone[0]), "one alone is itself"


def test_logits_of_equal_norms_are_the_mean_of_matrices_as_large_as_all_are_on_average(make_task: MakeTask) -> None:
    """G-VBSM: z_m <- z_m / |z_m| x mean |z|, over images and classes of the batch at once; worked out in float64."""
    task = make_task()
    networks = [loop.place(task.network(seed), task).eval() for seed in (1, 2, 3)]
    networks[2].classifier.weight.data.mul_(30)  # type: ignore[union-attr, operator]
    batch = task.dataset.normalisation.apply(task.dataset.train.take(torch.arange(9)))
    with torch.no_grad():
        each = [network(batch).double().numpy() for network in networks]
        found = together(networks, "equal-norm")(batch)
        mean = together(networks)(batch)
    norms = [np.sqrt((logits**2).sum()) for logits in each]
    expected = sum(logits / norm * np.mean(norms) for logits, norm in zip(each, norms, strict=True)) / 3
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, mean)
    assert together(networks[:1], "equal-norm") is networks[0]


def test_networks_that_say_nothing_have_no_norm_to_divide_by() -> None:
    assert torch.equal(equal_norms(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_a_missing_or_corrupt_teacher_fails_the_run(make_task: MakeTask) -> None:
    with pytest.raises(RunFailure, match="teacher's stage is missing"):
        load_teacher(make_task(), TeacherRef("0" * 32, "small", None, 0))
    task = make_task()
    ref = squeeze(task, RECIPE, seed=1).ref
    path = task.stages.folder("teacher", ref.stage) / "result.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunFailure, match="teacher's stage is missing"):
        load_teacher(task, ref)


IDS = tuple((files("timm.data") / "_info/imagenet_synsets.txt").read_text().split())  # of ImageNet-1K, in order


def imagenet(classes: int = 1000, side: int = 65, names: tuple[str, ...] = ()) -> Dataset:
    from bench.data.datasets import Normalisation

    names = names or IDS[:classes]
    split = TensorSplit(torch.zeros(2, 3, side, side, dtype=torch.uint8), torch.tensor([0, 1]))
    return Dataset("big", "h", side, 3, names, names, Normalisation((0.5,) * 3, (0.2,) * 3), split, split)


def plant(home: Path, monkeypatch: pytest.MonkeyPatch, network: str = "resnet18") -> dict[str, torch.Tensor]:
    """Random weights where torchvision's download of a network would lie, under a name that carries their hash."""
    from torchvision import models

    torch.manual_seed(3)
    state = {name: tensor.clone() for name, tensor in models.get_model(network).state_dict().items()}
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "weights")
    name = f"{network}-{hashlib.sha256((folder / 'weights').read_bytes()).hexdigest()[:8]}.pth"
    (folder / "weights").rename(folder / name)
    monkeypatch.setenv("TORCH_HOME", str(home))
    weights = models.get_model_weights(network)["IMAGENET1K_V1"]
    url = weights.url.rsplit("/", 1)[0] + "/" + name
    monkeypatch.setattr(type(weights), "url", property(lambda self: url), raising=False)
    return state


def published_network(classes: int, resolution: int, channels: int) -> torch.nn.Module:
    from torchvision import models

    network: torch.nn.Module = models.resnet18(num_classes=classes)
    return network


@pytest.mark.parametrize(("backbone", "known"), [("resnet18", "resnet18"), ("shufflenetv2-0.5", "shufflenet_v2_x0_5")])
def test_torchvisions_weights_are_taken_and_kept(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, known: str
) -> None:
    state = plant(tmp_path / "home", monkeypatch, known)
    networks = partial(Registry().load, "backbone")
    task = make_task(dataset=imagenet(), networks=networks, backbone=backbone)
    teacher = pretrained(task, "IMAGENET1K_V1")
    for name, tensor in state.items():
        assert torch.equal(teacher.network.state_dict()[name], tensor)
    top1, _ = accuracy(teacher.network, task.dataset.test, task.dataset.normalisation, task)
    assert teacher.ref.top1 == top1
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing here"))
    assert pretrained(task, "IMAGENET1K_V1").ref == teacher.ref


@pytest.mark.parametrize(("backbone", "known"), [("resnet18", "resnet18"), ("shufflenetv2-0.5", "shufflenet_v2_x0_5")])
def test_a_training_may_start_from_torchvisions_weights(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, known: str
) -> None:
    """With a rate that is next to nothing they are what is there at the end, for other classes a new classifier."""
    state = plant(tmp_path / "home", monkeypatch, known)
    networks = partial(Registry().load, "backbone")
    task = make_task(dataset=imagenet(10), networks=networks, backbone=backbone)
    still = {"epochs": 1, "batch_size": 2, "lr": 1e-30, "weight_decay": 0.0}
    recipe = TeacherRecipe.model_validate({**still, "starts_from": "IMAGENET1K_V1"})
    found = obtain(task, recipe, seed=1)
    other = {
        name
        for name, tensor in found.network.named_parameters()
        if tensor.shape != state[name].shape or not torch.allclose(tensor, state[name], rtol=0, atol=1e-12)
    }
    assert other == {"fc.weight", "fc.bias"}
    from_nothing = obtain(task, TeacherRecipe.model_validate(still), seed=1)
    assert from_nothing.ref.stage != found.ref.stage
    first = next(iter(state))
    assert not torch.equal(from_nothing.network.state_dict()[first], state[first])


@pytest.mark.parametrize(
    ("shape", "backbone", "message"),
    [
        ((32, 3), "resnet18", "above 64 pixels; this one has 32; --set squeeze.starts_from= trains one from nothing"),
        ((224, 1), "resnet18", "are for RGB images; this one has 1 channels"),
        ((224, 3), "convnet5-bn", "no weights for 'convnet5-bn'"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(shape: tuple[int, int], backbone: str, message: str) -> None:
    recipe = TeacherRecipe(epochs=1, batch_size=2, lr=0.1, weight_decay=0.0, starts_from="IMAGENET1K_V1")
    with pytest.raises(UsageError, match=message):
        check_weights(Setting("this one", *shape, 10, 1, backbone), recipe, "squeeze")


def test_a_recipe_without_such_a_start_dumps_as_it_did() -> None:
    recipe = TeacherRecipe(epochs=1, batch_size=2, lr=0.1, weight_decay=0.0)
    assert "starts_from" not in recipe.model_dump()
    with pytest.raises(ValueError, match="one of the two must be empty"):
        TeacherRecipe.model_validate(
            {**recipe.model_dump(), "weights": "IMAGENET1K_V1", "starts_from": "IMAGENET1K_V1"}
        )


def test_a_pace_without_steps_fetches_no_weights(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = plant(tmp_path / "home", monkeypatch)
    networks = {"resnet18": published_network}.__getitem__
    task = replace(make_task(dataset=imagenet(), networks=networks, backbone="resnet18"), pace=FirstSteps(0))
    found = pretrained(task, "IMAGENET1K_V1").network.state_dict()
    assert not torch.equal(found["conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize(
    ("classes", "side", "backbone", "weights", "message"),
    [
        (10, 65, "resnet18", "IMAGENET1K_V1", "this dataset has 10 classes"),
        (1000, 64, "resnet18", "IMAGENET1K_V1", "above 64 pixels; this dataset has 64"),
        (
            1000,
            65,
            "small",
            "IMAGENET1K_V1",
            "no weights for 'small'; it does for alexnet, convnext-tiny, densenet121",
        ),
        (1000, 65, "resnet18", "IMAGENET1K_V2", "did you mean 'IMAGENET1K_V1'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    make_task: MakeTask, classes: int, side: int, backbone: str, weights: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        pretrained(make_task(dataset=imagenet(classes, side), backbone=backbone), weights)


@pytest.mark.parametrize(
    "names", [tuple(sorted(map(str, range(1000)))), tuple(f"{number:03}" for number in range(1000)), (*IDS[1:], "n2")]
)
def test_weights_are_for_the_classes_of_imagenet_by_their_ids(make_task: MakeTask, names: tuple[str, ...]) -> None:
    """Numbered folders, whose second class in order is 1 or 10, and one class that is another."""
    with pytest.raises(UsageError, match=f"n01440764 to n15075141; those of big are {names[0]}, {names[1]}, .*: call"):
        pretrained(make_task(dataset=imagenet(names=names), backbone="resnet18"), "IMAGENET1K_V1")
