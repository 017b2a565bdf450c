"""Rows as `bench.results.rows.rows` makes them, for the tests of reports."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.results import fields, totals

Row = dict[str, Any]
RowMaker = Callable[..., Row]


def make_row(**changes: object) -> Row:
    """A done row of SRe2L on ten classes of Tiny-ImageNet with the quick budget, on a CPU."""
    row: Row = {
        "run": "sre2l-tiny-imagenet-ipc10-convnet4-bn-s0-3f9c2a",
        "status": "done",
        "reason": None,
        "method": "sre2l",
        "dataset": "tiny-imagenet",
        "classes": 10,
        "all_classes": 200,
        "class_ids": ["n01443537", "n01629819"],
        "class_order_hash": "aa11bb22cc33dd44",
        "card_hash": "99887766554433",
        "ipc": 10,
        "images": 100,
        "backbone": "convnet4-bn",
        "eval_backbone": "convnet4-bn",
        "protocol": "paper",
        "protocol_id": "sre2l-tiny@1",
        "label_kind": "online",
        "preprocessing": "normalised",
        "labels_of": None,
        "teacher_backbone": "convnet4-bn",
        "budget": "quick",
        "changed": {},
        "budget_note": "squeeze.epochs 50 -> 10; recover.iterations 4000 -> 400",
        "evaluation_note": "epochs 100 -> 20",
        "recipe": "tiny-imagenet",
        "config": {"recover": {"iterations": 400, "lr": 0.1}},
        "engine": "fast",
        "seed": 0,
        "eval_seeds": 3,
        "top1_mean": 46.6,
        "top1_std": 0.4203173,
        "top1_values": [46.2, 46.6, 47.0],
        "top5_mean": 89.2,
        "best_top1_mean": 46.8,
        "epochs": 20,
        "ms_per_image_iteration": {"median": 9.3123, "p20": 9.1, "p80": 10.2},
        "iterations": 400,
        "prepare_s": 312.5,
        "warm_up_s": 24.6,
        "synthesis_s": 397.1,
        "label_s": 0.0041,
        "evaluation_s": 93.2,
        "evaluation_prepare_s": None,
        "evaluation_warm_up_s": 0.5,
        "notes": {},
        "seconds_per_image": 3.971,
        "peak_memory_bytes": {"allocated": None, "reserved": None, "rss": 1_288_490_189},
        "set_bytes": 1_229_312,
        "label_bytes": 3_432_448,
        **{"total_s": None, "total_bytes": None, "stage_bytes": 3_500_000, "waited": None},
        "prepare_peak_memory_bytes": {"allocated": None, "reserved": None, "rss": 1_500_000_000},
        "teacher_top1": 71.4,
        "device": "cpu",
        "device_name": "Intel(R) Xeon(R) Processor",
        "threads": 2,
        "precision": "bf16",
        "synthesis_precision": "bf16",
        "differs": [],
        "versions": {"bench": "0.1.0", "torch": "2.15.0", "plugin": "0.1.0"},
        "control": "random-tiny-imagenet-ipc10-convnet4-bn-s0-71b0aa",
        "is_control": False,
        "claim": None,
        "teacher_on_set": {"top1": 98.0, "cross_entropy": 0.08},
        "warnings": [],
        "made": {"command": "bench run", "date": "2026-01-02T03:04:05+00:00", "version": "0.1", "commit": None},
    }
    assert set(changes) <= set(row), "a field that rows do not have"
    row |= changes
    row |= {name: total for name, total in totals.sums(row).items() if name not in changes}
    if "run" not in changes:
        row["run"] = f"{row['method']}-tiny-imagenet-ipc10-convnet4-bn-s{row['seed']}-3f9c2a"
    return {**row, "null_reasons": fields.reasons(fields.Row(**row))}


def make_control(**changes: object) -> Row:
    """The control of `make_row`: nothing is iterated, labels are those of sre2l."""
    control: Row = {
        "run": "random-tiny-imagenet-ipc10-convnet4-bn-s0-71b0aa",
        "method": "random",
        "engine": None,
        "labels_of": "sre2l",
        "budget_note": "",
        "top1_mean": 39.4,
        "top1_std": 1.1,
        "top1_values": [38.3, 39.4, 40.5],
        "ms_per_image_iteration": None,
        "iterations": None,
        "warm_up_s": None,
        "synthesis_s": 0.031,
        "seconds_per_image": 0.00031,
        "control": None,
        "is_control": True,
    }
    return make_row(**{**control, **changes})


def make_failure(**changes: object) -> Row:
    """A run that broke in recovery: no number is known."""
    numbers = (
        "top1_mean top1_std top5_mean best_top1_mean epochs ms_per_image_iteration iterations prepare_s warm_up_s "
        "synthesis_s label_s evaluation_s evaluation_warm_up_s seconds_per_image peak_memory_bytes set_bytes "
        "label_bytes teacher_top1 teacher_on_set total_s total_bytes stage_bytes waited prepare_peak_memory_bytes"
    )
    failure: Row = {
        **dict.fromkeys(numbers.split()),
        "run": "cda-tiny-imagenet-ipc10-convnet4-bn-s0-0c0ffe",
        "method": "cda",
        "status": "failed",
        "reason": "images held NaN or infinity after 25 iterations of recover",
        "top1_values": [],
        "eval_seeds": 0,
        "label_kind": None,
        "teacher_backbone": None,
        "control": None,
    }
    return make_row(**{**failure, **changes})


@pytest.fixture
def row() -> RowMaker:
    """Makes a done row, with fields changed as named."""
    return make_row


@pytest.fixture
def control() -> RowMaker:
    """Makes a control's row."""
    return make_control


@pytest.fixture
def failure() -> RowMaker:
    """Makes a failed row."""
    return make_failure


@pytest.fixture
def rows() -> list[Row]:
    """Two rankings and a failure: quick on a CPU without claims, and the paper's budget on a GPU with one."""
    full = {
        **{"classes": 200, "ipc": 50, "images": 10_000, "backbone": "resnet18", "eval_backbone": "resnet18"},
        **{"budget": "paper", "budget_note": "", "evaluation_note": "", "epochs": 100},
        **{"teacher_top1": 59.6, "teacher_backbone": "resnet18"},
        **{"device": "cuda", "device_name": "NVIDIA H200", "prepare_s": 3700.0, "evaluation_s": 8400.0},
        "peak_memory_bytes": {"allocated": 7_600_000_000, "reserved": 8_000_000_000, "rss": 3_000_000_000},
        **{"set_bytes": 122_880_000, "label_bytes": 45_100_000},
    }
    claim = {"value": 41.1, "std": 0.4, "source": "SRe2L paper Table 4", "note": "", "budget": "paper"}
    speed = {"median": 0.7512, "p20": 0.74, "p80": 0.77}
    sre2l = {
        **{"run": "sre2l-tiny-imagenet-ipc50-resnet18-s0-aabbcc", "top1_mean": 41.32, "top1_std": 0.31},
        **{"iterations": 4000, "synthesis_s": 30_048.0, "seconds_per_image": 3.0048, "claim": claim},
        **{"ms_per_image_iteration": speed, "control": "random-tiny-imagenet-ipc50-resnet18-s0-ddeeff"},
    }
    random = {"run": "random-tiny-imagenet-ipc50-resnet18-s0-ddeeff", "top1_mean": 30.2, "top1_std": None}
    return [
        make_control(),
        make_row(),
        make_failure(),
        make_row(**full, **sre2l),
        make_control(**full, **random, eval_seeds=1, top1_values=[30.2]),
    ]


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with the file of that name in golden/; with BENCH_REWRITE_GOLDEN set it writes the file."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).with_name("golden") / name
        if os.environ.get("BENCH_REWRITE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
