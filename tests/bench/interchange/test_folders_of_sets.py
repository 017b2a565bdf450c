"""Sets in folders: what systems left there is neither a class nor an image, and is said."""

import shutil
from pathlib import Path

import pytest
from foreign import in_folders, known_by_gray, readers, told

from bench.errors import UsageError
from bench.interchange.importing import read_foreign


def test_droppings_in_a_set_are_left_out_and_said(tmp_path: Path) -> None:
    dataset = known_by_gray("n1", "n2")
    place = in_folders(tmp_path / "set", {"n1": 0, "n2": 1})
    for dropping in (".ipynb_checkpoints", "n2/@eaDir", "n1/.cache"):
        shutil.copytree(place / "images" / "n1", place / "images" / dropping)
    shutil.copy(place / "images" / "n1" / "0.png", place / "images" / "n2" / "._0.png")
    found = read_foreign(place, dataset, readers)
    images = found.condensed.images
    assert images.classes.tolist() == told(images.pixels) == [0, 0, 1, 1]
    assert found.notes == ("left out 4 hidden or system names (images/.ipynb_checkpoints, ...)",)


def test_a_list_of_folders_of_a_set_is_a_union(tmp_path: Path) -> None:
    dataset = known_by_gray("n1", "n2")
    place = in_folders(tmp_path / "set", {"n1": 0, "n2": 1})
    shutil.copytree(place / "images", place / "more")
    manifest = place / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"images"', '["images", "more"]'))
    assert told(read_foreign(place, dataset, readers).condensed.images.pixels) == [0, 0, 0, 0, 1, 1, 1, 1]
    shutil.rmtree(place / "more")
    with pytest.raises(UsageError, match="more holds no images; the card wants all of train = images, more"):
        read_foreign(place, dataset, readers)
