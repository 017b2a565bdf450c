"""Mapped files that are gone through leave no more than a piece in memory, and lose nothing that was written."""

import json
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.labels.forms import FLOAT16
from bench.storage import paging
from bench.storage.paging import Passage, release, taken
from bench.storage.tensor_files import _TYPES, read_tensors, write_tensors
from bench.training.soft_labels.label_files import LabelFiles

PIECE, LARGE = 1 << 20, 24 << 20  # bytes


def mapped_bytes() -> int:
    """Of files, resident in this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile:"))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PIECE", PIECE)


def large(path: Path) -> torch.Tensor:
    """A tensor in a file that is mapped and shared."""
    torch.arange(LARGE // 8).numpy().tofile(path)
    return torch.from_file(str(path), shared=True, size=LARGE // 8, dtype=torch.int64)


def test_what_is_larger_than_a_piece_is_written_and_read_without_being_held(tmp_path: Path) -> None:
    tensor = large(tmp_path / "labels")
    before = mapped_bytes()
    write_tensors(tmp_path / "result", {"labels": tensor})
    assert mapped_bytes() - before < LARGE / 4
    found = read_tensors(tmp_path / "result")[0]["labels"]
    assert mapped_bytes() - before < LARGE / 4
    assert torch.equal(found, torch.arange(LARGE // 8))


def test_labels_are_written_without_being_held_and_are_all_there(tmp_path: Path) -> None:
    rows, classes = (12, 1024), 1024
    files = LabelFiles(tmp_path / "labels", FLOAT16, rows, classes)
    files.reserve()
    before = mapped_bytes()
    for epoch in range(rows[0]):
        files.write(epoch, 0, {"logits": np.full((rows[1], classes), epoch, np.float16)})
    assert mapped_bytes() - before < LARGE / 4
    voucher = files.flush()
    assert LabelFiles(tmp_path / "labels", FLOAT16, rows, classes).hold(rows[0] * rows[1], voucher)
    assert [int(each.min()) for each in files.arrays["logits"]] == list(range(rows[0]))


def test_a_passage_gives_back_what_was_used(tmp_path: Path) -> None:
    tensor, passage = large(tmp_path / "labels"), Passage()
    before = mapped_bytes()
    for part in tensor.split(1 << 14):
        part.sum()
        passage.use(part.nbytes, [tensor])
    assert mapped_bytes() - before < LARGE / 4


def test_what_was_written_through_a_shared_mapping_stays(tmp_path: Path) -> None:
    tensor = large(tmp_path / "labels")
    tensor.zero_()
    release(tensor)
    assert int(tensor.abs().max()) == 0
    assert set((tmp_path / "labels").read_bytes()) == {0}


def test_what_was_changed_in_memory_alone_stays(tmp_path: Path) -> None:
    write_tensors(tmp_path / "result", {"labels": torch.ones(1 << 20)})
    private = read_tensors(tmp_path / "result")[0]["labels"]
    private.zero_()
    release(private)
    assert int(private.max()) == 0
    plain = torch.zeros(1 << 20)
    release(plain, unchanged=True)
    assert int(plain.max()) == 0


def test_files_are_those_of_the_library(tmp_path: Path) -> None:
    """Byte by byte, once the header that it writes in any order is sorted."""
    tensors = {
        f"{number % 3}-{name}": torch.zeros(3, 5).to(dtype) for number, (dtype, name) in enumerate(_TYPES.items())
    }
    tensors |= {"empty": torch.zeros(0, 4), "scalar": torch.tensor(2.5), "größe": torch.arange(7)}
    write_tensors(tmp_path / "ours", tensors, {"told": "ü", "n": 1})
    ours = (tmp_path / "ours").read_bytes()
    length = int.from_bytes(ours[:8], "little")
    save_file(tensors, tmp_path / "theirs", json.loads(ours[8 : 8 + length])["__metadata__"])
    theirs = (tmp_path / "theirs").read_bytes()
    assert theirs[:8] == ours[:8]
    assert json.loads(theirs[8 : 8 + length]) == json.loads(ours[8 : 8 + length])
    assert theirs[8 + length :] == ours[8 + length :]


def test_indices_that_a_gpu_still_computes_are_waited_for() -> None:
    chosen = MagicMock()
    chosen.__len__.return_value, chosen.to.return_value = 2, torch.tensor([2, 0])
    assert taken(torch.arange(3), chosen).tolist() == [2, 0]
    chosen.to.assert_called_once_with(torch.device("cpu"), non_blocking=False)
