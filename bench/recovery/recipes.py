"""Recovery recipes: all that decides how images are recovered from networks, as data."""

from collections import Counter
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from bench.storage.growing import GrowingModel

EngineName = Literal["fast", "reference"]
LayerKind = Literal["batchnorm", "convolution"]
Quirk = Literal["zero-start", "swapped-patches", "within-image-variance", "element-mean", "moving-classes"]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
StoredAs = Annotated[  # how recovered images are kept; "lossless" is another name of "uint8"
    Literal["jpeg", "uint8"], BeforeValidator(lambda name: "uint8" if name == "lossless" else name)
]


class RecoveryRecipe(GrowingModel):
    """How to recover images from the BatchNorm statistics of one network (SRe2L and CDA).

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
        tv, l2: weights of the image priors, 0 in every released command (see `bench.recovery.terms.prior`).
        groups: so many batches are recovered at once, each as if it were alone. Changes costs and nothing else.
        engine: who does the arithmetic; see `bench.recovery.engines`.
    """

    added: ClassVar[frozenset[str]] = frozenset({"tv", "l2"})
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
    tv: NotNegative = 0.0
    l2: NotNegative = 0.0
    groups: int = Field(default=1, ge=1)
    engine: EngineName = "fast"

    @property
    def padding(self) -> int | None:
        """Pixels around the image in which a crop of its size may lie; None where crops are others."""
        return None

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


class MatchingRecipe(RecoveryRecipe):
    """How to recover images by matching statistics of several kinds (G-VBSM, EDC); by default, as `RecoveryRecipe`.

    `bn_weight` and `first_bn_multiplier` weigh all measured layers alike: the releases' r_loss, and 10 for the first.

    Attributes:
        crop: "padded" besides: a crop of the image's size after padding `pad` pixels with 0, the mean of the data.
        pad: see `crop`.
        match: the layers whose inputs are measured.
        patch: side of the squares, in pixels of a convolution's input, of which means and variances are matched.
        global_share: alpha, the share of the distance to the statistics of all data; the rest is to those of the
            batch's classes (EDC).
        class_goals: where the statistics of a batch's classes come from: from all training "data" of each class, or
            from a "batch" of real images, drawn for the batch once: `goal_images` of its class for each of its images,
            of which the statistics are taken together (EDC's category-aware "local").
        goal_images: see `class_goals`. In EDC's code so many that a whole set meets 100,000 of them, on ImageNet-1K
            and CIFAR-10 50,000 and on ImageNet-10 1,000.
        smoothing: how much of a layer's earlier batch statistics stays in what is compared (G-VBSM): a moving average
            over iterations, through which the gradient of the current batch passes straight. 0: none stays.
        drop: the probability that a convolution is left out of an iteration (G-VBSM's drop rate).
        densification: weight of the term that spreads images of one class (G-VBSM).
        densification_temperature: its tau.
        flatness: weight of the term that keeps logits near those of the images' moving average (EDC).
        flatness_decay: of that moving average, beta.
        flatness_temperature: its tau.
        stages: of as many iterations each, as near as can be. After each but the last the images are mixed with their
            start and Adam begins anew, its rate still falling along the one cosine over all iterations (FADRM).
        residual: alpha, what stays of the images in that mix; the rest is their start.
        scales: the side of the images in each stage, as a share of the set's: the first stage has the first, and so on,
            from the first again after the last (FADRM: 200 and 224 pixels in turn). The last stage's is 1.
        networks: "one" network of the pool an iteration, in turn, or "all", whose losses are averaged.
        as_released: which peculiarities of the released code are followed, where they can move a number:
            "zero-start": smoothed statistics begin at 0, not at the first batch's;
            "swapped-patches": a class's patch means are matched to its patch variances, and its variances to its means;
            "within-image-variance": a class's variance is the mean of those within its images, and a batch's target the
            mean over its labels; without, both are those of the mixture;
            "moving-classes": a class's statistics are not those of all its images but a moving average over the batches
            that it is met in, which keeps 0.9, from mean 0 and variance 1 (LPLD);
            "element-mean": the flatness term is averaged over classes too, so it is as many times smaller.
    """

    added: ClassVar[frozenset[str]] = RecoveryRecipe.added | {
        *("stages", "residual", "scales", "class_goals", "goal_images"),
    }

    crop: Literal["resized", "padded", "none"] = "resized"  # type: ignore[assignment]
    pad: int = Field(default=4, ge=0)
    match: tuple[LayerKind, ...] = Field(default=("batchnorm",), min_length=1)
    patch: int = Field(default=4, ge=1)
    global_share: Fraction = 1.0
    class_goals: Literal["data", "batch"] = "data"
    goal_images: int = Field(default=10, ge=1)
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    densification: NotNegative = 0.0
    densification_temperature: Positive = 4.0
    flatness: NotNegative = 0.0
    flatness_decay: Fraction = 0.99
    flatness_temperature: Positive = 4.0
    stages: int = Field(default=1, ge=1)
    residual: Fraction = 0.5
    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0,), min_length=1)
    networks: Literal["one", "all"] = "one"
    as_released: tuple[Quirk, ...] = ()

    @property
    def padding(self) -> int | None:
        """As `crop` and `pad` say."""
        return self.pad if self.crop == "padded" else None

    @property
    def of_images(self) -> bool:
        """Whether there are terms that look at the images alone."""
        return bool(self.densification or self.tv or self.l2)

    @property
    def stage_begins(self) -> frozenset[int]:
        """The iterations that begin a stage, the first stage's apart."""
        return frozenset(self._begins) - {0}

    @property
    def _begins(self) -> list[int]:
        """Of the second stage, the third, ...; of some the same where there are fewer iterations than stages."""
        return [self.iterations * stage // self.stages for stage in range(1, self.stages)]

    @model_validator(mode="after")
    def _classes_count(self) -> "MatchingRecipe":
        if self.class_goals == "batch" and self.global_share == 1:
            raise ValueError("class_goals are of a batch, and with a global_share of 1 classes do not count")
        return self

    @property
    def meets_real_images(self) -> bool:
        """Whether batches come with real images that they are held against."""
        return self.class_goals == "batch"

    @model_validator(mode="after")
    def _grows_to_the_end(self) -> "MatchingRecipe":
        if self.scales[(self.stages - 1) % len(self.scales)] != 1:
            raise ValueError(f"the last of {self.stages} stages must have the set's resolution: scales must be 1 there")
        bound = self.flatness or self.match != ("batchnorm",)
        if bound and set(self.scales) != {1.0}:
            raise ValueError("neither flatness nor statistics of convolutions can be had at changing sizes")
        return self

    def side(self, iteration: int, resolution: int) -> int:
        """Pixels a side of the images in an iteration, of a set of that resolution."""
        stage = sum(begin <= iteration for begin in self._begins)
        return max(1, round(self.scales[stage % len(self.scales)] * resolution))

    def sides(self, resolution: int) -> dict[int, int]:
        """How many iterations have images of each side."""
        return dict(Counter(self.side(iteration, resolution) for iteration in range(self.iterations)))

    @classmethod
    def of(cls, recipe: RecoveryRecipe) -> "MatchingRecipe":
        """Any recipe in full: the smaller one is a case of this."""
        if isinstance(recipe, MatchingRecipe):
            return recipe
        return cls.model_validate(recipe.model_dump(include=set(RecoveryRecipe.model_fields)))
