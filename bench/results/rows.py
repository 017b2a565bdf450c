"""The rows that tables are made of, computed from records: one for each evaluation as it was asked."""

import statistics
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from bench.evaluation import TOP1, Scores
from bench.results.doubts import doubts
from bench.results.fields import blanks, names, ordered, reasons, unmeasured
from bench.results.metrics import deviation, summed_up
from bench.results.records import BESIDE_COSTS, Record
from bench.results.spec import EvaluationSpec, RunSpec

Row = dict[str, Any]


def rows(records: Iterable[Record]) -> list[Row]:
    """The table rows of records: one for each evaluation as it was asked. Of records of one name the last counts.

    A record is not kept once its rows are made, for there may be many.
    """
    made: dict[str, list[Row]] = {}
    controls: set[str] = set()
    for record in records:
        made[record.spec.name] = list(_rows_of(record))
        controls.update(record.controls.values())
    return [_among(row, made, controls) for each in made.values() for row in each]


def _among(row: Row, known: Container[str], controls: Container[str]) -> Row:
    """The row with what the others say of it: whether its control is among them, and whether it is one itself."""
    control = row["control"] if row["control"] in known else None
    return {**row, "control": control, "is_control": row["is_control"] or row["run"] in controls}


def blank_row(spec: RunSpec, evaluation: EvaluationSpec, status: str, reason: str) -> Row:
    """The row of an evaluation that has no record: another process holds the run, or it could not start."""
    return {
        **blanks(),
        **_identity(spec),
        "status": status,
        "reason": reason,
        "eval_backbone": evaluation.backbone,
        "protocol": evaluation.asked,
        "protocol_id": evaluation.protocol_id,
        "is_control": spec.labeller is not None,
        "device": spec.device,
        "precision": spec.precision,
        "versions": {"bench": None, "torch": None, "plugin": spec.method.plugin_version},
    }


def bare_row(spec: RunSpec, status: str) -> Row:
    """The row of a run of which no evaluation is known."""
    unknown = dict.fromkeys(("reason", "eval_backbone", "protocol", "protocol_id"))
    return {**blank_row(spec, EvaluationSpec("", "", 0, "", 0), status, ""), **unknown}


@cache
def reserved() -> frozenset[str]:
    """The names that no note may take: every field of a row, of scores and of costs."""
    return frozenset((*names(), *(each.name for each in fields(Scores)), *BESIDE_COSTS))


def _rows_of(record: Record) -> Iterator[Row]:
    for key, evaluation in record.evaluations.items():
        for asked in evaluation["asked"]:
            row = {
                **_identity(record.spec),
                **_costs(record),
                **_scores(record, evaluation),
                "protocol": asked,
                "control": record.controls.get(key),
                "is_control": record.spec.labeller is not None,
                **_made_with(record),
                "claim": None,
            }
            said = {"null_reasons": reasons(row), "warnings": doubts(row, evaluation["scores"])}
            yield ordered({**row, **said})


def _identity(spec: RunSpec) -> Row:
    method, backbone = spec.maker
    return {
        "run": spec.name,
        "method": method,
        "dataset": spec.dataset,
        "known_as": spec.known_as,
        "classes": len(spec.classes),
        "all_classes": spec.all_classes,
        "class_ids": list(spec.classes),
        "ipc": spec.ipc,
        "images": spec.ipc * len(spec.classes),
        "backbone": backbone,
        "budget": spec.budget,
        "budget_note": "; ".join(spec.method.quick),
        "changed": dict(spec.method.changed or (spec.labeller.changed if spec.labeller else {})),
        "recipe": spec.method.recipe,
        "config": spec.method.config,
        "engine": spec.method.engine,
        "seed": spec.seed,
        "synthesis_precision": None if spec.brought else spec.made_in,
        "differs": list(spec.method.differs),
        "labels_of": _labels_of(spec),
        "card_hash": spec.card_hash,
        "split": spec.split,
        **_brought(spec),
    }


def _labels_of(spec: RunSpec) -> str | None:
    if spec.labeller is None:
        return None
    return spec.origin.method if spec.origin else spec.labeller.name


def _brought(spec: RunSpec) -> Row:
    """What only rows of sets that were not made here have to say."""
    origin = spec.brought
    if origin is None:
        return {"imported": False, **dict.fromkeys(("set", "set_budget", "class_order", "images_per_class"))}
    return {
        "imported": True,
        "set": origin.name,
        "set_budget": origin.budget,
        "class_order": origin.class_order,
        "images": origin.images or spec.ipc * len(spec.classes),
        "images_per_class": list(origin.images_per_class) if origin.images_per_class else None,
    }


def _costs(record: Record) -> Row:
    measured = unmeasured()
    if record.spec.brought:
        measured["iterations"] = record.spec.brought.iterations  # as its manifest says: nothing was iterated here
    return {**measured, **{name: record.costs[name] for name in measured if name in record.costs}}


def _scores(record: Record, evaluation: Mapping[str, Any]) -> Row:
    scores: Sequence[Mapping[str, Any]] = evaluation["scores"]
    top1 = [score["top1"] for score in scores if score["top1"] is not None]
    done = record.status == "done" and evaluation["status"] == "done"
    return {
        "status": "done" if done else evaluation["status"] if record.status == "done" else record.status,
        "reason": evaluation["reason"] or record.reason,
        "eval_backbone": evaluation["backbone"],
        "protocol_id": evaluation["protocol_id"],
        "label_kind": evaluation["label_kind"],
        "teacher_backbone": evaluation["teacher_backbone"],
        "paper_reports": evaluation.get("paper_reports"),
        "evaluation_note": evaluation.get("note", ""),
        **_shared_teacher(evaluation),
        "primary": scores[0].get("primary", TOP1) if done else None,
        "top1_mean": _mean(scores, "top1") if done else None,
        "top1_std": deviation(top1) if done else None,
        "top1_values": top1 if done else [],
        "metrics": _metrics(scores) if done else {},
        "top5_mean": _mean(scores, "top5") if done else None,
        "best_top1_mean": _mean(scores, "best_top1") if done else None,
        "epochs": scores[0]["epochs"] if done else None,
        "evaluation_s": sum(score["seconds"] for score in scores) if done else None,
        "evaluation_prepare_s": _shared_stages(scores) if done else None,
        "evaluation_warm_up_s": _sum(scores, "compiling_s") if done else None,
        "eval_seeds": len(scores) if done else 0,
    }


def _metrics(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: summed_up([score["metrics"][name] for score in scores]) for name in scores[0].get("metrics", {})}


def _shared_teacher(evaluation: Mapping[str, Any]) -> Row:
    """Where a protocol's own teacher labels for all methods, its accuracy counts and not that of the method's."""
    if evaluation["label_kind"] != "teacher":
        return {}
    return {"teacher_top1": next((score.get("teacher_top1") for score in evaluation["scores"]), None)}


def _shared_stages(scores: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds that the stages of these scores cost when they were made, each once; None where there are none."""
    stages = {name: cost["seconds"] for score in scores for name, cost in score.get("stages", {}).items()}
    return sum(stages.values()) if stages else None


def _sum(scores: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """None where some scores are older than the field."""
    return sum(score[name] for score in scores) if all(name in score for score in scores) else None


def _mean(scores: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [score[name] for score in scores if score[name] is not None]
    return statistics.fmean(values) if values else None


def _made_with(record: Record) -> Row:
    made = record.environment
    kept = ("device", "device_name", "precision", "versions", "made")
    known = {name: record.costs.get(name) for name in ("class_order_hash", "preprocessing")}
    return {**{name: made.get(name) for name in kept}, **known}
