"""Weights that torchvision publishes: for which networks and datasets they are, and loading them."""

import re
from typing import Any

from torch import Tensor, nn

from bench.condensation import Task
from bench.data.datasets import Dataset
from bench.errors import RunFailure, UsageError
from bench.recipes import Setting
from bench.storage.names import unknown
from bench.training.features import classifier_of
from bench.training.recipes import TeacherRecipe

CLASSES = 1000  # of the weights torchvision publishes: ImageNet-1K's, in the order of sorted ids
FIRST, LAST = "n01440764", "n15075141"  # of these ids
ORDER = "10d633105f70138370f575086068cfbd"  # all of them, as a dataset's `class_order_hash`
ABOVE = 64  # pixels; up to there our networks have another stem, or are others
SHOWN = 3  # ids of others
AT_TORCHVISION = {  # our names where torchvision has other ones
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv2-1.0": "mobilenet_v2",
    "shufflenetv2": "shufflenet_v2_x1_0",
    "shufflenetv2-0.5": "shufflenet_v2_x0_5",
    "efficientnet-b0": "efficientnet_b0",
    "vgg11-bn": "vgg11_bn",
    "swin-tiny": "swin_t",
    "convnext-tiny": "convnext_tiny",
    **{f"resnet{depth}-imagenet-stem": f"resnet{depth}" for depth in (18, 50, 101)},
}


def check_weights(setting: Setting, recipe: TeacherRecipe, key: str) -> None:
    """Asks, before any work, whether the weights that a recipe names can be had for the network and the dataset.

    Args:
        key: of the recipe among a method's hyper-parameters.

    Raises:
        UsageError: they cannot; one line that says how to train a network instead.
    """
    named = {
        "weights= trains one instead": (recipe.weights, check_fits),
        "starts_from= trains one from nothing": (recipe.starts_from, _check_images),
    }
    for remedy, (weights, check) in named.items():
        try:
            if weights:
                check(setting)
                find_weights(setting.backbone, weights)
        except UsageError as error:
            raise UsageError(f"{error}; --set {key}.{remedy}") from error


def check_fits(setting: Setting) -> None:
    """Raises UsageError: weights with their classifier are for other images or classes."""
    if setting.classes != CLASSES or setting.channels != 3:
        raise UsageError(
            f"torchvision's weights are for RGB images of ImageNet-1K's {CLASSES} classes; "
            f"{setting.dataset} has {setting.classes} classes of {setting.channels}-channel images here"
        )
    _check_images(setting)


def check_order(dataset: Dataset) -> None:
    """Raises UsageError: a dataset's classes are not those of the weights in their order, whatever its card is like."""
    if dataset.class_order_hash != ORDER:
        few = ", ".join(dataset.classes[:SHOWN])
        raise UsageError(
            f"torchvision's weights are for ImageNet-1K's classes in the order of their ids, {FIRST} to {LAST}; "
            f"those of {dataset.name} are {few}, ...: call them by these ids, or train a network on them"
        )


def _check_images(setting: Setting) -> None:
    if setting.channels != 3:
        raise UsageError(f"torchvision's weights are for RGB images; {setting.dataset} has {setting.channels} channels")
    if setting.resolution <= ABOVE:
        raise UsageError(
            f"torchvision's weights are for networks above {ABOVE} pixels; {setting.dataset} has {setting.resolution}"
        )


def find_weights(backbone: str, weights: str) -> Any:  # noqa: ANN401 - torchvision is not typed
    """What torchvision publishes under that name for a network of ours. Raises UsageError: nothing."""
    from torchvision import models

    name = AT_TORCHVISION.get(backbone, backbone)
    if name not in models.list_models(module=models):
        some = ", ".join(sorted(["resnet18", "resnet50", "resnet101", "alexnet", "densenet121", *AT_TORCHVISION]))
        raise UsageError(f"torchvision publishes no weights for {backbone!r}; it does for {some}")
    choices = models.get_model_weights(name)
    if weights not in choices.__members__:
        raise unknown(f"weights of {backbone}", weights, choices.__members__)
    return choices[weights]


def downloaded(published: Any) -> dict[str, Tensor]:  # noqa: ANN401 - torchvision is not typed
    """The tensors of published weights, by our network's names."""
    state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return {_renamed(key): tensor for key, tensor in state.items()}


def start_from(task: Task, network: nn.Module, published: Any) -> None:  # noqa: ANN401 - as above
    """Gives a network all published weights but the classifier's. Raises RunFailure: some other has another shape."""
    classifier, _ = classifier_of(network)
    for _ in task.pace.walk("published weights", 0, 1):
        own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(f"{classifier}.")}
        try:
            network.load_state_dict({**downloaded(published), **own})
        except RuntimeError as error:
            raise RunFailure(f"torchvision's weights do not fit the network for this dataset: {error}") from error


def _renamed(key: str) -> str:
    """torchvision's DenseNets were published under names that its own network has without a dot: norm.1 -> norm1."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)", r"\1", key)
