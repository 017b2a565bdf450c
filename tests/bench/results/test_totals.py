"""Sums over the parts of a row's cost: null where a part is not known, and what older records still tell."""

from typing import Any

import pytest

from bench.conformance.formats import sample_record, sample_spec
from bench.results.rows import rows

PEAK = {"allocated": None, "reserved": None, "rss": 100}
STAGE = {"seconds": 3.0, "memory": PEAK, "workers": 1, "kind": "teacher", "bytes": 40, "waited": 0.5}
COSTS = {
    **{"prepare_s": 4.0, "synthesis_s": 2.0, "label_s": 1.0, "set_bytes": 640, "label_bytes": 60},
    "stages": {"a" * 32: STAGE, "b" * 32: {**STAGE, "seconds": 1.0, "bytes": 2, "waited": 0.1}},
    "waited": {"synthesis": 0.2, "labels": 0.3},
    "prepare_peak_memory_bytes": {**PEAK, "rss": 150},
}


def row(kind: str = "stored", changes: dict[str, Any] | None = None, **score: Any) -> dict[str, Any]:  # noqa: ANN401
    """Of a record with these costs, `changes` made to them, and one training."""
    scored = {"top1": 50.0, "top5": None, "best_top1": None, "epochs": 1, "seconds": 2.0, "seed": 0, **score}
    outcome = {
        **{"protocol": "any", "protocol_id": "any@1", "backbone": "convnet3", "asked": ["any"], "label_kind": kind},
        **{"teacher_backbone": None, "status": "done", "reason": None, "scores": [scored]},
    }
    (made,) = rows([sample_record(sample_spec(0), {**COSTS, **(changes or {})}, {"any-convnet3": outcome}, {})])
    return made


def test_a_set_costs_what_came_before_its_images_they_and_their_labels() -> None:
    assert (row()["total_s"], row()["total_bytes"], row()["stage_bytes"]) == (7.0, 700, 42)
    assert (row("hard")["total_s"], row("hard")["total_bytes"]) == (6.0, 640), "it trains on none of the labels"


@pytest.mark.parametrize(
    ("lacking", "null"),
    [
        ("prepare_s", {"total_s", "stage_bytes", "prepare_peak_memory_bytes"}),
        ("synthesis_s", {"total_s"}),
        ("label_s", set()),
        ("label_bytes", {"total_bytes"}),
    ],
)
def test_a_sum_with_an_unknown_part_is_null_and_says_why(lacking: str, null: set[str]) -> None:
    made = row(changes={lacking: None})
    assert {
        name for name in ("total_s", "total_bytes", "stage_bytes", "prepare_peak_memory_bytes") if made[name] is None
    } == null
    assert null <= made["null_reasons"].keys()


def test_what_stages_of_before_do_not_say_is_null() -> None:
    older = {name: value for name, value in STAGE.items() if name not in ("bytes", "waited")}
    made = row(changes={"stages": {"a" * 32: STAGE, "b" * 32: older}, "prepare_peak_memory_bytes": None})
    assert made["stage_bytes"] is None
    assert made["prepare_peak_memory_bytes"] == PEAK, "each stage has a peak"


def test_a_method_without_stages_keeps_no_bytes_of_any() -> None:
    assert row(changes={"stages": {}})["stage_bytes"] == 0


def test_each_part_says_for_how_much_of_its_time_it_waited() -> None:
    shared = {"c" * 32: {**STAGE, "waited": 0.25}}
    assert row(stages=shared, waited=0.6)["waited"] == {
        **{"prepare": pytest.approx(0.4), "synthesis": 0.2, "labels": 0.3},
        **{"evaluation_prepare": 0.25, "evaluation": 0.6},
    }
    assert row("hard")["waited"]["labels"] is None
    assert row(changes={"stages": {}, "waited": None})["waited"] is None
