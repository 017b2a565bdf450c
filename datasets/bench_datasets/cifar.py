"""CIFAR-10 and CIFAR-100 from their official archives, read by torchvision behind its own checksums.

The archives hold pickles. They are unpickled by torchvision alone, and only once the archive, or every batch file of an
extracted one, has the published checksum.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torchvision import datasets

from bench.data.archives import extract
from bench.data.datasets import DatasetCard, Fetch, Reader, Source, SourceCard, SplitName
from bench.data.places import Place
from bench.errors import RunFailure, UsageError

_LOADERS = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


class CifarOptions(BaseModel):
    """`variant`: which of the two. `path`: the folder with the archive or what it holds, below the data root."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    variant: Literal["cifar10", "cifar100"]
    path: Place = "."


class CifarReader(Reader):
    """Reads the extracted batches, or else the archive (extracted into a temporary folder for the moment it takes)."""

    Options = CifarOptions
    names_classes = False

    def __init__(self) -> None:
        self._loaded: dict[SplitName, tuple[Any, Tensor]] = {}

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """Both names, as torchvision has them."""
        options = CifarOptions.model_validate(source.options)
        loader = _LOADERS[options.variant]
        return f"{Path(options.path, loader.base_folder)} or {Path(options.path, loader.filename)}"

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The extracted folder, or else the archive."""
        options = CifarOptions.model_validate(source.options)
        loader = _LOADERS[options.variant]
        folder, archive = root / options.path / loader.base_folder, root / options.path / loader.filename
        if folder.is_dir():
            batches = [*loader.train_list, *loader.test_list, (loader.meta["filename"], loader.meta["md5"])]
            checksums = {folder / name: f"md5:{md5}" for name, md5 in batches}
        elif archive.is_file():
            checksums = {archive: f"md5:{loader.tgz_md5}"}
        else:
            return None
        files: dict[SplitName, tuple[Path, ...]] = {"train": tuple(checksums), "test": tuple(checksums)}
        if card.order is None:
            raise UsageError(f"the card of {card.name} must list class_ids: the layout cifar does not give them")
        return Source(source.layout, root / options.path, files, card.order, options.model_dump(), checksums)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """Loads the archive; the labels of its own class list must be in the card's order."""
        return self._split(source, split)[1]

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Arrays (3, 32, 32)."""
        images = self._split(source, split)[0]
        for index in indices:
            yield f"{source.options['variant']} {split} image {index}", images[index].transpose(2, 0, 1)

    def fetch(self, card: DatasetCard, source: SourceCard) -> Fetch | None:
        """The archive's address and checksum, as torchvision has them."""
        options = CifarOptions.model_validate(source.options)
        loader = _LOADERS[options.variant]
        return Fetch(
            url=loader.url,
            file=str(Path(options.path, loader.filename)),
            checksum=f"md5:{loader.tgz_md5}",
            extract=loader.base_folder,
        )

    def _split(self, source: Source, split: SplitName) -> tuple[Any, Tensor]:
        """Images (N, 32, 32, 3) and labels, loaded once."""
        if not self._loaded:
            self._loaded = _load(source)
        return self._loaded[split]


def _load(source: Source) -> dict[SplitName, tuple[Any, Tensor]]:
    loader = _LOADERS[source.options["variant"]]
    if (source.root / loader.base_folder).is_dir():
        return _load_folder(source, source.root)
    with TemporaryDirectory() as folder:
        extract(source.root / loader.filename, Path(folder) / loader.base_folder)
        return _load_folder(source, Path(folder))


def _load_folder(source: Source, folder: Path) -> dict[SplitName, tuple[Any, Tensor]]:
    loader = _LOADERS[source.options["variant"]]
    try:
        train, test = loader(folder, train=True), loader(folder, train=False)
    except RuntimeError as error:
        raise RunFailure(f"corrupt file: {source.root / loader.base_folder}: {error}") from error
    if tuple(train.classes) != source.classes:
        raise RunFailure(f"the class order of {source.root / loader.base_folder} is not that of the card")
    return {"train": (train.data, torch.tensor(train.targets)), "test": (test.data, torch.tensor(test.targets))}
