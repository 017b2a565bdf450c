"""DC and DSA: what they match, the inner training, what continues, settings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from child_work import children_here
from matching import task_of
from reals import places_of
from torch import Tensor, nn
from torch.nn import functional as F

from bench.condensation import Images, Task
from bench.errors import Interrupted, UsageError
from bench.extensions.registry import Registry
from bench.recipes import Budget, Setting
from bench.training.augmentation.dsa import Augmentation
from bench_matching import gradients
from bench_matching.dc import DC, DSA, DCConfig
from bench_matching.fitting import Fitting, InnerTraining
from bench_matching.reals import start

STRATEGY = "color_crop_cutout_flip_scale_rotate"
METHODS = [DC, DSA]


def config(**changes: Any) -> DCConfig:  # noqa: ANN401
    small = {"networks": 2, "outer_steps": 3, "inner_epochs": 2, "batch_real": 6, "lr": 0.01, "engine": "reference"}
    return DCConfig.model_validate(small | changes)


def made(method: DC, task: Task) -> Images:
    method.prepare(task)
    return method.synthesize(task, method.units(task)[0])


# --- matching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_identical_real_and_synthetic_images_match(method: type[DC], tmp_path: Path) -> None:
    """Under siamese augmentation too: other draws for real and synthetic images would break it."""
    task = task_of(tmp_path, ipc=6)
    here = method(config(dsa=STRATEGY if method is DSA else ""))
    here.prepare(task)
    network, images = task.network(1), start(task, "noise")
    same = here._reals.batch(range(3), 6, task.seed_for("reals"), 4)
    seen: list[float] = []
    original = gradients.distance

    def heard(real: Any, synthetic: Any) -> Tensor:  # noqa: ANN401
        found = original(real, synthetic)
        seen.append(float(found.detach()))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "distance", heard)
        here._gradient(task, network, same, 4)
        equal = list(seen)
        seen.clear()
        here._gradient(task, network, images, 4)
    assert max(equal) < 0.02 * min(seen)  # not 0, because of the small number in the denominator


# --- BatchNorm -------------------------------------------------------------------------------------------------------


def test_batchnorm_takes_statistics_of_real_images_and_stands_still_while_matching(tmp_path: Path) -> None:
    task = task_of(tmp_path, "convnet3-bn")
    method = DC(config())
    method.prepare(task)
    network, images = task.network(1), start(task, "noise")
    norm = next(each for each in network.modules() if isinstance(each, nn.BatchNorm2d))
    inputs: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    method._gradient(task, network, images, 0)
    mean = inputs[0].mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)  # one step from 0
    assert len(inputs[0]) == 3 * 16, "16 of each class"
    assert norm.num_batches_tracked is not None and int(norm.num_batches_tracked) == 1
    assert len(inputs) == 1 + 2 * 3


# --- the inner training ----------------------------------------------------------------------------------------------


def test_the_network_learns_the_images_by_plain_sgd(tmp_path: Path) -> None:
    """One batch an epoch: the same as steps by hand, whatever the order."""
    task = task_of(tmp_path)
    images, classes = start(task, "real").flatten(0, 1), torch.arange(3).repeat_interleave(2)
    mine, theirs = task.network(1), task.network(1)
    Fitting(task, task.network(0), InnerTraining(epochs=3, batch_size=256, lr=0.1, dsa="")).fit(
        mine, images, classes, 0
    )
    for _ in range(3):
        grads = torch.autograd.grad(F.cross_entropy(theirs(images), classes), list(theirs.parameters()))
        with torch.no_grad():
            for weight, grad in zip(theirs.parameters(), grads, strict=True):
                weight.sub_(0.1 * grad)
    for first, second in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


def test_an_epoch_shows_every_image_once_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path)
    images, classes = start(task, "real").flatten(0, 1), torch.arange(3).repeat_interleave(2)
    fitting = Fitting(task, task.network(0), InnerTraining(epochs=2, batch_size=4, lr=0.1, dsa=""))
    batches: list[Tensor] = []
    monkeypatch.setattr(Fitting, "_loss", _hearing(batches))
    fitting.fit(task.network(1), images, classes, 0)
    assert [len(batch) for batch in batches] == [4, 2, 4, 2]
    for epoch in (batches[:2], batches[2:]):
        assert sorted(places_of(torch.cat(epoch), images)) == list(range(6))
    assert not torch.equal(batches[0], batches[2])


def test_images_are_augmented_each_for_itself_while_the_network_learns_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tmp_path)
    images, classes = start(task, "real").flatten(0, 1), torch.arange(3).repeat_interleave(2)
    fitting = Fitting(task, task.network(0), InnerTraining(epochs=2, batch_size=6, lr=0.1, dsa="rotate"))
    drawn: list[tuple[Tensor, Tensor]] = []
    apply = Augmentation.apply

    def heard(self: Augmentation, batch: Tensor) -> Tensor:
        drawn.append((self.values, apply(self, batch)))
        return drawn[-1][1]

    monkeypatch.setattr(Augmentation, "apply", heard)
    learned: list[Tensor] = []
    monkeypatch.setattr(Fitting, "_loss", _hearing(learned))
    fitting.fit(task.network(1), images, classes, 0)
    assert [len(values.unique(dim=0)) for values, _ in drawn] == [6, 6], "an angle for every image"
    assert all(torch.equal(seen, made) for seen, (_, made) in zip(learned, drawn, strict=True))


def _hearing(batches: list[Tensor]) -> Callable[..., Tensor]:
    """`Fitting._loss` that notes what it is given."""
    loss = Fitting._loss

    def heard(self: Fitting, forward: Any, weights: Any, batch: Tensor, labels: Tensor) -> Tensor:  # noqa: ANN401
        batches.append(batch)
        return loss(self, forward, weights, batch, labels)

    return heard


# --- the loops -------------------------------------------------------------------------------------------------------


def test_a_network_is_trained_between_its_updates_and_new_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tmp_path)
    events: list[str] = []
    network_of, fit, gradient = DC._network, Fitting.fit, DC._gradient

    def told(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def heard(*arguments: Any) -> Any:  # noqa: ANN401
            events.append(name)
            return function(*arguments)

        return heard

    monkeypatch.setattr(DC, "_gradient", told("match", gradient))
    monkeypatch.setattr(Fitting, "fit", told("fit", fit))
    method = DC(config())
    method.prepare(task)
    monkeypatch.setattr(DC, "_network", told("new", network_of))
    method.synthesize(task, method.units(task)[0])
    once = ["new", "match", "fit", "match", "fit", "match"]
    assert events == ["new", *once, *once]  # the first is the place for the others
    assert task.times.iterations == 6


@pytest.mark.parametrize("backbone", ["convnet3", "convnet3-bn"])
@pytest.mark.parametrize("method", METHODS)
def test_stopped_between_two_updates_it_goes_on_with_the_trained_network(
    method: type[DC], backbone: str, tmp_path: Path
) -> None:
    dsa = STRATEGY if method is DSA else ""
    whole = made(method(config(dsa=dsa)), task_of(tmp_path, backbone, workspace="whole"))
    task = task_of(tmp_path, backbone, workspace="stopped")
    here = method(config(dsa=dsa))
    here.prepare(task)
    for _ in range(4):  # inside the first network and inside the second
        with pytest.raises(Interrupted):
            here.synthesize(replace(task, should_stop=lambda: True), here.units(task)[0])
    assert torch.equal(here.synthesize(task, here.units(task)[0]).pixels, whole.pixels)


@pytest.mark.parametrize("method", METHODS)
def test_both_engines_make_the_same_images(compiled_in_name: None, method: type[DC], tmp_path: Path) -> None:
    """A single update of each: later ones drift apart with the last bit."""
    pixels = []
    for engine in ("fast", "reference"):
        task = replace(task_of(tmp_path, workspace=engine), compile="always")
        dsa = STRATEGY if method is DSA else ""
        here = method(config(networks=1, outer_steps=1, engine=engine, dsa=dsa))
        here.prepare(task)
        here.warm_up(task)
        assert set(task.measured.compiled) == ({"match real", "match synthetic"} if engine == "fast" else set())
        pixels.append(here.synthesize(task, here.units(task)[0]).pixels)
    assert not torch.equal(pixels[0], start(task_of(tmp_path), "noise").flatten(0, 1))
    moved = [each - start(task_of(tmp_path), "noise").flatten(0, 1) for each in pixels]
    assert torch.cosine_similarity(moved[0].flatten(), moved[1].flatten(), dim=0) > 0.9999


def test_the_three_methods_from_the_command_line(tmp_path: Path) -> None:
    methods = [word for name in ("dc", "dsa", "dm") for word in ("-m", name)]
    with children_here():
        ended = Bench(tmp_path).typed(*methods, "--compile", "never", "--no-control", "--format", "json")
    assert ended.returncode == 0, ended.stderr
    rows = {row["method"]: row for row in json.loads(ended.stdout)}
    assert {name: row["protocol_id"] for name, row in rows.items()} == {"dc": "dc@1", "dsa": "dsa@1", "dm": "dsa@1"}
    for row in rows.values():
        assert (row["status"], row["images"], row["label_kind"]) == ("done", 6, "hard")
        assert row["iterations"] and row["ms_per_image_iteration"]["median"] > 0
        assert row["top1_mean"] > 60  # of three digits


# --- recipes and checks ----------------------------------------------------------------------------------------------


def setting(dataset: str, ipc: int, budget: Budget = "paper", classes: int = 10) -> Setting:
    return Setting(dataset, 32, 3, classes, ipc, "convnet3", budget)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("ipc", "loops"),
    [
        (1, (1, 1)),
        (2, (1, 1)),
        (10, (10, 50)),
        (19, (10, 50)),
        (20, (20, 25)),
        (30, (30, 20)),
        (40, (40, 15)),
        (50, (50, 10)),
    ],
)
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "tiny-imagenet", "another"])
def test_loops_depend_on_the_images_of_a_class(
    method: type[DC], ipc: int, loops: tuple[int, int], dataset: str
) -> None:
    found = DCConfig.model_validate(method.recipe(setting(dataset, ipc)).values)
    assert (found.networks, found.outer_steps, found.inner_epochs) == (1000, *loops)
    assert (found.batch_real, found.lr, found.momentum, found.network_lr) == (256, 0.1, 0.5, 0.01)


def test_dc_starts_from_noise_unaugmented_and_dsa_from_real_images_augmented() -> None:
    first, second = (DCConfig.model_validate(method.recipe(setting("cifar10", 10)).values) for method in METHODS)
    assert (first.init, first.dsa) == ("noise", "")
    assert (second.init, second.dsa) == ("real", STRATEGY)


def test_methods_whose_gradients_bf16_changes_make_their_images_in_plain_arithmetic() -> None:
    """Measured: cosines with fp32 of 0.9982 (DC), 0.973 (DSA), 0.9957 (DM), 0.9988 (DATM); MTT 0.9994, TESLA 0.9992."""
    methods = {name: Registry().load("method", name) for name in ("dc", "dsa", "dm", "mtt", "tesla", "datm", "sre2l")}
    assert {name for name, method in methods.items() if method.plain_arithmetic} == {"dc", "dsa", "dm", "datm"}


def test_each_has_its_protocol() -> None:
    assert [method.protocol(setting("cifar10", 1)) for method in METHODS] == ["dc", "dsa"]


@pytest.mark.parametrize("dataset", ["cifar10", "digits", "small"])
def test_dsas_evaluation_is_the_one_shared_by_all(dataset: str) -> None:
    """Published numbers stand beside both (claims.csv)."""
    own, shared = (Registry().load("protocol", name).recipe(setting(dataset, 10)) for name in ("dsa", "hard"))
    assert own.values == shared.values and own.quick == shared.quick


TURNED = "crop_scale_rotate"


@pytest.mark.parametrize(
    ("name", "dataset", "backbone", "epochs", "dsa"),
    [
        ("dc", "cifar10", "convnet3", 300, ""),
        ("dc", "cifar10", "convnet3-bn", 1000, "crop"),
        ("dc", "digits", "convnet3", 1000, TURNED),
        ("dc", "digits", "convnet3-bn", 1000, TURNED),
        ("dsa", "cifar10", "convnet3-bn", 1000, STRATEGY),
        ("mtt", "tiny-imagenet", "convnet4", 1000, STRATEGY),
        ("tesla", "cifar100", "convnet3", 1000, STRATEGY),
    ],
)
def test_protocols_are_those_of_the_releases(name: str, dataset: str, backbone: str, epochs: int, dsa: str) -> None:
    """EVAL-DC, -DSA, -MTT and -TESLA share all but epochs and augmentation; `hard` is EVAL-DSA (test_protocols.py)."""
    own, shared = (Registry().load("protocol", each) for each in (name, "hard"))
    training = own.plan(replace(setting(dataset, 10), backbone=backbone)).training
    expected = shared.plan(setting("cifar10", 10)).training.model_copy(update={"epochs": epochs, "dsa": dsa})
    assert training == expected


def test_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="two classes"):
        DC(config()).check(setting("cifar10", 1, classes=1))
    DC(config()).check(setting("cifar10", 1, classes=2))
