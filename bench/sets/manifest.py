"""The manifest of a set that came from elsewhere: one that a run wrote, or a short one written by hand."""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench.cards import SourceCard, validated
from bench.errors import CorruptArtefact, UsageError, why
from bench.files import digest, file_digest, read_json
from bench.training.fkd import SEED

Range = Literal["0..255", "0..1", "normalised", "whitened"]


def _below_the_set(name: str) -> str:
    """A run is told from others by the content of the set's folder, so nothing of the set lies elsewhere."""
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise ValueError("what is named lies below the set's folder, itself or as a link")
    return name


Below = Annotated[str, AfterValidator(_below_the_set)]


class TensorSource(BaseModel):
    """Images and labels in one file, under two names; soft labels, if there are any, under a third."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: Below
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
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    seed: int = SEED
    teacher: str = ""


class HandWritten(BaseModel):
    """A manifest written by hand.

    Attributes:
        name: what tables call the set; None: its folder's name.
        method, backbone, iterations: what made it, where that is known.
        labels: stored soft labels that lie beside the images; None: those of the source.
        protocol, protocol_version: what it was made for; without a version, whatever the protocol is now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: TensorSource | SourceCard
    name: str | None = None
    method: str = "imported"
    backbone: str | None = None
    iterations: Annotated[int, Field(ge=1)] | None = None
    protocol: str = "hard"
    protocol_version: int | None = None
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] | None = None
    zca: ZcaSource | None = None
    learned_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    labels: FkdSource | None = None


def about(folder: Path) -> dict[str, Any]:
    """The manifest of a set: ours, or one written by hand and validated.

    Raises:
        UsageError: there is none, or it is not a manifest; the line names the field.
    """
    path = folder / "manifest.json"
    try:
        manifest = read_json(path, sealed=False)
    except FileNotFoundError:
        raise UsageError(f"no condensed set at {folder}: looked for {path}") from None
    except CorruptArtefact as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error
    if "source" not in manifest and "files" in manifest:
        return manifest
    source = manifest.get("source")
    if isinstance(source, dict):  # first, because the message for a choice of two says nothing
        validated(TensorSource if "file" in source else SourceCard, source, f"{path}, source")
    if isinstance(manifest.get("labels"), dict):
        validated(FkdSource, manifest["labels"], f"{path}, labels")
    return validated(HandWritten, manifest, str(path)).model_dump()


def by_hand(folder: Path) -> HandWritten | None:
    """The manifest of a set, where it is one written by hand. Raises as `about`."""
    manifest = about(folder)
    return HandWritten.model_validate(manifest) if "source" in manifest else None


def fingerprint(folder: Path) -> str:
    """A hash of every file of the set, also behind links: another content is another run."""
    return digest({str(path.relative_to(folder)): file_digest(path) for path in _files(folder, ())})


def _files(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """All files below a folder, without folders that hold one of those above, to which links may lead back."""
    real = folder.resolve()
    if any(each.is_relative_to(real) for each in above):
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path, (*above, real))
        elif path.is_file():
            yield path
