"""Runs on a user's own folder: what the record says of its test split, and what is said once."""

from pathlib import Path

import pytest
from benching import Bench, Ear
from small_layouts import jpeg, write_files

from bench.errors import UsageError
from bench.results import rows

CARD = 'name = "own"\nresolution = 16\nnormalisation = "half"\n{fields}\n[[sources]]\nlayout = "image-folder"\n'


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A card that cuts, beside two classes of five images and what a notebook left there."""
    names = [f"train/{name}/{number}.jpg" for name in "ab" for number in range(5)]
    left = "train/.ipynb_checkpoints/0.jpg"
    write_files(tmp_path, {name: jpeg(number) for number, name in enumerate([*names, left])})
    card = tmp_path / "own.toml"
    card.write_text(CARD.format(fields="split = { test = 0.2, seed = 3 }"))
    return card


def test_the_record_names_the_cut_and_what_was_left_out_is_said_once(bench: Bench, own: Path) -> None:
    job = bench.jobs("random", datasets=(str(own),), classes=None, ipcs=(1,))[0]
    assert bench.ear.heard == ["own: left out 1 hidden or system name (train/.ipynb_checkpoints)"]
    ear = Ear()
    record = bench.run(type(job)(job.spec, (), {}), progress=ear)
    assert (record.status, ear.heard) == ("done", [])
    assert record.spec.split == "20 % of train, by class, seed 3"
    row = rows.blank_row(record.spec, job.evaluations[0], "skipped", "")
    assert row["split"] == record.spec.split
    own.write_text(CARD.format(fields="split = { test = 0.2, seed = 4 }"))
    assert bench.jobs("random", datasets=(str(own),), classes=None, ipcs=(1,))[0].spec.name != job.spec.name


def test_classes_that_lack_images_can_be_left_out(bench: Bench, own: Path) -> None:
    (own.parent / "train" / "c").mkdir()
    with pytest.raises(UsageError, match="own cannot be used: no train image of class c"):
        bench.jobs("random", datasets=(str(own),), classes=None, ipcs=(1,))
    assert bench.jobs("random", datasets=(str(own),), classes="a,b", ipcs=(1,))[0].spec.classes == ("a", "b")
