"""A classifier on a network that stays as it is (linear probing), and networks whose weights a user hands over."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.errors import RunFailure, UsageError, why
from bench.sets.tensor_files import load_plain
from bench.training import loop
from bench.training.features import classifier_of
from bench.training.recipes import TrainingRecipe
from bench.training.teachers import on_real_images

WRAPPERS = ("module.", "encoder_q.", "base_encoder.", "backbone.")  # what releases put before a network's own names
STARTED = 0.01  # standard deviation of the classifier's first weights (MoCo's main_lincls.py)


class Probed(nn.Module):
    """A network of which the classifier alone is trained; all else is frozen and in evaluation mode at all times.

    Images (B, C, S, S) -> logits (B, K).
    """

    def __init__(self, network: nn.Module, seed: int) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        _, classifier = classifier_of(network)
        with torch.no_grad():
            drawn = torch.randn(classifier.weight.shape, generator=seeds.generator("probe", seed))
            classifier.weight.copy_(STARTED * drawn)
            if classifier.bias is not None:
                classifier.bias.zero_()
        classifier.requires_grad_(True)

    def train(self, mode: bool = True) -> "Probed":
        """Leaves the network in evaluation mode: its BatchNorm statistics are what recovery is to match."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def probe(task: Task, network: nn.Module, recipe: TrainingRecipe, seed: int, folder: Path) -> nn.Module:
    """The same network with a classifier trained on the training images and their labels; nothing else changes."""
    job = on_real_images(task, recipe, seed, folder, "probe")
    loop.train(task, Probed(network, seed), job)
    return network


def weights_in(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that torch.save wrote, by the names that the network has for them.

    What releases wrap around is taken off: "state_dict", and before each name "module.", and MoCo's "encoder_q." (of
    whose other tensors none is kept).

    Raises:
        UsageError: no file of named tensors; one line.
    """
    try:
        found = load_plain(path)
    except UsageError:
        raise
    except Exception as error:  # torch raises many for a file of another kind
        raise UsageError(f"{path} holds no weights: {why(error)}") from error
    state = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(each, Tensor) for each in state.values()):
        raise UsageError(f"{path} holds no weights: a dict of named tensors is expected, or one under 'state_dict'")
    return _unwrapped({str(name): tensor for name, tensor in state.items()})


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        inside = {name.removeprefix(wrapper): each for name, each in state.items() if name.startswith(wrapper)}
        state = inside or state
    return state


def put(network: nn.Module, state: Mapping[str, Tensor], source: str) -> bool:
    """Gives a network weights, and says whether its classifier's were among them.

    A classifier for other classes, or a head in its place, is left out, and so is the network's own as it was drawn.

    Raises:
        RunFailure: something else of the network is missing there, or has another shape.
    """
    name, classifier = classifier_of(network)
    own = network.state_dict()
    body = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
    counters = ("num_batches_tracked",)  # which old files lack, and nothing here reads
    lacking = [key for key in own if not key.startswith(f"{name}.") and key not in body and not key.endswith(counters)]
    if wrong := [*lacking, *(key for key in body if key not in own or own[key].shape != body[key].shape)]:
        raise RunFailure(f"{source} holds weights of another network: {wrong[0]} does not fit {len(own)} tensors here")
    ends = {key: tensor for key, tensor in state.items() if key in own and key not in body}
    whole = len(ends) == len(classifier.state_dict()) and all(own[key].shape == ends[key].shape for key in ends)
    network.load_state_dict({**own, **body, **(ends if whole else {})})
    return whole
