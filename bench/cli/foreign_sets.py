"""What `bench evaluate` must know of a set before the run: its images a class, where it came from, its pixels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cli.console import Console
from bench.condensation import Condenser
from bench.data.datasets import Dataset
from bench.data.fingerprints import Fingerprints
from bench.data.opening import open_dataset, select_classes
from bench.errors import CorruptArtefact, RunFailure, UsageError
from bench.evaluation import PAPER
from bench.extensions.registry import Registry
from bench.interchange import importing
from bench.interchange.importing import Foreign
from bench.interchange.teachers import check_teacher
from bench.labels import HardLabels
from bench.planning.configuring import build, condenser, configure, own_protocol
from bench.progress import Progress
from bench.recipes import Setting
from bench.results.spec import Origin
from bench.sets.condensed import check_fits
from bench.storage.names import VARIANT

USUAL_BACKBONE = "convnet3"  # where a manifest names none

WITHOUT_LR = "the recipe's learning rate, not the one that was learned with the images"  # beside published numbers


@dataclass(frozen=True)
class Described:
    """Images per class to evaluate at, the seed of the set, where it came from, and what finds it, as for --set."""

    ipcs: tuple[int, ...]
    seed: int
    origin: Origin
    changes: tuple[str, ...]


def described(
    folder: Path,
    dataset: str,
    classes: str | None,
    ipcs: Sequence[int],
    data_root: Path,
    cache: Path,
    registry: Registry,
    *,
    protocols: Sequence[str] = (),
    quiet: bool = False,
) -> Described:
    """Reads a set once, against its dataset, and says what was inferred.

    Args:
        ipcs: take the first so many images of each class; none: all there are.
        protocols: by which it is to be evaluated; none: the one that its manifest names.

    Raises:
        UsageError: no set, or one that does not fit the dataset or what is asked; nothing was written.
    """
    manifest = importing.about(folder)
    with Console(quiet=quiet) as console:
        nothing_kept = Fingerprints.below(cache, later=True)
        # planning tells what is left out, and keeps digests
        opened = open_dataset(registry, dataset, data_root, cache, console, told=True, fingerprints=nothing_kept)
        source = select_classes(opened, classes)
        found = read_against(folder, source, registry)
        usual, ranged = _counts(found, source, ipcs, manifest, folder)
        origin = _origin(registry, manifest, found, source, usual[0], ranged, folder)
        warn_of(found, origin.name, console)
        setting = source.setting(usual[0], origin.backbone or USUAL_BACKBONE)
        asked = _asked(protocols, origin)
        lacks = _lacking(registry, origin, found, setting, asked, console)
        _say(console, registry, manifest, origin)
        _warn_of_cells(console, registry, manifest, origin, setting)
        if found.condensed.labels.plain and manifest.get("labels") is None:
            _warn_of_plain_labels(console, registry, origin, setting, asked)
    return Described(usual, manifest.get("seed") or 0, origin, _changes(folder, found, manifest, lacks, ranged))


def _counts(
    found: Foreign, dataset: Dataset, ipcs: Sequence[int], manifest: Mapping[str, Any], folder: Path
) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """Images per class to evaluate at; and the fewest and the most, where all are taken and classes differ.

    Raises:
        UsageError: more are asked for than there are, or fewer than stored labels are of.
    """
    fewest, most = importing.images_per_class(found.condensed.images.classes, dataset.classes, folder)
    _check_ipcs(ipcs, fewest, folder)
    if ipcs and set(ipcs) != {most} and isinstance(manifest.get("labels"), dict) and "fkd" in manifest["labels"]:
        raise UsageError(f"the stored labels of {folder} are of all its images; leave out --ipc")
    usual = tuple(ipcs) or (round(len(found.condensed.images) / len(dataset.classes)),)
    return usual, (fewest, most) if not ipcs and fewest != most else None


def _origin(
    registry: Registry,
    manifest: Mapping[str, Any],
    found: Foreign,
    dataset: Dataset,
    ipc: int,
    ranged: tuple[int, int] | None,
    folder: Path,
) -> Origin:
    return Origin(
        name=manifest.get("name") or manifest.get("run") or folder.name,
        method=manifest["method"],
        protocol=_protocol(registry, manifest, dataset, ipc, folder),
        class_order=found.class_order,
        backbone=manifest.get("backbone"),
        iterations=manifest.get("iterations"),
        budget=manifest.get("budget"),
        images=len(found.condensed.images) if ranged else None,
        images_per_class=ranged,
    )


def _lacking(
    registry: Registry, origin: Origin, found: Foreign, setting: Setting, protocols: Sequence[str], console: Progress
) -> tuple[str, ...]:
    """The step size; it counts where a set is evaluated by its method's own protocol."""
    maker = _maker(registry, origin)
    if maker is None or not maker.learns_lr or found.condensed.learned_lr is not None:
        return ()
    if (own := maker.protocol(setting)) in protocols:
        console.warn(
            f"{origin.name} states no 'learned_lr', the step size that was learned with its images: "
            f"{own} trains at its recipe's rate instead"
        )
    return (WITHOUT_LR,)


def _warn_of_cells(
    console: Progress, registry: Registry, manifest: Mapping[str, Any], origin: Origin, setting: Setting
) -> None:
    """Images that hold several look like any others, of which each is one; a manifest may say they are (factor 1)."""
    method = _built(registry, origin.method, setting)
    if method is not None and method.decoder is not None and manifest.get("decoder") is None:
        factor = method.decoder.factor
        console.warn(
            f"{origin.name} states no 'decoder', and images of {origin.method} hold {factor} x {factor} each: each is "
            f'trained on as it is; state "decoder": {json.dumps(method.decoder.facts)}, or of images that were cut '
            'already "factor": 1'
        )


def _changes(
    folder: Path,
    found: Foreign,
    manifest: Mapping[str, Any],
    lacks: tuple[str, ...],
    ranged: tuple[int, int] | None,
) -> tuple[str, ...]:
    """The configuration that finds the set, as for --set."""
    values = {
        "path": str(folder),
        "content": importing.fingerprint(folder, found.files),
        "made_by": manifest["method"],
        "pixels": "float32" if found.condensed.images.pixels.is_floating_point() else "uint8",
        "whole": ranged is not None,
        **({"grid": decoder.factor} if (decoder := found.condensed.decoder) else {}),
        **({"lacks": lacks} if lacks else {}),
    }
    return tuple(f"{key}={json.dumps(value)}" for key, value in values.items())


def _maker(registry: Registry, origin: Origin) -> type[Condenser[Any]] | None:
    """The method that made a set; None where it is none of ours, or cannot be imported, which its sets do not need."""
    if not registry.has("method", origin.method):
        return None
    try:
        return condenser(registry, origin.method)
    except UsageError:
        return None


def _asked(protocols: Sequence[str], origin: Origin) -> list[str]:
    """The protocols that a set is evaluated by, each once and without its variant."""
    bases = (name.partition(VARIANT)[0] for name in protocols or (origin.protocol,))
    return list(dict.fromkeys(origin.protocol if base == PAPER else base for base in bases))


def read_against(folder: Path, dataset: Dataset, registry: Registry) -> Foreign:
    """A set, held against the dataset that it is of. Raises UsageError: there is none, or it does not fit."""
    try:
        found = importing.read_foreign(folder, dataset, lambda name: registry.load("reader", name))
        check_fits(found.condensed, dataset)
    except (CorruptArtefact, RunFailure) as error:
        raise UsageError(str(error)) from error
    for teacher in found.condensed.labels.teachers:
        if teacher.file is not None:
            check_teacher(teacher, registry.load("backbone", teacher.backbone), dataset, str(folder))
        elif "teachers" in found.left_to_a_run:
            registry.load("backbone", teacher.backbone)  # which is not there until it is taken in
    return found


def warn_of(found: Foreign, name: str, console: Progress) -> None:
    """What a user must know of how a set was read."""
    for note in found.notes:
        console.warn(f"{name}: {note}")
    if found.inferred:
        console.warn(f"{name}: {found.inferred}")
    elif found.class_order.startswith("inferred"):
        console.warn(f"{name}: class order {found.class_order}; state it with 'classes' in the manifest")


def _check_ipcs(ipcs: Sequence[int], fewest: int, folder: Path) -> None:
    if strange := [ipc for ipc in ipcs if not 1 <= ipc <= fewest]:
        raise UsageError(f"--ipc must be 1 to {fewest}, the images of the smallest class of {folder}, not {strange[0]}")


def _protocol(registry: Registry, manifest: Mapping[str, Any], dataset: Dataset, ipc: int, folder: Path) -> str:
    """The protocol that the manifest names; the word "paper" in it is that of a method of ours."""
    name, method, backbone = str(manifest["protocol"]), manifest["method"], manifest.get("backbone")
    if name != PAPER:
        return name
    if method not in registry.names("method") or method == "imported":
        raise UsageError(f"the manifest of {folder} names the protocol 'paper', but {method!r} is no method here")
    return own_protocol(registry, method, dataset.setting(ipc, backbone or USUAL_BACKBONE), None)


def _say(console: Progress, registry: Registry, manifest: Mapping[str, Any], origin: Origin) -> None:
    """What a user must know of how the set was understood."""
    if origin.images_per_class:
        fewest, most = origin.images_per_class
        console.warn(f"the classes of {origin.name} have {fewest} to {most} images, {origin.images} in all")
    stated = manifest.get("protocol_version")
    if stated is not None and origin.protocol in registry.names("protocol"):
        ours = registry.load("protocol", origin.protocol).version
        if ours != stated:
            console.warn(f"{origin.name} was made for {origin.protocol}@{stated}; here that protocol is @{ours}")


def _warn_of_plain_labels(
    console: Progress, registry: Registry, origin: Origin, setting: Setting, protocols: Sequence[str]
) -> None:
    """A set that brings no labels is trained on its classes by a protocol that takes those of the set."""
    method = _built(registry, origin.method, setting)
    kind = HardLabels.kind if method is None else method.label_kind
    if kind == HardLabels.kind:
        return
    if taking := [name for name in protocols if _takes_own(registry, name)]:
        console.warn(
            f"{origin.name} brings no labels but classes: {', '.join(taking)} trains on hard ones, and {origin.method} "
            f"has {kind} ones; name them in the manifest ('labels', 'source.soft', 'source.logits'), or let a teacher "
            "of ours label: --protocol soft"
        )


def _takes_own(registry: Registry, protocol: str) -> bool:
    """Whether a protocol trains on the labels of the set."""
    return registry.has("protocol", protocol) and registry.load("protocol", protocol).labels == "own"


def _built(registry: Registry, method: str, setting: Setting) -> Condenser[Any] | None:
    """The method that made a set, as it would here; None where it is none of ours, or is not known for the setting."""
    if not registry.has("method", method):
        return None
    try:
        return build(registry, configure(registry, method, setting, ()))
    except UsageError:  # whatever it cannot make here, the set is there
        return None
