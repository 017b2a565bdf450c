"""Soft labels that a protocol ignores: said where the method did not decide it; `own` trains on them."""

from pathlib import Path

import pytest
import torch
from benching import Bench

from bench.results import rows
from bench.sets import condensed as sets

PLUGIN = str(Path(__file__).with_name("labelling_methods.py"))
SAID = (
    "soft-labelled names no protocol, and hard, which stands in, ignores the soft labels that it made; "
    "--protocol own trains on them"
)


@pytest.mark.parametrize(
    ("method", "protocol", "warnings", "trained_on"),
    [
        ("soft-labelled", "paper", [SAID], "hard"),
        ("soft-labelled", "hard", [], "hard"),
        ("soft-labelled", "own", [], "soft"),
        ("decided", "paper", [], "hard"),
    ],
)
def test_ignored_labels_are_said(
    bench: Bench, method: str, protocol: str, warnings: list[str], trained_on: str
) -> None:
    stranger = Bench(bench.folder, (PLUGIN,))
    (job,) = stranger.jobs(method, protocols=(protocol,))
    (row,) = rows.rows([stranger.run(job)])
    assert stranger.ear.heard == warnings
    assert (row["status"], row["label_kind"]) == ("done", trained_on)


def test_labels_are_of_the_images_as_they_are_stored(bench: Bench) -> None:
    stranger = Bench(bench.folder, (PLUGIN,))
    (job,) = stranger.jobs("compressed", protocols=("own",))
    assert stranger.run(job).status == "done"
    made = sets.load(stranger.runs / job.spec.name / "condensed")
    labels = made.labels.tensors["probabilities"]
    assert torch.equal(labels[:, 0], made.images.pixels.float().mean((1, 2, 3)) / 256)
