"""A set of a run in another form: whole or not at all, with the manifest by which it is read again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.preprocessing import Preprocessing
from bench.errors import CorruptArtefact, UsageError, why
from bench.interchange.export.forms import FORMS, Form
from bench.interchange.handwritten import HandWritten
from bench.sets import condensed as sets
from bench.sets.condensed import LABELS, CondensedSet
from bench.sets.own_manifest import Manifest
from bench.storage.files import link_or_copy, write_json, write_text
from bench.storage.names import unknown
from bench.storage.paging import converted
from bench.storage.run_folder import MANIFEST
from bench.storage.shared.scratch import whole_folder
from bench.storage.tensor_files import write_tensors

CARD = "README.md"
ABOUT = ("name", "method", "backbone", "iterations", "seed", "protocol", "protocol_version", "plugins", "learned_lr")
TO_8_BITS = "its values were rounded to 8 bits, so its scores may be others; --to pt keeps them"
CHANNELS = (1, 3)  # that pictures have


@dataclass(frozen=True)
class Exported:
    """A set as it was found: what of it is written.

    Attributes:
        manifest: what the run says of it.
        notes: what its user should know, a line each.
    """

    condensed: CondensedSet
    manifest: Manifest
    notes: tuple[str, ...] = ()


def read(folder: Path, to: str) -> Exported:
    """A run's set, as far as a form can keep it.

    Raises:
        UsageError: no such form, no set of a run there or a damaged one, or one that the form has no place for.
    """
    if to not in FORMS:
        raise unknown("form", to, FORMS)
    try:
        manifest, condensed = sets.verified(folder), sets.load(folder)
    except FileNotFoundError:
        raise UsageError(f"no condensed set of a run at {folder}") from None
    except CorruptArtefact as error:
        raise UsageError(str(error)) from error
    condensed = condensed.decoded()
    _check(condensed, FORMS[to])
    if FORMS[to].pictures and condensed.images.pixels.dtype != torch.uint8:
        levels = converted(condensed.images.pixels, partial(_levels, preprocessing=condensed.preprocessing))
        images = replace(condensed.images, pixels=levels)
        return Exported(replace(condensed, images=images), manifest, (TO_8_BITS,))
    return Exported(condensed, manifest)


def _check(condensed: CondensedSet, form: Form) -> None:
    channels, classes = condensed.images.pixels.shape[1], condensed.images.classes
    if form.pictures and channels not in CHANNELS:
        raise UsageError(f"pictures have one or three channels, and these images {channels}; take --to pt")
    if not condensed.labels.plain and not bool((classes.diff() >= 0).all()):
        raise UsageError(f"the set is not in the order of its classes, and its {condensed.labels.kind} labels are")


def _levels(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    return (preprocessing.invert(pixels.float()).clamp(0, 1) * 255).round().to(torch.uint8)


def export(found: Exported, folder: Path, to: str, output: Path, card: str) -> None:
    """Writes a set, its manifest and its card.

    Args:
        folder: where the set lies.
        output: a folder that is not there yet, or an empty one.
        card: the text of its README.md.

    Raises:
        UsageError: the folder holds something, or cannot be written.
    """
    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UsageError(f"{output} is there already; name a new or an empty folder")
        with whole_folder(output) as part:
            source = FORMS[to].write(part, found.condensed)
            write_text(part / CARD, card)
            _beside(part, folder, found.manifest, found.condensed)
            write_json(part / MANIFEST, _manifest(source, found))
    except OSError as error:
        raise UsageError(f"cannot write {output}: {why(error)}") from error


def _beside(part: Path, folder: Path, manifest: Manifest, condensed: CondensedSet) -> None:
    """What the manifest names besides the images: the whitening, labels that are more than classes, their teachers."""
    preprocessing = condensed.preprocessing.file
    labels = [] if condensed.labels.plain else [LABELS, *_teachers(manifest)]
    if labels and manifest.decoder:  # the images are what its own decode into
        write_tensors(part / labels.pop(0), sets.label_tensors(condensed))
    for name in (*([preprocessing] if preprocessing else []), *labels):
        link_or_copy(folder / name, part / name)


def _teachers(manifest: Manifest) -> list[str]:
    """The files of the teachers, in their order."""
    count = sum(name.startswith("teacher") for name in manifest.files)
    return [sets.teacher_file(index) for index in range(count)]


def _manifest(source: Mapping[str, Any], found: Exported) -> dict[str, Any]:
    about, condensed = found.manifest.to_json(), found.condensed
    said: dict[str, Any] = {name: about[name] for name in ABOUT if about.get(name) is not None}
    said |= {"source": dict(source), "classes": list(condensed.classes), **_constants(source, condensed.preprocessing)}
    if found.manifest.decoder:  # which is at work already; images of its method are taken for uncut otherwise
        said["decoder"] = {"kind": "grid", "factor": 1}
    if not condensed.labels.plain:
        said["labels"] = {"kept": LABELS, "facts": about["labels"], "teachers": _teachers(found.manifest)}
    HandWritten.model_validate(said)
    return said


def _constants(source: Mapping[str, Any], preprocessing: Preprocessing) -> dict[str, Any]:
    if preprocessing.file:
        return {"zca": {"file": preprocessing.file, "mean": "mean", "matrix": "matrix"}}
    facts = preprocessing.facts
    return {"mean": facts["mean"], "std": facts["std"]} if source.get("range") == "normalised" else {}
