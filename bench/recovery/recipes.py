"""A recovery recipe: all that decides how images are recovered from a network, as data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EngineName = Literal["fast", "reference"]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class RecoveryRecipe(BaseModel):
    """How to recover images.

    Attributes:
        iterations: updates of every image.
        batch_size: at most so many images are updated together; BN matching constrains the batch, so this is part of
            the method and no matter of speed.
        lr: Adam's rate (betas 0.5 and 0.9, eps 1e-8), falling along a cosine to 0, a step an iteration.
        bn_weight: alpha_BN, the weight of R_BN beside the cross-entropy.
        first_bn_multiplier: weight of the first BatchNorm's term in R_BN: 10 in every release of the family, 1 in the
            papers, which do not state it (their code sets it).
        crop: "resized" (one RandomResizedCrop for the batch and iteration) or "none".
        crop_scale: range of the crop's share of the area.
        crop_ratio: range of its width over its height.
        curriculum: how the low end of `crop_scale` falls from the high end to its own value (CDA): along a "cosine" or
            a straight line ("linear"), or at once when the fall is over ("step"); "none" leaves it at its own value.
        milestone: the share of the iterations that the fall takes; see `bench.recovery.views.smallest_share`.
        flip: horizontally with p = 0.5, the whole batch or none of it.
        roll: range, both ends included, of the cyclic shift in pixels, drawn for each axis ((0, 0): none).
        groups: so many batches are recovered at once, each as if it were alone. Changes costs and nothing else.
        engine: who does the arithmetic; see `bench.recovery.engines`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    iterations: int = Field(ge=1)
    batch_size: int = Field(default=100, ge=1)
    lr: Positive
    bn_weight: NotNegative
    first_bn_multiplier: NotNegative = 10.0
    crop: Literal["resized", "none"] = "resized"
    crop_scale: tuple[Positive, Positive] = (0.08, 1.0)
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    curriculum: Literal["none", "cosine", "linear", "step"] = "none"
    milestone: Annotated[float, Field(ge=0, le=1)] = 1.0
    flip: bool = True
    roll: tuple[int, int] = (0, 0)
    groups: int = Field(default=1, ge=1)
    engine: EngineName = "fast"

    @field_validator("crop_scale", "crop_ratio", "roll")
    @classmethod
    def _rises(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] > ends[1]:
            raise ValueError("a range must rise from its first value to its second")
        return ends

    @model_validator(mode="after")
    def _curriculum_crops(self) -> "RecoveryRecipe":
        if self.curriculum != "none" and self.crop == "none":
            raise ValueError(f"the curriculum {self.curriculum!r} is one of crops: crop must be 'resized'")
        return self
