"""Penultimate features: what a network gives to its classifier."""

import torch
from torch import Tensor, nn

from bench.condensation import Task
from bench.errors import RunFailure
from bench.loops.passes import walk
from bench.training.feeding import Feed

BATCH = 256

Weights = dict[str, Tensor]


class Penultimate(nn.Module):
    """A network whose answers are the inputs of its last linear layer, (B, d); differentiable.

    Raises:
        RunFailure: the network has no linear layer.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        _, classifier = classifier_of(network)
        self.width = classifier.in_features
        self._classifier = [classifier]  # in a list, because the network holds it already

    def forward(self, images: Tensor) -> Tensor:
        """The features of a batch."""
        seen: list[Tensor] = []
        hook = self._classifier[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.network(images)
        finally:
            hook.remove()
        return seen[0].flatten(1)


def classifier_of(network: nn.Module) -> tuple[str, nn.Linear]:
    """The name and the module of a network's last linear layer. Raises RunFailure: it has none."""
    linear = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise RunFailure(f"{type(network).__name__} has no linear layer, and so no classifier")
    return linear[-1]


def weights_of(network: nn.Module) -> Weights:
    """Its parameters and buffers by name; the tensors themselves."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def headless(network: nn.Module) -> nn.Module:
    """The network, changed to give what its last linear layer was given.

    `Penultimate` gives that of any network, but its hook cannot be compiled; `check_headless` tells where both agree.

    Raises:
        RunFailure: the network has no linear layer.
    """
    name, _ = classifier_of(network)
    network.set_submodule(name, nn.Identity())
    return network


def check_headless(changed: nn.Module, network: nn.Module, images: Tensor) -> None:
    """Holds a headless network against the whole one, which has the same weights, with a few images (B, C, S, S).

    Raises:
        RunFailure: the network does something to the output of its last linear layer, so leaving it out is not enough.
    """
    with torch.no_grad():
        expected, found = Penultimate(network.eval())(images), changed.eval()(images).flatten(1)
    changed.train()
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-4, atol=1e-5):
        name = type(network).__name__
        raise RunFailure(f"the fast engine cannot find the features of {name}; take engine=reference")


@torch.no_grad()
def features(task: Task, network: nn.Module, feed: Feed, indices: Tensor) -> Tensor:
    """float32 (len(indices), d), on the task's device: the penultimate features of these images of the feed.

    The network is used in the mode it is in. Forward passes run in fp32, a chunk of images at a time: images are ranked
    by these features, and bf16 tells near ones no longer apart.
    """
    penultimate = Penultimate(network)
    found = torch.zeros(len(indices), penultimate.width, device=task.device)
    chunks = indices.split(BATCH)
    for step in walk(task, "features", len(chunks)):
        answers = penultimate(feed.images(chunks[step]))
        found[step * BATCH : step * BATCH + len(answers)] = answers
    return found
