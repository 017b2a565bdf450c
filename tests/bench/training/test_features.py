"""Penultimate features are what the classifier is given."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from bench.condensation import Task
from bench.errors import RunFailure
from bench.testing import tiny_dataset, tiny_task
from bench.training import features as module
from bench.training.features import Penultimate, features
from bench.training.feeding import Feed


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=3, per_class=6, resolution=16))


def batch(side: int = 16) -> torch.Tensor:
    return torch.randn((5, 3, side, side), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backbone", ["convnet3", "convnet3-bn", "resnet18"])
def test_the_last_layer_makes_the_logits_of_the_features(task: Task, backbone: str) -> None:
    network = task.network(1, backbone).eval()
    found = Penultimate(network)(batch())
    *_, last = [part for part in network.modules() if isinstance(part, nn.Linear)]
    assert found.shape == (5, Penultimate(network).width)
    torch.testing.assert_close(last(found), network(batch()))


def test_a_vision_transformers_features_are_its_pooled_tokens() -> None:
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model("deit_tiny_patch16_224", num_classes=3, img_size=32).eval()
    found = Penultimate(network)(batch(32))
    assert found.shape == (5, 192)
    head = network.get_submodule("head")
    torch.testing.assert_close(head(found), network(batch(32)))


def test_gradients_flow_through_the_features_and_no_hook_stays(task: Task) -> None:
    network, images = task.network(1).eval(), batch().requires_grad_()
    torch.autograd.backward(Penultimate(network)(images).square().sum())
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert not any(part._forward_pre_hooks for part in network.modules())


def test_features_of_some_images_in_chunks(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    network, dataset = task.network(1).eval(), task.dataset
    feed = Feed(dataset.train, dataset.normalisation, task.device)
    indices = torch.tensor([7, 2, 11, 0, 5])
    whole = features(task, network, feed, indices)
    monkeypatch.setattr(module, "BATCH", 2)
    torch.testing.assert_close(features(task, network, feed, indices), whole)
    assert whole.dtype == torch.float32 and not whole.requires_grad
    torch.testing.assert_close(whole, Penultimate(network)(feed.images(indices)).detach())


def test_a_network_without_a_linear_layer_is_refused() -> None:
    with pytest.raises(RunFailure, match="Sequential has no linear layer"):
        Penultimate(nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
