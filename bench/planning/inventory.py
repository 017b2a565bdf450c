"""The datasets and networks that the plans of one command name: each opened, or built, once."""

from dataclasses import dataclass
from pathlib import Path

from bench.data.datasets import Dataset
from bench.data.finding import DatasetNotFound, load_card
from bench.data.fingerprints import Fingerprints
from bench.data.identity import why_unknown
from bench.data.opening import as_its_card_says, open_dataset, select_classes
from bench.data.splits import UnavailableSplit
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.planning.checks import NetworkChecks, check_whole
from bench.progress import Progress


class DataUnready(UsageError):
    """A dataset is not all here. It may be on its way: whoever can wait looks again."""


@dataclass(frozen=True)
class Chosen:
    """A dataset in the classes that a request names.

    Attributes:
        card: what finds its card, a name or a path.
        all_classes: how many there are of them in all.
    """

    card: str
    dataset: Dataset
    all_classes: int


class Inventory:
    """Shared by all planners of a command, of which a published table needs one a cell.

    Attributes:
        networks: the looks at networks that were taken.
        remarks: what was chosen for the user, a line each.

    Args:
        elsewhere: other machines do the work, so a dataset that is not here is taken as its card says.
        whole: of a dataset all must be here and undamaged, for what is missing may be on its way.
        digests: of files; those of the cache if None.
    """

    def __init__(
        self,
        registry: Registry,
        progress: Progress,
        data_root: Path,
        cache: Path,
        *,
        elsewhere: bool = False,
        whole: bool = False,
        digests: Fingerprints | None = None,
    ) -> None:
        self.networks = NetworkChecks(registry)
        self.remarks: list[str] = []
        self._registry, self._progress, self._elsewhere, self._whole = registry, progress, elsewhere, whole
        self._folders, self._digests = (data_root, cache), digests or Fingerprints.below(cache, later=True)
        self._opened: dict[str, Dataset] = {}

    def dataset(self, name: str) -> Dataset:
        """All classes of a dataset with its files.

        Raises:
            UsageError: it cannot be read, or not evaluated on.
            DataUnready: the same, where all must be here.
        """
        if name not in self._opened:
            try:
                self._opened[name] = self._open(name)
            except (UsageError, RunFailure, OSError) as error:  # files come and go while they are copied
                if self._whole:
                    raise DataUnready(str(error)) from error
                raise
        return self._opened[name]

    def chosen(self, name: str, classes: str | None) -> Chosen:
        """A dataset in some of its classes, as `select_classes` reads them, each with images in both splits.

        Raises:
            UsageError, DataUnready: as `dataset`; there are no such classes, or one of them has no images.
        """
        whole = self.dataset(name)
        chosen = select_classes(whole, classes)
        check_whole(chosen)
        return Chosen(name, chosen, len(whole.classes))

    def check_undamaged(self, name: str) -> None:
        """Raises UsageError: files of a dataset are damaged, of which a run would be a failed one."""
        dataset = self.dataset(name)
        for split in (dataset.train, dataset.test):
            if isinstance(split, UnavailableSplit) and split.damaged:
                raise UsageError(split.reason)

    def keep(self) -> None:
        """Writes the digests of files that were read."""
        self._digests.keep()

    def _open(self, name: str) -> Dataset:
        registry, progress = self._registry, self._progress
        try:
            whole = open_dataset(registry, name, *self._folders, progress, fingerprints=self._digests)
        except DatasetNotFound as error:
            if not self._elsewhere:
                raise
            self.remarks.append(f"{name} is not here: planned by its card, its images not counted")
            whole = as_its_card_says(registry, name, error)
        else:
            self._check_there(whole)
        if whole.known_as is None:
            progress.warn(why_unknown(registry, load_card(registry, name)))
        return whole

    def _check_there(self, dataset: Dataset) -> None:
        """Raises UsageError: a split that is needed is not here."""
        if isinstance(dataset.test, UnavailableSplit) and not dataset.test.damaged:
            raise UsageError(f"nothing can be evaluated: {dataset.test.reason}")
        for split in (dataset.train, dataset.test):
            if self._whole and isinstance(split, UnavailableSplit):
                raise UsageError(split.reason)
