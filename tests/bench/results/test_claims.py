"""A claim stands only beside the cell that it was made for."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.results.claims import COLUMNS, Claims, load, read

HEADER = ",".join(COLUMNS)


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "claims.csv"
    path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return path


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    start = "sre2l,tiny-imagenet,200,50,resnet18,resnet18,online"
    lines = [
        f"{start},sre2l-tiny,top1@1000it,1000,37.88,,Table 3,",
        f"{start},sre2l-tiny,top1,4000,41.1,0.4,Table 4,",
        f"{start},sre2l-tiny,top1_last,4000,41.11,,log,",
        f"{start},sre2l-tiny,top1@prior_tv,1000,29.92,,Table 8,an ablation",
        f"{start},,top1,,99.0,,somewhere,recipe not known",
        "cda,tiny-imagenet,200,50,resnet18,resnet18,online,sre2l-tiny,top1,,48.7,,CDA,",
        "sre2l,tiny-imagenet,200,,resnet18,,,,ms_per_image_iteration,,0.75,,Table 1,",
        "sre2l,tiny-imagenet,200,,resnet18,,,,peak_gpu_mem_gb,,7.6,,Table 1,",
        f"{start},sre2l-tiny,average_incremental,4000,33.3,,Table 9,",
        "random,cifar10,10,10,convnet3,convnet3,hard,hard,top1,,26.0,1.2,lineage,",
    ]
    return Claims(read(table(tmp_path, *lines)))


def row(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    made = {
        **{"method": "sre2l", "known_as": "tiny-imagenet", "classes": 200, "all_classes": 200, "ipc": 50},
        **{"backbone": "resnet18", "eval_backbone": "resnet18", "protocol": "paper", "protocol_id": "sre2l-tiny@1"},
        **{"budget": "paper", "iterations": 4000, "label_kind": "online", "labels_of": None},
    }
    return {**made, **changes}


def value(claims: Claims, **changes: Any) -> float | None:  # noqa: ANN401 - any field
    found = claims.find(row(**changes))
    return None if found is None else float(found["value"])


def test_the_cell_itself(claims: Claims) -> None:
    assert claims.find(row()) == {
        **{"value": 41.1, "std": 0.4, "decimals": 1, "source": "Table 4", "metric": "top1", "iterations": 4000},
        **{"label_type": "online", "note": "", "budget": "paper"},
    }


def test_a_published_number_of_the_metric_that_the_row_is_ranked_by(claims: Claims) -> None:
    assert value(claims, primary="top1") == 41.1
    assert value(claims, primary="average_incremental") == 33.3
    assert value(claims, primary="average_incremental", budget="quick") == 33.3
    assert value(claims, primary="average_incremental", iterations=1000) is None
    assert value(claims, primary="forgetting") is None


@pytest.mark.parametrize(
    "change",
    [
        {"method": "g-vbsm"},
        {"known_as": "cifar100"},
        {"known_as": None},
        {"split": "20 % of train, by class, seed 0"},
        {"classes": 10},
        {"classes": 10, "all_classes": 10},
        {"ipc": 10},
        {"backbone": "resnet50"},
        {"eval_backbone": "resnet50"},
        {"protocol_id": "soft@1"},
        {"protocol_id": "sre2l@1"},
        {"iterations": 3999},
        {"labels_of": "cda"},
    ],
    ids=lambda change: "-".join(change),
)
def test_no_other_cell(claims: Claims, change: dict[str, Any]) -> None:
    assert claims.find(row(**change)) is None


def test_another_version_of_the_protocol_and_its_short_name_are_the_same(claims: Claims) -> None:
    assert value(claims, protocol_id="sre2l-tiny@2") == 41.1
    assert value(claims, protocol_id=None, protocol="sre2l-tiny") == 41.1


def test_a_claim_for_a_recovery_budget_is_for_that_budget(claims: Claims) -> None:
    assert value(claims, iterations=1000) == 37.88
    assert value(claims, iterations=2000) is None
    assert value(claims, iterations=None) == 41.1


def test_a_quick_run_sees_the_full_recipe_marked_as_such(claims: Claims) -> None:
    found = claims.find(row(budget="quick", iterations=1000))
    assert found is not None
    assert (found["value"], found["budget"]) == (41.1, "paper")


def test_what_is_unknown_of_a_claim_does_not_forbid_it(claims: Claims) -> None:
    assert value(claims, method="cda", iterations=123) == 48.7


def test_hard_labels_belong_to_nobody(claims: Claims) -> None:
    cell = {
        **{"method": "random", "known_as": "cifar10", "classes": 10, "all_classes": 10, "ipc": 10},
        **{"backbone": "convnet3", "eval_backbone": "convnet3", "protocol_id": "hard@1", "iterations": None},
    }
    assert value(claims, **cell, label_kind="hard", labels_of="dm") == 26.0
    assert value(claims, **cell, label_kind="online", labels_of="dm") is None


def test_costs_are_found_by_method_and_backbone(claims: Claims) -> None:
    assert [(each.metric, each.value) for each in claims.costs("sre2l", "resnet18")] == [
        ("ms_per_image_iteration", 0.75),
        ("peak_gpu_mem_gb", 7.6),
    ]
    assert claims.costs("sre2l", "resnet50") == []


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    path.write_text("method,value\nsre2l,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"claims\.csv lacks the columns dataset, classes"):
        read(path)


def test_a_value_that_is_no_number_is_named_with_its_line(tmp_path: Path) -> None:
    path = table(tmp_path, "sre2l,d,10,1,b,b,,p,top1,,about 40,,s,")
    with pytest.raises(UsageError, match=r"claims\.csv, line 2: value 'about 40': .* a number"):
        read(path)


@pytest.mark.parametrize(("value", "std"), [("nan", "1"), ("inf", "1"), ("40", "nan"), ("40", "-1")])
def test_a_number_that_no_paper_prints_is_named_with_its_line(tmp_path: Path, value: str, std: str) -> None:
    (tmp_path / "claims.csv").write_text(f"{','.join(COLUMNS)}\nrandom,d,10,1,n,n,hard,dc,top1,,{value},{std},a,\n")
    with pytest.raises(UsageError, match=r"claims\.csv, line 2: (value|std) '"):
        read(tmp_path / "claims.csv")


def test_a_short_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2"):
        read(table(tmp_path, "sre2l,d,10"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.csv cannot be read"):
        read(tmp_path / "nothing.csv")


def test_a_plugin_can_offer_claims_of_its_own(tmp_path: Path) -> None:
    path = table(tmp_path, "mine,digits,10,1,convnet3,convnet3,hard,hard,top1,,12.5,,my paper,")
    plugin = tmp_path / "my_claims.py"
    plugin.write_text(
        "from pathlib import Path\n"
        "from bench.hookspecs import Offer, hookimpl\n\n\n"
        "@hookimpl\ndef bench_claims():\n"
        f"    return [Offer('mine', Path({str(path)!r}), 'Mine.')]\n",
        encoding="utf-8",
    )
    claims = load(Registry([str(plugin)]))
    cell = {"method": "mine", "known_as": "digits", "classes": 10, "all_classes": 10, "ipc": 1}
    nets = {"backbone": "convnet3", "eval_backbone": "convnet3", "protocol_id": "hard@1", "label_kind": "hard"}
    assert value(claims, **cell, **nets) == 12.5
