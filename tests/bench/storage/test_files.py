"""Files are whole or absent, and know when they were altered (DESIGN section 9, promises 1, 5 and 8)."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import CorruptArtefact, RunFailure
from bench.storage.files import clean_leftovers, digest, quarantine, read_json, whole, write_json
from bench.storage.tensor_files import read_tensors, write_tensors

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(payload=st.dictionaries(st.text(min_size=1, max_size=5).filter(lambda key: key != "checksum"), json_values))
def test_json_comes_back_as_it_was(payload: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, payload)
    assert read_json(path) == payload


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"top1": float("nan")}, "top1 is nan, not a finite number"),
        ({"costs": {"parts": [1.0, float("-inf")]}}, "costs.parts.1 is -inf, not a finite number"),
    ],
)
def test_what_is_not_finite_is_refused_by_its_name(tmp_path: Path, payload: dict[str, object], said: str) -> None:
    with pytest.raises(RunFailure, match=f"^{re.escape(said)}$"):
        write_json(tmp_path / "a.json", payload)
    with pytest.raises(RunFailure, match=f"^{re.escape(said)}$"):
        write_tensors(tmp_path / "a.safetensors", {}, payload)
    assert not list(tmp_path.iterdir())


def test_an_altered_json_file_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"top1": 41.1})
    path.write_text(path.read_text().replace("41.1", "51.1"))
    with pytest.raises(CorruptArtefact, match="altered"):
        read_json(path)


def test_a_hand_written_json_file_passes_only_where_a_seal_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_json(path, sealed=False) == {"a": 1}
    with pytest.raises(CorruptArtefact, match="no checksum"):
        read_json(path)


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"'])
def test_what_is_not_a_json_object_is_corrupt(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(CorruptArtefact):
        read_json(path, sealed=False)


@pytest.mark.parametrize(
    "content",
    [
        '{"a": ' + "[" * 100_000,
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\\ud800"}',
        '{"checksum": "0", "a": NaN}',
        b'{"a": "\xff"}',
    ],
)
def test_json_that_nothing_can_be_made_of_is_corrupt_in_one_line(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CorruptArtefact, match=r"a\.json") as caught:
        read_json(path, sealed=False)
    assert "\n" not in str(caught.value)


def test_the_same_tensors_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    """The library writes metadata in the order of a hash that it draws anew each time: of 12 one would differ."""
    said, names = {"word": "é\x7f\n"}, "abcdefghijkl"
    for name in names:
        write_tensors(tmp_path / name, {each: torch.arange(3) for each in names}, said)
    assert len({(tmp_path / name).read_bytes() for name in names}) == 1
    tensors, about = read_tensors(tmp_path / "a")
    assert about == said
    assert set(tensors) == set(names) and all(torch.equal(each, torch.arange(3)) for each in tensors.values())


def test_tensors_of_every_type_and_layout_come_back(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).half(),
        "bf16": torch.ones(2).bfloat16(),
        "bytes": torch.arange(6, dtype=torch.uint8).view(2, 3),
        "transposed": torch.arange(6.0).view(2, 3).t(),
        "empty": torch.zeros(0, 3),
        "bool": torch.tensor([True, False]),
    }
    write_tensors(tmp_path / "a.safetensors", tensors, {"n": 3})
    read, about = read_tensors(tmp_path / "a.safetensors")
    assert about == {"n": 3}
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_any_flipped_byte_of_a_tensor_file_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"weights": torch.arange(64.0)}, {"epoch": 7})
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])
        with pytest.raises(CorruptArtefact):
            read_tensors(path)


def test_a_truncated_tensor_file_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"weights": torch.arange(64.0)})
    content = path.read_bytes()
    for length in (0, 4, 40, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptArtefact):
            read_tensors(path)


def test_a_failing_writer_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole(path) as part:
        part.write_text("half of the new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_process_killed_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = (
        "import os, signal, sys; from pathlib import Path; from bench.storage.files import whole\n"
        "with whole(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half of the new'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    leftovers = [each for each in tmp_path.iterdir() if each != path]
    assert len(leftovers) == 1
    clean_leftovers(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_set_aside_keeps_every_corrupt_version(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text in ("first", "second"):
        path.write_text(text)
        quarantine(path)
    assert (tmp_path / "a.txt.corrupt-1").read_text() == "first"
    assert (tmp_path / "a.txt.corrupt-2").read_text() == "second"


def test_digests_do_not_depend_on_the_order_of_keys_or_on_the_hash_seed() -> None:
    script = "from bench.storage.files import digest; print(digest({'b': [1, 2.5], 'a': None}))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert set(runs) == {digest({"a": None, "b": [1, 2.5]})}


def hashed(seed: str) -> dict[str, str]:
    """The environment with another seed of Python's own hashes."""
    return {**os.environ, "PYTHONHASHSEED": seed}
