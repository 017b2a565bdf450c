"""Which rows may stand in one ranking."""

from typing import Any

import pytest

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.reporting import Row, common, machine, rankings, report, unmeasured


def row(**changes: Any) -> Row:  # noqa: ANN401 - any field
    """A done row with what rankings look at."""
    made: Row = {
        **{"run": "sre2l-digits-0", "status": "done", "reason": None, "method": "sre2l", "dataset": "digits"},
        **{"classes": 10, "all_classes": 10, "class_order_hash": "a" * 32, "card_hash": "c" * 32, "ipc": 10},
        **{"backbone": "convnet3-bn", "eval_backbone": "convnet3-bn", "protocol": "paper", "protocol_id": "sre2l@1"},
        **{
            "label_kind": "online",
            "teacher_top1": 97.5,
            "teacher_backbone": "convnet3-bn",
            "budget": "paper",
            "budget_note": "",
            "evaluation_note": "",
        },
        **{"seed": 0, "top1_mean": 50.0, "epochs": 100, "device": "cpu", "device_name": "A processor"},
        **{"precision": "fp32", "claim": None},
    }
    made |= {"run": f"run-{sorted(changes.items(), key=str)}", **changes}
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda"},
        {"device_name": "Another processor"},
        {"precision": "bf16"},
        {"budget": "quick"},
        {"protocol_id": "sre2l@2"},
        {"protocol_id": "hard@1"},
        {"dataset": "cifar10"},
        {"card_hash": "d" * 32},
        {"classes": 5},
        {"class_order_hash": "b" * 32},
        {"ipc": 50},
        {"eval_backbone": "resnet18"},
        {"epochs": 99},
        {"label_kind": "hard"},
        {"label_kind": "soft", "teacher_backbone": None},
        {"teacher_backbone": "resnet50"},
    ],
    ids=lambda change: "-".join(change),
)
def test_never_in_one_ranking(change: dict[str, Any]) -> None:
    found = rankings([row(), row(method="random", **change)])
    assert [len(ranking.rows) for ranking in found] == [1, 1]
    assert found[0].heading != found[1].heading


@pytest.mark.parametrize(
    "change",
    [
        {"method": "random", "is_control": True},
        {"seed": 1},
        {"backbone": "convnet4-bn"},
        {"label_kind": "stored"},
        {"teacher_top1": 90.0},
    ],
    ids=lambda change: "-".join(change),
)
def test_in_one_ranking(change: dict[str, Any]) -> None:
    assert [len(ranking.rows) for ranking in rankings([row(), row(**change)])] == [2]


def test_the_reference_engine_stands_apart_and_the_control_with_both() -> None:
    control = row(method="random", is_control=True)
    found = rankings([row(engine="fast"), row(engine="reference"), control])
    assert [sorted(str(each.get("engine")) for each in ranking.rows) for ranking in found] == [
        ["None", "fast"],
        ["None", "reference"],
    ]
    assert "reference engine" in found[1].heading and "reference" not in found[0].heading
    assert len(rankings([row(engine="reference"), control])) == 1


def test_what_hard_labels_were_condensed_with_does_not_part_them() -> None:
    hard = {"label_kind": "hard"}
    assert len(rankings([row(**hard, teacher_backbone="resnet18"), row(**hard, teacher_backbone=None)])) == 1


def test_best_first_and_what_has_no_score_last() -> None:
    made = [row(method=name, top1_mean=top1) for name, top1 in (("a", 1.0), ("b", None), ("c", 30.5), ("d", 0.0))]
    (ranking,) = rankings(made)
    assert [each["method"] for each in ranking.rows] == ["c", "a", "d", "b"]


def test_the_heading_says_what_rows_share_and_nothing_else() -> None:
    (ranking,) = rankings([row(classes=3), row(classes=3, method="random", backbone="resnet18", teacher_top1=1.0)])
    assert ranking.heading == (
        "digits, 3 of 10 classes, ipc 10 · sre2l@1 on convnet3-bn, 100 epochs · online labels of convnet3-bn · "
        "paper budget · A processor (cpu), fp32"
    )
    (alone,) = rankings([row(epochs=1)])
    assert "condensed with convnet3-bn" in alone.heading
    assert "1 epoch ·" in alone.heading
    assert "online labels of convnet3-bn (97.50 %)" in alone.heading


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label_kind": "hard"}, " · hard labels · "),
        ({"label_kind": "stored", "teacher_backbone": None}, " · stored labels · "),
        ({"label_kind": "teacher", "teacher_backbone": "resnet18"}, " · soft labels of resnet18 (97.50 %) · "),
        ({"label_kind": "stored"}, " · stored labels of convnet3-bn (97.50 %) · "),
    ],
)
def test_the_heading_says_whose_labels_they_are(change: dict[str, Any], said: str) -> None:
    assert said in rankings([row(**change)])[0].heading


def test_headings_that_would_be_the_same_are_told_apart() -> None:
    one, other = rankings([row(classes=3), row(classes=3, class_order_hash="b" * 32)])
    assert {one.heading.rpartition(" · ")[2], other.heading.rpartition(" · ")[2]} == {
        "soft labels of convnet3-bn, classes aaaaaa, card cccccc",
        "soft labels of convnet3-bn, classes bbbbbb, card cccccc",
    }


def test_what_quick_took_is_said_once_for_each_method() -> None:
    quick = {"budget": "quick", "evaluation_note": "epochs 100 -> 20"}
    made = [
        row(**quick, budget_note="iterations 4000 -> 400"),
        row(**quick, budget_note="iterations 4000 -> 400", seed=1),
        row(**quick, method="random"),
    ]
    (ranking,) = rankings(made)
    assert ranking.notes == (
        "quick budget, evaluation: epochs 100 -> 20",
        "quick budget, sre2l: iterations 4000 -> 400",
    )
    assert rankings([row(budget_note="iterations 4000 -> 400")])[0].notes == ()


def test_rankings_come_by_dataset_and_growing_ipc() -> None:
    made = [row(ipc=50), row(ipc=1), row(dataset="cifar10"), row(ipc=10)]
    assert [(each.rows[0]["dataset"], each.rows[0]["ipc"]) for each in rankings(made)] == [
        ("cifar10", 10),
        ("digits", 1),
        ("digits", 10),
        ("digits", 50),
    ]


@pytest.mark.parametrize("status", ["failed", "skipped", "refused"])
def test_rows_without_a_result_are_never_ranked(status: str) -> None:
    made = [row(), row(status=status, top1_mean=99.0, reason="no")]
    assert [len(ranking.rows) for ranking in rankings(made)] == [1]
    assert unmeasured(made) == made[1:]


def test_common_and_machine() -> None:
    assert common([row(), row(seed=1)], "dataset") == "digits"
    assert common([row(), row(seed=1)], "seed") is None
    assert machine(row(device_name=None)) == "cpu"


def test_report_puts_claims_beside_rows_and_leaves_the_rows_alone() -> None:
    registry = Registry()
    cell = row(
        dataset="tiny-imagenet", classes=200, all_classes=200, ipc=50, backbone="resnet18", eval_backbone="resnet18"
    )
    cell |= {"known_as": "tiny-imagenet", "protocol_id": "sre2l-tiny@1", "iterations": 4000}
    assert '"value": 41.1' in report(registry, [cell], "json", claims=True)
    assert '"claim": null' in report(registry, [cell], "json", claims=False)
    assert cell["claim"] is None


def test_an_unknown_format_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'markdown'"):
        report(Registry(), [row()], "markdwon", claims=True)


def test_soft_labels_made_with_the_images_are_ranked_with_their_like_and_no_teacher() -> None:
    own = {"label_kind": "soft", "teacher_backbone": None, "teacher_top1": None}
    found = rankings([row(method="mtt", **own), row(method="datm", **own), row(label_kind="teacher")])
    assert sorted(len(ranking.rows) for ranking in found) == [1, 2]
    headings = {len(ranking.rows): ranking.heading for ranking in found}
    assert "soft labels made with the images" in headings[2] and "soft labels of convnet3-bn" in headings[1]
    unknown = row(label_kind="online", teacher_backbone=None)
    assert len(rankings([row(method="mtt", **own), unknown])) == 2, "a teacher that is not known is still a teacher"


def test_whitened_rows_say_so_and_stand_with_others() -> None:
    (both,) = rankings([row(method="mtt", preprocessing="zca"), row(method="random", preprocessing="normalised")])
    (alone,) = rankings([row(method="mtt", preprocessing="zca")])
    assert len(both.rows) == 2 and "ZCA" not in both.heading and "ZCA-whitened images" in alone.heading


def lost(**values: float | None) -> list[Row]:
    """Rows of a protocol whose primary metric is how much is forgotten, by method."""
    kept: Row = {"unit": "points", "better": "lower", "std": None, "values": []}
    numbers = {
        name: {"forgetting": {"mean": value, **kept}} if value is not None else {} for name, value in values.items()
    }
    return [row(method=name, primary="forgetting", metrics=made, top1_mean=90.0) for name, made in numbers.items()]


def test_a_primary_metric_of_which_less_is_better_ranks_by_less() -> None:
    """Whatever their top-1, which is the same here; what was not measured comes last."""
    (ranking,) = rankings(lost(a=8.0, b=None, c=0.0, d=2.5))
    assert [each["method"] for each in ranking.rows] == ["c", "d", "a", "b"]


def test_rows_of_different_primary_metrics_never_stand_in_one_ranking() -> None:
    assert len(rankings([row(), *lost(a=1.0)])) == 2
    assert len(rankings([row(), row(method="random", primary="top1")])) == 1, "records from before say nothing"
