"""The teacher that travels with a set: whether it is the network that its manifest names, and as what labels views."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from bench.condensation import Builder, Task
from bench.data.datasets import Dataset
from bench.errors import RunFailure, UsageError, why
from bench.interchange.handwritten import TeacherLabels, TeacherSource
from bench.interchange.weights import Shapes, by_our_names, difference, weights_in
from bench.labels import OnlineLabels, TeacherRef
from bench.storage.files import file_digest
from bench.training.committees import in_mode, together
from bench.training.features import classifier_of
from bench.training.published import check_fits as check_published
from bench.training.published import find_weights
from bench.training.teachers import beside_the_set, kept, pretrained


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
    if wrong := difference(by_our_names(network, _shapes(ref.file)), wanted):
        classes = f"{len(dataset.classes)} classes of {dataset.name}"
        raise UsageError(f"the teacher of {where} is no {ref.backbone} for {classes}: {wrong}")


def named_teachers(folder: Path, labels: TeacherLabels, dataset: Dataset) -> OnlineLabels:
    """The labels of teachers that a manifest names, whose weights are where they are until a run takes them in.

    Raises:
        UsageError: torchvision publishes none of that name, or they do not fit the dataset.
    """
    for each in labels.teachers:
        if each.weights is not None:
            check_published(dataset.setting(1, each.backbone))
            find_weights(each.backbone, each.weights)
    refs = [
        TeacherRef("", each.backbone, None, 0, file=folder / each.file if each.file else None)
        for each in labels.teachers
    ]
    return OnlineLabels(refs[0], labels.temperature, others=tuple(refs[1:]))


def taken_in(task: Task, folder: Path, source: TeacherSource, columns: Tensor) -> TeacherRef:
    """The teacher that a manifest names, as a stage, which says how well it does on the test split.

    Args:
        task: in which networks see images as the set's do.
        columns: int64 (K,), where its output for each class of the dataset is.

    Raises:
        RunFailure: the weights do not fit the network.
    """
    if source.weights is not None:
        return pretrained(task, source.weights, backbone=source.backbone).ref
    assert source.file is not None
    path = folder / source.file

    def read(_: Path) -> nn.Module:
        network = task.network(0, source.backbone)
        _load(network, path, columns)
        return network

    made_of = {"imported": file_digest(path), "columns": columns.tolist()}
    return kept(task, made_of, read, backbone=source.backbone).ref


def _load(network: nn.Module, path: Path, columns: Tensor) -> None:
    weights = by_our_names(network, weights_in(path))
    classifier, _ = classifier_of(network)
    for name in weights.keys() & {f"{classifier}.weight", f"{classifier}.bias"}:
        weights[name] = weights[name][columns]
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise RunFailure(f"{path} does not hold the weights of the teacher: {why(error)}") from error


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


def _shapes(file: Path) -> Shapes:
    """Of every tensor of a file; of a safetensors file none is read."""
    if file.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in weights_in(file).items()}
    try:
        with safe_open(file, framework="pt") as handle:
            return {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{file} is not a readable safetensors file: {error}") from error
