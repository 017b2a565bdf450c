"""What a manifest may name, and what makes a set another one."""

from pathlib import Path

import pytest
import torch
from foreign import gray, in_folders, in_tensors, known_by_gray, readers, write_manifest

from bench.errors import UsageError
from bench.importing import fingerprint, read_foreign

PAIR = known_by_gray("a", "b")
TENSORS = {"file": "set.pt", "range": "0..255"}


@pytest.mark.parametrize(
    "about",
    [
        {"source": {**TENSORS, "file": "../set.pt"}},
        {"source": TENSORS, "zca": {"file": "../zca.pt"}},
        {"source": TENSORS, "labels": {"fkd": "x/../../FKD", "temperature": 20}},
        {"source": {"layout": "image-folder", "options": {"path": "..", "train": "images"}}},
        {"source": {"layout": "image-folder", "options": {"train": "../images"}}},
    ],
)
def test_nothing_of_a_set_lies_outside_its_folder(tmp_path: Path, about: dict[str, object]) -> None:
    in_tensors(tmp_path, torch.stack([gray(0), gray(1)]), torch.arange(2))
    in_folders(tmp_path, {"a": 0, "b": 1})
    with pytest.raises(UsageError, match=r"lies? below the set's folder") as caught:
        read_foreign(write_manifest(tmp_path / "set", **about), PAIR, readers)
    assert "\n" not in str(caught.value)


def test_content_behind_links_counts_and_links_back_end(tmp_path: Path) -> None:
    elsewhere = in_folders(tmp_path / "elsewhere", {"a": 0, "b": 1})
    folder = write_manifest(tmp_path / "set", source={"layout": "image-folder", "options": {"train": "images"}})
    (folder / "images").symlink_to(elsewhere / "images")
    (elsewhere / "images" / "a" / "back").symlink_to(tmp_path)
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    (elsewhere / "images" / "a" / "0.png").write_bytes((elsewhere / "images" / "b" / "0.png").read_bytes())
    assert fingerprint(folder) != before
