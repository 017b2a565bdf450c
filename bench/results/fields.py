"""The fields of a row, each said once: its type, its value where nothing is known, what it is, why it may be null.

Blank rows, the order of columns, the reasons of nulls and the page docs/rows.md are made from the class `Row`:

    python -m bench.results.fields > docs/rows.md
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import Field, dataclass, field, fields
from typing import Any

from bench.results import null_reasons as null

CONTROL = "random"  # the method that draws real images at random: the control of every table
FULL = "full-data"  # the method that takes all real images, here, in manifests and in published numbers

Object = dict[str, Any]
Why = Callable[["Row"], str]  # of a row that is done and has null there


def told(meaning: str, blank: Any = None, why: str | Why = "") -> Any:  # noqa: ANN401 - any JSON value
    """A field of rows.

    Args:
        meaning: for the page; one line of Markdown, with the unit.
        blank: its value in a row of which nothing is known.
        why: the reason for a null in a row that is done, as text or from the row; "" where null says all.
    """
    about: dict[str, Any] = {"meaning": meaning, "why": why}
    if isinstance(blank, Hashable):
        return field(default=blank, metadata=about)
    return field(default_factory=blank.copy, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a row is of."""

    run: str = told("name of the run folder")
    method: str = told("condensation method; of a set from elsewhere what its manifest says")
    method_version: int | None = told("of the method's code: a raised one makes other images")
    dataset: str = told("name of the dataset's card")
    known_as: str | None = told("name under which recipes and claims know the dataset")
    classes: int = told("how many classes were condensed")
    all_classes: int = told("how many the dataset has")
    class_ids: list[str] = told("those condensed, in the order of labels")
    ipc: int = told("images per class; where classes differ the rounded mean")
    images: int = told("images of the set")
    backbone: str | None = told("network that the method condensed with")
    budget: str = told("`paper` or `quick`")
    budget_note: str = told("what the quick budget took of the recipe")
    changed: dict[str, list[Any]] = told("what was set otherwise than the recipe says: by key both values", {})
    recipe: str = told("name of the recipe")
    config: Object = told("the method's hyper-parameters, all of them", {})
    engine: str | None = told("which of a method's ways to compute one step")
    seed: int = told("of the synthesis")
    synthesis_precision: str | None = told("arithmetic in which the images were made")
    differs: list[str] = told("beside a claim: what is not the paper's", [])
    labels_of: str | None = told("of a control: whose labels its images have")
    card_hash: str = told("content of the dataset's card; of a source that differs its images, too")
    split: str | None = told("test split cut out of the training images, where a card asks for one")
    dataset_source: str | None = told("layout that the dataset was read from; null in records from before")
    source_differs: str | None = told("in what these are not the official images, where a card says so of its source")
    imported: bool = told("whether the set came from elsewhere", False)
    set: str | None = told("of a set from elsewhere: its name")
    set_budget: str | None = told("of a set from elsewhere: the budget that made it")
    class_order: str | None = told("of a set from elsewhere: how its labels were understood")
    images_per_class: list[int] | None = told("of a set whose classes differ in size: the fewest and the most")


@dataclass(frozen=True, kw_only=True)
class Measured(Identity):
    """With what was measured."""

    primary: str | None = told("metric by which rows are ranked: `top1`, or the one that the protocol names")
    top1_mean: float | None = told("mean top-1 of the last epoch on the test split, in percent", why=null.OTHER_METRICS)
    top1_std: float | None = told("sample deviation over trainings, in points", why=null.of_top1(null.ONE_TRAINING))
    top5_mean: float | None = told("mean top-5, in percent", why=null.of_top1(null.FEW_CLASSES))
    metrics: dict[str, Object] = told(
        "what else the protocol measures, by name: `mean`, `std`, `values`, `unit`, and which values are `better`",
        {},
    )
    best_top1_mean: float | None = told(
        "mean of each training's best epoch, where the protocol looked; nothing ranks by it",
        why=null.of_top1(null.LAST_ONLY),
    )
    epochs: float | None = told("of one training")
    evaluation_s: float | None = told(
        "seconds of training and testing this row's students, `eval_seeds` of them together"
    )
    training_seconds: list[float] | None = told("those of each; a table says where one took over 3 times the others")
    evaluation_prepare_s: float | None = told(
        "seconds of stages that evaluations share, as a protocol's own teacher: what they cost when they were made",
        why=null.unshared,
    )
    evaluation_warm_up_s: float | None = told(
        "seconds of weighing and compiling those trainings' steps; in no other field", why=null.NOT_APART
    )
    ms_per_image_iteration: dict[str, float] | None = told(
        "milliseconds of one update step over the images that it updates, in steady state: `median`, `p20`, `p80`; "
        "a table shows the median, and below it the other two where they are more than a quarter apart",
        why=null.unmetered,
    )
    iterations: int | None = told("update steps that one image goes through", why=null.unmetered)
    prepare_s: float | None = told("seconds of what comes before the images: teachers, experts", why=null.unprepared)
    synthesis_s: float | None = told("seconds of making all images", why=null.IMPORTED)
    label_s: float | None = told(
        "seconds of making the soft labels of the set, where the protocol trains on them", why=null.unlabelled
    )
    total_s: float | None = told(
        "seconds of making the set with the labels that the protocol trains on: `prepare_s`, `synthesis_s` and, where "
        "there is one, `label_s`",
        why=null.unprepared,
    )
    seconds_per_image: float | None = told("`synthesis_s` over the number of images", why=null.IMPORTED)
    warm_up_s: float | None = told(
        "seconds of compiling and of the first three steps of every loop; part of `synthesis_s`", why=null.unmetered
    )
    workers: int | None = told(
        "how many workers were busy on the machine while the set was made: with more than 1 its seconds are not to be "
        "held against those of sets that were made alone"
    )
    evaluation_workers: int | None = told("the same, while its students were trained, and what they share was made")
    waited: dict[str, float | None] | None = told(
        "share of its time in which each part was ready to go on and had no core: `prepare`, `synthesis`, `labels`, "
        "`evaluation_prepare`, `evaluation`; a table marks the times of parts with more than 0.1",
        why=null.UNWATCHED,
    )
    peak_memory_bytes: dict[str, int | None] | None = told(
        "peak while images are made: `allocated`, `reserved` (CUDA) and `rss`", why=null.IMPORTED
    )
    prepare_peak_memory_bytes: dict[str, int | None] | None = told(
        "the same of what comes before the images: the greatest of its stages, when they were made, and of what is "
        "beside them; of records from before the field of stages alone",
        why=null.unkept,
    )
    decoded_images: int | None = told("images that are trained on, where each stored one decodes into several")
    set_bytes: int | None = told("bytes of the images as stored; of a set from elsewhere, of the files they came in")
    image_format: str | None = told(
        "as what: `uint8`, `jpeg` or `float32`, of files from elsewhere `png`, say; null in records from before"
    )
    label_bytes: int | None = told(
        "bytes that a user keeps besides, to have the labels that the protocol trains on: they themselves, or the "
        "teacher that makes them; 0 for hard ones",
        why=null.UNWEIGHED,
    )
    total_bytes: int | None = told("`set_bytes` and `label_bytes` together", why=null.UNWEIGHED)
    stage_bytes: int | None = told(
        "bytes on the disk of the stages that come before the images, which nobody needs who trains on the set",
        why=null.unkept,
    )
    teacher_top1: float | None = told(
        "top-1 on the test split, in percent, of the teacher whose labels the protocol trains on", why=null.untaught
    )
    teacher_on_set: dict[str, float] | None = told(
        "the teacher of the set's own labels on the stored images: `top1` in percent, `cross_entropy`", why=null.unseen
    )
    top1_values: list[float] = told("each training's top-1, in percent", [])
    eval_seeds: int = told("trainings", 0)
    evaluation_note: str = told("what the protocol says of this evaluation", "")
    notes: Object = told("what the method says of the run", {})


@dataclass(frozen=True, kw_only=True)
class Row(Measured):
    """One method's set under one protocol on one backbone: a line of a table, its fields in the order of columns."""

    status: str | None = told("`done`, `failed`, `skipped` or `refused`")
    reason: str | None = told("why it is not done")
    eval_backbone: str | None = told("network that was trained on the set")
    protocol_id: str | None = told("protocol and its version")
    label_kind: str | None = told("`hard`, `soft`, `regression`, `online`, `stored`, or `teacher`: the protocol's own")
    teacher_backbone: str | None = told("network, or networks, that labelled")
    paper_reports: str | None = told(
        "epoch that the protocol's paper reports: `last` or `best`; null in records from before"
    )
    protocol: str | None = told("protocol as it was asked for; where it was under several names, one of `asked`")
    asked: list[str] = told("all names under which this evaluation was asked for", [])
    control: str | None = told("run of the control in the same table")
    is_control: bool = told("whether another run names it as its control under this protocol", False)
    device: str | None = told("`cpu` or `cuda`")
    device_name: str | None = told("of the processor or GPU")
    threads: int | None = told("of the processor, on which its loops ran; null in records from before")
    precision: str | None = told("arithmetic of labels and evaluations")
    versions: dict[str, str | None] | None = told("of `bench`, `torch` and the `plugin`")
    made: Object | None = told("command, date, version and commit")
    class_order_hash: str | None = told("of the classes in the order of labels")
    preprocessing: str | None = told("`normalised` or `zca`")
    claim: Object | None = told("what a paper published for this cell: `value`, `std`, `source`")
    null_reasons: dict[str, str] = told("why numbers of a finished row are null, by field", {})
    warnings: list[str] = told("what is to be doubted, in words", [])

    @classmethod
    def of(cls, known: Object) -> "Row":
        """The row with these fields: its own `__init__`, which sets eighty one by one, takes ten times as long."""
        made = cls.__new__(cls)
        vars(made).update({**BLANK, **{name: blank.copy() for name, blank in HOLDERS.items()}, **known})
        return made

    def to_json(self) -> Object:
        """As reports take it, and `--format json` prints it."""
        return dict(vars(self))


FIELDS: tuple[Field[Any], ...] = fields(Row)
WHY: dict[str, str | Why] = {each.name: each.metadata["why"] for each in FIELDS if each.metadata["why"]}
BLANK = vars(Row())
HOLDERS = {name: blank for name, blank in BLANK.items() if isinstance(blank, list | dict)}  # each row has its own
MEASURED = tuple(each.name for each in fields(Measured)[len(fields(Identity)) :])


def names() -> tuple[str, ...]:
    """The names of all fields, in the order of columns."""
    return tuple(each.name for each in FIELDS)


def reasons(row: Row) -> dict[str, str]:
    """The reason for each null number of a row that is done, by its field; nothing for other rows."""
    if row.status != "done":
        return {}
    missing = ((name, why) for name, why in WHY.items() if getattr(row, name) is None)
    return {name: _reason(why, row) for name, why in missing}


def _reason(why: str | Why, row: Row) -> str:
    return why if isinstance(why, str) else why(row)


def page() -> str:
    """docs/rows.md."""
    chapters = {"What it is": fields(Identity), "What was measured": fields(Measured), "How it ended": FIELDS}
    seen = 0
    text = HEAD
    for title, upto in chapters.items():
        text += _chapter(title, upto[seen:])
        seen = len(upto)
    text += _table(f"Means over seeds\n\n{OF_MEANS_SAID}", OF_MEANS.items())
    return text + _table(f"Across devices\n\n{OF_MACHINES_SAID}", OF_MACHINES.items())


def _chapter(title: str, told: Iterable[Field[Any]]) -> str:
    return _table(title, ((each.name, each.metadata["meaning"]) for each in told))


def _table(title: str, told: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in told)
    return f"\n## {title}\n\n| field | what it is |\n| --- | --- |\n{lines}"


OF_MACHINES = {"machines": "where it was measured: `device_name (device)`"}
OF_MACHINES_SAID = """`bench report --across device` prints the rows of all machines together, with `device` and
`device_name` `any`. Where rows of several machines stand in one ranking their times and peaks of memory are null, and
`null_reasons` says so. Each has besides:"""

OF_MEANS = {
    "sets": "how many sets it is the mean of",
    "seeds": "those of their synthesis",
    "runs": "names of their run folders",
    "controls": "runs of their controls in the same table",
    "within": "deviation of the primary metric over the trainings on one set",
}
OF_MEANS_SAID = """`bench report --over seed` prints the sets that differ in their seed alone as one row. Its metrics
and costs are means over sets, `std` and `top1_std` deviations over sets, and peaks of memory the largest; what else
differs between the sets is null, `run` and `control` among it. Besides it has:"""

HEAD = """# Rows

A row is one object that `--format json` prints: one method's set under one protocol on one backbone. These are all of
its fields, in the order of columns; [measuring](measuring.md) says how the numbers are taken. What cannot be said of a
finished row is null, never 0, and `null_reasons` says why. This page is made by `python -m bench.results.fields`.
"""

if __name__ == "__main__":
    print(page(), end="")
