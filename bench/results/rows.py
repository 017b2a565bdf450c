"""The rows that tables are made of, computed from records: one for each evaluation."""

import dataclasses
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from bench.results import fields, totals
from bench.results.doubts import doubts
from bench.results.metrics import deviation, mean, summed_up
from bench.results.outcomes import Costs, Evaluation, Score
from bench.results.records import Record
from bench.results.scores import Scores
from bench.results.spec import EvaluationSpec, Origin, RunSpec

Row = dict[str, Any]  # a `fields.Row` as JSON
Known = dict[str, Any]  # some of its fields: a `fields.Row` has so many that it is made but once a row


def rows(records: Iterable[Record]) -> list[Row]:
    """The table rows of records: one for each evaluation. Of records of one name the last counts.

    A record is not kept once its rows are made, for there may be many.
    """
    made: dict[str, dict[str, Row]] = {}  # by run and the key of an evaluation
    controls: set[tuple[str, str]] = set()  # likewise
    with _uncollected():
        for record in records:
            made[record.spec.name] = dict(_rows_of(record))
            controls.update((name, key) for key, name in record.controls.items())
    for name, each in made.items():
        for key, row in each.items():
            row["control"] = row["control"] if row["control"] in made else None
            row["is_control"] = row["is_control"] or (name, key) in controls
    return [row for each in made.values() for row in each.values()]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's search for cycles rests within it: records have none, and it would look at all rows again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def blank_row(spec: RunSpec, evaluation: EvaluationSpec, status: str, reason: str, *asked: str) -> Row:
    """The row of an evaluation that has no record: another process holds the run, or it could not start.

    Args:
        asked: all its names, where it was asked for under several.
    """
    names = {"protocol": evaluation.asked, "asked": list(asked or (evaluation.asked,))}
    place = {"protocol_id": evaluation.protocol_id, "eval_backbone": evaluation.backbone}
    return {**bare_row(spec, status), **names, **place, "reason": reason}


def bare_row(spec: RunSpec, status: str) -> Row:
    """The row of a run of which no evaluation is known."""
    known = {
        "status": status,
        "is_control": spec.labeller is not None,
        "device": spec.device,
        "precision": spec.precision,
        "versions": {"bench": None, "torch": None, "plugin": spec.method.plugin_version},
    }
    return fields.Row.of({**_identity(spec), **known}).to_json()


@cache
def reserved() -> frozenset[str]:
    """The names that no note may take: every field of a row, of scores and of costs."""
    return frozenset((*fields.names(), *(each.name for each in dataclasses.fields(Scores)), *Costs.model_fields))


def _rows_of(record: Record) -> Iterator[tuple[str, Row]]:
    """The key of each evaluation, and its row."""
    made = _made(record)
    for key, evaluation in record.evaluations.items():
        scored = {**made, **_scored(record, evaluation), "control": record.controls.get(key)}
        if evaluation.label_kind == "teacher":
            scored |= {**_shared_teacher(evaluation), "label_s": None}
        elif evaluation.label_kind == "hard":
            scored |= {"label_bytes": 0, "label_s": None, "teacher_top1": None}
        if scored["status"] == "done":
            labelled = scored.get("label_s") is not None
            scored |= {
                **totals.sums(scored),
                "waited": totals.waited(record.costs, evaluation.scores, labelled=labelled),
            }
        row = fields.Row.of({**scored, "protocol": _name(evaluation), "asked": list(evaluation.asked)})
        said = {"null_reasons": fields.reasons(row), "warnings": doubts(row, evaluation.scores, evaluation.edited)}
        yield key, {**row.to_json(), **said}


def _name(evaluation: Evaluation) -> str:
    """As what a protocol was asked for: of several names its own."""
    own, asked = evaluation.protocol, evaluation.asked
    return own if own in asked or not asked else asked[0]


def _identity(spec: RunSpec) -> Known:
    method, backbone = spec.maker
    known = Known(
        run=spec.name,
        method=method,
        method_version=None if spec.brought else spec.method.version,
        dataset=spec.dataset,
        known_as=spec.known_as,
        classes=len(spec.classes),
        all_classes=spec.all_classes,
        class_ids=list(spec.classes),
        ipc=spec.ipc,
        images=spec.images or spec.ipc * len(spec.classes),
        images_per_class=list(spec.images_per_class) if spec.images_per_class else None,
        backbone=backbone,
        budget=spec.budget,
        budget_note="; ".join(spec.method.quick),
        changed=dict(sorted(_changed(spec).items())),  # in whatever order they were said
        recipe=spec.method.recipe,
        config=spec.method.config,
        engine=spec.method.engine,
        seed=spec.seed,
        synthesis_precision=spec.made_in,
        differs=list(spec.method.differs),
        labels_of=_labels_of(spec),
        card_hash=spec.card_hash,
        split=spec.split,
        dataset_source=spec.dataset_source,
        source_differs=spec.source_differs,
    )
    return {**known, **_brought(spec.brought, known)} if spec.brought else known


def _changed(spec: RunSpec) -> Mapping[str, list[Any]]:
    return spec.method.changed or (spec.labeller.changed if spec.labeller else {})


def _labels_of(spec: RunSpec) -> str | None:
    if spec.labeller is None:
        return None
    return spec.origin.method if spec.origin else spec.labeller.name


def _brought(origin: Origin, counted: Known) -> Known:
    """What rows of sets that were not made here say besides, or otherwise."""
    return Known(
        imported=True,
        synthesis_precision=None,
        set=origin.name,
        set_budget=origin.budget,
        class_order=origin.class_order,
        images=origin.images or counted["images"],
        images_per_class=list(origin.images_per_class) if origin.images_per_class else None,
        iterations=origin.iterations,  # as its manifest says: nothing was iterated here
    )


def _made(record: Record) -> Known:
    """The row as far as it is of the set: what it is, what it cost, with what it was made."""
    costs, made = record.costs.to_json(), record.environment
    known = {name: costs[name] for name in fields.MEASURED if name in costs} | totals.of_stages(record.costs)
    said = {
        "device": made.device,
        "device_name": made.device_name,
        "threads": made.threads,
        "precision": made.precision,
        "versions": made.versions,
        "made": made.made.to_json() if made.made else None,
        "workers": record.costs.workers or (1 if record.status == "done" else None),  # once there was no other way
        "class_order_hash": record.costs.class_order_hash,
        "preprocessing": record.costs.preprocessing,
        "is_control": record.spec.labeller is not None,
    }
    return {**_identity(record.spec), **known, **said}


def _scored(record: Record, evaluation: Evaluation) -> Known:
    """How an evaluation ended."""
    done = record.status == "done" and evaluation.done
    counted = _counted(evaluation.scores) if done else {}
    return {
        "status": "done" if done else evaluation.status if record.status == "done" else record.status,
        "reason": evaluation.reason or record.reason,
        "eval_backbone": evaluation.backbone,
        "protocol_id": evaluation.protocol_id,
        "label_kind": evaluation.label_kind,
        "teacher_backbone": evaluation.teacher_backbone,
        "paper_reports": evaluation.paper_reports,
        "evaluation_note": evaluation.note,
        **counted,
    }


def _counted(scores: Sequence[Score]) -> Known:
    """What a row says of a result, over its trainings."""
    top1 = [score.top1 for score in scores if score.top1 is not None]
    return {
        "primary": scores[0].primary,
        "top1_mean": _mean(scores, "top1"),
        "top1_std": deviation(top1),
        "top1_values": top1,
        "metrics": {name: summed_up([score.metrics[name] for score in scores]) for name in scores[0].metrics},
        "top5_mean": _mean(scores, "top5"),
        "best_top1_mean": _mean(scores, "best_top1"),
        "epochs": scores[0].epochs,
        "evaluation_s": sum(score.seconds for score in scores),
        "training_seconds": [score.seconds for score in scores],
        "evaluation_prepare_s": _shared_stages(scores),
        "evaluation_warm_up_s": _warm_up(scores),
        "evaluation_workers": max(score.workers for score in scores),
        "eval_seeds": len(scores),
    }


def _shared_teacher(evaluation: Evaluation) -> Known:
    """Where a protocol's own teacher labels for all methods, it counts and not the method's; as any training says."""
    names = ("teacher_top1", "label_bytes")
    told = {name: [getattr(score, name) for score in evaluation.scores] for name in names}
    return {name: next((value for value in values if value is not None), None) for name, values in told.items()}


def _shared_stages(scores: Sequence[Score]) -> float | None:
    """Seconds that the stages of these scores cost when they were made, each once; None where there are none."""
    stages = {name: stage.seconds for score in scores for name, stage in score.stages.items()}
    return sum(stages.values()) if stages else None


def _warm_up(scores: Sequence[Score]) -> float | None:
    """None where some scores are older than the field."""
    known = [score.compiling_s for score in scores if score.compiling_s is not None]
    return sum(known) if len(known) == len(scores) else None


def _mean(scores: Sequence[Score], name: str) -> float | None:
    values = [value for score in scores if (value := getattr(score, name)) is not None]
    return mean(values) if values else None
