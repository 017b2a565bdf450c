"""What a manifest that somebody wrote by hand may say of a set."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.data.cards import SourceCard, Unit01
from bench.sets.own_manifest import Below, GridFacts, LabelFacts, Name, Positive, Seed
from bench.storage.growing import GrowingModel
from bench.training.soft_labels.fkd import SEED
from bench.whitening import EPS

SMALLEST_STD = 1e-4  # of pixels in [0, 1]; below it, levels would be thousands of standard deviations apart
Range = Literal["0..255", "0..1", "normalised", "whitened"]


FKD_EPOCH = "epoch_0"  # the first folder of labels that were stored batch by batch


class TensorSource(GrowingModel):
    """Images and labels in one file, under two names; soft labels, if there are any, under a third.

    What lies within lists or tables has dotted names, as "data.0.1"; a tensor that is all of a file is called "tensor".

    Attributes:
        labels_file: holds the labels, where they lie apart from the images; soft ones too, if they are there.
        labels: class indices (N); None: the class of an image is the most probable of its soft labels.
        soft: probabilities (N, K).
        logits: (N, K), whose softmax they are, in place of `soft` (DATM).
        regression: (N, K), what outputs are to be by the squared error, in place of both (FRePo).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    added: ClassVar[frozenset[str]] = frozenset({"logits", "regression"})
    file: Below
    labels_file: Below | None = None
    images: str = "images"
    labels: str | None = "labels"
    soft: str | None = None
    logits: str | None = None
    regression: str | None = None
    range: Range

    @property
    def own_labels(self) -> str | None:
        """The name of its labels that are more than classes."""
        return self.soft or self.logits or self.regression

    @model_validator(mode="after")
    def _labels_are_there(self) -> "TensorSource":
        said = [repr(name) for name in ("soft", "logits", "regression") if getattr(self, name)]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} say what the labels are; keep one")
        if self.labels is None and not said:
            raise ValueError("without 'labels' it needs 'soft', 'logits' or 'regression'")
        return self


class ZcaSource(BaseModel):
    """A whitening in one file, under two names: the mean of D numbers and the matrix (D, D) of `Whitening`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: Below
    mean: str = "mean"
    matrix: str = "matrix"


class ZcaFit(BaseModel):
    """A whitening that no file holds, fitted on the dataset's training split as whoever made the set did.

    Attributes:
        fit: "kornia", as MTT, TESLA and DATM; "frepo", which standardises channels first (see `bench.whitening`).
        eps: added to the variances; "frepo" has it in units of their mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    fit: Literal["kornia", "frepo"]
    eps: Positive = EPS

    @property
    def standardised(self) -> bool:
        """As of `bench.whitening.fit`."""
        return self.fit == "frepo"


class FkdSource(BaseModel):
    """Labels stored batch by batch, in the layout of `bench.training.soft_labels.fkd`.

    Attributes:
        fkd: the folder that holds epoch_0, epoch_1, ..., below the set's.
        temperature: by which the logits of teacher and student are divided; releases train with 20.
        seed: of the sampler that made the batches.
        teacher: the network that made them, where that is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    fkd: Below
    temperature: Positive
    seed: Seed = SEED
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


class TeacherSource(BaseModel):
    """A network that labels views while students train.

    Attributes:
        backbone: what it is.
        file: its weights, a table of tensors by name; its outputs are in the order of the set's `classes`.
        weights: or those that torchvision publishes under this name, as "IMAGENET1K_V1".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    backbone: Name
    file: Below | None = None
    weights: Name | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> "TeacherSource":
        if (self.file is None) == (self.weights is None):
            raise ValueError("either the 'file' of its weights or the name of published 'weights' must be stated")
        return self


class TeacherLabels(BaseModel):
    """Labels that teachers give every view, several together by the mean of their logits (RDED's validation).

    Attributes:
        temperature: by which the logits of teacher and student are divided.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    teachers: Annotated[tuple[TeacherSource, ...], Field(min_length=1)]
    temperature: Positive


class Cells(GridFacts):
    """The same, or a factor of 1: images that were cut already."""

    factor: Annotated[int, Field(ge=1, le=64)]


class HandWritten(GrowingModel):
    """A manifest written by hand.

    Attributes:
        name: what tables call the set; None: its folder's name.
        method, backbone, iterations, seed: what made it, where that is known.
        labels: others that lie beside the images; None: those of the source.
        protocol, protocol_version: what it was made for; without a version, whatever the protocol is now.
        plugins: who has what made it and what it was made for, where that is not the suite's: for people.
        decoder: what each image decodes into, as a run's manifest says it; None, and a factor of 1: it is one image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    added: ClassVar[frozenset[str]] = frozenset({"decoder", "plugins", "seed"})
    source: TensorSource | SourceCard
    name: Name | None = None
    method: Name = "imported"
    backbone: Name | None = None
    iterations: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    seed: Seed | None = None
    protocol: Name = "hard"
    protocol_version: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    plugins: dict[str, str] | None = None
    classes: tuple[str, ...] | None = None
    mean: tuple[Unit01, ...] | None = None
    std: tuple[Annotated[float, Field(ge=SMALLEST_STD, le=1)], ...] | None = None
    zca: ZcaSource | ZcaFit | None = None
    learned_lr: Positive | None = None
    labels: FkdSource | KeptLabels | TeacherLabels | None = None
    decoder: Cells | None = None

    @model_validator(mode="after")
    def _labels_are_of_its_images(self) -> "HandWritten":
        if self.decoder and self.decoder.factor > 1 and self.labels:
            raise ValueError("'labels' that lie beside the images and a 'decoder' do not go together")
        return self
