"""The manifest that a run writes beside its set, as far as reading the set relies on it.

Another program, or another version of this one, may have sealed something else under the same name.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bench.sets.condensed import IMAGES, LABELS
from bench.storage.regular_files import LONGEST
from bench.storage.users_files import plain_name

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(max_length=LONGEST)]
Below = Annotated[str, AfterValidator(plain_name)]


class _Part(BaseModel):
    """Later versions may say more."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class TeacherFacts(BaseModel):
    """What `TeacherRef.to_json` writes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    stage: Name
    backbone: Name
    top1: Finite | None
    bytes: Count


class PlainFacts(_Part):
    """Of hard and of soft labels."""

    kind: Literal["hard", "soft"]


class _TeachersFacts(_Part):
    """Of labels that one teacher made, or several together."""

    teacher: TeacherFacts | None = None
    teachers: list[TeacherFacts] | None = Field(default=None, min_length=2)
    temperature: Positive

    @model_validator(mode="after")
    def _made_by_somebody(self) -> "_TeachersFacts":
        if (self.teacher is None) == (self.teachers is None):
            raise ValueError("one 'teacher' or several 'teachers' must be named")
        return self


class OnlineFacts(_TeachersFacts):
    """Of labels that teachers make while students train."""

    kind: Literal["online"]
    teacher_mode: Literal["eval", "train"] = "eval"


class StoredFacts(_TeachersFacts):
    """Of labels stored for every view."""

    kind: Literal["stored"]
    view_seed: int
    recipe: dict[str, Any]


class ZcaFacts(_Part):
    """Where a whitening lies."""

    file: Below


class OwnManifest(_Part):
    """What of a manifest of ours reading its set relies on."""

    files: dict[Below, str]
    method: Name
    protocol: Name
    protocol_version: Count | None = None
    name: Name | None = None
    run: Name | None = None
    backbone: Name | None = None
    iterations: Count | None = None
    budget: Literal["paper", "quick"] | None = None
    classes: list[str] = Field(min_length=2)
    mean: list[Finite] | None
    std: list[Positive] | None
    zca: ZcaFacts | None
    learned_lr: Positive | None
    labels: Annotated[PlainFacts | OnlineFacts | StoredFacts, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _whole(self) -> "OwnManifest":
        needed = [IMAGES, LABELS, *([self.zca.file] if self.zca else [])]
        if lacking := [name for name in needed if name not in self.files]:
            raise ValueError(f"'files' lacks {lacking[0]}")
        if self.zca is None and not (self.mean and self.std and len(self.mean) == len(self.std)):
            raise ValueError("it has neither mean and std nor zca")
        return self
