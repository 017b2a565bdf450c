"""Conformance of report formats."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from bench.conformance.common import Conformance
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.reporting import ReportFormat
from bench.results import rows as table
from bench.results.records import Record
from bench.results.rows import Row
from bench.results.spec import EvaluationSpec, MethodChoice, RunSpec

Json = dict[str, Any]

EVALUATION = EvaluationSpec("paper", "hard", 1, "convnet3", 2)
REASON = "RuntimeError: out of <memory> & luck, 50% | done_twice"  # with signs that HTML, LaTeX and Markdown read
MEASURED = {"median": 1.5, "p20": 1.25, "p80": 2.0}


class ReportFormatConformance(Conformance):
    """Holds a report format to its contract: every state of a row, and none at all.

    You may set, besides `plugins`:
        shows: texts that the form of a done row must hold (default: the method and the dataset).
    """

    kind = "format"
    shows: ClassVar[Sequence[str]] = ("random", "digits")

    @pytest.fixture(scope="class")
    @classmethod
    def form(cls, registry: Registry, subject: str) -> ReportFormat:
        """The format."""
        found = registry.load("format", subject)
        assert isinstance(found, ReportFormat)
        return found

    def test_says_what_it_is(self, form: ReportFormat, subject: str) -> None:
        """Its name is the one it is offered under; its files have a suffix."""
        assert form.name == subject
        assert form.suffix.startswith(".")

    @pytest.mark.parametrize("claims", [True, False])
    def test_no_rows(self, form: ReportFormat, claims: bool) -> None:
        """Nothing to show is still a report."""
        assert isinstance(form.render([], claims=claims), str)

    @pytest.mark.parametrize("claims", [True, False])
    def test_done_rows(self, form: ReportFormat, claims: bool) -> None:
        """Method and dataset stand in it, and it ends in a newline."""
        text = form.render([done_row(seed) for seed in (0, 1)], claims=claims)
        assert text.endswith("\n")
        for shown in self.shows:
            assert shown in text

    @pytest.mark.parametrize("status", ["failed", "skipped", "refused"])
    def test_rows_without_a_result(self, form: ReportFormat, status: str) -> None:
        """Null numbers and a reason full of signs, alone and beside a done row; what a reader needs is there."""
        row = failed_row(status)
        for rows in ([row], [done_row(0), row]):
            text = form.render(rows, claims=True)
            assert "random" in text
            assert "luck" in text, "the reason must be shown"

    def test_a_table_of_speeds_is_shown_or_refused(self, form: ReportFormat) -> None:
        """`bench speed` asks with no rows before any work, and must not be refused after it."""
        try:
            empty = form.render_speed([], title="Speed of a step")
        except UsageError:
            return
        text = form.render_speed([speed_row("done"), speed_row("failed")], title="Speed of a step")
        assert empty.endswith("\n") and text.endswith("\n")
        assert "convnet3" in text
        assert "luck" in text, "the reason must be shown"

    def test_renders_the_same_twice(self, form: ReportFormat) -> None:
        """And leaves the rows as they are."""
        rows = [done_row(0), failed_row("failed")]
        first = form.render(rows, claims=True)
        assert rows == [done_row(0), failed_row("failed")]
        assert form.render(rows, claims=True) == first


def sample_spec(seed: int) -> RunSpec:
    """A run of `random` on digits."""
    choice = MethodChoice("random", 1, {}, "defaults", "the method's own defaults", (), {}, "coresets", "1.0")
    return RunSpec(
        method=choice,
        dataset="digits",
        card="digits",
        card_hash="0" * 32,
        classes=tuple("0123456789"),
        all_classes=10,
        ipc=10,
        backbone="convnet3",
        seed=seed,
        budget="quick",
        device="cpu",
        machine="cpu",
        precision="fp32",
    )


def done_row(seed: int) -> Row:
    """The row of a finished run, made from its record as the runner makes it."""
    scores = [{"top1": 50.0 + seed, "top5": 90.0, "best_top1": None, "epochs": 7, "seconds": 1.5, "seed": 0}]
    outcome = {
        "protocol": EVALUATION.protocol,
        "protocol_id": EVALUATION.protocol_id,
        "backbone": EVALUATION.backbone,
        "asked": [EVALUATION.asked],
        "label_kind": "hard",
        "teacher_backbone": None,
        "note": "epochs 1000 -> 100",
        "status": "done",
        "reason": None,
        "scores": scores * 2,
    }
    costs = {
        "ms_per_image_iteration": MEASURED,
        "iterations": 10,
        "prepare_s": 1.0,
        "synthesis_s": 2.0,
        "label_s": None,
        "seconds_per_image": 0.02,
        "warm_up_s": 0.5,
        "peak_memory_bytes": {"allocated": None, "reserved": None, "rss": 2**28},
        "set_bytes": 6400,
        "label_bytes": 800,
        "teacher_top1": None,
        "class_order_hash": "1" * 32,
        "preprocessing": "normalised",
    }
    versions = {"bench": "1.0", "torch": "2.9", "plugin": "1.0"}
    environment = {"device": "cpu", "device_name": "A processor", "precision": "fp32", "versions": versions}
    return table.rows([sample_record(sample_spec(seed), costs, {EVALUATION.key: outcome}, environment)])[0]


def sample_record(
    spec: RunSpec, costs: Json, evaluations: Json, environment: Json, controls: Json | None = None
) -> Record:
    """The record of a finished run, from parts as its file holds them."""
    ended = {"status": "done", "reason": None, "controls": controls or {}, "environment": environment}
    return Record.from_json({"spec": spec.to_json(), "costs": costs, "evaluations": evaluations, **ended})


def speed_row(status: str) -> Row:
    """A row of `bench speed`: measured, or without a result."""
    done = status == "done"
    return {
        **{"table": None, "status": status, "reason": None if done else REASON, "method": "random"},
        **{"backbone": "convnet3", "published_as": None, "dataset": "digits", "resolution": 8, "batch_size": 6},
        **{"engine": None, "varied": None, "config": {}, "versions": {"bench": "1.0", "torch": "2.9", "plugin": "1.0"}},
        **{"device": "cpu", "device_name": "A processor", "precision": "fp32", "threads": 2},
        "iterations": 20 if done else None,
        "ms_per_image_iteration": MEASURED if done else None,
        "peak_memory_bytes": {"allocated": None, "reserved": None, "rss": 2**28 if done else None},
        "above_model_bytes": 2**20 if done else None,
        "waited": {"synthesis": 0.02} if done else None,
        "warm_up_s": 0.5 if done else None,
        "compiled": None,
        "floor_ms": 0.5 if done else None,
        "floor_ms_values": [0.5, 0.5] if done else [],
        "times_floor": 3.0 if done else None,
        "published": None,
        "ratio_to_reference": None,
    }


def failed_row(status: str) -> Row:
    """The row of a run without a result."""
    return table.blank_row(sample_spec(9), EVALUATION, status, REASON)
