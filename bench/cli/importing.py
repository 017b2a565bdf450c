"""What `bench evaluate` must know of a set before the run: how many images a class, its protocol, its pixels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import importing
from bench.condensed import check_fits
from bench.console import Console
from bench.data.opening import open_dataset, select_classes
from bench.errors import CorruptArtefact, RunFailure, UsageError
from bench.plugins import Registry


@dataclass(frozen=True)
class Described:
    """Images per class, the protocol its manifest names, and the configuration that finds it, as for --set."""

    ipc: int
    protocol: str
    changes: tuple[str, ...]


def described(
    folder: Path, dataset: str, classes: str | None, data_root: Path, cache: Path, plugins: Sequence[str]
) -> Described:
    """Reads a set once, against its dataset.

    Raises:
        UsageError: no set, or one that does not fit the dataset; nothing was written.
    """
    registry = Registry(plugins)
    manifest = importing.about(folder)
    with Console() as console:
        opened = open_dataset(registry, dataset, data_root, cache, console, told=True)  # planning tells it
        source = select_classes(opened, classes)
    try:
        found = importing.read(folder, source, lambda name: registry.load("reader", name))
        check_fits(found, source)
    except (CorruptArtefact, RunFailure) as error:
        raise UsageError(str(error)) from error
    values = {
        "path": str(folder),
        "content": importing.fingerprint(folder),
        "made_by": manifest["method"],
        "pixels": "float32" if found.images.pixels.is_floating_point() else "uint8",
    }
    changes = tuple(f"{key}={json.dumps(value)}" for key, value in values.items())
    ipc = importing.images_per_class(found.images.classes, source.classes, folder)
    return Described(ipc, manifest["protocol"], changes)
