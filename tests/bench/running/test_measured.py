"""What trainings measured: what is no mean of one thing is refused, and no note says what was not so."""

from typing import Any

import pytest

from bench.errors import RunFailure
from bench.evaluation import Scores
from bench.results.outcomes import Score
from bench.running.measured import check_comparable, true_of


def score(**changes: Any) -> Score:  # noqa: ANN401 - fields of a score
    return Score(**{"top1": 50.0, "top5": None, "best_top1": None, "epochs": 10, "seconds": 1.0, **changes})


def test_trainings_of_other_epochs_are_no_mean() -> None:
    check_comparable(score(), score(top1=60.0))
    with pytest.raises(RunFailure, match=r"^its trainings took 10 and 3 epochs; all of an evaluation take as many$"):
        check_comparable(score(), score(epochs=3))


@pytest.mark.parametrize(
    ("note", "epochs", "said"),
    [
        ("epochs 300 -> 150; lr 1 -> 0.5", 10, "lr 1 -> 0.5"),
        ("epochs 300 -> 10", 10, "epochs 300 -> 10"),
        ("epochs 300 -> 150", None, "epochs 300 -> 150"),
        ("epochs are many", 10, "epochs are many"),
        ("", 10, ""),
    ],
)
def test_epochs_that_were_not_trained_are_not_noted(note: str, epochs: int | None, said: str) -> None:
    assert true_of(note, [score(epochs=epochs)] * 2 if epochs else []) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"top1": None, "seconds": None}, "Scores.seconds is a NoneType"), ({"top5": [1.0]}, "Scores.top5 is a list")],
)
def test_numbers_are_numbers(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RunFailure, match=said):
        Scores(**{"top1": 50.0, "top5": None, "epochs": 1, "seconds": 1.0, **changes})
