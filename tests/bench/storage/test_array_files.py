"""Tensor files read without torch: what torch reads, and nothing that it refuses."""

from pathlib import Path

import pytest
import torch

from bench.errors import CorruptArtefact
from bench.storage.array_files import read_arrays
from bench.storage.tensor_files import read_tensors, write_tensors

TENSORS = {
    "counts": torch.arange(6).view(2, 3),
    "doubles": torch.tensor([0.1, float("nan")], dtype=torch.float64),
    "floats": torch.rand(3),
    "nothing": torch.zeros(0, 4),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "a.safetensors", TENSORS, {"of": "a test"})
    return tmp_path / "a.safetensors"


def test_it_is_what_torch_reads(file: Path) -> None:
    arrays, about = read_arrays(file)
    tensors, told = read_tensors(file)
    assert about == told == {"of": "a test"} and arrays.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(torch.from_numpy(arrays[name]).nan_to_num(), tensor.nan_to_num())
        assert torch.from_numpy(arrays[name]).dtype == tensor.dtype


@pytest.mark.parametrize("place", [-1, -20, 120])
def test_what_was_altered_is_not_read(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptArtefact, match=r"altered|not a readable"):
        read_arrays(file)


def test_what_is_no_such_file_is_not_read(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_arrays(file.with_name("b"))
    file.write_bytes(b"nonsense")
    with pytest.raises(CorruptArtefact, match="is not a readable safetensors file"):
        read_arrays(file)
