"""CDA: SRe2L with a curriculum of crops, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.condensation import Task
from bench.extensions.registry import Registry
from bench.recipes import Budget, Setting, merge, value_at
from bench.recovery.views import draw_view
from bench.results import claims
from bench.testing import MethodConformance, tiny_dataset, tiny_task
from bench_sre2l.cda import CDA
from bench_sre2l.method import RECIPES, SRe2L, SRe2LConfig
from bench_sre2l.protocols import PROTOCOLS

REGISTRY = Registry()
BUDGETS: tuple[Budget, ...] = ("paper", "quick")


def setting(dataset: str, resolution: int, backbone: str = "resnet18", budget: Budget = "paper") -> Setting:
    return Setting(dataset, resolution, 3, 10, 50, backbone, budget)


def small(**recover: Any) -> SRe2LConfig:  # noqa: ANN401 - values of hyper-parameters
    values: dict[str, Any] = {
        "squeeze": {"epochs": 2, "batch_size": 12, "lr": 0.05, "weight_decay": 0.0},
        "recover": {"iterations": 4, "lr": 0.1, "bn_weight": 1.0, **recover},
    }
    return SRe2LConfig.model_validate(values)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(resolution=8))


def images(method: SRe2L, task: Task, place: str) -> torch.Tensor:
    method.prepare(task)
    apart = replace(task, workspace=task.workspace / place)
    return method.synthesize(apart, method.units(task)[0]).pixels


# --- recipes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("backbone", ["resnet18", "bn-vit-tiny"])
@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_is_sre2ls_but_for_the_recovery(name: str, backbone: str, budget: Budget) -> None:
    at = setting(name, 224 if name in ("imagenet-1k", "large") else 64, backbone, budget)
    ours, theirs = CDA.recipe(at), SRe2L.recipe(at)
    config, other = (SRe2LConfig.model_validate(recipe.at(budget)) for recipe in (ours, theirs))
    assert config.recover.curriculum == "cosine" and config.recover.milestone == 1.0
    assert config.model_copy(update={"recover": other.recover}) == other
    assert config.recover.iterations == other.recover.iterations
    assert ours.source != theirs.source and ("ours" in ours.source or "CDA code" in ours.source)


@pytest.mark.parametrize(
    ("dataset", "key", "value"),
    [
        ("tiny-imagenet", "recover.lr", 0.4),
        ("tiny-imagenet", "recover.bn_weight", 0.05),
        ("tiny-imagenet", "recover.iterations", 4000),
        ("tiny-imagenet", "recover.batch_size", 100),
        ("tiny-imagenet", "recover.roll", [0, 4]),
        ("tiny-imagenet", "squeeze.epochs", 50),
        ("imagenet-1k", "recover.lr", 0.25),
        ("imagenet-1k", "recover.bn_weight", 0.01),
        ("imagenet-1k", "recover.iterations", 4000),
        ("imagenet-1k", "recover.roll", [0, 32]),
        ("imagenet-1k", "squeeze.weights", "IMAGENET1K_V1"),
        ("imagenet-1k", "relabel.labels", "stored"),
    ],
)
def test_recipes_have_the_values_of_the_readme(dataset: str, key: str, value: object) -> None:
    assert value_at(CDA.recipe(replace(setting(dataset, 224), classes=1000)).values, key) == value


# --- protocols and claims --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resolution", "name"), [(8, "sre2l-c100"), (32, "sre2l-c100"), (64, "sre2l-tiny"), (224, "cda-in1k")]
)
def test_the_papers_protocol_is_sre2ls_up_to_64_pixels(resolution: int, name: str) -> None:
    assert CDA.protocol(setting("mine", resolution)) == name
    assert REGISTRY.load("protocol", name) is PROTOCOLS[name]


def test_the_protocol_for_imagenet_is_sre2ls_with_batches_of_128() -> None:
    at = setting("imagenet-1k", 224)
    ours, theirs = (PROTOCOLS[name].plan(at).training for name in ("cda-in1k", "sre2l-in1k"))
    assert (ours.batch_size, theirs.batch_size) == (128, 1024)
    assert ours == theirs.model_copy(update={"batch_size": 128})


@pytest.mark.parametrize(
    ("dataset", "resolution", "classes", "value"), [("tiny-imagenet", 64, 200, 48.7), ("imagenet-1k", 224, 1000, 53.5)]
)
def test_a_row_of_the_papers_recipe_stands_beside_the_papers_number(
    dataset: str, resolution: int, classes: int, value: float
) -> None:
    at = setting(dataset, resolution)
    row = {
        "method": "cda",
        "known_as": dataset,
        "classes": classes,
        "ipc": 50,
        "backbone": "resnet18",
        "eval_backbone": "resnet18",
        "protocol": CDA.protocol(at),
        "budget": "paper",
        "iterations": value_at(CDA.recipe(at).values, "recover.iterations"),
    }
    found = claims.load(REGISTRY).find(row)
    assert found is not None and found["value"] == value


# --- a run -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_without_a_curriculum_it_makes_sre2ls_images(task: Task, engine: str) -> None:
    plain = images(SRe2L(small(engine=engine)), task, "sre2l")
    assert torch.equal(images(CDA(small(engine=engine, curriculum="none")), task, "none"), plain)
    assert torch.equal(images(CDA(small(engine=engine, curriculum="cosine", milestone=0.0)), task, "zero"), plain)
    assert not torch.equal(images(CDA(small(engine=engine, curriculum="cosine")), task, "cosine"), plain)


@pytest.mark.parametrize("curriculum", ["cosine", "linear", "step"])
def test_both_engines_follow_the_curriculum(task: Task, curriculum: str) -> None:
    made = [images(CDA(small(engine=engine, curriculum=curriculum)), task, engine) for engine in ("fast", "reference")]
    torch.testing.assert_close(*made, atol=2e-3, rtol=0)


def test_it_takes_sre2ls_teacher(task: Task) -> None:
    sre2l, cda = SRe2L(small()), CDA(small(curriculum="cosine"))
    sre2l.prepare(task)
    cda.prepare(task)
    assert cda._teacher.ref == sre2l._teacher.ref
    assert task.used_stages[cda._teacher.ref.stage].cached


def test_stored_labels_are_for_the_views_of_its_own_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CDA, "protocol", classmethod(lambda cls, setting: "cda-in1k"))
    task = tiny_task(tmp_path, dataset=tiny_dataset(resolution=8), ipc=1)
    config = SRe2LConfig.model_validate(merge(small().model_dump(), {"relabel": {"labels": "stored"}}))
    made = CDA(config)
    made.prepare(task)
    labels = made.label(task, made.synthesize(task, made.units(task)[0]))
    assert labels.kind == "stored"
    assert labels.facts["recipe"] == PROTOCOLS["cda-in1k"].plan(task.setting).training.model_dump(mode="json")


def test_speed_may_set_what_it_may_set_of_sre2l() -> None:
    assert CDA.knobs == SRe2L.knobs
    assert REGISTRY.find("method", "cda").offer.needs == frozenset({"batchnorm"})


def test_the_quick_budget_keeps_the_curriculum_whole() -> None:
    """A fraction of the iterations: the crops still come down to the smallest."""
    config = SRe2LConfig.model_validate(CDA.recipe(setting("tiny-imagenet", 64)).at("quick"))
    last = config.recover.iterations - 1
    areas = [draw_view(config.recover, 64, seed, last).box for seed in range(200)]
    assert min(box.height * box.width for box in areas if box is not None) < 0.15 * 64**2


class TestCDAWithAStepConformance(MethodConformance):
    name = "cda"
    changes = ("recover.curriculum=step", "recover.milestone=0.5", "recover.batch_size=2")
