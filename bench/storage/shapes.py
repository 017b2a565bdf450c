"""The shapes of what runs leave, as far as tables and later runs read it. What is not named here may be anything.

Fields that older files lack are not required; a float may be written without a fraction.
"""

from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

Status = Literal["done", "failed", "refused", "skipped"]
Count = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]


class PeakMemoryShape(TypedDict, total=False):
    """Peak bytes; see `bench.hardware.meters.PeakMemory`."""

    allocated: Required[Count | None]
    reserved: Required[Count | None]
    rss: Required[Count | None]


class Spread(TypedDict, total=False):
    """Milliseconds per image and iteration over windows."""

    median: Required[float]
    p20: Required[float]
    p80: Required[float]


class Stage(TypedDict, total=False):
    """What a stage cost when it was made."""

    seconds: Required[float]
    memory: Required[PeakMemoryShape]


class OnSet(TypedDict, total=False):
    """What a teacher makes of its own set."""

    top1: Required[Percent]
    cross_entropy: float | None


class ProvenanceShape(TypedDict, total=False):
    """By which words, when and by which state of the project something was made."""

    command: str | None
    date: str | None
    version: str | None
    commit: str | None
    plugins: dict[str, str | None]


class Machine(TypedDict, total=False):
    """With what something was made."""

    device: str | None
    device_name: str | None
    precision: str | None
    versions: dict[str, str | None]
    plugins: dict[str, str | None]
    made: ProvenanceShape | None


class Fit(TypedDict):
    """How labels fit their images (`bench.sets.label_fit.LabelFit`)."""

    given: float
    in_some_order: float


class NotesShape(TypedDict, total=False):
    """What a method notes is its own affair, except what the harness reads of it (`bench.sets.label_fit.NOTE`)."""

    labels_fit: Fit | None


class FindingsShape(TypedDict, total=False):
    """What the harness finds out while a method or a protocol works (`bench.results.notes.Findings`)."""

    teacher_top1: Percent | None
    teacher_bn_loss_real: float | None
    teacher_bn_loss_noise: float | None
    compiled: dict[str, dict[str, Any]]
    compiling_s: float
    networks: dict[str, dict[str, Any]]


class Costs(FindingsShape, total=False):
    """What a synthesis took. A run that failed has none of it; one of a set from elsewhere only some."""

    ms_per_image_iteration: Spread | None
    iterations: Count | None
    prepare_s: float | None
    synthesis_s: float | None
    label_s: float | None
    seconds_per_image: float | None
    warm_up_s: float | None
    peak_memory_bytes: PeakMemoryShape | None
    set_bytes: Count | None
    label_bytes: Count | None
    teacher_on_set: OnSet | None
    label_kind: str | None
    preprocessing: str | None
    class_order_hash: str | None
    environment: Machine | None
    stages: dict[str, Stage]
    notes: NotesShape


class Tested(TypedDict, total=False):
    """The test split of a training."""

    images: Required[Annotated[int, Field(gt=0)]]
    largest_class: Required[Annotated[float, Field(gt=0, le=100)]]


class MetricShape(TypedDict):
    """A number that a protocol measured besides (`bench.evaluation.Metric`)."""

    value: float
    unit: str
    better: Literal["higher", "lower"]


class Score(FindingsShape, total=False):
    """What one training gave (`bench.evaluation.Scores`) and what was found out beside it."""

    top1: Required[Percent | None]
    top5: Required[Percent | None]
    best_top1: Required[Percent | None]
    epochs: Required[float]
    seconds: Required[float]
    most_predicted: Percent | None
    metrics: dict[str, MetricShape]
    primary: str
    made_under: str | None
    stages: dict[str, Stage]
    test: Tested | None
    made: ProvenanceShape | None


class Evaluation(TypedDict, total=False):
    """One protocol on one backbone, as it ended."""

    protocol_id: Required[str]
    backbone: Required[str]
    asked: Required[list[str]]
    label_kind: Required[str | None]
    teacher_backbone: Required[str | None]
    paper_reports: Literal["last", "best"]
    note: str
    status: Required[Status]
    reason: Required[str | None]
    scores: Required[list[Score]]


def _scored(each: Evaluation) -> Evaluation:
    if each["status"] == "done" and not each["scores"]:
        raise ValueError("it is done without a score")
    return each


class Left(TypedDict, total=False):
    """A record; its spec has a type of its own (`bench.results.spec.RunSpec`)."""

    spec: Required[dict[str, Any]]
    status: Required[Status]
    reason: Required[str | None]
    costs: Required[Costs]
    evaluations: Required[dict[str, Annotated[Evaluation, AfterValidator(_scored)]]]
    controls: Required[dict[str, str]]
    environment: Required[Machine]


class Times(TypedDict, total=False):
    """Of the iterations of a unit (`bench.hardware.meters.IterationTimes`)."""

    windows: Required[list[float]]
    warm_up_s: Required[float]
    iterations: Required[int]
    carried_s: float


class UnitAbout(TypedDict, total=False):
    """What a unit's file says beside its images: what it took, and what was said of it."""

    seconds: Required[float]
    times: Required[Times]
    memory: Required[PeakMemoryShape]
    notes: Required[dict[str, Any]]
    measured: Required[FindingsShape]
    learned_lr: Required[float | None]


class StageAbout(TypedDict, total=False):
    """What lies beside a stage's result."""

    cost: Required[Stage]
    tensors: list[str]
    facts: list[str]


class Seconds(TypedDict, total=False):
    """How long work has taken until now."""

    seconds: Required[Annotated[float, Field(ge=0)]]


class Position(TypedDict, total=False):
    """How many steps of a labelling are done, and a hash of all logits that they gave."""

    done: Required[Count]
    logits: Required[str]


class Checkpoint(TypedDict, total=False):
    """Beside a checkpoint's tensors: the trees that hold them, and small facts."""

    trees: Required[dict[str, dict[str, Any]]]
    facts: Required[dict[str, Any]]


class OfTeacher(TypedDict, total=False):
    """A teacher as a manifest names it (`bench.labels.TeacherRef`)."""

    stage: Required[str]
    backbone: Required[str]
    top1: Required[Percent | None]
    bytes: Required[Count]


class OfLabels(TypedDict, total=False):
    """What a manifest says of labels."""

    kind: Required[Literal["hard", "soft", "online", "stored"]]
    teacher: OfTeacher | None
    teachers: list[OfTeacher]
    temperature: float | None
    teacher_mode: Literal["eval", "train"]
    view_seed: int | None
    recipe: dict[str, Any] | None


class OfWhitening(TypedDict, total=False):
    """The file of a whitening."""

    file: Required[str]
    digest: Required[str]


class Manifest(TypedDict, total=False):
    """The manifest of a set that a run made, as far as the set is read by it."""

    images: Required[Count]
    resolution: Required[Count]
    channels: Required[Count]
    classes: Required[list[str]]
    labels: Required[OfLabels]
    mean: Required[list[float] | None]
    std: Required[list[float] | None]
    zca: Required[OfWhitening | None]
    learned_lr: Required[float | None]
    files: Required[dict[str, str]]


class Remembered(TypedDict, total=False):
    """The digest of a file that was read once."""

    digest: Required[Annotated[str, Field(pattern="^[0-9a-f]{32,128}$")]]


class Chosen(TypedDict, total=False):
    """Whether steps are compiled (`bench.compiling.Choice`)."""

    compiled: Required[bool]
    why: Required[str]


class Decoded(TypedDict, total=False):
    """What lies beside decoded pixels."""

    shape: Required[Annotated[list[Count], Field(min_length=4, max_length=4)]]
    piece: Required[Annotated[int, Field(ge=1)]]
    checksums: Required[list[str]]
