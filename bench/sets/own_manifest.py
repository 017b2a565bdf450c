"""The manifest that a run writes beside its set, as far as reading the set relies on it.

What calls itself one may have been sealed by another program, or by another version of this one.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bench.labels import Combine, TeacherMode
from bench.storage.artefacts import Part
from bench.storage.regular_files import LONGEST
from bench.storage.shapes import AS_WRITTEN
from bench.storage.users_files import plain_name

Finite = Annotated[float, Field(allow_inf_nan=False), AS_WRITTEN]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AS_WRITTEN]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # what torch takes
Name = Annotated[str, Field(max_length=LONGEST)]
Below = Annotated[str, AfterValidator(plain_name)]


IMAGES, LABELS = "images.safetensors", "labels.safetensors"


class TeacherFacts(BaseModel):
    """What `TeacherRef.to_json` writes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    stage: Name
    backbone: Name
    top1: Finite | None
    bytes: Count


class PlainFacts(Part):
    """Of hard and of soft labels, and of regression targets."""

    kind: Literal["hard", "soft", "regression"]


class _TeachersFacts(Part):
    """Of labels that one teacher made, or several together."""

    teacher: TeacherFacts | None = None
    teachers: list[TeacherFacts] | None = Field(default=None, min_length=2)
    temperature: Positive
    combine: Combine = "mean"
    shares: list[Positive] | None = None
    teacher_mode: TeacherMode = "eval"

    @model_validator(mode="after")
    def _made_by_somebody(self) -> "_TeachersFacts":
        if (self.teacher is None) == (self.teachers is None):
            raise ValueError("one 'teacher' or several 'teachers' must be named")
        if self.shares is not None and len(self.shares) != len(self.teachers or ()):
            raise ValueError("'shares' must be of as many as there are 'teachers'")
        return self


class OnlineFacts(_TeachersFacts):
    """Of labels that teachers make while students train."""

    kind: Literal["online"]


class StoredFacts(_TeachersFacts):
    """Of labels stored for every view."""

    kind: Literal["stored"]
    view_seed: int
    recipe: dict[str, Any]
    store: Literal["fp16", "int8", "top-k"] = "fp16"
    k: Annotated[int, Field(ge=1)] | None = None
    classes: Count | None = None
    keep: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _counted(self) -> "StoredFacts":
        if self.store == "top-k" and (self.k is None or self.classes is None):
            raise ValueError("of 'top-k' labels 'k' and 'classes' must be said")
        return self


LabelFacts = Annotated[PlainFacts | OnlineFacts | StoredFacts, Field(discriminator="kind")]


class ZcaFacts(Part):
    """Where a whitening lies."""

    file: Below


class GridFacts(BaseModel):
    """What `bench.condensation.Grid` says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    kind: Literal["grid"]
    factor: Annotated[int, Field(ge=2, le=64)]


class Manifest(Part):
    """What reading a set relies on."""

    images: Count
    resolution: Count
    channels: Count
    files: dict[Below, str]
    protocol_version: Count | None = None
    name: Name | None = None
    run: Name | None = None
    backbone: Name | None = None
    iterations: Count | None = None
    budget: Literal["paper", "quick"] | None = None
    seed: Seed | None = None
    classes: list[str] = Field(min_length=2)
    mean: list[Finite] | None
    std: list[Positive] | None
    zca: ZcaFacts | None
    learned_lr: Positive | None
    labels: LabelFacts
    decoder: GridFacts | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Manifest":
        needed = [IMAGES, LABELS, *([self.zca.file] if self.zca else [])]
        if lacking := [name for name in needed if name not in self.files]:
            raise ValueError(f"'files' lacks {lacking[0]}")
        if self.zca is None and not (self.mean and self.std and len(self.mean) == len(self.std)):
            raise ValueError("it has neither mean and std nor zca")
        return self


class RunManifest(Manifest):
    """That of a run: it says, too, what made the set and what for."""

    method: Name
    protocol: Name
