"""The teacher that travels with a set: whether it is the network that its manifest names, and as what labels views."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from bench.condensation import Builder
from bench.data.datasets import Dataset
from bench.errors import RunFailure, UsageError
from bench.labels import OnlineLabels, TeacherRef
from bench.training.committees import in_mode, together
from bench.training.teachers import beside_the_set

Shapes = Mapping[str, tuple[int, ...]]


def check_teacher(ref: TeacherRef, build: Builder, dataset: Dataset, where: str) -> None:
    """Refuses weights that are not of the network that the set's manifest names, or have other outputs than classes.

    Args:
        ref: whose weights lie beside the set.
        build: of the network that it names; nothing is allocated.

    Raises:
        UsageError: with the first tensor that differs.
    """
    assert ref.file is not None
    with torch.device("meta"):
        network = build(len(dataset.classes), dataset.resolution, dataset.channels)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if wrong := _difference(_shapes(ref.file), wanted):
        classes = f"{len(dataset.classes)} classes of {dataset.name}"
        raise UsageError(f"the teacher of {where} is no {ref.backbone} for {classes}: {wrong}")


def labeller(labels: OnlineLabels, build: Callable[[str], nn.Module]) -> nn.Module:
    """One frozen network that labels views as the teachers that travel with a set do together.

    Args:
        build: a network by its name, for the set's classes and shape.

    Raises:
        UsageError: the weights of one do not lie beside the set, are damaged, or are another network's.
    """
    networks = [in_mode(_network(ref, build), labels.mode) for ref in labels.teachers]
    return together(networks, labels.combine, labels.shares)


def _network(ref: TeacherRef, build: Callable[[str], nn.Module]) -> nn.Module:
    if ref.file is None:
        raise UsageError(f"the weights of the set's teacher, a {ref.backbone}, do not lie beside it")
    network = build(ref.backbone)
    try:
        network.load_state_dict(dict(beside_the_set(ref, ref.file)))
    except RunFailure as error:
        raise UsageError(str(error)) from error
    except RuntimeError as error:
        raise UsageError(f"{ref.file} does not fit a {ref.backbone} of the set's classes and shape: {error}") from error
    return network.eval().requires_grad_(False)


def _difference(found: Shapes, wanted: Shapes) -> str:
    """The first tensor that only one of them has, or that has another shape; "" for none."""
    for name in dict.fromkeys([*wanted, *found]):
        if name not in found:
            return f"it lacks {name}"
        if name not in wanted:
            return f"it has {name}, which that network lacks"
        if found[name] != wanted[name]:
            return f"{name} has shape {found[name]}, not {wanted[name]}"
    return ""


def _shapes(file: Path) -> Shapes:
    """Of every tensor of a safetensors file; none is read."""
    try:
        with safe_open(file, framework="pt") as handle:
            return {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{file} is not a readable safetensors file: {error}") from error
