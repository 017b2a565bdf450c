"""A set of a stranger's method that holds images of the test split, or labels other than its images', is doubted."""

from pathlib import Path

import pytest
from benching import Bench

from bench.cli.outcomes import rows_of

PLUGIN = str(Path(__file__).with_name("peeking_methods.py"))


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("honest", []),
        ("peeking", ["its author doubts it too; 30 of its 30 images are in the test split, with the same pixels"]),
        ("shifted", ["labels fit the dataset's classes no better than chance would"]),
    ],
)
def test_what_its_author_would_be_asked_about_is_said_with_the_row(
    tmp_path: Path, method: str, said: list[str]
) -> None:
    bench = Bench(tmp_path, (PLUGIN,))
    (job,) = bench.jobs(method, ipcs=(3,), classes=None, protocols=("hard",))
    record = bench.run(job)
    (row,) = rows_of([job], [record])
    found = [each for each in row["warnings"] if "split" in each or "fit" in each]
    assert [each.startswith(words) for each, words in zip(found, said, strict=True)] == [True] * len(said)


def test_the_suites_own_are_held_to_that_by_its_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the test split is decoded for them before they are scored."""
    monkeypatch.setattr("bench.running.synthesis.note_suspicions", lambda *_: pytest.fail("it is looked at"))
    bench = Bench(tmp_path)
    (job,) = bench.jobs("random", protocols=("hard",))
    assert bench.run(job).status == "done"


def test_a_look_that_fails_costs_no_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> None:
        raise OSError(5, "Input/output error", "a.png")

    monkeypatch.setattr("bench.running.suspicions.fit_of", torn)
    bench = Bench(tmp_path, (PLUGIN,))
    (job,) = bench.jobs("honest", protocols=("hard",))
    assert bench.run(job).status == "done"
    assert [each for each in bench.ear.heard if "were not held against those that it is tested on: OSError" in each]
