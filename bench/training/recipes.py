"""A training recipe: all that decides how a network is trained, as data."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from bench.storage.growing import GrowingModel

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
DSA_FAMILIES = ("color", "crop", "cutout", "flip", "scale", "rotate")


AUGMAX_FAMILIES = ("flip", "color", "crop", "rotate", "translate", "cutout")


def _joins(families: tuple[str, ...]) -> AfterValidator:
    def known(strategy: str) -> str:
        if strategy and set(strategy.split("_")) - set(families):
            raise ValueError(f"joins families of {', '.join(families)} by underscores")
        return strategy

    return AfterValidator(known)


DsaStrategy = Annotated[str, _joins(DSA_FAMILIES)]  # as "color_crop_cutout"; "" for no augmentation
AugmaxStrategy = Annotated[str, _joins(AUGMAX_FAMILIES)]  # likewise


class TrainingRecipe(GrowingModel):
    """How to train a network.

    Attributes:
        optimizer: `sgd` (momentum), `adamw` (betas) or `adam` (the same, with weight decay as a part of the gradient).
        decay_all: False exempts tensors of fewer than two dimensions (biases, norm scales) from weight decay.
        sam_rho: how far uphill from the weights the gradient is taken, which makes two passes a step (SAM; see
            `bench.training.sharpness`); 0 for none. `sam_adaptive`: in proportion to each weight. `gsam_alpha`: how
            much of what is vertical to it in the first gradient is taken off (GSAM).
        schedule: `cosine`, `half-cosine` (ends at half), `cosine-linear` (EDC's "cos2": a cosine for 5/6 of the epochs,
            then a sixth of what it had come to, falling in a line to 0), `step` (times 0.1 once at epoch n // 2 + 1,
            momentum reset: the DC family), `multistep` (times `milestone_factor` at each of `milestones`) or
            `constant`; stepped once an epoch, or with `every_step` once a batch.
        floor: the share of the rate that `cosine` ends at (FRePo: 0.01).
        every_step: rate and warm-up move with each batch, as where a paper counts steps.
        zeta: how many times as long as the training the cosine of `cosine` and `cosine-linear` is: 1 ends at 0, 2 at
            half (EDC's smoothing).
        milestones: shares of the epochs at which `multistep` drops.
        warmup_epochs: linear rise from `warmup_factor` of the rate; the schedule covers the epochs after it.
        crop: per image: "resized" (RandomResizedCrop with `crop_scale`, `crop_ratio`), "padded" (random crop after
            padding `pad` pixels with black) or "none".
        shuffle_patches: cut each image into so many columns of patches, and as many rows, and put them in random order,
            before the crop (RDED; 1 leaves images whole).
        flip: horizontally with p = 0.5, per image.
        dsa: strategy string of differentiable siamese augmentation, e.g. "color_crop_cutout" (any of `DSA_FAMILIES`),
            drawn per image; "" for none.
        dsa_reading: what of that string a batch gets: "one" of its families (DSA), or "layered": flip and color, one of
            the others, and cutout last (IDC; see `bench.training.augmentation.layered_dsa`).
        jitter: of brightness, contrast and saturation, per image, up to this share, and `lighting`: the deviation of
            AlexNet's colour noise (see `bench.training.augmentation.jitter`); 0 for none.
        augmax: strategy string of FRePo's augmentation (any of `AUGMAX_FAMILIES`; see
            `bench.training.augmentation.augmax`), drawn per image; "" for none. One of the two, no more.
        randaugment: magnitude of RandAugment, per image; 0 for none (DeiT: 9; see
        `bench.training.augmentation.randaugment`).
        randaugment_policy: "timm" (DeiT's: magnitudes 1..10, after the crop) or "torchvision" (magnitudes 1..30, before
            the crop, as EDC has it; see `bench.training.augmentation.plain_randaugment`).
        erasing: probability that a box of an image is erased, per image (DeiT: 0.25; see
        `bench.training.augmentation.erasing`).
        mix: acts on the batch with `mix_probability`, lambda from Beta(`mix_alpha`, `mix_alpha`). "switch" is CutMix or
            Mixup, a coin a batch, and Mixup's lambda is then from Beta(`mixup_alpha`, `mixup_alpha`) (DeiT).
        soft_loss: on soft labels of teachers: "kl", KL(teacher || student) at the labels' temperature T, or "mse", the
            mean over images and classes of the squared difference of logits, without a temperature (G-VBSM, EDC).
        t_squared: multiply KL at temperature T by T squared.
        hard_weight: weight of the cross-entropy with the class that is added (see `bench.training.losses.SoftLoss`).
        accumulation: the student sees a batch in so many parts, each normalised by its own statistics where it has
            BatchNorm; the step is that of the whole batch. The teacher sees the whole batch.
        bn_updates: how often BatchNorm's running statistics move towards those of a batch (RDED's code: twice a step).
        ema: decay of an exponential average of the weights, which is then what is tested.
        ema_buffers: BatchNorm's statistics of that average: "averaged" as the weights are, or "live", those of the
            network that is trained (EDC's code, which swaps parameters alone).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    added: ClassVar[frozenset[str]] = frozenset(
        {
            *("zeta", "milestones", "milestone_factor", "soft_loss", "hard_weight"),
            *("accumulation", "ema_buffers", "randaugment_policy"),
            *("dsa_reading", "jitter", "lighting"),
            *("floor", "every_step", "augmax"),
            *("sam_rho", "sam_adaptive", "gsam_alpha"),
        }
    )

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    drop_last: bool = False
    optimizer: Literal["sgd", "adamw", "adam"] = "sgd"
    lr: Positive
    momentum: Fraction = 0.9
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    weight_decay: float = Field(ge=0)
    decay_all: bool = True
    sam_rho: float = Field(default=0.0, ge=0)
    sam_adaptive: bool = False
    gsam_alpha: float = Field(default=0.0, ge=0)
    schedule: Literal["cosine", "half-cosine", "cosine-linear", "step", "multistep", "constant"] = "cosine"
    zeta: float = Field(default=1.0, ge=1)
    milestones: tuple[Fraction, ...] = ()
    milestone_factor: Positive = 0.5
    warmup_epochs: int = Field(default=0, ge=0)
    warmup_factor: float = Field(default=0.01, ge=0)
    floor: Fraction = 0.0
    every_step: bool = False
    crop: Literal["resized", "padded", "none"] = "none"
    crop_scale: tuple[Positive, Positive] = (0.08, 1.0)
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    pad: int = Field(default=4, ge=0)
    shuffle_patches: int = Field(default=1, ge=1)
    flip: bool = False
    dsa: DsaStrategy = ""
    dsa_reading: Literal["one", "layered"] = "one"
    jitter: Fraction = 0.0
    lighting: float = Field(default=0.0, ge=0)
    augmax: AugmaxStrategy = ""
    randaugment: int = Field(default=0, ge=0, le=30)
    randaugment_policy: Literal["timm", "torchvision"] = "timm"
    erasing: Fraction = 0.0
    mix: Literal["none", "cutmix", "mixup", "switch"] = "none"
    mix_alpha: Positive = 1.0
    mixup_alpha: Positive = 0.8
    mix_probability: Fraction = 1.0
    label_smoothing: Fraction = 0.0
    soft_loss: Literal["kl", "mse"] = "kl"
    t_squared: bool = False
    hard_weight: float = Field(default=0.0, ge=0)
    accumulation: int = Field(default=1, ge=1)
    bn_updates: int = Field(default=1, ge=1)
    ema: Fraction | None = None
    ema_buffers: Literal["averaged", "live"] = "averaged"

    @model_validator(mode="after")
    def _warmup_fits(self) -> "TrainingRecipe":
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs}) must be below epochs ({self.epochs}): set it, too, 0 for none"
            )
        return self

    @model_validator(mode="after")
    def _steps_are_said(self) -> "TrainingRecipe":
        if (self.schedule == "multistep") != bool(self.milestones):
            raise ValueError("milestones belong to the schedule multistep, and it to them")
        return self

    @model_validator(mode="after")
    def _sharpness_has_a_radius(self) -> "TrainingRecipe":
        if not self.sam_rho and (self.sam_adaptive or self.gsam_alpha):
            raise ValueError("sam_adaptive and gsam_alpha belong to a sam_rho above 0")
        return self

    @model_validator(mode="after")
    def _one_family_a_batch(self) -> "TrainingRecipe":
        if self.dsa and self.augmax:
            raise ValueError("dsa and augmax are two ways to augment: one of them must be empty")
        return self

    @model_validator(mode="after")
    def _floor_is_a_cosine_s(self) -> "TrainingRecipe":
        if self.floor and self.schedule != "cosine":
            raise ValueError("floor belongs to the schedule cosine")
        return self

    @model_validator(mode="after")
    def _magnitude_is_the_policy_s(self) -> "TrainingRecipe":
        if self.randaugment_policy == "timm" and self.randaugment > 10:
            raise ValueError(f"randaugment ({self.randaugment}) goes up to 10 in timm's policy")
        return self


class TeacherRecipe(TrainingRecipe):
    """How to train the network that a method looks through, or where to take it from.

    Attributes:
        weights: "" trains it; "IMAGENET1K_V1" takes torchvision's trained weights, and the rest stands unused.
        starts_from: "" trains it from nothing; "IMAGENET1K_V1" trains it on from torchvision's weights, all but those
            of the classifier.
    """

    added: ClassVar[frozenset[str]] = TrainingRecipe.added | {"starts_from"}

    weights: Literal["", "IMAGENET1K_V1"] = ""
    starts_from: Literal["", "IMAGENET1K_V1"] = ""

    @model_validator(mode="after")
    def _one_source(self) -> "TeacherRecipe":
        if self.weights and self.starts_from:
            raise ValueError("weights takes a network as it is, starts_from trains it on: one of the two must be empty")
        return self

    def training(self) -> TrainingRecipe:
        """The recipe of the training alone."""
        return TrainingRecipe(**self.model_dump(exclude={"weights", "starts_from"}))
