"""`bench.load_set`: a condensed set as a torch `Dataset`, to train on in one's own script."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.utils import data

from bench.cli.console import Console
from bench.cli.foreign_sets import read_against, warn_of
from bench.cli.options import cache_folder, data_root_option, plugin_option
from bench.data.datasets import Dataset, Split, TensorSplit
from bench.data.finding import load_card
from bench.data.opening import open_dataset, select_classes
from bench.data.splits import UnavailableSplit
from bench.errors import CorruptArtefact, UsageError
from bench.extensions.registry import Registry
from bench.interchange import importing
from bench.interchange.teachers import labeller
from bench.interface.runs import Names, Place
from bench.interface.words import offered, texts, understood, words_of
from bench.labels import OnlineLabels
from bench.sets.condensed import CondensedSet
from bench.storage import paging
from bench.storage.streams import one_line

Open = Callable[[], Dataset]
BESIDE = ("probabilities", "targets")  # the tensors of labels that are one row an image


class LoadedSet(data.Dataset[tuple[Tensor, Tensor]]):
    """The images of a condensed set with their labels, in the order in which protocols train on them.

    Of a set with a decoder (its manifest says so) they are what its stored images decode into.

    An item is an image, float32 (C, H, W) as networks see it, and its target: the class, int64 (), or where the set
    has `probabilities` those of the image, float32 (K,). `torch.nn.functional.cross_entropy` takes both. Of a set with
    `targets` it is the class: cross-entropy with targets of a regression trains to chance.

    Attributes:
        images: float32 (N, C, H, W), as networks see them. Of a large set they lie in a file that is made when they are
            first asked for; items do without.
        pixels: the same as the set keeps them: uint8 levels, or floats.
        labels: int64 (N,), the class of each image, an index into `classes`.
        probabilities: float32 (N, K), a distribution over the classes an image; None of other kinds of labels.
        targets: float32 (N, K), what outputs are to be by the squared error; None of other kinds of labels.
        label_kind: "hard", "soft" (`probabilities`), "regression" (`targets`), "online" (`teacher` labels every view)
            or "stored" (logits for the views of a protocol: `bench evaluate` shows those).
        temperature: by which a teacher's logits and the student's are divided; None without a teacher.
        classes: the class ids in order.
        class_names: what they are called, where the dataset's card says it; else the ids.
        transform: uint8 pixels (..., C, H, W) -> float32, what networks see; of test images too.
        preprocessing: what `transform` is the one half of; its `invert` brings what networks see back to pixels.
        learned_lr: a step size that was learned with the images, or None.
        manifest: what the set says of itself.
    """

    def __init__(
        self,
        condensed: CondensedSet,
        manifest: dict[str, Any],
        class_names: tuple[str, ...],
        open_: Open,
        nets: Registry,
    ) -> None:
        condensed = condensed.decoded()
        self._condensed, self._open, self._nets = condensed, open_, nets
        self.pixels, self.labels = condensed.images.pixels, condensed.images.classes
        self._split = TensorSplit(self.pixels, self.labels)
        kept = {name: tensor.float() for name, tensor in condensed.labels.tensors.items() if name in BESIDE}
        self.probabilities, self.targets = kept.get("probabilities"), kept.get("targets")
        self.label_kind = condensed.labels.kind
        self.temperature: float | None = getattr(condensed.labels, "temperature", None)
        self.classes, self.class_names = condensed.classes, class_names
        self.preprocessing = condensed.preprocessing
        self.transform = condensed.preprocessing.apply
        self.learned_lr, self.manifest = condensed.learned_lr, manifest

    def __repr__(self) -> str:
        """In one line what it is of, and what it holds."""
        whose = ", ".join(str(self.manifest[name]) for name in ("method", "dataset") if self.manifest.get(name))
        size, teacher = "x".join(map(str, self.pixels.shape[1:])), self._condensed.labels.teacher_backbone
        labels = f"{self.label_kind} labels" + (f" of {teacher}" if teacher else "")
        return one_line(f"LoadedSet({whose}: {len(self)} images {size} of {len(self.classes)} classes, {labels})")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def images(self) -> Tensor:
        """See the class."""
        return self._condensed.normalised()

    def _image(self, index: int) -> Tensor:
        if self.pixels.nbytes < paging.LARGE:
            return self.images[index]
        return self._condensed.as_seen(self._split.take(torch.tensor([index])))[0]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._image(index), (self.labels if self.probabilities is None else self.probabilities)[index]

    @cached_property
    def teacher(self) -> nn.Module:
        """What labels each view of an "online" set: views (B, C, H, W) as networks see them -> logits (B, K).

        Frozen, on the CPU until you move it. `softmax(teacher(views) / temperature)` is the label of a view; where it
        is several networks, it is their combination.

        Raises:
            UsageError: the set has labels of another kind, or its teacher's weights do not lie beside it.
        """
        labels = self._condensed.labels
        if not isinstance(labels, OnlineLabels):
            raise UsageError(
                f"the set has {labels.kind} labels; only online ones come with a teacher that labels views"
            )
        return labeller(labels, self._network)

    def _network(self, name: str) -> nn.Module:
        _, channels, side, _ = self.pixels.shape
        network: nn.Module = self._nets.load("backbone", name)(len(self.classes), side, channels)
        return network

    @cached_property
    def test(self) -> "TestImages":
        """The test split of the set's dataset: images as networks see them, and their classes.

        Raises:
            UsageError: the dataset is not below the data root, has no test split, or has other classes.
        """
        dataset = self._open()
        if dataset.classes != self.classes:
            raise UsageError(f"the classes of the set are not those of {dataset.name} here, in its order")
        if isinstance(dataset.test, UnavailableSplit):
            raise UsageError(dataset.test.reason)
        return TestImages(dataset.test, self.transform)


class TestImages(data.Dataset[tuple[Tensor, Tensor]]):
    """Test images, float32 (C, H, W) as networks see them, each with its class, int64 ().

    Attributes:
        labels: int64 (N,), all classes.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, split: Split, transform: Callable[[Tensor], Tensor]) -> None:
        self._split, self._transform, self.labels = split, transform, split.labels

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._transform(self._split.take(torch.tensor([index]))[0]), self.labels[index]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        """A batch at once, as loaders of torch ask for it."""
        images = self._transform(self._split.take(torch.tensor(indices)))
        return list(zip(images, self.labels[indices], strict=True))


@click.command("load_set")
@data_root_option
@plugin_option
def _places() -> None:
    """Where datasets lie and what is loaded besides, with the defaults and checks of the command line."""


@offered
def load_set(
    path: Place,
    dataset: str | None = None,
    *,
    classes: int | Names | None = None,
    data_root: Place | None = None,
    plugin: Names = (),
) -> LoadedSet:
    """A condensed set to train on: one that a run made, or any that `bench evaluate` reads.

    Args:
        path: a run's folder, its condensed/ folder, or one with a manifest written by hand (docs/concepts.md).
        dataset: that it is of, by name or the path of a card. A set that a run made names it itself.
        classes: those that a set with a manifest written by hand is of: the first so many, or ids or words; None: all.
        data_root: where datasets lie; None: `BENCH_DATA`, or ./data. Of a run's set only `test` looks there.
        plugin: modules or files to load besides.

    Raises:
        UsageError: no set there, a damaged one, or one that does not fit the dataset; one line.
    """
    given = understood(_places, words_of(_places, data_root=data_root, plugin=plugin))
    registry, folder = _with(given["plugins"]), importing.set_of(Path(path))
    manifest = importing.about(folder)
    name = dataset or _named(manifest, registry)
    if "source" in manifest and name is None:
        raise UsageError(f"nothing at {folder} names the dataset that the set is of; say dataset=NAME")
    chosen = ",".join(texts(classes)) or manifest.get("classes")
    open_ = partial(_opened, registry, name, given["data_root"], chosen)
    found = _read(folder, registry, open_ if dataset else None)
    card = load_card(registry, name) if name else None
    names = tuple(card.class_names.get(each, each) if card else each for each in found.classes)
    return LoadedSet(found, manifest, names, open_, registry)


@cache
def _with(plugins: tuple[str, ...]) -> Registry:
    """Finding plugins takes longer than reading a small set."""
    return Registry(plugins)


def _named(manifest: Mapping[str, Any], registry: Registry) -> str | None:
    """The dataset that a run's set names, where it is one that plugins offer: a stranger's manifest names no file."""
    name = manifest.get("dataset")
    return name if isinstance(name, str) and registry.has("dataset", name) else None


def _opened(registry: Registry, name: str | None, root: Path, classes: str | Sequence[str] | None) -> Dataset:
    """The dataset with the classes that were asked for, as for --classes, or else those that the manifest states."""
    if name is None:
        raise UsageError(
            "the set does not name a dataset that is known here; say dataset=NAME, or the path of its card"
        )
    with Console(quiet=True) as console:
        whole = open_dataset(registry, name, root, cache_folder(), console)
    if classes is None or isinstance(classes, str):
        return select_classes(whole, classes)
    return whole.only(classes) if set(classes) <= set(whole.classes) else whole


def _read(folder: Path, registry: Registry, open_: Open | None) -> CondensedSet:
    """The set, held against its dataset where that is opened. Raises UsageError."""
    if open_ is not None:
        found = read_against(folder, open_(), registry)
        with Console(quiet=True) as console:
            warn_of(found, str(folder), console)
        if found.left_to_a_run:
            raise UsageError(
                f"{folder} is completed in a run, which fits its whitening and takes in its teachers: "
                "`bench evaluate` it, and load the set of that run"
            )
        return found.condensed
    try:
        return importing.read_own(folder).condensed
    except CorruptArtefact as error:
        raise UsageError(str(error)) from error
