"""Which of two results is called the better one, and which of several the best."""

from collections.abc import Sequence

import pytest

from bench.reporting import Row
from bench.reporting.compared import Scored
from bench.reporting.statistics.best import MARK, is_best, legend
from bench.reporting.statistics.welch import difference, welch
from bench.results.metrics import Summary
from bench.results.scores import Better

LOW, HIGH = (2.0, 2.1, 2.2), (5.0, 5.1, 5.2)


def row(*values: float, method: str = "dm", seed: int = 0) -> Row:
    about = {
        "status": "done",
        "protocol_id": "dm@1",
        "method": method,
        "seed": seed,
        "config": list(values),
    }  # another configuration each
    return {**about, "top1_values": list(values), "top1_mean": sum(values) / len(values)}


def test_the_best_is_above_each_of_the_others() -> None:
    """Means 91 and 90.63 with deviations of about 1: t is 0.5. What lies 80 points below changes nothing."""
    first, level, far = row(90, 91, 92), row(89.9, 90.5, 91.5), row(10, 11, 12)
    assert is_best(first, [far]) and is_best(first, [far, row(20, 21, 22)])
    assert not is_best(first, [level, far]) and not is_best(first, [far, level])
    assert not is_best(far, [first]) and not is_best(first, [])


def test_of_draws_of_one_configuration_none_is_the_best() -> None:
    """Random images of two seeds: p 0.0002 over trainings, and only another draw."""
    first, second = ({**row(*values, method="random", seed=int(values[0])), "config": {}} for values in (HIGH, LOW))
    p = welch(first["top1_values"], second["top1_values"])
    assert p is not None and p < 0.001
    assert not is_best(first, [second]) and not is_best(first, [second, row(1.0, 1.1, 1.2)])
    assert is_best(first, [{**second, "config": {"ipc": 2}}])


def test_a_legend_says_what_the_test_is_over_and_where_none_is_the_best_that_it_is_so() -> None:
    one, other, seed = row(*HIGH), row(*LOW), {**row(*HIGH), "seed": 1}
    assert legend([one, other], marked=True).startswith(f"{MARK}: above every other row")
    assert "trainings of one set each" in legend([one, other], marked=True)
    of_sets = legend([{**one, "sets": 2}, {**other, "sets": 1}], marked=True)
    assert "over sets" in of_sets and "other draws" not in of_sets
    none = legend([one, other], marked=False)
    assert none.startswith("none is the best") and "--over seed" not in none
    assert "--over seed" in legend([one, seed, other], marked=False)


def scored(better: Better, first: Sequence[float], second: Sequence[float]) -> Scored:
    one, other = (Summary("a_metric", sum(values) / 3, 0.1, values, "points", better) for values in (first, second))
    return Scored("hard@1", "resnet18", one, other, difference(first, second), together=True, alike=True)


@pytest.mark.parametrize(
    ("better", "first", "second", "expected"),
    [
        ("lower", LOW, HIGH, "first"),
        ("lower", HIGH, LOW, "second"),
        ("higher", LOW, HIGH, "second"),
        ("higher", HIGH, LOW, "first"),
    ],
)
def test_the_better_of_two_is_so_by_the_metric_s_own_direction(
    better: Better, first: Sequence[float], second: Sequence[float], expected: str
) -> None:
    assert scored(better, first, second).better == expected
