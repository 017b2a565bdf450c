"""Published tables: which claims are cells, what answers them, and the verdict, by numbers worked out by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from benching import Bench

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.configuring import configure
from bench.planning.reproduction import foreseen, requests
from bench.recipes import Setting
from bench.reporting.reproduction import beside, standing
from bench.results.claims import COLUMNS, Claim, Claims, read
from bench.results.published import Asked, Cell, Note, Pick, PublishedTable, cells, find_table, reasons, verdict
from bench.storage.users_toml import read_toml

CLAIM = Claim(
    method="sre2l",
    dataset="tiny-imagenet",
    classes=200,
    ipc="50",
    backbone="resnet18",
    eval_backbone="resnet18",
    label_type="online",
    protocol="sre2l-tiny",
    metric="top1@1000it",
    iterations=1000,
    value=40.0,
    std=0.4,
    source="a paper",
    note="",
)
HALF_WAY = Asked(set=("recover.iterations=1000",))


def measured(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    row: dict[str, Any] = {
        **{"method": "sre2l", "known_as": "tiny-imagenet", "classes": 200, "ipc": 50, "split": None},
        **{"backbone": "resnet18", "eval_backbone": "resnet18", "protocol": "paper", "protocol_id": "sre2l-tiny@1"},
        **{
            "budget": "paper",
            "top1_mean": 40.0,
            "top1_std": 0.3,
            "config": {"recover": {"iterations": 1000, "lr": 0.1}},
        },
        "changed": {"recover.iterations": [4000, 1000]},
    }
    return {**row, **changes}


def table(*picks: Pick) -> PublishedTable:
    return PublishedTable(name="a", title="A", cells=picks)


@pytest.mark.parametrize(
    ("mean", "said"),
    # 40 ± (0.4 + 0.3 + 0.5): from 38.8 to 41.2
    [(38.81, "within"), (41.19, "within"), (38.79, "below"), (41.21, "above")],
)
def test_within_is_both_deviations_and_half_a_point(mean: float, said: str) -> None:
    assert verdict(CLAIM, measured(top1_mean=mean), []) == said


def test_a_deviation_that_nobody_knows_grants_nothing() -> None:
    assert verdict(replace(CLAIM, std=None), measured(top1_mean=40.6, top1_std=None), []) == "above"
    assert verdict(replace(CLAIM, std=None), measured(top1_mean=40.5, top1_std=None), []) == "within"


def test_what_is_another_thing_is_not_judged_by_its_number() -> None:
    assert verdict(CLAIM, measured(), ["quick budget"]) == "not the same"


def test_reasons_are_a_budget_a_change_the_best_epoch_and_what_the_method_says() -> None:
    changed = {"recover.iterations": [4000, 1000], "recover.lr": [0.1, 0.2]}
    best = replace(CLAIM, metric="top1_best")
    found = list(reasons(Cell(1, best, HALF_WAY), measured(budget="quick", changed=changed), ["in bf16"]))
    assert found == [
        "quick budget",
        "recover.lr 0.1 -> 0.2",
        "published is the best of all epochs, measured the last",
        "in bf16",
    ]
    assert not list(reasons(Cell(1, CLAIM, HALF_WAY), measured(), []))


@pytest.mark.parametrize(
    "change",
    [
        {"ipc": 10},
        {"known_as": None},
        {"split": "a tenth of train"},
        {"protocol_id": "soft@1"},
        {"changed": {"recover.iterations": [4000, 1000], "recover.lr": [0.1, 0.2]}},
        {"config": {"recover": {"iterations": 2000}}},
        {"config": {}},
        {"labels_of": "cda", "label_kind": "soft"},
        {"all_classes": 400},
    ],
)
def test_a_row_of_another_place_or_with_other_changes_answers_nothing(change: dict[str, Any]) -> None:
    cell = Cell(1, CLAIM, HALF_WAY)
    assert cell.answered_by(measured())
    assert not cell.answered_by(measured(**change))


def test_every_protocol_that_the_claim_names_answers_its_cell_whichever_is_run_for_it() -> None:
    cell = Cell(1, replace(CLAIM, protocol="hard dsa"), HALF_WAY.model_copy(update={"protocol": "dsa"}))
    assert cell.protocol == "dsa"
    assert cell.answered_by(measured(protocol_id="dsa@1")) and cell.answered_by(measured(protocol_id="hard@3"))
    assert cell.approached_by(measured(protocol_id="hard+e10@3")) and not cell.answered_by(measured(protocol_id="dc@1"))
    elsewhere = Cell(1, CLAIM, HALF_WAY.model_copy(update={"backbone": "resnet50"}))
    assert elsewhere.answered_by(measured(backbone="resnet50")) and elsewhere.answered_by(measured())


def test_a_cell_of_all_real_images_is_run_as_it_is(tmp_path: Path) -> None:
    """Its row counts its images, and the claim says "all"."""
    every = replace(CLAIM, method="full-data", ipc="all", protocol="", metric="top1")
    cell = Cell(1, every, Asked(protocol="hard"))
    assert cell.why_not(Registry()) is None
    row = measured(method="full-data", ipc=500, protocol_id="hard@1", changed={}, config={})
    assert cell.answered_by(row)
    assert not cell.answered_by({**row, "method": "random"})
    ((_, asked),) = requests([cell], Registry(), Bench(tmp_path).request(changes=()))
    assert (asked.methods, asked.ipcs, asked.protocols) == (("full-data",), (), ("hard",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"changed": {"recover.iterations": [4000, 1000], "recover.lr": [0.1, 0.2]}}, "recover.lr 0.1 -> 0.2"),
        ({"protocol_id": "sre2l-tiny+e10@1"}, "trained by sre2l-tiny+e10"),
    ],
)
def test_a_row_with_more_changes_comes_close_and_is_not_the_same(change: dict[str, Any], reason: str) -> None:
    cell, row = Cell(1, CLAIM, HALF_WAY), measured(**change)
    assert cell.approached_by(row) and not cell.answered_by(row)
    assert list(reasons(cell, row, [])) == [reason]


@pytest.mark.parametrize(
    "change",
    [
        {"ipc": 10},
        {"split": "a tenth of train"},
        {"protocol_id": "soft+e10@1"},
        {"config": {"recover": {"iterations": 2000}}},
        {"labels_of": "cda", "label_kind": "soft"},
    ],
)
def test_a_row_of_another_place_comes_close_to_nothing(change: dict[str, Any]) -> None:
    assert not Cell(1, CLAIM, HALF_WAY).approached_by(measured(**change))


def test_a_cell_shows_what_answers_it_and_else_what_comes_close() -> None:
    whole, half = Cell(1, CLAIM, Asked()), Cell(2, CLAIM, HALF_WAY)
    other_rate = measured(changed={"recover.iterations": [4000, 1000], "recover.lr": [0.1, 0.2]})
    answer = measured()
    assert list(standing([half], [other_rate, answer], [whole, half])) == [(half, answer)]
    assert list(standing([half], [other_rate], [whole, half])) == [(half, other_rate)]
    assert not list(standing([whole], [answer], [whole, half]))  # it stands at the cell of so many iterations
    assert list(standing([whole], [answer], [whole])) == [(whole, answer)]


def test_a_change_that_alters_no_result_makes_no_other_cell() -> None:
    changed = {"recover.iterations": [4000, 1000], "recover.groups": [1, 2]}
    assert Cell(1, CLAIM, HALF_WAY, aside=("recover.groups",)).answered_by(measured(changed=changed))
    assert not Cell(1, CLAIM, HALF_WAY).answered_by(measured(changed=changed))


def test_cells_are_the_claims_picked_in_their_order() -> None:
    claims = Claims([CLAIM, replace(CLAIM, ipc="100"), replace(CLAIM, source="another", ipc="10")])
    found = cells(table(Pick(source="another"), Pick(source="a paper", ipc="100"), Pick(source="a paper")), claims)
    assert [(each.number, each.claim.ipc) for each in found] == [(1, "10"), (2, "100"), (3, "50")]


def test_a_pick_that_finds_nothing_is_said() -> None:
    with pytest.raises(UsageError, match="published table a: no claim has source 'nobody', ipc '1'"):
        cells(table(Pick(source="nobody", ipc="1")), Claims([CLAIM]))


def test_the_nearest_source_is_named() -> None:
    with pytest.raises(UsageError, match=r"no claim has source 'a papr'; did you mean 'a paper'\?"):
        cells(table(Pick(source="a papr")), Claims([CLAIM]))


def test_of_what_is_not_here_the_nearest_is_named_where_the_table_says_it() -> None:
    """What a paper calls its method is no misspelling of ours."""
    misspelt = Cell(1, CLAIM, Asked(method="sre2", protocol="hrd"))
    assert misspelt.why_not(Registry()) == "there is no method 'sre2' (did you mean 'sre2l'?)"
    assert Cell(1, replace(CLAIM, method="sre2"), Asked()).why_not(Registry()) == "there is no method 'sre2'"
    protocol = Cell(1, CLAIM, Asked(protocol="hrd"))
    assert protocol.why_not(Registry()) == "there is no protocol 'hrd' (did you mean 'hard'?)"


def test_a_table_is_called_as_it_is_offered(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_text('name = "dc-table"\ntitle = "A"\n[[cells]]\nsource = "a paper"\n')
    with pytest.raises(UsageError, match="its name is 'dc-table', and it is offered as 'theirs'"):
        find_table(cast("Registry", Mock(load=lambda kind, name: path)), "theirs")


def test_a_note_stands_beside_the_verdict_and_leaves_it() -> None:
    other = replace(CLAIM, backbone="resnet50")
    notes = (Note(says="who labels is not said", backbone="resnet50"), Note(says="a guess", dataset="tiny-imagenet"))
    asked = Pick(source="a paper", run=HALF_WAY)
    first, second = cells(table(asked).model_copy(update={"notes": notes}), Claims([CLAIM, other]))
    assert (first.notes, second.notes) == (("a guess",), ("who labels is not said", "a guess"))
    row = measured(backbone="resnet50", status="done", method_version=None, precision="fp32")
    found = beside(second, {**row, "source_differs": "copies"}, Registry())["cell"]
    assert (found["verdict"], found["reasons"]) == ("within", [])
    assert found["notes"] == ["who labels is not said", "a guess", "copies"]


def test_a_note_on_no_cell_is_said() -> None:
    noted = table(Pick(source="a paper")).model_copy(update={"notes": (Note(says="a guess", method="cda"),)})
    with pytest.raises(UsageError, match="published table a: a note is on no cell: none has method 'cda'"):
        cells(noted, Claims([CLAIM]))


@pytest.mark.parametrize(
    ("changes", "protocol", "expected"),
    [
        ({}, "sre2l-tiny", ""),
        ({"metric": "top1_best"}, "sre2l-tiny", "published is the best of all epochs"),
        ({"protocol": "rded"}, "", "the last epoch counts here, in the paper the best"),
        ({"dataset": "imagenette", "classes": 10}, "rded", "the method's recipe is ours, for datasets above 64 pixels"),
        ({"dataset": "imagenette", "classes": 10}, "", "the students' recipe is ours, which is Tiny-ImageNet's"),
        ({"dataset": "cifar100", "classes": 100}, "sre2l-c100", "a teacher that labels in evaluation mode"),
        ({"method": "full-data", "ipc": "all", "protocol": "dsa"}, "", ""),
    ],
)
def test_what_is_known_of_a_verdict_before_a_run(changes: dict[str, Any], protocol: str, expected: str) -> None:
    cell = Cell(1, replace(CLAIM, **{"metric": "top1", **changes}), Asked(protocol=protocol or None))
    found = foreseen(cell, Registry())
    assert expected in " ".join(found) and bool(found) == bool(expected)


def test_what_is_foreseen_is_what_a_row_of_that_cell_is_told() -> None:
    """RDED on CIFAR-10: what the planner writes into the spec, and what the protocol says of itself."""
    claim = replace(CLAIM, method="rded", dataset="cifar10", classes=10, ipc="10", protocol="rded", metric="top1")
    cell, setting = Cell(1, claim, Asked()), Setting("cifar10", 32, 3, 10, 10, "resnet18")
    planned = configure(Registry(), "rded", setting, ()).differs
    row = measured(method="rded", known_as="cifar10", classes=10, ipc=10, protocol_id="rded@2", changed={}, config={})
    told = {**row, "status": "done", "method_version": None, "precision": "fp32", "differs": list(planned)}
    assert beside(cell, told, Registry())["cell"]["reasons"] == foreseen(cell, Registry())


def test_what_the_table_sets_is_not_set_by_the_user(tmp_path: Path) -> None:
    asked = Bench(tmp_path).request(changes=("recover.iterations=50",))
    with pytest.raises(
        UsageError, match=r"^--set 'recover.iterations=50': the table itself sets recover.iterations=1000"
    ):
        list(requests([Cell(1, CLAIM, HALF_WAY)], Registry(), asked))
    ((_, free),) = requests([Cell(1, CLAIM, Asked())], Registry(), asked)
    assert free.changes == ("recover.iterations=50",)


@pytest.mark.parametrize(("value", "std", "decimals"), [("49.0", "", 1), ("81", "2", 0), ("33.20", "0.5", 2)])
def test_a_claim_keeps_the_decimals_that_its_source_prints(tmp_path: Path, value: str, std: str, decimals: int) -> None:
    facts = {**vars(CLAIM), "value": value, "std": std}
    (tmp_path / "claims.csv").write_text("\n".join([",".join(COLUMNS), ",".join(str(facts[name]) for name in COLUMNS)]))
    (claim,) = read(tmp_path / "claims.csv")
    assert claim.decimals == decimals


def test_a_cell_is_run_as_its_table_says() -> None:
    every = replace(CLAIM, method="full-data", ipc="all", protocol="", metric="top1")
    cell = Cell(1, every, Asked(method="random", ipc=500, protocol="hard"))
    assert (cell.wanted.method, cell.wanted.ipc, cell.protocol) == ("random", "500", "hard")
    row = measured(method="random", ipc=500, protocol_id="hard@1", changed={}, config={})
    assert cell.answered_by(row)
    assert cell.why_not(Registry()) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "dwa"}, "there is no method 'dwa'"),
        ({"backbone": "convnet6-gelu", "eval_backbone": "convnet6-gelu"}, "there is no backbone 'convnet6-gelu'"),
        ({"dataset": "mars"}, "there is no dataset 'mars'"),
        ({"protocol": ""}, "it is not known how the students were trained"),
        ({"protocol": "sre2l-cl"}, "there is no protocol 'sre2l-cl'"),
        ({"ipc": "all"}, "it has no number of images per class but 'all'"),
    ],
)
def test_why_a_cell_cannot_be_run(change: dict[str, str], reason: str) -> None:
    assert Cell(1, replace(CLAIM, **change), Asked()).why_not(Registry()) == reason  # type: ignore[arg-type]


@pytest.mark.parametrize("ipc", ["²", "٣", "0", ""])
def test_what_is_no_number_of_images_is_said(ipc: str) -> None:
    said = Cell(1, replace(CLAIM, ipc=ipc), Asked()).why_not(Registry())
    assert said == f"it has no number of images per class but {ipc or 'none'!r}"


def test_a_cost_is_not_held_beside_an_accuracy() -> None:
    said = Cell(1, replace(CLAIM, metric="peak_gpu_mem_gb"), Asked()).why_not(Registry())
    assert said == "its number is a cost, peak_gpu_mem_gb, and no accuracy"


def test_a_set_from_elsewhere_says_its_own_budget() -> None:
    cell = Cell(1, CLAIM, HALF_WAY)
    assert list(reasons(cell, measured(set_budget="quick"), [])) == ["a set made under the quick budget"]
    assert not list(reasons(cell, measured(set_budget="paper"), []))


def test_a_row_without_top1_is_not_judged_by_it() -> None:
    row = measured(top1_mean=None, top1_std=None, status="done", method_version=None, precision="fp32")
    found = beside(Cell(1, CLAIM, HALF_WAY), row, Registry())["cell"]
    assert (found["difference"], found["verdict"]) == (None, "not the same")
    assert "measured was no top-1" in found["reasons"]


def incremental(**metrics: dict[str, Any]) -> dict[str, Any]:
    """A finished row that is ranked by another metric than top-1."""
    known = {"status": "done", "method_version": None, "precision": "fp32", "primary": "average_incremental"}
    return measured(**known, top1_mean=90.0, top1_std=0.1, metrics=metrics, protocol_id="incremental@1")


@pytest.mark.parametrize(
    ("metric", "unit", "value", "difference", "said"),
    [
        ("average_incremental", "%", 33.1, 1.1, "within"),  # 0.4 + 0.3 + 0.5
        ("average_incremental_last", "%", 32.9, 1.3, "above"),
        ("average_incremental", "nats", 33.6, 0.6, "within"),  # 0.4 + 0.3
        ("average_incremental", "nats", 33.4, 0.8, "above"),
        ("top1", "%", 89.9, 0.1, "within"),
        ("", "%", 89.9, 0.1, "within"),
        ("forgetting", "%", 5.0, None, "not the same"),
    ],
)
def test_a_claim_is_held_against_the_metric_that_it_names(
    tmp_path: Path, metric: str, unit: str, value: float, difference: float | None, said: str
) -> None:
    found = {"mean": 34.2, "std": 0.3, "values": [33.9, 34.5], "unit": unit, "better": "higher"}
    facts = {**vars(CLAIM), "protocol": "incremental", "metric": metric, "value": value}
    lines = [",".join(COLUMNS), ",".join(str(facts[name]) for name in COLUMNS)]
    (tmp_path / "claims.csv").write_text("\n".join(lines))
    (claim,) = read(tmp_path / "claims.csv")
    row = beside(Cell(1, claim, HALF_WAY), incremental(average_incremental=found), Registry())
    assert row["cell"]["verdict"] == said
    assert row["cell"]["difference"] == (None if difference is None else pytest.approx(difference))
    assert ("measured was no forgetting" in row["cell"]["reasons"]) == (metric == "forgetting")


def test_a_table_without_cells_is_refused_in_our_words(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_text('name = "t"\ntitle = "T"\ncells = []\n')
    with pytest.raises(UsageError, match=r"field 'cells' has 0, and needs 1 at least$"):
        read_toml(PublishedTable, path, "table")
