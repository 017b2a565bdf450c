"""The conformance suite is itself tested: each of these plugins breaks one promise, and the suite says which."""

import os
import re
import subprocess
import sys

import pytest

PLUGIN = '''
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import ConfigDict
from torch import nn

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, Unit
from bench.hookspecs import Offer, hookimpl
from bench.labels import HardLabels, SoftLabels
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol
from bench.whitening import Whitening


class Honest(Condenser):
    """Noise around gray, moved a little at each of three iterations."""

    def draws(self, task, unit):
        return seeds.generator("honest", task.seed_for(unit.name))

    def start(self, task, unit):
        dataset, count = task.dataset, task.ipc * len(unit.classes)
        size = dataset.channels, dataset.resolution, dataset.resolution
        return torch.rand(count, *size, generator=self.draws(task, unit)) - 0.5

    def state(self, images):
        return {"images": images}

    def synthesize(self, task, unit):
        images = self.start(task, unit)
        for _ in task.iterations(3, images=len(images), state=self.state(images)):
            images += 0.01
        return Images(images, torch.tensor(unit.classes).repeat_interleave(task.ipc))


class GlobalDraws(Honest):
    def draws(self, task, unit):
        return None


class OneSeed(Honest):
    def draws(self, task, unit):
        return seeds.generator("always the same")


class TooFew(Honest):
    def synthesize(self, task, unit):
        images = super().synthesize(task, unit)
        return Images(images.pixels[1:], images.classes[1:])


class OutsideTheBox(Honest):
    def start(self, task, unit):
        return super().start(task, unit) * 20


class NotANumber(Honest):
    pixel_format = "float32"

    def synthesize(self, task, unit):
        images = super().synthesize(task, unit)
        return Images(images.pixels / 0 * 0, images.classes)


class LeansOnItsImages(Honest):
    """It labels by what `synthesize` left on it."""

    def synthesize(self, task, unit):
        self.seen = super().synthesize(task, unit)
        return self.seen

    def label(self, task, images):
        assert len(self.seen.classes)
        return HardLabels()


class LearnedAlone(Honest):
    """It has no labels for a control."""

    def synthesize(self, task, unit):
        images = super().synthesize(task, unit)
        return Images(images.pixels, images.classes, soft=torch.full((len(images), task.classes), 1 / task.classes))

    def label(self, task, images):
        return SoftLabels(images.soft)


class Retuned(MethodConfig):
    rates: list[float] = [0.1]


class Retunes(Honest):
    Config = Retuned

    def synthesize(self, task, unit):
        self.config.rates.append(0.2)
        return super().synthesize(task, unit)


class Forgetful(Honest):
    """It checkpoints something else than what the loop changes."""

    def state(self, images):
        return {"images": images.clone()}


class ForgetsItsRate(Honest):
    """It checkpoints its images and not the step size that is learned with them."""

    def synthesize(self, task, unit):
        images, rate = self.start(task, unit), torch.ones(())
        for _ in task.iterations(3, images=len(images), state=self.state(images)):
            images += 0.01
            rate += 1
        return Images(images, torch.tensor(unit.classes).repeat_interleave(task.ipc), learned_lr=float(rate))


class AnyKey(Honest):
    class Config(MethodConfig):
        model_config = ConfigDict(extra="allow")


class Shared(Honest):
    """All images come from one generator, so they depend on the order of the units."""

    def prepare(self, task):
        self.common = seeds.generator("shared", task.seed_for("shared"))

    def draws(self, task, unit):
        return self.common

    def units(self, task):
        return [Unit(f"class{label}", (label,)) for label in range(task.classes)]


class Unlearning(Honest):
    """It trains its teacher on."""

    def prepare(self, task):
        self.teacher = task.network(task.seed_for("teacher"))

    def synthesize(self, task, unit):
        with torch.no_grad():
            next(self.teacher.parameters()).add_(1)
        return super().synthesize(task, unit)


class Slow(Honest):
    """Its fast engine is the plain one."""

    class Config(MethodConfig):
        engine: Literal["fast", "reference"] = "fast"

    knobs = {"engine": "engine"}

    def synthesize(self, task, unit):
        images = self.start(task, unit)
        for _ in task.iterations(30, images=len(images), state=self.state(images)):
            images += 0.01
        return Images(images, torch.tensor(unit.classes).repeat_interleave(task.ipc))


@hookimpl
def bench_methods():
    return [Offer(each.__name__.lower(), each, "for a test") for each in (Honest, *Honest.__subclasses__())]


def honest(classes, resolution, channels):
    layers = [nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(32, classes))


def colour_only(classes, resolution, channels):
    return honest(classes, resolution, 3)


def numpy_draws(classes, resolution, channels):
    network = honest(classes, resolution, channels)
    network[-1].bias.data += float(np.random.rand())
    return network


def never_evaluates(classes, resolution, channels):
    network = honest(classes, resolution, channels)
    network[1] = nn.BatchNorm2d(8, track_running_stats=False)
    return network


def unused_layer(classes, resolution, channels):
    network = honest(classes, resolution, channels)
    network.idle = nn.Parameter(torch.zeros(3))
    return network


@hookimpl
def bench_backbones():
    norm = frozenset({"batchnorm"})
    made = [colour_only, numpy_draws, never_evaluates, unused_layer]
    offers = [Offer(each.__name__.replace("_", "-"), each, "for a test", traits=norm) for each in made]
    return [*offers, Offer("without-norm", honest, "it lies about its norm")]


class ForgetsTheWhitening(TrainingProtocol):
    """It tests on images as the dataset has them."""

    def evaluate(self, condensed, task, backbone, seed):
        if condensed.preprocessing.kind == "zca":
            pixels = condensed.normalised()
            images = replace(condensed.images, pixels=pixels)
            condensed = replace(condensed, images=images, preprocessing=task.dataset.normalisation)
            task = replace(task, dataset=replace(task.dataset, own_normalisation=condensed.preprocessing))
        return super().evaluate(condensed, task, backbone, seed)


class Halves(TrainingProtocol):
    """It writes into what it is given."""

    def evaluate(self, condensed, task, backbone, seed):
        if condensed.images.pixels.is_floating_point():
            condensed.images.pixels.mul_(0.5)
        return super().evaluate(condensed, task, backbone, seed)


class CountsFive(TrainingProtocol):
    """It has a top-5 of any number of classes."""

    def evaluate(self, condensed, task, backbone, seed):
        task.network(0, backbone)(torch.zeros(2, 3, 16, 16)).topk(5)
        return super().evaluate(condensed, task, backbone, seed)


RECIPE = {"source": "a test", "epochs": 3, "batch_size": 16, "lr": 0.05, "weight_decay": 0.0005}


@hookimpl
def bench_protocols():
    book = RecipeBook({"recipes": {"small": RECIPE, "large": RECIPE}})
    kinds = {
        "faithful": TrainingProtocol,
        "forgets": ForgetsTheWhitening,
        "halves": Halves,
        "counts-five": CountsFive,
    }
    return [Offer(name, kind(name, "hard", book), "for a test") for name, kind in kinds.items()]
'''

METHODS = {
    "honest": set(),
    "slow": {"bench_speed_measures_every_engine"},
    "globaldraws": {"same_seed_same_images", "continues_where_it_was_stopped", "leaves_the_rest_of_the_world_alone"},
    "oneseed": {"other_seed_other_images"},
    "toofew": {"units_partition_the_work", "makes_gray_images_one_a_class"},
    "outsidethebox": {"images_are_valid"},
    "notanumber": {"images_are_valid"},
    "forgetful": {"continues_where_it_was_stopped"},
    "forgetsitsrate": {"continues_where_it_was_stopped"},
    "anykey": {"config_refuses_unknown_keys"},
    "shared": {"same_seed_same_images"},
    "leansonitsimages": {"labels_a_set_that_it_did_not_make"},
    "learnedalone": {"labels_a_set_that_it_did_not_make"},
    "retunes": {"images_are_valid"},
    "unlearning": {"leaves_the_rest_of_the_world_alone"},
}
BACKBONES = {
    "colour-only": {"gives_one_logit_a_class"},
    "numpy-draws": {"starts_from_its_seed"},
    "never-evaluates": {"evaluates_every_image_for_itself"},
    "unused-layer": {"trains"},
    "without-norm": {"says_truly_whether_it_has_batch_norm"},
}
PROTOCOLS = {
    "faithful": set(),
    "forgets": {"sees_test_images_as_the_set_says"},
    "halves": {"leaves_the_set_alone"},
    "counts-five": {"has_no_top_5_of_few_classes"},
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What the suite finds fault with, by plugin."""
    folder = tmp_path_factory.mktemp("dishonest")
    (folder / "dishonest.py").write_text(PLUGIN)
    suites = [(name, "Method") for name in METHODS] + [(name, "Backbone") for name in BACKBONES]
    suites += [(name, "Protocol") for name in PROTOCOLS]
    classes = [
        f"class Test{number}({kind}Conformance):\n    name, plugins = {name!r}, ['dishonest.py']\n"
        for number, (name, kind) in enumerate(suites)
    ]
    imports = "from bench.testing import BackboneConformance, MethodConformance, ProtocolConformance\n"
    (folder / "test_dishonest.py").write_text(imports + "\n".join(classes))
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rfE", "--tb=no")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {name: set() for name, _ in suites}
    for number, test in re.findall(r"^(?:FAILED|ERROR) \S+::Test(\d+)::test_(\w+)", ended.stdout, re.MULTILINE):
        found[suites[int(number)][0]].add(test)
    assert " passed" in ended.stdout, ended.stdout + ended.stderr
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_breaks_a_promise(failures: dict[str, set[str]], name: str) -> None:
    assert failures[name] >= METHODS[name]
    assert METHODS[name] or not failures[name], "the honest method passes"


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_that_breaks_a_promise(failures: dict[str, set[str]], name: str) -> None:
    assert failures[name] >= BACKBONES[name]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_that_breaks_a_promise(failures: dict[str, set[str]], name: str) -> None:
    assert failures[name] == PROTOCOLS[name]


def test_a_fault_is_found_where_it_is(failures: dict[str, set[str]]) -> None:
    assert failures["slow"] == METHODS["slow"]
    assert failures["forgetful"] == METHODS["forgetful"]
    assert failures["forgetsitsrate"] == METHODS["forgetsitsrate"]
    assert failures["unlearning"] == METHODS["unlearning"]
    assert failures["without-norm"] == BACKBONES["without-norm"]
