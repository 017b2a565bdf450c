"""One bad record among good ones is left out with a warning that names it: no command ends for it."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import a_folder, a_link_to_itself, a_pipe, altered, damaged
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.conformance.formats import sample_record, sample_spec
from bench.errors import CorruptArtefact
from bench.extensions.registry import Registry
from bench.loops.checkpoints import State, restore, save
from bench.reporting import report
from bench.results import records
from bench.results.records import Record
from bench.results.rows import rows
from bench.storage.files import digest, read_json, write_json
from bench.storage.tensor_files import read_tensors, write_tensors

Harm = Callable[[Path], None]


def record(seed: int) -> Record:
    """One that says all that records can say."""
    stage = {"seconds": 1.0, "memory": {"allocated": None, "reserved": None, "rss": 5}}
    made = {"command": "bench run", "date": "2026-01-02T03:04:05+00:00", "version": "1", "commit": None}
    machine = {"device": "cpu", "device_name": "A processor", "precision": "fp32", "versions": {"torch": "2"}}
    score = {
        **{"top1": 50.0, "top5": 90.0, "best_top1": 51.0, "epochs": 7, "seconds": 1.5, "most_predicted": 20.0},
        **{"seed": 0, "made_under": "0" * 32, "stages": {"a": stage}, "teacher_top1": 60.0, "compiling_s": 0.5},
        **{"test": {"images": 100, "largest_class": 10.0}, "made": {**made, "plugins": {}}},
    }
    outcome = {
        **{"protocol": "soft", "protocol_id": "soft@1", "backbone": "convnet3", "asked": ["paper"], "note": "a note"},
        **{"label_kind": "teacher", "teacher_backbone": "convnet3", "status": "done", "reason": None},
    }
    costs: dict[str, Any] = {
        **{"ms_per_image_iteration": {"median": 1.0, "p20": 0.9, "p80": 1.2}, "iterations": 30, "prepare_s": 1.0},
        **{"synthesis_s": 2.0, "label_s": 0.1, "seconds_per_image": 0.2, "warm_up_s": 0.3, "set_bytes": 640},
        **{"peak_memory_bytes": stage["memory"], "label_bytes": 5, "teacher_top1": 60.0, "label_kind": "online"},
        **{"teacher_on_set": {"top1": 99.0, "cross_entropy": 0.1}, "preprocessing": "normalised", "notes": {"a": 1}},
        **{"class_order_hash": "0" * 32, "environment": {**machine, "made": made}, "stages": {"a": stage}},
    }
    evaluations = {"soft-convnet3": {**outcome, "scores": [score, score]}}
    return sample_record(sample_spec(seed), costs, evaluations, costs["environment"], {"soft-convnet3": "x"})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in range(3):
        records.write(tmp_path / "runs" / record(seed).spec.name, record(seed))
    return tmp_path / "runs"


def larger_than_memory(path: Path) -> None:
    os.truncate(path, 1 << 36)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def newer(path: Path) -> None:
    write_json(path, {**read_json(path), "schema": 3})


def older(path: Path) -> None:
    write_json(path, {**read_json(path), "schema": 0})


def of_another_shape(path: Path) -> None:
    write_json(path, {**read_json(path), "evaluations": {"soft-convnet3": ["done"]}})


HARMS = [a_folder, a_pipe, a_link_to_itself, larger_than_memory, empty, newer, older, of_another_shape]


def said_by(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert not ended.value.code, shown.err
    return shown.out, shown.err


@pytest.mark.parametrize("words", [["report"], ["list", "runs"]])
@pytest.mark.parametrize("harm", HARMS)
def test_it_is_left_out_by_name(
    runs: Path, words: list[str], harm: Harm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs / record(1).spec.name / "record.json"
    harm(path)
    others = {each: each.read_bytes() for each in runs.glob("*/record.json") if each != path}
    out, err = said_by([*words, "--runs", str(runs), "--format", "json"], monkeypatch, capsys)
    assert sorted(row["run"] for row in json.loads(out)) == sorted(each.parent.name for each in others)
    assert "left out" in err and path.parent.name in "".join(err.split())
    assert {each: each.read_bytes() for each in others} == others


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_one_that_the_system_does_not_let_be_read_is_left_out(
    runs: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, whole = runs / record(1).spec.name / "record.json", Path.read_bytes

    def refused(each: Path) -> bytes:
        if each == path:
            raise OSError(number, os.strerror(number), str(each))
        return whole(each)

    monkeypatch.setattr(Path, "read_bytes", refused)
    out, err = said_by(["report", "--runs", str(runs), "--format", "json"], monkeypatch, capsys)
    assert len(json.loads(out)) == 2 and os.strerror(number) in " ".join(err.split())


def test_whatever_stands_at_a_key_a_table_is_made_of_it_or_it_is_named(tmp_path: Path) -> None:
    path, registry = tmp_path / "record.json", Registry()
    refused = 0
    for what, content in altered(record(0).to_json()):
        path.write_text(json.dumps({**content, "checksum": digest(content)}))
        try:
            made = rows([records.read(tmp_path)])
        except CorruptArtefact as error:
            assert str(path) in str(error), what
            refused += 1
        else:
            assert report(registry, made, "table", claims=False) and report(registry, made, "csv", claims=False), what
    assert refused > 500


def test_whatever_the_bytes_are_a_tensor_file_is_whole_or_named(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "a.safetensors"
    write_tensors(path, {"pixels": torch.arange(8.0)}, {"seconds": 1.0})
    for what, bad in damaged(path.read_bytes(), flips=200):
        path.write_bytes(bad)
        with pytest.raises(CorruptArtefact, match=r"a\.safetensors"):
            raise AssertionError(what, read_tensors(path))


def test_a_checkpoint_of_another_state_is_set_aside_and_nothing_of_it_taken(tmp_path: Path) -> None:
    import torch
    from benching import Ear

    path, ear = tmp_path / "a.checkpoint.safetensors", Ear()
    images, network = torch.zeros(3, 2), torch.nn.Linear(2, 2)
    before = [parameter.clone() for parameter in network.parameters()]
    others: list[State] = [{"images": torch.ones(3, 2), "network": torch.nn.Linear(2, 5)}, {"images": images + 1}]
    for other in others:
        save(path, other, {"done": 5})
        assert restore(path, {"images": images, "network": network}, ear) is None
        assert not path.exists() and str(path) in ear.heard[-1]
    assert bool((images == 0).all()) and all(map(torch.equal, before, network.parameters()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(content=st.dictionaries(st.sampled_from(sorted(record(0).to_json())), json_values))
def test_any_sealed_object_is_a_record_or_is_named(
    content: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "record.json").write_text(json.dumps({**content, "checksum": digest(content)}))
    with pytest.raises(CorruptArtefact, match=r"record\.json"):
        records.read(folder)
