"""From what the user named to rows; anything that cannot be right is refused before any work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.speed import planning
from bench.speed.planning import Planned, SpeedPlanner, SpeedRequest
from bench.speed.tables import read_table

USUAL = SpeedRequest(
    methods=("sre2l",),
    backbones=("convnet3-bn",),
    dataset="digits",
    table=None,
    batch_size=None,
    ipc=1,
    iterations=None,
    engine=None,
    changes=(),
    vary=None,
    compile=None,
    device="cpu",
    precision="fp32",
)
TABLE: dict[str, Any] = {"methods": (), "backbones": (), "dataset": None, "table": "tiny-table"}


def planned(registry: Registry, **changes: Any) -> list[Planned]:  # noqa: ANN401 - the fields of Request
    return SpeedPlanner(registry, replace(USUAL, **changes)).rows()


def test_a_method_with_engines_has_a_row_for_each_the_reference_first(registry: Registry) -> None:
    rows = planned(registry, methods=("sre2l", "random"))
    assert [(row.method, row.engine) for row in rows] == [("sre2l", "reference"), ("sre2l", "fast"), ("random", None)]
    assert [row.step.method.config["recover"]["engine"] for row in rows[:2] if row.step] == ["reference", "fast"]


@pytest.mark.parametrize("plain", ["fp32", "tf32"])
def test_without_a_precision_the_reference_computes_as_plain_code_does(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, plain: str
) -> None:
    monkeypatch.setattr(planning, "plain_precision", lambda device: plain)
    monkeypatch.setattr(planning, "choose_precision", lambda name, device: "bf16" if name == "auto" else name)
    for asked, expected in (("auto", [plain, "bf16"]), ("bf16", ["bf16", "bf16"]), ("fp32", ["fp32", "fp32"])):
        found = planned(registry, precision=asked)
        assert [row.step.precision for row in found if row.step] == expected
        assert [row.floor.precision for row in found if row.floor] == expected


def test_without_a_precision_a_method_is_measured_as_a_run_makes_its_images(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "choose_precision", lambda name, device: "bf16" if name == "auto" else name)
    for asked, expected in (("auto", ["fp32", "bf16"]), ("bf16", ["bf16", "bf16"])):
        found = planned(registry, methods=("dm", "sre2l"), engine="fast", precision=asked)
        assert [row.step.precision for row in found if row.step] == expected


def test_one_engine_alone(registry: Registry) -> None:
    assert [row.engine for row in planned(registry, engine="fast")] == ["fast"]


def test_a_row_for_each_value_that_is_varied_and_the_ratio_is_to_the_same_value(registry: Registry) -> None:
    rows = planned(registry, methods=("sre2l", "random"), vary="recover.groups=1,4")
    assert [(row.method, row.engine, row.varied) for row in rows] == [
        ("sre2l", "reference", {"recover.groups": 1}),
        ("sre2l", "fast", {"recover.groups": 1}),
        ("sre2l", "reference", {"recover.groups": 4}),
        ("sre2l", "fast", {"recover.groups": 4}),
        ("random", None, None),
    ]
    assert [row.step.method.config["recover"]["groups"] for row in rows[:4] if row.step] == [1, 1, 4, 4]


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("recover.groups", "KEY=VALUE,VALUE"),
        ("recover.groups=4", "KEY=VALUE,VALUE"),
        ("recover.group=1,2", "did you mean 'recover.groups'"),
        ("recover.groups=1,few", "recover.groups"),
        ("recover.engine=fast,reference", "two ways to say one thing"),
    ],
)
def test_what_cannot_be_varied_is_refused(registry: Registry, vary: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planned(registry, vary=vary)


def test_the_recipe_is_the_papers_with_what_was_set_and_turned_over_it(registry: Registry) -> None:
    (row,) = planned(registry, engine="fast", batch_size=7, changes=("recover.lr=0.5",))
    assert row.step
    recover = row.step.method.config["recover"]
    assert (recover["lr"], recover["batch_size"], recover["iterations"]) == (0.5, 7, 200)
    assert row.batch_size == 7


@pytest.mark.parametrize(("batch", "classes"), [(None, 100), (200, 200), (7, 14), (10, 10), (3, 12)])
def test_there_are_whole_batches_and_as_many_classes_as_the_card_has(
    registry: Registry, batch: int | None, classes: int
) -> None:
    (row,) = planned(registry, engine="fast", batch_size=batch)
    assert row.step and row.floor
    assert row.step.classes == row.floor.classes == classes
    assert row.floor.images == row.batch_size == (batch or 100)


def test_without_a_batch_a_step_updates_all_images(registry: Registry) -> None:
    (row,) = planned(registry, methods=("random",), ipc=3)
    assert row.step and row.floor
    assert (row.batch_size, row.step.classes, row.floor.images) == (None, 10, 30)


def test_a_table_lists_what_nobody_has_installed(registry: Registry) -> None:
    rows = planned(registry, **TABLE)
    assert [(row.method, row.backbone, row.engine) for row in rows] == [
        ("a-method-that-nobody-has", "convnet3", None),
        ("looping", "a-backbone-that-nobody-has", None),
        ("looping", "convnet3", "reference"),
        ("looping", "convnet3", "quick"),
    ]
    assert [row.skipped for row in rows] == [
        "not measured: no such method here",
        "not measured: no such backbone here",
        None,
        None,
    ]
    assert rows[0].published_as == "ConvNet-3"
    assert [row.batch_size for row in rows] == [None, None, 4, 4]
    assert [row.batch_size for row in planned(registry, **TABLE, batch_size=2)] == [None, None, 2, 2]


def test_the_table_of_the_paper_is_there() -> None:
    registry = Registry()
    table = read_table(Path(registry.load("speed table", "sre2l-table-1")))
    ours = {("sre2l", name) for name in ("convnet4-bn", "resnet18", "resnet50")}
    theirs = {(name, "convnet4") for name in ("dc", "dm", "mtt", "tesla")}
    assert {(row.method, row.backbone) for row in table.rows} == ours | theirs
    rows = planned(registry, **{**TABLE, "table": "sre2l-table-1"})
    measured = [row for row in rows if row.method == "sre2l"]
    assert {(row.card.resolution, row.batch_size) for row in measured} == {(64, 200)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ("sre2",)}, "unknown method 'sre2'; did you mean 'sre2l'?"),
        ({"backbones": ("convnet3bn",)}, "unknown backbone 'convnet3bn'; did you mean 'convnet3-bn'?"),
        ({"backbones": ("convnet3",)}, "sre2l needs a backbone with batchnorm, which convnet3 lacks"),
        ({"backbones": ("convnet5-bn",)}, "the deepest that fits is convnet3-bn"),
        ({"dataset": "digit"}, "unknown dataset 'digit'; did you mean 'digits'?"),
        ({"engine": "fasst"}, "unknown engine of sre2l 'fasst'; did you mean 'fast'?"),
        ({"methods": ("random",), "engine": "fast"}, "random has no knob for --engine"),
        ({"methods": ("random",), "batch_size": 5}, "it has none"),
        ({"methods": ("imported",)}, "imported makes no images"),
        ({"changes": ("recover.lrr=1",)}, "did you mean 'recover.lr'?"),
        ({"changes": ("recover.engine=fast",)}, "--engine and --set recover.engine are two ways to say one thing"),
        ({"batch_size": 5, "changes": ("recover.batch_size=6",)}, "--batch-size and --set recover.batch_size"),
        ({"methods": ()}, "name methods (-m) and backbones (--backbone), or a table (--table)"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({**TABLE, "table": "tiny-tabel"}, "unknown speed table 'tiny-tabel'; did you mean 'tiny-table'?"),
        ({**TABLE, "methods": ("sre2l",), "dataset": "digits"}, "leave -m and -d out"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(registry: Registry, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        planned(registry, **changes)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'x'", "the field 'title' is missing"),
        ("name = [", "is not valid TOML"),
        ("name='x'\ntitle='t'\nsource='s'\ndataset='digits'\n[[rows]]\nmetod='x'", "did you mean 'method'?"),
    ],
)
def test_a_bad_table_names_the_file_and_the_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.toml") as refused:
        read_table(path)
    assert said in str(refused.value)


def test_a_change_may_be_for_one_method(registry: Registry) -> None:
    rows = planned(registry, methods=("sre2l", "cda"), changes=("recover.lr=0.3", "cda:recover.lr=0.7"), engine="fast")
    rates = {row.method: row.step.method.config["recover"]["lr"] for row in rows if row.step}
    assert rates == {"sre2l": 0.3, "cda": 0.7}
