"""What a run wrote and finds damaged: it is set aside by name and made again; what is done is never replaced."""

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benching import Bench
from damage import a_folder, a_pipe, altered, damaged

from bench.errors import CorruptArtefact
from bench.extensions.registry import Registry
from bench.results import records
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors import SpreadExecutor
from bench.running.scoring import SCORE_FILE
from bench.sets import condensed
from bench.storage.files import digest, read_json, write_json
from bench.storage.shared.slots import LEASES
from bench.storage.tensor_files import read_tensors, write_tensors

PLUGIN = str(Path(__file__).with_name("noting_methods.py"))
OWN = ("record.json", "spec.json", "costs.json", "condensed/manifest.json", "evaluations/honest-convnet3-w32-bn-0.json")
DONE = 12.5  # what `honest` scores
Harm = Callable[[Path], None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("finished"), (PLUGIN,))
    assert bench.run(the_job(bench)).status == "done"
    return bench


@pytest.fixture
def noting(finished: Bench, tmp_path: Path) -> Bench:
    """A finished run of one's own."""
    shutil.copytree(finished.folder, tmp_path / "bench")
    return Bench(tmp_path / "bench", (PLUGIN,))


def the_job(bench: Bench) -> Job:
    (job,) = bench.jobs("modest", protocols=("honest",))
    return job


def folder_of(bench: Bench) -> Path:
    (folder,) = (path for path in bench.runs.iterdir() if path.is_dir() and path.name != LEASES)
    return folder


def top1(record: Record) -> list[float]:
    return [score.top1 or 0.0 for each in record.evaluations.values() for score in each.scores]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def another_schema(path: Path) -> None:
    write_json(path, {**read_json(path), "schema": 99})


def another_shape(path: Path) -> None:
    write_json(path, {"schema": read_json(path)["schema"], "what": [1]})


@pytest.mark.parametrize("harm", [truncated, a_folder, a_pipe, another_schema, another_shape])
@pytest.mark.parametrize("name", OWN)
def test_a_damaged_file_is_set_aside_by_name_and_made_again(noting: Bench, name: str, harm: Harm) -> None:
    path = folder_of(noting) / name
    harm(path)
    again = noting.run(the_job(noting))
    assert (again.status, top1(again)) == ("done", [DONE])
    assert any(str(path) in said for said in noting.ear.heard), noting.ear.heard
    assert any(each.name.startswith(path.name + ".corrupt-") for each in path.parent.iterdir()) or (
        name == "condensed/manifest.json" and list(path.parent.parent.glob("condensed.corrupt-*"))
    )
    noting.ear.heard.clear()
    assert noting.run(the_job(noting)) == again
    assert not noting.ear.heard


def test_a_damaged_unit_is_set_aside_and_made_again(noting: Bench) -> None:
    folder = folder_of(noting)
    (unit,) = (folder / "units").glob("*.safetensors")
    tensors, about = read_tensors(unit)
    untimed = {name: value for name, value in about.items() if name != "seconds"}
    one_image = {name: tensor[:1] for name, tensor in tensors.items()} | {"pixels": tensors["pixels"][:1, :, :4]}
    for changed, said in (({"pixels": tensors["pixels"]}, about), (tensors, untimed), (one_image, about)):
        write_tensors(unit, changed, said)
        (folder / "costs.json").unlink()
        assert top1(noting.run(the_job(noting))) == [DONE]
        assert any(unit.name in said for said in noting.ear.heard)
        noting.ear.heard.clear()


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_what_the_system_does_not_let_be_read_replaces_no_record(
    noting: Bench, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, record = folder_of(noting) / name, folder_of(noting) / "record.json"
    before = record.read_bytes()
    whole = Path.read_bytes

    def refused(each: Path) -> bytes:
        if each == path:
            raise OSError(number, os.strerror(number), str(each))
        return whole(each)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        (found,) = SpreadExecutor(Registry((PLUGIN,)), noting.place()).run([the_job(noting)])
    assert isinstance(found, Record)
    assert record.read_bytes() == before
    said = [*noting.ear.heard, *(str(each.reason) for each in found.evaluations.values())]
    assert any(f"{path} cannot be read: {os.strerror(number)}" in each for each in said)
    assert top1(found) == ([] if name in ("record.json", "spec.json") else [DONE])
    assert top1(noting.run(the_job(noting))) == [DONE]


def test_a_finished_command_on_a_full_disk_prints_its_table(noting: Bench) -> None:
    """A limit on the size of files refuses writes as a full disk does."""
    words = ["-m", "modest", "--no-control", "--protocol", "honest", "--plugin", PLUGIN, "--format", "json"]
    first = noting.typed(*words)
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in noting.runs.rglob("*.json")}
    full = noting.executed(["bash", "-c", f"ulimit -f 0; {shlex.join(noting.command(*words))}"])
    assert full.returncode == 0, full.stderr
    assert [row["top1_mean"] for row in json.loads(full.stdout)] == [DONE]
    assert {path: path.read_bytes() for path in noting.runs.rglob("*.json")} == before


def test_more_seeds_on_a_full_disk_do_not_replace_those_that_are_done(
    noting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (more,) = noting.jobs("modest", protocols=("honest",), eval_seeds=2)
    record = folder_of(noting) / "record.json"
    before = record.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr("bench.storage.artefacts.write_json", full)
        found = noting.run(more)
    assert [each.reason for each in found.evaluations.values()] == ["disk full: No space left on device: somewhere"]
    assert record.read_bytes() == before
    assert top1(noting.run(more)) == [DONE, DONE]


@pytest.mark.parametrize("name", OWN)
def test_any_bytes_in_the_place_of_a_file_end_in_the_same_scores(noting: Bench, name: str) -> None:
    """Read as the run reads them; a run of each would take minutes."""
    readers: dict[str, Callable[[Path], object]] = {
        "record.json": lambda path: records.read(path.parent),
        "spec.json": lambda path: records.read_spec(path.parent),
        "costs.json": records.COSTS_FILE.read,
        "condensed/manifest.json": condensed.MANIFEST_FILE.read,
        OWN[-1]: SCORE_FILE.read,
    }
    path = folder_of(noting) / name
    good, content = readers[name](path), path.read_bytes()
    for what, bad in damaged(content):
        path.write_bytes(bad)
        assert_whole_or_named(lambda: readers[name](path), path, good, what)
    for what, changed in altered(read_json_of(content)):
        path.write_text(json.dumps({**changed, "checksum": digest(changed)}))
        assert_whole_or_named(lambda: readers[name](path), path, None, what)


def read_json_of(content: bytes) -> dict[str, Any]:
    """What was sealed."""
    return {key: value for key, value in json.loads(content).items() if key != "checksum"}


def assert_whole_or_named(read: Callable[[], object], path: Path, good: object, what: str) -> None:
    try:
        found = read()
    except CorruptArtefact as error:
        assert str(path) in str(error), what
    else:
        assert good is None or found == good, what
