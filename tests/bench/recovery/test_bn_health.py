"""R_BN of real images and of noise, recorded for each teacher."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ears import Ear
from reals import training_images
from torch import Tensor, nn

from bench.condensation import Task
from bench.condensation.notes import Findings
from bench.data.datasets import TensorSplit
from bench.loops.pace import FirstSteps, Trial
from bench.recovery.health import population_bn_loss, record_health
from bench.recovery.layers import layers_of, watched
from bench.recovery.statistics import batchnorms
from bench.recovery.terms import distance
from bench.testing import tiny_dataset, tiny_task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=2, resolution=8, per_class=40))


def fitted(network: nn.Module, images: Tensor) -> nn.Module:
    """The network with the running statistics of these images."""
    for layer in batchnorms(network):
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average
    network.train()
    with torch.no_grad():
        network(images)
    return network.eval()


def test_chunks_have_the_statistics_of_the_whole(network: nn.Module) -> None:
    images = torch.randn(23, 2, 8, 8)
    with watched(layers_of(network, ("batchnorm",)), 4) as found:
        network(images)
    goals = [(layer.running_mean, layer.running_var) for layer in batchnorms(network)]
    whole = sum(distance(found[place], goal).item() for place, goal in enumerate(goals))
    assert population_bn_loss(network, images.split(5)) == pytest.approx(whole, rel=1e-5)


def losses(task: Task) -> tuple[float, float]:
    real, noise = task.measured.teacher_bn_loss_real, task.measured.teacher_bn_loss_noise
    assert real is not None and noise is not None
    return real, noise


def test_real_images_fit_a_teacher_that_learned_from_them(network: nn.Module, task: Task) -> None:
    fitted(network, training_images(task))
    record_health(replace(task, progress=(listener := Ear())), network, "a teacher")
    real, noise = losses(task)
    assert real < 0.5 * noise
    assert not listener.heard


def test_a_teacher_that_noise_fits_better_is_named(network: nn.Module, task: Task) -> None:
    fitted(network, torch.randn(500, 2, 8, 8))
    record_health(replace(task, progress=(listener := Ear())), network, "a teacher")
    real, noise = losses(task)
    assert real > noise
    assert "fit noise" in listener.heard[0]


def test_a_teacher_is_measured_once(network: nn.Module, task: Task) -> None:
    record_health(task, network, "one")
    first = losses(task)
    record_health(task, nn.Sequential(nn.Flatten(), nn.BatchNorm1d(128)).eval(), "one")
    assert losses(task) == first
    record_health(task, fitted(network, torch.randn(8, 2, 8, 8)), "two")
    assert losses(task) != first
    assert len(task.used_stages) == 2


def test_where_the_pace_leaves_every_image_out_nothing_is_computed(task: Task) -> None:
    class Untouched(nn.BatchNorm2d):
        def forward(self, images: Tensor) -> Tensor:
            raise AssertionError("an image went through the network")

    listener = Ear()
    record_health(replace(task, progress=listener, pace=FirstSteps(0)), Untouched(2).eval(), "one")
    assert task.measured == Findings()
    assert not listener.heard


def test_the_pace_says_how_many_images_are_looked_at(network: nn.Module, task: Task) -> None:
    record_health(replace(task, pace=(trial := Trial(task.device))), network, "one")
    assert [(sample.what, sample.steps) for sample in trial.samples] == [("bn health", 2), ("bn health", 10)]


def test_without_training_images_nothing_is_recorded(network: nn.Module, task: Task) -> None:
    nothing = TensorSplit(torch.zeros(0, 2, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    record_health(replace(task, dataset=replace(task.dataset, train=nothing)), network, "one")
    assert task.measured == Findings()
