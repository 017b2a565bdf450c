"""Sets from elsewhere whose soft labels lie beside them, batch by batch (FKD)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from foreign import write_manifest
from torch.utils.data import BatchSampler, RandomSampler

from bench.cli.foreign_sets import Described, described
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.interchange import manifest
from bench.results.records import Record
from bench.sets import condensed as sets

PLUGIN = str(Path(__file__).with_name("following.py"))
PER_CLASS, BATCH, EPOCHS = 4, 5, 8


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, (PLUGIN,))


def foreign(folder: Path, digits: Dataset, *, batch: int = BATCH, shift: int = 0, **about: Any) -> Path:  # noqa: ANN401
    """Real images, not in class order, and a teacher's sure answers to whole ones; `shift` makes it err by so many."""
    chosen = torch.stack([torch.nonzero(digits.train.labels == k).flatten()[:PER_CLASS] for k in range(3)], 1).flatten()
    labels = digits.train.labels[chosen]
    labelled = {"labels": {"fkd": "FKD", "temperature": 20}, "classes": list(digits.classes), **about}
    write_manifest(folder, source={"file": "set.pt", "range": "0..255"}, protocol="following", **labelled)
    torch.save({"images": digits.train.take(chosen), "labels": labels}, folder / "set.pt")
    sampler = RandomSampler(range(len(labels)), generator=torch.Generator().manual_seed(42))
    for epoch in range(EPOCHS):
        place = folder / "FKD" / f"epoch_{epoch}"
        place.mkdir(parents=True)
        for number, indices in enumerate(BatchSampler(sampler, batch, drop_last=False)):
            sure = 40 * torch.nn.functional.one_hot((labels[indices] + shift) % 3, 3).half()
            crops = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(len(indices), 1)
            parts = [crops, torch.zeros(len(indices), dtype=torch.bool), None, None, None, sure]
            torch.save(parts, place / f"batch_{number}.tar")
    return folder


def known(bench: Bench, folder: Path, *ipcs: int) -> Described:
    return described(folder, "digits", "3", ipcs, bench.folder / "data", bench.cache, Registry((PLUGIN,)))


def evaluated(bench: Bench, folder: Path, *, control: bool = False) -> list[Record]:
    found = known(bench, folder)
    asked: dict[str, Any] = {"ipcs": found.ipcs, "changes": found.changes, "origin": found.origin, "control": control}
    asked["backbones"] = ("convnet3-bn",)  # wide enough to learn what the labels say in as few epochs
    return [bench.run(job) for job in bench.jobs("imported", protocols=("following",), **asked)]


def score(record: Record) -> float:
    ((_, outcome),) = record.evaluations.items()
    assert outcome.label_kind == "stored", outcome
    return float(outcome.scores[0].top1 or 0)


def test_every_answer_belongs_to_the_image_that_the_teacher_saw(bench: Bench, digits: Dataset) -> None:
    (record,) = evaluated(bench, foreign(bench.folder / "a", digits))
    made = sets.load(bench.runs / record.spec.name / "condensed")
    assert made.labels.kind == "stored"
    classes = made.images.classes[made.labels.tensors["views.order"].long()]
    assert torch.equal(made.labels.tensors["logits"].argmax(2), classes)
    assert classes[0].tolist() != sorted(classes[0].tolist())  # they do come in the sampler's order
    assert score(record) > 60
    assert not bench.ear.heard


def test_other_views_of_the_same_files_are_another_set(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = foreign(tmp_path / "a", digits)
    before = manifest.fingerprint(folder, [folder / "set.pt"])
    assert manifest.fingerprint(folder, [folder / "set.pt"]) == before
    monkeypatch.setattr(manifest, "FKD_VIEWS", manifest.FKD_VIEWS + 1)
    assert manifest.fingerprint(folder, [folder / "set.pt"]) != before


def test_a_teacher_that_errs_is_followed(bench: Bench, digits: Dataset) -> None:
    (record,) = evaluated(bench, foreign(bench.folder / "b", digits, shift=1))
    assert score(record) < 30
    assert sum("name the class of their image for 0 %" in line for line in bench.ear.heard) == 1


def test_answers_of_other_images_are_doubted(bench: Bench, digits: Dataset) -> None:
    labels = {"fkd": "FKD", "temperature": 20, "seed": 41}  # they were made with 42
    evaluated(bench, foreign(bench.folder / "seed", digits, labels=labels))
    assert sum("no more often than a guess; are the seed, the names" in line for line in bench.ear.heard) == 1


def test_columns_are_in_the_order_of_classes(bench: Bench, digits: Dataset) -> None:
    turned = [digits.classes[(k + 1) % 3] for k in range(3)]  # label k is class k + 1, and so is column k
    folder = foreign(bench.folder / "c", digits, classes=turned)
    held = torch.load(folder / "set.pt", weights_only=True)
    torch.save({**held, "labels": (held["labels"] - 1) % 3}, folder / "set.pt")
    _shift_columns(folder)
    (record,) = evaluated(bench, folder)
    assert score(record) > 60


def _shift_columns(folder: Path) -> None:
    for path in folder.rglob("batch_*.tar"):
        *rest, logits = torch.load(path, weights_only=True)
        torch.save([*rest, logits[:, [1, 2, 0]]], path)


def test_a_control_has_hard_labels(bench: Bench, digits: Dataset) -> None:
    own, control = evaluated(bench, foreign(bench.folder / "d", digits), control=True)
    assert score(own) > 60
    ((_, outcome),) = control.evaluations.items()
    assert (outcome.status, outcome.label_kind) == ("done", "hard")


def test_a_protocol_with_other_batches_says_so(bench: Bench, digits: Dataset) -> None:
    (record,) = evaluated(bench, foreign(bench.folder / "e", digits, batch=4))
    ((_, outcome),) = record.evaluations.items()
    assert outcome.status == "failed" and "batch_size 4 not 5" in str(outcome.reason)


def test_what_cannot_fit_is_refused_before_a_run(bench: Bench, digits: Dataset) -> None:
    folder = foreign(bench.folder / "f", digits)
    with pytest.raises(UsageError, match="are of all its images"):
        known(bench, folder, 2)
    held = torch.load(folder / "set.pt", weights_only=True)
    torch.save({name: tensor[:-1] for name, tensor in held.items()}, folder / "set.pt")
    with pytest.raises(UsageError, match="labels of 12 images, the set has 11"):
        known(bench, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["labels"]["temperature"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="labels: the field 'temperature' is missing"):
        known(bench, folder)
