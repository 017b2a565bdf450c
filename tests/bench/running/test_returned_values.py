"""What a method or a protocol found out comes back with what it returns: a step size, the accuracy of a teacher."""

from pathlib import Path

import pytest
from benching import Bench

from bench.results.rows import rows
from bench.sets import condensed as sets
from bench.storage.files import read_json
from bench.storage.tensor_files import read_tensors, write_tensors
from bench.testing import MethodConformance

LEARNED = 0.1 + 0.2  # as the plugin says
PLUGIN = str(Path(__file__).with_name("learning_methods.py"))


@pytest.fixture
def learning(bench: Bench) -> Bench:
    bench.plugins = (PLUGIN,)
    return bench


class TestConformance(MethodConformance):
    name = "learning"
    plugins = (PLUGIN,)
    seeded = False


@pytest.mark.parametrize("method", ["learning", "learning-of-old"])
def test_a_learned_step_size_goes_into_the_set_also_from_kept_units(learning: Bench, method: str) -> None:
    (job,) = learning.jobs(method, protocols=("hard",))
    folder = learning.runs / job.spec.name
    for _ in range(2):
        assert learning.run(job).status == "done"
        assert sets.load(folder / "condensed").learned_lr == LEARNED
        assert (sets.load(folder / "condensed").images.pixels[::2] == 0).all(), "the first unit's level"
        (folder / "costs.json").unlink()
    assert not learning.ear.heard


def test_a_unit_from_before_step_sizes_came_with_images_has_the_one_that_was_noted(learning: Bench) -> None:
    (job,) = learning.jobs("learning", protocols=("hard",))
    learning.run(job)
    folder = learning.runs / job.spec.name
    (folder / "costs.json").unlink()
    for unit in (folder / "units").glob("*.safetensors"):
        tensors, about = read_tensors(unit)
        old = {name: about[name] for name in ("seconds", "times", "memory")}
        measured = {"teacher_top1": 61.5}
        write_tensors(unit, tensors, {**old, "schema": 1, "notes": {"learned_lr": 0.0625}, "measured": measured})
    assert learning.run(job).status == "done"
    assert sets.load(folder / "condensed").learned_lr == 0.0625
    assert not learning.ear.heard


def test_a_set_has_one_step_size(learning: Bench) -> None:
    (job,) = learning.jobs("divided", protocols=("hard",))
    record = learning.run(job)
    assert record.status == "failed" and record.reason is not None
    assert "units learned different step sizes (" in record.reason and "10.5" in record.reason


def test_a_set_has_one_type_of_pixels(learning: Bench) -> None:
    (job,) = learning.jobs("mixed", protocols=("hard",))
    record = learning.run(job)
    assert record.status == "failed"
    assert record.reason == "units made float32 and uint8 pixels; those of a set are of one type"


@pytest.mark.parametrize("protocol", ["soft", "old-teacher"])
def test_a_row_has_accuracy_and_bytes_of_the_teacher_that_a_protocol_took(learning: Bench, protocol: str) -> None:
    (job,) = learning.jobs("learning", protocols=(protocol,))
    (row,) = rows([learning.run(job)])
    (teacher,) = learning.cache.glob("stages/teacher-*/result.safetensors")
    weights, facts = read_tensors(teacher)
    assert row["teacher_top1"] == facts["top1"] is not None
    assert row["label_bytes"] == sum(tensor.numel() * tensor.element_size() for tensor in weights.values())


def test_a_score_without_a_teacher_says_nothing_of_one(learning: Bench) -> None:
    (job,) = learning.jobs("learning", protocols=("hard",))
    learning.run(job)
    (score,) = (learning.runs / job.spec.name / "evaluations").glob("*.json")
    assert "teacher_top1" not in read_json(score)
