"""A protocol that measures something else than top-1: its record, its row, its ranking, its table."""

from pathlib import Path

import pytest
import torch
from benching import Bench

from bench.data.opening import open_dataset
from bench.errors import RunFailure
from bench.evaluation import Metric, Scores
from bench.extensions.registry import Registry
from bench.reporting import report
from bench.results import records
from bench.results import rows as table
from bench.results.rows import Row
from bench.sets import condensed as sets

PLUGIN = str(Path(__file__).with_name("incremental_protocols.py"))


@pytest.fixture
def steps(bench: Bench) -> Bench:
    return Bench(bench.folder, (PLUGIN,))


def measured_by_hand(folder: Path, bench: Bench) -> tuple[float, float]:
    """Average accuracy over the steps with two and three known classes, and how much the second lost, by loops."""
    made = sets.load(folder / "condensed")
    test = open_dataset(Registry(), "digits", bench.folder / "data", bench.cache, bench.ear).test
    scale = made.images.pixels.double() / 255
    accuracies = []
    for known in (2, 3):
        hits = []
        for image, label in zip(test.take(torch.arange(len(test))).double() / 255, test.labels.tolist(), strict=True):
            if label < known:
                means = [scale[made.images.classes == each].mean(dim=0) for each in range(known)]
                distances = [float((image - mean).square().sum()) for mean in means]
                hits.append(distances.index(min(distances)) == label)
        accuracies.append(100 * sum(hits) / len(hits))
    return sum(accuracies) / 2, accuracies[0] - accuracies[1]


def made_rows(bench: Bench) -> list[Row]:
    jobs = [*bench.jobs("random", protocols=("incremental",), seeds=(0, 1, 2), eval_seeds=2)]
    return table.rows([bench.run(job) for job in jobs])


def test_the_row_holds_what_was_measured_and_the_table_ranks_by_it(steps: Bench) -> None:
    made = made_rows(steps)
    expected = {row["run"]: measured_by_hand(steps.runs / row["run"], steps) for row in made}
    for row in made:
        average, lost = expected[row["run"]]
        assert (row["status"], row["primary"]) == ("done", "average_incremental"), row["reason"]
        assert row["metrics"]["average_incremental"]["values"] == pytest.approx([average, average])
        assert row["metrics"]["forgetting"]["mean"] == pytest.approx(lost)
        assert row["metrics"]["forgetting"]["better"] == "lower"
        assert (row["top1_mean"], row["top1_values"], row["warnings"]) == (None, [], [])
        nulls = {row["null_reasons"][name] for name in ("top1_mean", "top1_std", "top5_mean", "best_top1_mean")}
        assert nulls == {"the protocol measures something else"}
    text = report(Registry((PLUGIN,)), made, "csv", claims=False)
    assert "average_incremental" in text
    text = report(Registry((PLUGIN,)), made, "markdown", claims=False)
    assert "average incremental %" in text and "forgetting points" in text and "top-1" not in text
    best_first = sorted((average for average, _ in expected.values()), reverse=True)
    places = [text.index(f"{average:.2f} ± 0.00 (2)") for average in best_first]
    assert places == sorted(places) and len(set(best_first)) == 3


def test_the_record_is_read_as_it_was_written(steps: Bench) -> None:
    (job,) = steps.jobs("random", protocols=("incremental",))
    made = steps.run(job)
    assert table.rows([records.read(steps.runs / job.spec.name)]) == table.rows([made])
    assert table.rows([steps.run(job)])[0]["metrics"] == table.rows([made])[0]["metrics"], "kept scores too"


def test_trainings_of_one_evaluation_measure_the_same(steps: Bench) -> None:
    (row,) = table.rows([steps.run(steps.jobs("random", protocols=("spoilt",), eval_seeds=2)[0])])
    assert row["status"] == "failed"
    assert "its trainings measured different metrics: " in row["reason"] and "forgetting" in row["reason"]


def test_a_protocol_of_top_1_says_so_and_its_record_says_no_more_than_before(hard_done: None, bench: Bench) -> None:
    (record,) = records.load_all(bench.runs, bench.ear)
    (row,) = table.rows([record])
    assert (row["primary"], row["metrics"]) == ("top1", {})
    assert '"primary"' not in (bench.runs / record.spec.name / "record.json").read_text()


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"top1": None}, "the primary metric 'top1' was not measured"),
        ({"top1": 50.0, "primary": "forgetting"}, "the primary metric 'forgetting' was not measured"),
        ({"top1": 50.0, "metrics": {"forgetting": Metric(float("nan"))}}, "the metric 'forgetting' is not finite"),
        ({"top1": 50.0, "metrics": {"top5": Metric(9.0)}}, "a metric cannot be called 'top5'"),
    ],
)
def test_scores_without_what_ranks_them_are_refused(measured: dict[str, object], said: str) -> None:
    with pytest.raises(RunFailure, match=said):
        Scores(**{"top5": None, "epochs": 1, "seconds": 0.1, **measured})  # type: ignore[arg-type]


def test_a_primary_metric_beside_top_1_keeps_both() -> None:
    scores = Scores(40.0, None, 1, 0.1, metrics={"worst_class": Metric(12.0)}, primary="worst_class")
    assert (scores.value, scores.to_json()["top1"]) == (12.0, 40.0)
