"""Published numbers, held beside what was measured and never mixed with it.

Claims come from CSV files that plugins offer (hook `bench_claims`), one number a line, with at least the columns of
`COLUMNS`; others are for readers. `reports/bench_reports/README.md` says how the built-in ones were derived.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from bench.errors import UsageError, why
from bench.results.fields import FULL
from bench.results.metrics import primary_name
from bench.results.protocol_names import name_of
from bench.results.scores import TOP1

if TYPE_CHECKING:
    from bench.extensions.registry import Registry

COLUMNS = (
    *("method", "dataset", "classes", "ipc", "backbone", "eval_backbone", "label_type", "protocol"),
    *("metric", "iterations", "value", "std", "source", "note"),
)
COSTS = ("ms_per_image_iteration", "peak_gpu_mem_gb")
EVERY = "all"  # for images per class: all real images

Finite = Annotated[float, Field(allow_inf_nan=False)]
OR_EMPTY = BeforeValidator(lambda text: text or None)
OR_TOP1 = BeforeValidator(lambda text: text or TOP1)
Key = tuple[str, str | None, int, str, str, str, str]


@dataclass(frozen=True)
class Claim:
    """One published number.

    Attributes:
        method, dataset, backbone, eval_backbone: our names where we have the thing, otherwise a readable one.
        classes: how many the dataset has; a claim is about all of them.
        ipc: images per class as text; "all" for training on the real images, empty where it plays no part.
        label_type: what the student was trained on, or empty.
        protocol: the protocol (without version) that the number was made under; empty where it is not known. Where
            several of ours are that recipe, their names with spaces between them.
        metric: "top1" (as the paper reports it; so is what is empty), "top1_last", "top1@1000it" (a recovery budget),
            the same of another metric that a protocol measures, a cost, or an ablation's own name ("top1_...").
        iterations: of the synthesis, where stated.
        value, std: in percent, milliseconds or GB, as the metric says.
        source: paper and table, repository or issue.
        note: what a reader should know.
        decimals: that the source prints: 49.0 has one.
    """

    method: str
    dataset: str
    classes: int
    ipc: str
    backbone: str
    eval_backbone: str
    label_type: str
    protocol: str
    metric: Annotated[str, OR_TOP1]
    iterations: Annotated[int | None, OR_EMPTY]
    value: Finite
    std: Annotated[Annotated[Finite, Field(ge=0)] | None, OR_EMPTY]
    source: str
    note: str
    decimals: int = 0

    @property
    def keys(self) -> list[Key]:
        """What a measured row must share with it, for each protocol; none where that is not known."""
        networks = (self.backbone, self.eval_backbone)
        return [(self.method, self.dataset, self.classes, self.ipc, *networks, name) for name in self.protocol.split()]

    @property
    def score(self) -> str:
        """The metric of our scores that it is held against: top-1, or the one of another name that a protocol has."""
        name = self.metric.partition("@")[0].removesuffix("_last").removesuffix("_best")
        return TOP1 if name.startswith(f"{TOP1}_") else name

    def is_score(self, primary: str = TOP1) -> bool:
        """Whether it is the primary metric of the method as its paper proposes it."""
        return self.metric in (primary, f"{primary}_last")

    def fits(self, iterations: int | None, primary: str = TOP1) -> bool:
        """Whether it was made with so many iterations; what is not known does not forbid it."""
        if self.metric == f"{primary}@{self.iterations}it":
            return iterations == self.iterations
        return self.is_score(primary) and (None in (iterations, self.iterations) or iterations == self.iterations)


_CLAIM = TypeAdapter(Claim)


class Claims:
    """All claims that plugins offer, in the order offered; of several for one cell the first counts."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self.all = tuple(claims)
        self._by_key: dict[Key, list[Claim]] = {}
        for claim in self.all:
            for key in claim.keys:
                self._by_key.setdefault(key, []).append(claim)

    def find(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """The published number for a measured row's cell, or None.

        Method, ipc, both backbones, the protocol and what the dataset is known as must be the claim's, and all classes
        be in use, and its metric be the row's primary one. Under the paper's budget the iterations must be, too, where
        both are known. A quick run is shown the claim for the full recipe, with "budget": "paper" to say whose budget
        it is. A row with soft labels of another method has none.

        Returns:
            value and std (percent) with their decimals, source, metric, iterations, label_type, note, and "budget"
            (always "paper").
        """
        if is_other_setting(row):
            return None
        quick, primary = row["budget"] == "quick", primary_name(row)
        for claim in self._by_key.get(cell_of(row), ()):
            if claim.is_score(primary) if quick else claim.fits(row.get("iterations"), primary):
                return _shown(claim)
        return None

    def costs(self, method: str, backbone: str) -> list[Claim]:
        """What papers say a method costs: `COSTS` for any dataset (SRe2L Table 1: RTX 4090, batch 200)."""
        return [
            claim
            for claim in self.all
            if claim.metric in COSTS and (claim.method, claim.backbone) == (method, backbone)
        ]


def load(registry: "Registry") -> Claims:
    """The claims of every plugin.

    Raises:
        UsageError: a claims file is missing, lacks a column or holds something that is not a number.
    """
    names = registry.names("claims")
    return Claims(claim for name in names for claim in read(Path(registry.load("claims", name))))


def read(path: Path) -> list[Claim]:
    """The claims of one CSV file.

    Raises:
        UsageError: as `load`; the message names file and line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise UsageError(f"claims file {path} lacks the columns {', '.join(missing)}")
            return [_claim(path, reader.line_num, line) for line in reader]
    except OSError as error:
        raise UsageError(f"claims file {path} cannot be read: {why(error)}") from error


def _claim(path: Path, number: int, line: Mapping[str, str]) -> Claim:
    try:
        decimals = max(len((line[name] or "").partition(".")[2]) for name in ("value", "std"))
        return _CLAIM.validate_python({**{name: line[name] for name in COLUMNS}, "decimals": decimals})
    except ValidationError as error:
        wrong = error.errors()[0]
        said = f"{wrong['loc'][0]} {wrong['input']!r}: {wrong['msg']}"
        raise UsageError(f"claims file {path}, line {number}: {said}") from error


def is_other_setting(row: Mapping[str, Any]) -> bool:
    """Whether no published number is of such a row: soft labels of another method, or some of the classes."""
    borrowed = row.get("labels_of") and row.get("label_kind") != "hard"
    return bool(borrowed) or row["classes"] != row.get("all_classes", row["classes"])


def cell_of(row: Mapping[str, Any]) -> Key:
    """What a claim must share with the row; None, which a dataset without a known name has, is no claim's.

    Nor is a test split that was cut out of train: published numbers are of the published one.
    """
    return (
        row["method"],
        None if row.get("split") else row.get("known_as"),
        row["classes"],
        EVERY if row["method"] == FULL else str(row["ipc"]),
        row["backbone"],
        row["eval_backbone"],
        name_of(row),
    )


def _shown(claim: Claim) -> dict[str, Any]:
    names = ("value", "std", "decimals", "source", "metric", "iterations", "label_type", "note")
    return {**{name: getattr(claim, name) for name in names}, "budget": "paper"}
