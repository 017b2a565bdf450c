"""Rows as `bench.records.rows` makes them, for the tests of reports."""

from typing import Any

import pytest

Row = dict[str, Any]


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
        "labels_of": None,
        "budget": "quick",
        "budget_note": "squeeze.epochs 50 -> 10; recover.iterations 4000 -> 400",
        "evaluation_note": "epochs 100 -> 20",
        "recipe": "tiny-imagenet",
        "config": {"recover": {"iterations": 400, "lr": 0.1}},
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
        "seconds_per_image": 3.971,
        "peak_memory_bytes": {"allocated": None, "reserved": None, "rss": 1_288_490_189},
        "set_bytes": 1_229_312,
        "label_bytes": 3_432_448,
        "teacher_top1": 71.4,
        "device": "cpu",
        "device_name": "Intel(R) Xeon(R) Processor",
        "precision": "bf16",
        "versions": {"bench": "0.1.0", "torch": "2.15.0", "plugin": "0.1.0"},
        "control": "random-tiny-imagenet-ipc10-convnet4-bn-s0-71b0aa",
        "is_control": False,
        "claim": None,
    }
    assert set(changes) <= {*row, "teacher_backbone"}, "a field that rows do not have"
    return {**row, **changes}


def make_control(**changes: object) -> Row:
    """The control of `make_row`: nothing is iterated, labels are those of sre2l."""
    control: Row = {
        "run": "random-tiny-imagenet-ipc10-convnet4-bn-s0-71b0aa",
        "method": "random",
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
        "synthesis_s label_s evaluation_s seconds_per_image peak_memory_bytes set_bytes label_bytes teacher_top1"
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
        "control": None,
    }
    return make_row(**{**failure, **changes})


@pytest.fixture
def rows() -> list[Row]:
    """A method, its control and a failure."""
    return [make_control(), make_row(), make_failure()]
