"""Stored labels in fewer bytes: what a user types, what is kept, what is counted, and who is trained on it."""

import pytest
import torch
from benching import QUICK, Bench

from bench.errors import UsageError
from bench.reporting import Row
from bench.results import rows
from bench.results.spec import Job
from bench.sets import condensed as sets

STORED = (*QUICK, "relabel.labels=stored")
IMAGES, CLASSES, EPOCHS = 6, 3, 150  # of the quick budget on digits, one batch an epoch


def asked(bench: Bench, *changes: str) -> Job:
    (job,) = bench.jobs(changes=(*STORED, *changes))
    return job


def made(bench: Bench, *changes: str) -> tuple[Row, dict[str, torch.Tensor], int]:
    """The row, the tensors of the labels, and the bytes of their file beside them."""
    job = asked(bench, *changes)
    (row,) = rows.rows([bench.run(job)])
    folder = bench.runs / job.spec.name / "condensed"
    assert row["status"] == "done" and row["label_kind"] == "stored", row["error"]
    return row, sets.load(folder).labels.tensors, (folder / sets.LABELS).stat().st_size


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ((), EPOCHS * IMAGES * CLASSES * 2),
        (("relabel.keep=0.1",), 15 * IMAGES * CLASSES * 2),
        (("relabel.store=int8",), EPOCHS * IMAGES * (CLASSES + 4)),
        (("relabel.store=top-k", "relabel.top_k=1", "relabel.keep=0.5"), 75 * IMAGES * (1 * 4 + 2)),
    ],
    ids=["all", "a tenth", "bytes", "half of the largest"],
)
def test_bytes_are_those_that_are_kept_and_students_are_trained_on_them(
    bench: Bench, changes: tuple[str, ...], size: int
) -> None:
    row, tensors, in_file = made(bench, *changes)
    assert sum(tensor.nbytes for tensor in tensors.values()) == size
    assert size < row["label_bytes"] == in_file < size + 8 * IMAGES + 4096  # with the classes and a header
    assert row["top1_mean"] is not None


def test_a_run_that_names_the_usual_is_the_usual_run(bench: Bench) -> None:
    assert asked(bench).spec.name == asked(bench, "relabel.keep=1.0", "relabel.store=fp16", "relabel.top_k=5").spec.name
    assert asked(bench).spec.name != asked(bench, "relabel.keep=0.5").spec.name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((*STORED, "relabel.store=top-k"), r"relabel.top_k 5 is not below the 3 classes in use; --set relabel.top_k=2"),
        ((*QUICK, "relabel.keep=0.5"), r'keep and store are of stored labels: relabel.labels="stored"'),
        ((*STORED, "relabel.keep=0"), r"relabel.keep: .*greater than 0"),
        ((*STORED, "relabel.store=int4"), r"relabel.store: .*'fp16', 'int8' or 'top-k'"),
    ],
)
def test_budgets_that_there_are_not_are_refused_in_a_line(bench: Bench, changes: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        bench.jobs(changes=changes)
    assert "\n" not in str(refused.value)
