"""A check of networks before any work: what a backbone builds must turn images into logits, one a class."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.condensation import Builder
from bench.errors import UsageError

IMAGES = 2  # one alone would be a special case: of BatchNorm on a single pixel, of a squeezed dimension
CONTRACT = "a backbone must return logits (N, classes)"
BATCHNORM = "batchnorm"  # the trait of backbones whose statistics methods match
SQUASHED = {
    "SoftmaxBackward0": "a softmax",
    "SigmoidBackward0": "a sigmoid",
}  # last steps of what is no logits any more


def check_network(
    name: str, build: Builder, *, classes: int, resolution: int, channels: int, traits: frozenset[str] = frozenset()
) -> None:
    """Builds a network and passes two images of zeros through it, in training and in evaluation mode.

    Nothing is allocated or computed: it is done on the meta device, and for real only where a network cannot run there
    (what it does depends on values, or it makes tensors on a device of its own choice).

    Args:
        name: of the backbone, for the message.
        build: makes the network from `classes`, `resolution` (pixels a side) and `channels`.
        traits: what its offer says that it has.

    Raises:
        UsageError: it cannot be built or run for such images, gives anything but finite logits (2, classes), or has no
            BatchNorm, which it says it has.
    """
    images = (IMAGES, channels, resolution, resolution)
    try:
        answers = _answers(name, build, classes, images, "meta", traits)
    except UsageError:
        raise
    except Exception:
        answers = _real_answers(name, build, classes, images, traits)
    for answer in answers:
        if said := _complaint(answer, classes):
            raise UsageError(f"backbone {name!r} {said}; {CONTRACT}")


def _answers(
    name: str, build: Builder, classes: int, images: Sequence[int], device: str, traits: frozenset[str]
) -> list[object]:
    """What the network gives in training and in evaluation mode, with the graph, which knows its last step."""
    with torch.device(device), torch.enable_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad", UserWarning)  # what looks at values
        network = build(classes, images[-1], images[1])
        if not isinstance(network, nn.Module):
            raise UsageError(f"backbone {name!r} builds {_kind(network)}; it must build a torch.nn.Module")
        if BATCHNORM in traits and not any(isinstance(each, _BatchNorm) for each in network.modules()):
            raise UsageError(
                f"backbone {name!r} has no torch.nn.BatchNorm2d; leave {BATCHNORM!r} out of its offer's traits"
            )
        return [_answer(network.train(training), torch.zeros(*images)) for training in (True, False)]


def _answer(network: nn.Module, images: Tensor) -> object:
    """With the graph, which knows the last step; without it where it cannot be run so, as students are tested."""
    try:
        return network(images)
    except Exception:
        with torch.no_grad():
            return network(images)


def _real_answers(
    name: str, build: Builder, classes: int, images: Sequence[int], traits: frozenset[str]
) -> list[object]:
    try:
        with torch.random.fork_rng(devices=[]):
            return _answers(name, build, classes, images, "cpu", traits)
    except UsageError:
        raise
    except Exception as error:
        shape = f"{tuple(images)} and {classes} classes"
        said = (str(error).strip().splitlines() or [""])[0]
        raise UsageError(f"backbone {name!r} cannot run on images {shape}: {type(error).__name__}: {said}") from error


def _complaint(answer: object, classes: int) -> str:
    """What is wrong with an answer, to go on from the backbone's name; "" where nothing is."""
    if not isinstance(answer, Tensor):
        return f"returns {_kind(answer)}"
    shape = tuple(answer.shape)
    if len(shape) == 2 and shape[0] == IMAGES and shape[1] != classes:
        return f"gives {shape[1]} outputs for {classes} classes"
    if shape != (IMAGES, classes):
        return f"returns a tensor of shape {shape} for {IMAGES} images and {classes} classes"
    if not answer.is_floating_point():
        return f"returns {answer.dtype} values"
    if answer.grad_fn is not None and (last := SQUASHED.get(answer.grad_fn.name())):
        return f"ends with {last}, whose outputs are no logits"
    return "" if answer.is_meta or bool(torch.isfinite(answer).all()) else "returns NaN or infinity for blank images"


def _kind(value: object) -> str:
    match value:
        case Mapping():
            return f"a {type(value).__name__} with {', '.join(map(str, value))}"
        case tuple() | list():
            return f"a {type(value).__name__} of {len(value)}"
        case _:
            return f"a {type(value).__name__}"
