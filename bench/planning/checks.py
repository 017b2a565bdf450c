"""Checks at planning: what can never be done is refused, in one line that says why."""

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from bench.data.completeness import lacks
from bench.data.datasets import Dataset, Split, SplitName
from bench.data.splits import UnavailableSplit
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.hardware.devices import device_name
from bench.planning.networks import check_network
from bench.results.spec import RunSpec
from bench.storage.names import nearest


def check_machine(spec: RunSpec, device: torch.device) -> None:
    """Refuses what was planned for another kind of machine: neither its bits nor its costs would be the run's.

    Raises:
        RunFailure: this device is another.
    """
    if (here := device_name(device)) != spec.machine:
        raise RunFailure(f"it is planned for {spec.machine}, and {device} of {platform.node()} is {here}")


def check_backbone(registry: Registry, method: str, backbone: str) -> None:
    """Refuses a backbone that lacks what the method needs, naming those that have it, the most alike first."""
    needs, has = registry.find("method", method).offer.needs, registry.find("backbone", backbone).offer.traits
    if missing := sorted(needs - has):
        fitting = [each.offer.name for each in registry.registered("backbone") if needs <= each.offer.traits]
        first, lacks = nearest(backbone, fitting), ", ".join(missing)
        choices = ", ".join(sorted(fitting, key=lambda name: name != first))
        if not fitting:
            traits = sorted({trait for each in registry.registered("backbone") for trait in each.offer.traits})
            known = f"traits that some have: {', '.join(traits)}"
            raise UsageError(f"{method} needs a backbone with {lacks}, which no backbone has ({known})")
        raise UsageError(f"{method} needs a backbone with {lacks}, which {backbone} lacks; choose from {choices}")


def check_named_backbones(registry: Registry, method: str, backbones: Sequence[str]) -> None:
    """Refuses those that a method's hyper-parameters name and that do not exist, or lack what it needs."""
    with _named_by(method):
        for backbone in backbones:
            check_backbone(registry, method, backbone)


@contextmanager
def _named_by(method: str) -> Iterator[None]:
    """Says where the name of a backbone that is refused came from: no option of the user's."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"method {method!r} names a backbone beside the run's own: {error}") from error


class NetworkChecks:
    """Looks at networks (see `bench.planning.networks`), at each once for images of a shape and a number of classes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._passed: set[tuple[str, int, int, int]] = set()

    def check(self, backbone: str, dataset: Dataset) -> None:
        """Refuses a backbone that cannot be built for the dataset (too deep, say), or does not give its logits."""
        classes, resolution, channels = len(dataset.classes), dataset.resolution, dataset.channels
        if (shape := (backbone, classes, resolution, channels)) in self._passed:
            return
        build = self._registry.load("backbone", backbone)
        traits = self._registry.find("backbone", backbone).offer.traits
        check_network(backbone, build, classes=classes, resolution=resolution, channels=channels, traits=traits)
        self._passed.add(shape)

    def check_named(self, method: str, backbones: Sequence[str], dataset: Dataset) -> None:
        """The same for those that a method's hyper-parameters name."""
        with _named_by(method):
            for backbone in backbones:
                self.check(backbone, dataset)


def check_whole(dataset: Dataset) -> None:
    """Refuses classes without images in a split that is there; a damaged one fails its own runs, with its reason."""
    splits: dict[SplitName, Split] = {"train": dataset.train, "test": dataset.test}
    labels = {name: each.labels for name, each in splits.items() if not isinstance(each, UnavailableSplit)}
    if lacking := next(lacks(dataset.classes, labels), None):
        raise UsageError(f"{dataset.name} cannot be used: {lacking}")


def check_real_images(dataset: Dataset, needed: int, who: str) -> None:
    """Refuses what needs more training images than the smallest class has, where there are training images at all."""
    if not len(dataset.train):
        return
    counts = torch.bincount(dataset.train.labels, minlength=len(dataset.classes))
    if needed > (fewest := int(counts.min())):
        smallest = dataset.classes[int(counts.argmin())]
        raise UsageError(f"{who}, more than the {fewest} training images of class {smallest} of {dataset.name}")
