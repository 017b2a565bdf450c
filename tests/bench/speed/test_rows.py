"""What a row says of what was measured."""

from dataclasses import replace
from typing import Any

import pytest

from bench.data.finding import load_card
from bench.extensions.registry import Registry
from bench.results.claims import Claims, load
from bench.speed.planning import Planned
from bench.speed.rows import RowResult, rows

WHERE = {"device": "cpu", "device_name": "A processor", "precision": "bf16", "threads": 2}
TABLE_1 = "SRe2L paper Table 1 (RTX 4090, batch 200)"


@pytest.fixture(scope="module")
def claims() -> Claims:
    return load(Registry())


def outcome(engine: str | None, median: float | None, backbone: str = "resnet18", **changes: Any) -> RowResult:  # noqa: ANN401
    card = load_card(Registry(), "tiny-imagenet")
    planned = Planned("sre2l", backbone, card, batch_size=200, engine=engine, known_as=card.name)
    times = median and {"median": median, "p20": median, "p80": median}
    status: dict[str, Any] = {"status": "done" if median else "failed", "reason": None if median else "no room"}
    return RowResult(planned, **status, measured={"ms_per_image_iteration": times}, **changes)


def test_the_ratio_is_that_of_the_reference_on_the_same_backbone(claims: Claims) -> None:
    ended = [
        *(outcome("reference", 60.0), outcome("fast", 12.0)),
        *(outcome("reference", 8.0, "convnet4-bn"), outcome("fast", 4.0, "convnet4-bn")),
        *(outcome("reference", None, "resnet50"), outcome("fast", 40.0, "resnet50")),
    ]
    ratios = [row["ratio_to_reference"] for row in rows(ended, WHERE, claims, None, None)]
    assert ratios == [1.0, 5.0, 1.0, 2.0, None, None]


def test_the_floor_is_the_median_of_its_values(claims: Claims) -> None:
    (row,) = rows([outcome("fast", 12.0, floors=[3.0, 4.0, 50.0])], WHERE, claims, None, None)
    assert (row["floor_ms"], row["times_floor"], row["floor_ms_values"]) == (4.0, 3.0, [3.0, 4.0, 50.0])
    for ended in (outcome("fast", 12.0), outcome("fast", None, floors=[3.0, 5.0])):
        (row,) = rows([ended], WHERE, claims, None, None)
        assert (row["floor_ms"], row["times_floor"], row["floor_ms_values"]) == (None, None, [])


def test_published_costs_are_the_claims_of_the_cell(claims: Claims) -> None:
    (row,) = rows([outcome("fast", 12.0)], WHERE, claims, "a table", TABLE_1)
    costs = {each.metric: each.value for each in claims.costs("sre2l", "resnet18") if each.source == TABLE_1}
    assert len(costs) == 2, "the claims are there"
    assert {name: row["published"][name] for name in costs} == costs
    assert row["published"]["source"] == TABLE_1
    assert row["table"] == "a table"


def test_another_source_another_backbone_or_another_dataset_has_no_published_costs(claims: Claims) -> None:
    elsewhere = outcome("fast", 12.0)
    digits = replace(elsewhere.planned, known_as="digits")
    stranger = replace(elsewhere.planned, known_as=None)
    assert rows([elsewhere], WHERE, claims, None, "another paper")[0]["published"] is None
    assert rows([outcome("fast", 1.0, "resnet101")], WHERE, claims, None, None)[0]["published"] is None
    assert rows([RowResult(digits, "done")], WHERE, claims, None, None)[0]["published"] is None
    assert rows([RowResult(stranger, "done")], WHERE, claims, None, None)[0]["published"] is None


def test_a_row_that_failed_has_null_numbers_and_where_it_was_tried(claims: Claims) -> None:
    (row,) = rows([outcome("fast", None)], WHERE, claims, None, None)
    assert (row["status"], row["reason"], row["batch_size"]) == ("failed", "no room", 200)
    assert row["ms_per_image_iteration"] is None
    assert row["peak_memory_bytes"] == {"allocated": None, "reserved": None, "rss": None}
    assert {name: row[name] for name in WHERE} == WHERE
