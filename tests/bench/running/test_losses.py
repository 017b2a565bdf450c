"""The loss of a synthesis lies beside the record: kept with each unit, the mean of all in one file."""

import pytest
from benching import Bench

from bench.loops.losses import LOSSES_FILE, Losses
from bench.running.units import read_unit


@pytest.mark.usefixtures("already_done")
def test_the_loss_by_term_lies_beside_the_record_and_outlives_the_making(bench: Bench) -> None:
    """Of 30 iterations all are kept. Put together once more from units that lie there, it is the same."""
    (job,) = bench.jobs()
    folder = bench.runs / job.spec.name
    found = LOSSES_FILE.read(folder / "losses.json")
    assert (found.terms, found.iterations) == (["cross-entropy", "statistics"], list(range(30)))
    units = [read_unit(path).losses for path in sorted((folder / "units").glob("*.safetensors"))]
    assert found.loops == len(units) == 2
    for term in range(2):
        assert found.values[-1][term] == pytest.approx(sum(each.values[-1][term] for each in units if each) / 2)
    for name in ("losses.json", "costs.json"):
        (folder / name).unlink()
    bench.run(job)
    assert LOSSES_FILE.read(folder / "losses.json") == found


def test_only_loops_of_the_same_terms_and_iterations_are_put_together() -> None:
    """(1 + 2 * 4) / 3 and (2 + 2 * 8) / 3; what is of other iterations is no part of it."""
    one = Losses(terms=["a"], iterations=[0, 9], values=[[1.0], [2.0]])
    two = Losses(terms=["a"], iterations=[0, 9], values=[[4.0], [8.0]], loops=2)
    other = Losses(terms=["a"], iterations=[0, 5], values=[[70.0], [70.0]])
    expected = Losses(terms=["a"], iterations=[0, 9], values=[[3.0], [6.0]], loops=3)
    assert Losses.mean([one, two, other]) == expected
    assert Losses.mean([]) is None
