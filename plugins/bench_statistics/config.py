"""The hyper-parameters of the methods that match statistics of several networks."""

from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from bench.condensation import MethodConfig
from bench.recovery.recipes import MatchingRecipe, StoredAs
from bench.training.recipes import TeacherRecipe
from bench.training.soft_labels.relabelling import CommitteeRelabel
from bench_statistics.starts import StartName


class Recover(MatchingRecipe):
    """How to recover images, from where, in which batches, and how to store them.

    Attributes:
        start: "noise", N(0, 1) in normalised space; "real", training images drawn at random; "medium", those that the
            pool finds neither easy nor hard; "tiles", 2 x 2 crops of training images that it finds easy; or "patches",
            single crops that it finds neither (see `bench_statistics.starts`).
        start_mirrored: all but noise are mirrored by chance.
        order: "class-major" (a batch holds all images of a class, and then of the next) or "image-major" (one image of
            each class, as SRe2L has it).
        sweeps: of class-major: the images of a class are made in so many parts, a part of every class after the other
            (G-VBSM on Tiny-ImageNet: 10, so that a batch holds several classes); no more parts than there are images.
        start_without: networks of the pool without a say in what is easy to start from (EDC on ImageNet-1K: AlexNet).
        without: networks of the pool that images are not recovered from, which label (EDC on ImageNet-10).
        images: "jpeg" (a round trip through JPEG of quality 75) or "uint8" (as PNG), also called "lossless".
    """

    added: ClassVar[frozenset[str]] = MatchingRecipe.added | {"sweeps", "start_without", "without"}

    start: StartName = "noise"
    start_mirrored: bool = True
    order: Literal["class-major", "image-major"] = "class-major"
    sweeps: int = Field(default=1, ge=1)
    start_without: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    images: StoredAs = "uint8"

    @model_validator(mode="after")
    def _something_is_mixed_in(self) -> "Recover":
        if self.stages > 1 and self.start == "noise":
            raise ValueError("stages mix the start into the images again: start must not be 'noise'")
        return self


class Relabel(CommitteeRelabel):
    """How the pool labels the images.

    Attributes:
        without: networks of the pool that do not (EDC on ImageNet-1K leaves out EfficientNet-B0).
    """

    without: tuple[str, ...] = ()


class StatisticsConfig(MethodConfig):
    """The three stages.

    Attributes:
        pool: the networks, by name. The run's own backbone is one of them in any case, the first if it is not named.
        squeeze: how each is trained, or where its weights are taken from.
        squeeze_of: by network, what of that is otherwise for it.
        recover: how images are recovered from the pool.
        relabel: how the pool labels them.
    """

    added: ClassVar[frozenset[str]] = MethodConfig.added | {"squeeze_of"}

    pool: tuple[str, ...] = ()
    squeeze: TeacherRecipe
    squeeze_of: dict[str, dict[str, Any]] = Field(default={})
    recover: Recover
    relabel: Relabel = Relabel()

    @model_validator(mode="after")
    def _each_can_be_squeezed(self) -> "StatisticsConfig":
        for name in self.squeeze_of:
            try:
                self.squeeze_for(name)
            except ValidationError as error:
                first = error.errors()[0]
                key = ".".join(map(str, ("squeeze_of", name, *first["loc"])))
                raise ValueError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from error
        return self

    def squeeze_for(self, network: str) -> TeacherRecipe:
        """How a network is trained, or where its weights are taken from."""
        return TeacherRecipe(**{**self.squeeze.model_dump(), **self.squeeze_of.get(network, {})})

    def networks(self, own: str) -> tuple[str, ...]:
        """The pool's networks for a run whose backbone is `own`, each once."""
        named = dict.fromkeys(self.pool)
        return tuple(named) if own in named else (own, *named)

    def recovered_from(self, own: str) -> tuple[str, ...]:
        """Those of them that images are recovered from."""
        return tuple(name for name in self.networks(own) if name not in self.recover.without)
