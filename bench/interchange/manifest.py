"""The manifest of a set that came from elsewhere: one that a run wrote, or a short one written by hand."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.data.cards import SourceCard
from bench.errors import CorruptArtefact, UsageError
from bench.interchange.handwritten import (
    FkdSource,
    HandWritten,
    KeptLabels,
    TeacherLabels,
    TensorSource,
    ZcaFit,
    ZcaSource,
)
from bench.sets.own_manifest import RunManifest
from bench.storage.files import digest, file_digest, unsealed
from bench.storage.run_folder import CONDENSED, MANIFEST
from bench.storage.users_files import content
from bench.storage.users_toml import validated

LARGEST = 16 << 20  # bytes of a manifest: a thousand times one of a thousand classes
FKD_VIEWS = 2  # raise it when the same files of stored labels would show a student other views


def set_of(path: Path) -> Path:
    """The set's folder of a run's folder; any other folder, whatever it holds, as it is."""
    inner = path / CONDENSED
    return inner if (inner / MANIFEST).is_file() and not (path / MANIFEST).is_file() else path


def about(folder: Path) -> dict[str, Any]:
    """The manifest of a set: ours, one written by hand and validated, or, where there is none, what its files say.

    Raises:
        UsageError: it is not a manifest, or there is none and the files leave something open; the line names the field.
    """
    path = folder / MANIFEST
    if is_missing(folder):
        from bench.interchange.inferring import inferred

        return inferred(folder).model_dump()
    try:
        manifest = unsealed(content(path, LARGEST), path, sealed=False)
    except CorruptArtefact as error:
        raise UsageError(str(error)) from error
    if "source" not in manifest and "files" in manifest:
        validated(RunManifest, manifest, str(path))
        return manifest
    source = manifest.get("source")
    if isinstance(source, dict):  # first, because the message for a choice of two says nothing
        validated(TensorSource if "file" in source else SourceCard, source, f"{path}, source")
    if isinstance(manifest.get("labels"), dict):
        forms: dict[str, type[BaseModel]] = {"kept": KeptLabels, "teachers": TeacherLabels}
        form = next((form for name, form in forms.items() if name in manifest["labels"]), FkdSource)
        validated(form, manifest["labels"], f"{path}, labels")
    if isinstance(manifest.get("zca"), dict):
        validated(ZcaFit if "fit" in manifest["zca"] else ZcaSource, manifest["zca"], f"{path}, zca")
    return validated(HandWritten, manifest, str(path)).model_dump()


def by_hand(folder: Path) -> HandWritten | None:
    """The manifest of a set, where it is one written by hand. Raises as `about`."""
    manifest = about(folder)
    return HandWritten.model_validate(manifest) if "source" in manifest else None


def is_missing(folder: Path) -> bool:
    """Whether a folder has no manifest, not even a link to one."""
    return not os.path.lexists(folder / MANIFEST)


def fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """A hash of a set's files, which are those that reading it opens: another content is another run.

    Args:
        files: below the folder, itself or behind links.
    """
    told: dict[str, Any] = (
        {"inferred": digest(about(folder))} if is_missing(folder) else {MANIFEST: file_digest(folder / MANIFEST)}
    )
    if (hand := by_hand(folder)) and isinstance(hand.labels, FkdSource):
        told["views"] = FKD_VIEWS
    return digest({**told, **{str(path.relative_to(folder)): file_digest(path) for path in set(files)}})
