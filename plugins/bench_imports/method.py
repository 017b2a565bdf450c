"""The images of a set that lies at a path."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.condensation import (
    DOUBT,
    Condenser,
    Grid,
    ImageFiles,
    Images,
    MethodConfig,
    PixelFormat,
    Task,
    Unit,
)
from bench.data.datasets import Preprocessing
from bench.errors import RunFailure
from bench.interchange.class_order import of_numbers
from bench.interchange.handwritten import FkdSource, TeacherLabels, ZcaFit
from bench.interchange.importing import fingerprint, read_foreign
from bench.interchange.manifest import by_hand
from bench.interchange.stored import stored_labels
from bench.interchange.teachers import taken_in
from bench.labels import HardLabels, Labels, OnlineLabels, TeacherRef
from bench.recipes import Setting
from bench.results.label_fit import NOTE
from bench.sets.condensed import CondensedSet, check_fits, first_of_each, same_pixels
from bench.sets.suspicions import among_tested, fit_of
from bench.training.soft_labels.targets import targets_of
from bench.whitening import Whitening, fit


class ImportedConfig(MethodConfig):
    """Which set.

    Attributes:
        path: the folder with its manifest.json.
        content: hash of its files, so that another content is another run.
        made_by: the method that its manifest names.
        pixels: "float32" for sets that 8 bits cannot hold.
        grid: the factor of the set's decoder; 1 for none.
        lacks: what sets of its method bring and this one does not, in words for a table.
        whole: all images, whose classes have different numbers; otherwise the first `ipc` of each class.
    """

    aside: ClassVar[frozenset[str]] = frozenset({"path", "lacks"})
    added: ClassVar[frozenset[str]] = frozenset({"grid", "lacks"})

    path: str
    content: str
    made_by: str = "imported"
    pixels: Literal["uint8", "float32"] = "uint8"
    whole: bool = False
    grid: int = Field(default=1, ge=1)
    lacks: tuple[str, ...] = ()


class Imported(Condenser[ImportedConfig]):
    """Reads a set; what it cost to make is not known here."""

    Config: ClassVar[type[MethodConfig]] = ImportedConfig
    made_here: ClassVar[bool] = False
    version: ClassVar[int] = 2  # labels of folders and Parquet files are understood by their ids
    _whitening: Whitening | None = None
    _teachers: Sequence[TeacherRef] = ()
    _seen: tuple[Preprocessing, ImageFiles | None] | None = None  # of the set, which is not read again for them

    def differs(self, setting: Setting) -> Sequence[str]:
        """What the set lacks."""
        return self.config.lacks

    @property
    def pixel_format(self) -> PixelFormat:
        """As the set has them."""
        return self.config.pixels

    @property
    def decoder(self) -> Grid | None:
        """As the set has it."""
        return Grid(self.config.grid) if self.config.grid > 1 else None

    def prepare(self, task: Task) -> None:
        """Fits the whitening and takes in the teachers, where the set asks for that."""
        folder = Path(self.config.path)
        hand = by_hand(folder)
        if hand is not None and isinstance(hand.zca, ZcaFit):
            self._whitening = fit(task, hand.zca.eps, standardised=hand.zca.standardised)
            self._seen = None
        if hand is not None and isinstance(hand.labels, TeacherLabels):
            seen = task.seen_through(self.preprocessing(task))
            columns = of_numbers(hand.classes, task.dataset, str(folder)).positions.argsort()
            self._teachers = [taken_in(seen, folder, source, columns) for source in hand.labels.teachers]

    def units(self, task: Task) -> Sequence[Unit]:
        """The set. Files of units called "all" are from before a learned step size was kept with the images."""
        return [Unit("set", tuple(range(task.classes)))]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """The set's images, or the first of each class in the set's order.

        Labels that do not seem to be those of the images are warned about and noted, whoever made the set.
        """
        found = self._set(task)
        _doubt(task, found.decoded())
        images = replace(found.images, learned_lr=found.learned_lr)
        return images if self.config.whole else images.at(self._taken(task, found))

    def image_files(self, task: Task) -> ImageFiles | None:
        """Those of the images that are taken."""
        return self._facts(task)[1]

    def label(self, task: Task, images: Images) -> Labels:
        """The set's labels; soft and stored ones belong to its own images, decoded where it has a decoder.

        Others (a control's) get theirs from the teacher of stored ones, or hard ones where no teacher is known.

        Raises:
            RunFailure: that teacher is not in the cache.
        """
        found, folder = self._set(task), Path(self.config.path)
        labels, own = found.labels, found.decoded().images
        if (hand := by_hand(folder)) is not None and isinstance(hand.labels, FkdSource):
            return stored_labels(task, folder, hand, own) if _same_images(images, own) else HardLabels()
        if isinstance(labels, OnlineLabels) and self._teachers:
            labels = replace(labels, teacher=self._teachers[0], others=tuple(self._teachers[1:]))
        if found.decoder:
            images = self._with_labels_beside(task, images, found, found.decoder)
        return targets_of(labels).of_images(task, images, own=_same_images(images, own))

    def _with_labels_beside(self, task: Task, images: Images, found: CondensedSet, decoder: Grid) -> Images:
        """The set's decoded images, all or the first, with the rows that its labels have of each; others as they are.

        Stored images have none to bring: the rows are of what they decode into.
        """
        classes, taken = found.images.classes, self._taken(task, found)
        order = taken[classes[taken].argsort(stable=True)]  # as a set is stored
        own = replace(found, images=found.images.at(order)).decoded().images
        if not same_pixels(images.pixels, own.pixels):
            return images
        places = decoder.places(order)
        soft, targets = (found.labels.tensors.get(name) for name in ("probabilities", "targets"))
        soft, targets = (None if each is None else each[places] for each in (soft, targets))
        return replace(images, soft=soft, targets=targets)

    def preprocessing(self, task: Task) -> Preprocessing:
        """What the set's pixels belong to."""
        return self._facts(task)[0]

    def _taken(self, task: Task, found: CondensedSet) -> Tensor:
        """Positions, ascending, of the images that are taken: all, or the first of each class."""
        classes = found.images.classes
        return torch.arange(len(classes)) if self.config.whole else first_of_each(classes, task.ipc)

    def _facts(self, task: Task) -> tuple[Preprocessing, ImageFiles | None]:
        if self._seen is None:
            self._set(task)
        assert self._seen is not None
        return self._seen

    def _set(self, task: Task) -> CondensedSet:
        """The set, which must still be the one that the run is of.

        Raises:
            RunFailure: it has changed since, or does not fit the dataset.
        """
        folder = Path(self.config.path)
        found = read_foreign(folder, task.dataset, task.readers, self._whitening)
        if fingerprint(folder, found.files) != self.config.content:
            raise RunFailure(f"{folder} has changed since this run was asked for; ask for it again")
        check_fits(found.condensed, task.dataset)
        taken = found.published and found.published.at(self._taken(task, found.condensed))
        self._seen = found.condensed.preprocessing, taken
        return found.condensed


def _doubt(task: Task, found: CondensedSet) -> None:
    """Warns and notes where images are those that it is tested on, or labels do not seem to be those of the images.

    Where a card cuts its own test split, say, a set that was made elsewhere may hold images of it.
    """
    if said := among_tested(found, task.dataset):
        task.facts[DOUBT] = said
        task.progress.warn(said)
    if (fit := fit_of(found, task.dataset)) is None:
        return
    task.facts[NOTE] = fit.to_json()
    if fit.doubtful:
        task.progress.warn(str(fit))


def _same_images(images: Images, own: Images) -> bool:
    order = own.classes.argsort(stable=True)  # a set is stored class by class
    return same_pixels(images.pixels, own.at(order).pixels)
