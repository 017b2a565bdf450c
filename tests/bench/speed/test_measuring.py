"""One row: the real parts on random data, nothing trained, as many steps timed as asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ears import Ear
from torch import nn

from bench.data.cards import DatasetCard
from bench.data.finding import load_card
from bench.errors import Interrupted, RunFailure
from bench.extensions.registry import Registry
from bench.planning.configuring import configure
from bench.progress import Silent
from bench.recipes import Setting
from bench.speed.measuring import StepSpec, measure_step
from bench.speed.random_data import random_dataset

CPU = torch.device("cpu")


def spec(registry: Registry, method: str, *changes: str, iterations: int | None = 2) -> StepSpec:
    setting = Setting("digits", 8, 1, 6, 1, "convnet3-bn")
    choice = configure(registry, method, setting, changes)
    return StepSpec(choice, "digits", 6, 1, "convnet3-bn", "fp32", "never", iterations)


def chosen(measured: dict[str, Any]) -> tuple[bool, str]:
    """Whether the recovery step was compiled, and why."""
    ((name, choice),) = measured["compiled"].items()
    assert name == "recover 1x6"
    return choice["compiled"], choice["why"]


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_a_step_of_sre2l_is_measured_without_a_teacher_or_a_dataset(
    registry: Registry, tmp_path: Path, engine: str
) -> None:
    ear = Ear()
    measured = measure_step(spec(registry, "sre2l", f"recover.engine={engine}"), registry, tmp_path / "x", CPU, ear)
    assert measured["images"] == 6
    assert measured["iterations"] == 2
    assert measured["ms_per_image_iteration"]["median"] > 0
    assert measured["peak_memory_bytes"]["rss"] > measured["above_model_bytes"] >= 0
    assert measured["warm_up_s"] > 0
    assert 0 <= (measured["waited"]["synthesis"] or 0.0) <= 1
    if engine == "fast":
        assert chosen(measured) == (False, "as asked for")
    else:
        assert measured["compiled"] is None
    assert {(what, total) for what, _, total in ear.seen} == {("recover", 5)}, "three of warm-up, and two"
    assert ear.heard == [], "of an untrained network nothing can be said"


def test_a_loop_in_prepare_makes_no_step_and_that_of_the_synthesis_all_that_are_asked_for(
    registry: Registry, tmp_path: Path
) -> None:
    measured = measure_step(spec(registry, "looping", iterations=30), registry, tmp_path / "x", CPU, Silent())
    assert measured["iterations"] == 30
    assert measured["compiled"] is None


def test_steps_that_take_long_are_fewer(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.speed.measuring.SECONDS", 0.0)
    measured = measure_step(spec(registry, "looping", iterations=None), registry, tmp_path / "x", CPU, Silent())
    assert measured["iterations"] == 2
    monkeypatch.setattr("bench.speed.measuring.SECONDS", 60.0)
    measured = measure_step(spec(registry, "looping", iterations=None), registry, tmp_path / "y", CPU, Silent())
    assert measured["iterations"] == 20


def test_a_method_without_iterations_has_no_time_and_says_nothing_else_wrong(
    registry: Registry, tmp_path: Path
) -> None:
    measured = measure_step(spec(registry, "random"), registry, tmp_path / "x", CPU, Silent())
    assert (measured["ms_per_image_iteration"], measured["iterations"], measured["warm_up_s"]) == (None, None, None)
    assert measured["peak_memory_bytes"]["rss"] > 0


def test_a_loop_that_ends_in_its_warm_up_is_a_failure(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="its loop ends after 3 iterations, and the first 3 are warm-up"):
        measure_step(spec(registry, "looping", "steps=3"), registry, tmp_path / "x", CPU, Silent())


def test_arithmetic_that_failed_is_no_speed(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="NaN or infinity"):
        measure_step(spec(registry, "infinite"), registry, tmp_path / "x", CPU, Silent())


def test_it_can_be_stopped(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        measure_step(spec(registry, "looping"), registry, tmp_path / "x", CPU, Silent(), lambda: True)


def test_where_nothing_can_be_compiled_the_row_says_so(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.compiling.missing_compiler", lambda device: "no compiler in this test")
    asked = spec(registry, "sre2l", "recover.engine=fast")
    measured = measure_step(replace(asked, compile=None), registry, tmp_path / "x", CPU, Silent())
    assert chosen(measured) == (False, "no compiler in this test")
    with pytest.raises(RunFailure, match="nothing can be compiled here: no compiler in this test"):
        measure_step(replace(asked, compile="always"), registry, tmp_path / "y", CPU, Silent())


def test_nothing_is_compiled_that_is_not_measured(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[str] = []

    def noted(function: nn.Module, **_: object) -> nn.Module:
        asked_for.append(type(function).__name__)
        return function

    monkeypatch.setattr("bench.compiling.missing_compiler", lambda device: None)
    monkeypatch.setattr(torch, "compile", noted)
    asked = replace(spec(registry, "sre2l", "recover.engine=fast"), compile="always")
    measured = measure_step(asked, registry, tmp_path / "x", CPU, Silent())
    assert chosen(measured) == (True, "as asked for")
    assert asked_for == ["Objective"], "and not the training of a teacher that is not trained"


@pytest.mark.parametrize(("method", "loops"), [("dc", {"match real", "match synthetic"}), ("dm", {"match features"})])
def test_what_a_method_makes_in_prepare_compiles_in_its_warm_up(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, loops: set[str]
) -> None:
    monkeypatch.setattr("bench.compiling.missing_compiler", lambda device: "no compiler in this test")
    asked = replace(spec(registry, method, "batch_real=4"), compile=None)
    compiled = measure_step(asked, registry, tmp_path / "x", CPU, Silent())["compiled"]
    assert compiled.keys() == loops
    assert {choice["why"] for choice in compiled.values()} == {"no compiler in this test"}


def card(**changes: Any) -> DatasetCard:  # noqa: ANN401 - the fields of a card
    known = load_card(Registry(), "digits")
    return known.model_copy(update=changes)


def test_random_data_have_the_shape_and_the_size_of_the_card() -> None:
    dataset = random_dataset(card(images={"train": 100_000}), classes=12, ipc=1)
    assert len(dataset.classes) == 12 == int(dataset.train.labels.max()) + 1
    assert len(dataset.train) == 12 * 10_000
    images = dataset.train.take(torch.tensor([0, 5, 64]))
    assert images.shape == (3, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert torch.equal(images[0], images[2]) and not torch.equal(images[0], images[1])


def test_random_data_have_as_many_images_of_a_class_as_are_asked_for() -> None:
    labels = random_dataset(card(images={}), classes=3, ipc=700).train.labels
    assert torch.bincount(labels).tolist() == [700, 700, 700]
    assert torch.bincount(random_dataset(card(images={}), 3, 1).train.labels).tolist() == [500] * 3


def test_random_images_take_the_room_on_a_device_that_a_datasets_would() -> None:
    split = random_dataset(card(images={}), classes=3, ipc=1).train
    here, size = torch.device("cpu"), len(split) * split.take(torch.tensor([0])).nbytes
    moved, every = split.moved(here, size), torch.arange(len(split))
    held = moved.held()
    assert held is not None and held.nbytes == size
    assert torch.equal(moved.take(every), split.take(every)) and torch.equal(moved.labels, split.labels)
    assert split.moved(here, size - 1) is split
