"""What a run leaves, typed as it is read: costs, environment, evaluations with the scores of each training."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bench.results.label_fit import LabelFit
from bench.results.scores import TOP1, Better
from bench.storage.artefacts import Part
from bench.storage.shapes import AS_WRITTEN, Count, Number, PeakPart, Percent, Share, StagePart, Time

Status = Literal["done", "failed", "refused", "skipped"]


class Spread(Part):
    """Milliseconds per image and iteration over windows."""

    median: Time
    p20: Time
    p80: Time


class OnSet(Part):
    """What a teacher makes of its own set."""

    top1: Percent
    cross_entropy: Number | None = None


class Provenance(Part):
    """By which words, when and by which state of the project something was made.

    `code`, of each offer at work that is not the suite's, is its plugin and what that one's code is known by; None in
    older files.
    """

    command: str | None = None
    date: str | None = None
    version: str | None = None
    commit: str | None = None
    plugins: dict[str, str | None] = Field(default_factory=dict)
    code: dict[str, str] | None = None


class Environment(Part):
    """With what something was made."""

    device: str | None = None
    device_name: str | None = None
    precision: str | None = None
    threads: int | None = None
    synthesis_precision: str | None = None
    cores: int | None = None
    system: str | None = None
    python: str | None = None
    versions: dict[str, str | None] | None = None
    plugins: dict[str, str | None] = Field(default_factory=dict)
    code: dict[str, str] | None = None
    made: Provenance | None = None


class NotesPart(Part):
    """What a method notes is its own affair, except what the harness reads of it (`bench.results.label_fit.NOTE`)."""

    labels_fit: LabelFit | None = None


class FindingsPart(Part):
    """What the harness finds out while a method or a protocol works (`bench.condensation.notes.Findings`)."""

    teacher_top1: Percent | None = None
    teacher_bn_loss_real: Number | None = None
    teacher_bn_loss_noise: Number | None = None
    compiled: dict[str, dict[str, Any]] = Field(default_factory=dict)
    compiling_s: Time | None = None
    networks: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Waited(Part):
    """The share of their time that parts of making a set waited for a core, as far as it is known."""

    synthesis: Share | None = None
    labels: Share | None = None


class Costs(FindingsPart):
    """What a synthesis took. A run that failed has none of it; one of a set from elsewhere only some."""

    ms_per_image_iteration: Spread | None = None
    iterations: Count | None = None
    prepare_s: Time | None = None
    synthesis_s: Time | None = None
    label_s: Time | None = None
    seconds_per_image: Time | None = None
    workers: Count | None = None
    warm_up_s: Time | None = None
    waited: Waited | None = None
    peak_memory_bytes: PeakPart | None = None
    prepare_peak_memory_bytes: PeakPart | None = None
    set_bytes: Count | None = None
    image_format: str | None = None
    label_bytes: Count | None = None
    teacher_on_set: OnSet | None = None
    decoded_images: Count | None = None
    label_kind: str | None = None
    preprocessing: str | None = None
    class_order_hash: str | None = None
    environment: Environment | None = None
    stages: dict[str, StagePart] = Field(default_factory=dict)
    notes: NotesPart = NotesPart()


class SetCosts(Costs):
    """Of a set that is there: its record takes the environment from them."""

    environment: Environment


class Tested(Part):
    """The test split of a training."""

    images: Annotated[int, Field(gt=0)]
    largest_class: Annotated[float, Field(gt=0, le=100), AS_WRITTEN]


class MetricPart(Part):
    """A number that a protocol measured besides (`bench.evaluation.Metric`)."""

    value: Number
    unit: str
    better: Better


class Score(FindingsPart):
    """What one training gave (`bench.evaluation.Scores`) and what was found out beside it.

    Attributes:
        label_bytes: of the protocol's own teachers, where they labelled; None in scores from before.
    """

    top1: Percent | None
    top5: Percent | None
    best_top1: Percent | None
    epochs: Annotated[float, Field(ge=0), AS_WRITTEN]
    seconds: Time
    workers: int = 1
    waited: Share | None = None
    most_predicted: Percent | None = None
    label_bytes: Count | None = None
    metrics: dict[str, MetricPart] = Field(default_factory=dict)
    primary: str = TOP1
    seed: int = 0
    made_under: str | None = None
    stages: dict[str, StagePart] = Field(default_factory=dict)
    test: Tested | None = None
    notes: dict[str, Any] = Field(default_factory=dict)
    made: Provenance | None = None

    @model_validator(mode="after")
    def _ranked(self) -> "Score":
        if self.primary not in self.metrics and (self.primary != TOP1 or self.top1 is None):
            raise ValueError(f"its primary metric {self.primary!r} is missing")
        return self

    @property
    def measured(self) -> list[str]:
        """The primary metric, then the names of all metrics in alphabetical order."""
        return [self.primary, *sorted(self.metrics)]


class Evaluation(Part):
    """One protocol on one backbone, as it ended.

    Attributes:
        protocol_id: name and version of the protocol, as `EvaluationSpec.protocol_id`.
        asked: the names under which it was asked for.
        scores: of each training; of those before a failure, too.
        plugins: the versions of those at work; empty in older records, and where it never began.
        code: as of `Provenance`.
        edited: what of the code had changed since, in words, when the record was last looked through.
    """

    protocol: str = ""
    protocol_id: str
    backbone: str
    asked: list[str]
    label_kind: str | None
    teacher_backbone: str | None
    paper_reports: Literal["last", "best"] | None = None
    note: str = ""
    status: Status
    reason: str | None
    scores: list[Score]
    plugins: dict[str, str | None] = Field(default_factory=dict)
    code: dict[str, str] | None = None
    edited: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _scored(self) -> "Evaluation":
        if self.status == "done" and not self.scores:
            raise ValueError("it is done without a score")
        return self

    @property
    def done(self) -> bool:
        """Whether it is a result."""
        return self.status == "done"

    def asked_as(self, *names: str) -> "Evaluation":
        """The same, asked for under these names too."""
        return self.model_copy(update={"asked": sorted({*names, *self.asked})})
