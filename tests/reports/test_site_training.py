"""What the page of a run says of its trainings, of its classes and of the loss of its synthesis."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sites import keep_run
from torch import Tensor

from bench.evaluation import Curves
from bench.loops.losses import LOSSES_FILE
from bench.results import curves
from bench.results.curves import CurveArrays
from bench.results.records import read
from bench_reports.site.classes import class_tables
from bench_reports.site.tables import Table
from bench_reports.site.training import Training, losses_beside, recovery, trainings

NAN = float("nan")
KEY = "hard-convnet3"


def curves_of(confusion: list[list[int]], last: float = 1.0, looks: tuple[int, ...] = (2,)) -> Curves:
    """Four epochs, the test split looked at after these, with 12.5 % more after each."""
    loss, seen = torch.tensor([4.0, 3.0, 2.0, last]).double(), torch.tensor([10.0, 20.0, 30.0, 40.0]).double()
    epochs = torch.tensor(looks, dtype=torch.int64)
    return Curves(loss, seen, epochs, 12.5 * epochs.double(), torch.tensor(confusion))


OURS = [[8, 2], [5, 5]]


def keep(run: Path, seed: int, found: Curves, made_under: str = "a test") -> Path:
    path = curves.path_of(run, KEY, seed)
    path.parent.mkdir(exist_ok=True)
    curves.write(path, found, made_under)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two classes, of whose trainings (50 and 52 percent) both have curves."""
    keep_run(tmp_path)
    keep(tmp_path / "run0", 0, curves_of(OURS))
    keep(tmp_path / "run0", 1, curves_of([[10, 0], [5, 5]], last=3.0))
    return tmp_path / "run0"


def of(run: Path, controls: dict[tuple[str, str], Path] | None = None) -> Training:
    record = read(run).to_json()
    record["spec"]["classes"] = ["one", "other"]
    (found,), lost = trainings(record, run, controls or {})
    assert lost == []
    return found


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in line.cells] for line in table.lines]


def test_curves_are_the_mean_over_trainings_and_end_with_the_score(run: Path) -> None:
    """Tested after 2 of 4 epochs with 25 %, and at the end with the mean of 50 and 52 %; a last loss of (1 + 3) / 2."""
    found = of(run)
    accuracy, loss = found.figures
    assert (found.count, found.part) == (2, "")
    test, views = accuracy.series
    assert [mark.said for mark in test.marks] == ["epoch 2: top-1 % 25.00", "epoch 4: top-1 % 51.00"]
    assert [mark.said for mark in views.marks][-1] == "epoch 4: top-1 % 40.00"
    assert [mark.said for mark in loss.series[0].marks][-1] == "epoch 4: loss 2.00"


@pytest.mark.parametrize(
    ("first", "second", "tested"),
    [
        ((), (1, 3), ["epoch 1: top-1 % 12.50", "epoch 3: top-1 % 37.50", "epoch 4: top-1 % 52.00"]),
        ((1, 3), (2,), ["epoch 1: top-1 % 12.50", "epoch 3: top-1 % 37.50", "epoch 4: top-1 % 50.00"]),
    ],
)
def test_the_test_line_is_of_trainings_with_the_same_looks(
    run: Path, first: tuple[int, ...], second: tuple[int, ...], tested: list[str]
) -> None:
    """Of one of the two it ends with the score of that one; the other lines are still the means over both."""
    keep(run, 0, curves_of(OURS, looks=first))
    keep(run, 1, curves_of(OURS, last=3.0, looks=second))
    found = of(run)
    test, _ = found.figures[0].series
    assert [mark.said for mark in test.marks] == tested
    assert (found.count, found.part) == (2, "1 of 2 trainings")
    assert [mark.said for mark in found.figures[1].series[0].marks][-1] == "epoch 4: loss 2.00"


def test_most_trainings_have_the_test_line_before_those_with_most_looks(run: Path) -> None:
    """Of six trainings three were not tested on the way, one thrice, and those of 51 and 53 % after two epochs."""
    record = read(run).to_json()
    (outcome,) = record["evaluations"].values()
    outcome["scores"] = [{**outcome["scores"][0], "seed": seed, "top1": 50.0 + seed} for seed in range(6)]
    looks: list[tuple[int, ...]] = [(1, 2, 3), (2,), (), (2,), (), ()]
    for seed, each in enumerate(looks):
        keep(run, seed, curves_of(OURS, looks=each))
    (found,), _ = trainings(record, run, {})
    said = [mark.said for mark in found.figures[0].series[0].marks]
    assert (said, found.part) == (["epoch 2: top-1 % 25.00", "epoch 4: top-1 % 52.00"], "2 of 6 trainings")


def test_curves_of_other_conditions_belong_to_no_score(run: Path, tmp_path: Path) -> None:
    """The second training's are of an earlier version, and there is no third; so is the only one of the control."""
    keep(run, 1, curves_of([[0, 10], [10, 0]], last=3.0), "an earlier version")
    keep(run, 2, curves_of([[0, 10], [10, 0]], last=3.0))
    keep_run(tmp_path, seed=1)
    keep(tmp_path / "run1", 0, curves_of(OURS), "an earlier version")
    found = of(run, {("hard@1", "convnet3"): tmp_path / "run1"})
    assert (found.count, found.part) == (1, "")
    assert found.figures[0].series[0].marks[-1].said == "epoch 4: top-1 % 50.00"
    assert [each[1:] for each in texts(found.tables[0])] == [["80.0"], ["50.0"]]


def test_classes_stand_beside_those_of_the_control(run: Path, tmp_path: Path) -> None:
    """9 and 5 of 10 right on average, the control 6 and 7; of the second class half was taken for the first."""
    keep_run(tmp_path, seed=1)
    keep(tmp_path / "run1", 0, curves_of([[6, 4], [3, 7]]))
    by_class, confusion = of(run, {("hard@1", "convnet3"): tmp_path / "run1"}).tables
    assert [each[1:] for each in texts(by_class)] == [["90.0", "60.0", "+30.0"], ["50.0", "70.0", "-20.0"]]
    assert [each[1:] for each in texts(confusion)] == [["90", "10"], ["50", "50"]]
    assert [cell.share for cell in by_class.lines[0].cells[1:]] == [0.9, 0.6, None]
    (alone, _) = of(run).tables
    assert alone.titles == ["class", "top-1 %"]


def test_of_many_classes_the_best_the_worst_and_the_pairs_confused_most(run: Path) -> None:
    """Of 60 classes class k has 60 - k of 60 right, and the rest was taken for the next."""
    confusion = torch.diag(60 - torch.arange(60)) + torch.diag(torch.arange(60)).roll(1, 1)
    none = np.zeros(1)
    spec = {"dataset": "of nobody", "classes": [f"class {place}" for place in range(60)]}
    by_class, pairs = class_tables(spec, [CurveArrays(none, none, none, none, confusion.numpy(), "a test")], None)
    assert [each[0] for each in texts(by_class)][24:26] == ["class 24", "class 35"]
    assert (by_class.caption, len(by_class.lines)) == ("Accuracy of 50 of 60 classes", 50)
    assert texts(pairs)[:2] == [["class 59", "class 0", "98"], ["class 58", "class 59", "97"]]


def test_curves_that_are_damaged_are_said_and_the_rest_of_the_page_stays(run: Path) -> None:
    curves.path_of(run, KEY, 1).write_bytes(b"nonsense")
    found, (said,) = trainings(read(run).to_json(), run, {})
    assert found == [] and "is not a readable safetensors file" in said


def test_an_evaluation_of_a_longer_name_is_another(run: Path) -> None:
    (run / "evaluations" / f"{KEY}-bn-0.curves.safetensors").write_bytes(b"of another network")
    assert of(run).count == 2


def test_the_loss_of_a_synthesis_is_drawn_by_term(run: Path) -> None:
    assert recovery(run) == ([], [])
    content = {"terms": ["a", "b"], "iterations": [0, 5, 9], "values": [[1.0, 8.0], [0.5, 4.0], [0.25, 2.0]]}
    LOSSES_FILE.write(run / "losses.json", content)
    (figure,), _ = recovery(run)
    assert [series.name for series in figure.series] == ["a (weighted)", "b (weighted)"]
    assert [mark.said for mark in figure.series[1].marks][-1] == "iteration 9: loss 2.00"


def test_a_loss_that_is_damaged_is_said_and_drawn_neither_alone_nor_beside_another(run: Path) -> None:
    (run / "losses.json").write_text('{"terms"')
    for found, (said,) in (recovery(run), losses_beside({"one": run, "other": run})):
        assert found == [] and "is not valid JSON" in said


@pytest.mark.parametrize("numbers", [torch.full((4,), NAN).double(), torch.arange(400).double()])
def test_what_was_never_counted_is_not_drawn_and_long_lines_are_thinned(run: Path, numbers: Tensor) -> None:
    found = replace(curves_of(OURS), train_loss=numbers, train_top1=numbers.clone())
    for seed in (0, 1):
        keep(run, seed, found)
    line = of(run).figures[1].series[0].line
    assert "nan" not in line and len(line.split()) <= 81
