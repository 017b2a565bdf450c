"""The manifest of a set that came from elsewhere: one that a run wrote, or a short one written by hand."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.data.cards import SourceCard, Unit01, validated
from bench.errors import CorruptArtefact, UsageError
from bench.sets.own_manifest import Below, LabelFacts, Name, Positive, RunManifest
from bench.storage.files import digest, file_digest, unsealed
from bench.storage.users_files import content
from bench.training.fkd import SEED

SMALLEST_STD = 1e-4  # of pixels in [0, 1]; below it, levels would be thousands of standard deviations apart
Range = Literal["0..255", "0..1", "normalised", "whitened"]


MANIFEST = "manifest.json"
FKD_EPOCH = "epoch_0"  # the first folder of labels that were stored batch by batch
LARGEST = 16 << 20  # bytes of a manifest: a thousand times one of a thousand classes


class TensorSource(BaseModel):
    """Images and labels in one file, under two names; soft labels, if there are any, under a third.

    What lies within lists or tables has dotted names, as "data.0.1"; a tensor that is all of a file is called "tensor".

    Attributes:
        labels_file: holds the labels, where they lie apart from the images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: Below
    labels_file: Below | None = None
    images: str = "images"
    labels: str = "labels"
    soft: str | None = None
    range: Range


class ZcaSource(BaseModel):
    """A whitening in one file, under two names: the mean of D numbers and the matrix (D, D) of `Whitening`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: Below
    mean: str = "mean"
    matrix: str = "matrix"


class FkdSource(BaseModel):
    """Labels stored batch by batch, in the layout of `bench.training.fkd`.

    Attributes:
        fkd: the folder that holds epoch_0, epoch_1, ..., below the set's.
        temperature: by which the logits of teacher and student are divided; releases train with 20.
        seed: of the sampler that made the batches.
        teacher: the network that made them, where that is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    fkd: Below
    temperature: Positive
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = SEED  # what torch takes
    teacher: Name = ""


class KeptLabels(BaseModel):
    """Labels as a run keeps them, beside images in another form.

    Attributes:
        kept: the file that a set of a run calls labels.safetensors, in the order of the images.
        facts: what that set's manifest says of its labels.
        teachers: the files with the weights of the teachers that label while students train, in their order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kept: Below
    facts: LabelFacts
    teachers: tuple[Below, ...] = ()


class HandWritten(BaseModel):
    """A manifest written by hand.

    Attributes:
        name: what tables call the set; None: its folder's name.
        method, backbone, iterations: what made it, where that is known.
        labels: others that lie beside the images; None: those of the source.
        protocol, protocol_version: what it was made for; without a version, whatever the protocol is now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: TensorSource | SourceCard
    name: Name | None = None
    method: Name = "imported"
    backbone: Name | None = None
    iterations: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    protocol: Name = "hard"
    protocol_version: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    classes: tuple[str, ...] | None = None
    mean: tuple[Unit01, ...] | None = None
    std: tuple[Annotated[float, Field(ge=SMALLEST_STD, le=1)], ...] | None = None
    zca: ZcaSource | None = None
    learned_lr: Positive | None = None
    labels: FkdSource | KeptLabels | None = None


def about(folder: Path) -> dict[str, Any]:
    """The manifest of a set: ours, one written by hand and validated, or, where there is none, what its files say.

    Raises:
        UsageError: it is not a manifest, or there is none and the files leave something open; the line names the field.
    """
    path = folder / MANIFEST
    if is_missing(folder):
        from bench.sets.inferring import inferred

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
        validated(KeptLabels if "kept" in manifest["labels"] else FkdSource, manifest["labels"], f"{path}, labels")
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
    told = {"inferred": digest(about(folder))} if is_missing(folder) else {MANIFEST: file_digest(folder / MANIFEST)}
    return digest({**told, **{str(path.relative_to(folder)): file_digest(path) for path in set(files)}})
