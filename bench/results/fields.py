"""The fields of a row, each said once: its place, its value where nothing is known, what it is, and why it may be null.

Blank rows, the order of columns, the reasons of nulls and the page docs/rows.md are made from this table:

    python -m bench.results.fields > docs/rows.md
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from bench.results import null_reasons as null

Why = Callable[[Mapping[str, Any]], str]  # of a row that is done and has null there


@dataclass(frozen=True)
class Field:
    """One field of every row.

    Attributes:
        name: its key.
        meaning: for the page; one line of Markdown, with the unit.
        blank: its value in a row of which nothing is known.
        why: the reason for a null in a row that is done, as text or from the row; "" where null says all.
    """

    name: str
    meaning: str
    blank: Any = None
    why: str | Why = ""

    def reason(self, row: Mapping[str, Any]) -> str:
        """Why it is null in a row that is done."""
        return self.why if isinstance(self.why, str) else self.why(row)


WHAT = (
    Field("run", "name of the run folder"),
    Field("method", "condensation method; of a set from elsewhere what its manifest says"),
    Field("dataset", "name of the dataset's card"),
    Field("known_as", "name under which recipes and claims know the dataset"),
    Field("classes", "how many classes were condensed"),
    Field("all_classes", "how many the dataset has"),
    Field("class_ids", "those condensed, in the order of labels"),
    Field("ipc", "images per class; where classes differ the rounded mean"),
    Field("images", "images of the set"),
    Field("backbone", "network that the method condensed with"),
    Field("budget", "`paper` or `quick`"),
    Field("budget_note", "what the quick budget took of the recipe"),
    Field("changed", "what was set otherwise than the recipe says: by key both values", {}),
    Field("recipe", "name of the recipe"),
    Field("config", "the method's hyper-parameters, all of them", {}),
    Field("engine", "which of a method's ways to compute one step"),
    Field("seed", "of the synthesis"),
    Field("synthesis_precision", "arithmetic in which the images were made"),
    Field("differs", "beside a claim: what is not the paper's", []),
    Field("labels_of", "of a control: whose labels its images have"),
    Field("card_hash", "content of the dataset's card"),
    Field("split", "test split cut out of the training images, where a card asks for one"),
    Field("imported", "whether the set came from elsewhere", False),
    Field("set", "of a set from elsewhere: its name"),
    Field("set_budget", "of a set from elsewhere: the budget that made it"),
    Field("class_order", "of a set from elsewhere: how its labels were understood"),
    Field("images_per_class", "of a set whose classes differ in size: the fewest and the most"),
)
MEASURED = (
    Field("primary", "metric by which rows are ranked: `top1`, or the one that the protocol names"),
    Field("top1_mean", "mean top-1 of the last epoch on the test split, in percent", why=null.OTHER_METRICS),
    Field("top1_std", "sample deviation over trainings, in points", why=null.of_top1(null.ONE_TRAINING)),
    Field("top5_mean", "mean top-5, in percent", why=null.of_top1(null.FEW_CLASSES)),
    Field(
        "metrics",
        "what else the protocol measures, by name: `mean`, `std`, `values`, `unit`, and which values are `better`",
        {},
    ),
    Field(
        "best_top1_mean",
        "mean of each training's best epoch, where the protocol looked; nothing ranks by it",
        why=null.of_top1(null.LAST_ONLY),
    ),
    Field("epochs", "of one training"),
    Field("evaluation_s", "seconds of training and testing this row's students, `eval_seeds` of them together"),
    Field(
        "evaluation_prepare_s",
        "seconds of stages that evaluations share, as a protocol's own teacher: what they cost when they were made",
        why=null.unshared,
    ),
    Field(
        "evaluation_warm_up_s",
        "seconds of weighing and compiling those trainings' steps; in no other field",
        why=null.NOT_APART,
    ),
    Field(
        "ms_per_image_iteration",
        "milliseconds of one update step over the images that it updates, in steady state: `median`, `p20`, `p80`",
        why=null.unmetered,
    ),
    Field("iterations", "update steps that one image goes through", why=null.unmetered),
    Field("prepare_s", "seconds of what comes before the images: teachers, experts", why=null.unprepared),
    Field("synthesis_s", "seconds of making all images", why=null.IMPORTED),
    Field("label_s", "seconds of making soft labels", why=null.unlabelled),
    Field("seconds_per_image", "`synthesis_s` over the number of images", why=null.IMPORTED),
    Field(
        "warm_up_s",
        "seconds of compiling and of the first three steps of every loop; part of `synthesis_s`",
        why=null.unmetered,
    ),
    Field(
        "peak_memory_bytes", "peak while images are made: `allocated`, `reserved` (CUDA) and `rss`", why=null.IMPORTED
    ),
    Field("set_bytes", "bytes of the images as stored"),
    Field("label_bytes", "bytes that a user keeps besides, to have the labels: they themselves, or the teacher"),
    Field("teacher_top1", "the labelling teacher's own top-1 on the test split, in percent", why=null.untaught),
    Field("teacher_on_set", "that teacher on the stored images: `top1` in percent, `cross_entropy`", why=null.unseen),
    Field("top1_values", "each training's top-1, in percent", []),
    Field("eval_seeds", "trainings", 0),
    Field("evaluation_note", "what the protocol says of this evaluation", ""),
    Field("notes", "what the method says of the run", {}),
)
ENDED = (
    Field("status", "`done`, `failed`, `skipped` or `refused`"),
    Field("reason", "why it is not done"),
    Field("eval_backbone", "network that was trained on the set"),
    Field("protocol_id", "protocol and its version"),
    Field("label_kind", "`hard`, `soft`, `online`, `stored`, or `teacher`: the protocol's own"),
    Field("teacher_backbone", "network, or networks, that labelled"),
    Field("paper_reports", "epoch that the protocol's paper reports: `last` or `best`; null in records from before"),
    Field("protocol", "protocol as it was asked for"),
    Field("control", "run of the control in the same table"),
    Field("is_control", "whether it is one", False),
    Field("device", "`cpu` or `cuda`"),
    Field("device_name", "of the processor or GPU"),
    Field("precision", "arithmetic of labels and evaluations"),
    Field("versions", "of `bench`, `torch` and the `plugin`"),
    Field("made", "command, date, version and commit"),
    Field("class_order_hash", "of the classes in the order of labels"),
    Field("preprocessing", "`normalised` or `zca`"),
    Field("claim", "what a paper published for this cell: `value`, `std`, `source`"),
    Field("null_reasons", "why numbers of a finished row are null, by field", {}),
    Field("warnings", "what is to be doubted, in words", []),
)
FIELDS = (*WHAT, *MEASURED, *ENDED)


def names() -> tuple[str, ...]:
    """The names of all fields, in the order of columns."""
    return tuple(each.name for each in FIELDS)


def blanks() -> dict[str, Any]:
    """A row of which nothing is known."""
    return {each.name: deepcopy(each.blank) for each in FIELDS}


def unmeasured() -> dict[str, Any]:
    """The part of such a row that is measured."""
    return {each.name: deepcopy(each.blank) for each in MEASURED}


def ordered(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its fields in the order of columns.

    Raises:
        KeyError: it lacks one.
    """
    return {name: row[name] for name in names()}


def reasons(row: Mapping[str, Any]) -> dict[str, str]:
    """The reason for each null number of a row that is done, by its field; nothing for other rows."""
    if row["status"] != "done":
        return {}
    missing = (each for each in FIELDS if each.why and row.get(each.name) is None)
    return {each.name: each.reason(row) for each in missing}


def page() -> str:
    """docs/rows.md."""
    chapters = (("What it is", WHAT), ("What was measured", MEASURED), ("How it ended", ENDED))
    return HEAD + "".join(_chapter(title, fields) for title, fields in chapters)


def _chapter(title: str, fields: tuple[Field, ...]) -> str:
    lines = "".join(f"| `{each.name}` | {each.meaning} |\n" for each in fields)
    return f"\n## {title}\n\n| field | what it is |\n| --- | --- |\n{lines}"


HEAD = """# Rows

A row is one object that `--format json` prints: one method's set under one protocol on one backbone. These are all of
its fields, in the order of columns; [measuring](measuring.md) says how the numbers are taken. What cannot be said of a
finished row is null, never 0, and `null_reasons` says why. This page is made by `python -m bench.results.fields`.
"""

if __name__ == "__main__":
    print(page(), end="")
