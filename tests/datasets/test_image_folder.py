"""Image folders: what counts as an image, as a class and as a split."""

from pathlib import Path

import pytest
from small_layouts import jpeg, write_files

from bench.data.opening import open_dataset
from bench.data.splits import UnavailableSplit
from bench.errors import UsageError
from bench.imagery import Dataset
from bench.plugins import Registry
from bench.progress import Silent

CARD = 'name = "pictures"\nresolution = 16\nnormalisation = "half"\n[[sources]]\nlayout = "image-folder"\n'


def _open(registry: Registry, folder: Path, *names: str) -> Dataset:
    write_files(folder, {name: jpeg(number) for number, name in enumerate(names)})
    (folder / "card.toml").write_text(CARD)
    return open_dataset(registry, str(folder / "card.toml"), folder / "none", folder / "cache", Silent())


def test_images_at_any_depth_and_nothing_else(registry: Registry, tmp_path: Path) -> None:
    names = ("train/a/1.JPEG", "train/a/images/2.jpg", "train/b/deep/er/3.png", "train/b/notes.txt", "train/4.jpg")
    assert _open(registry, tmp_path, *names).train.labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_the_test_split_by_its_usual_names(registry: Registry, tmp_path: Path, name: str) -> None:
    dataset = _open(registry, tmp_path, "train/a/1.jpg", "train/b/1.jpg", f"{name}/b/1.jpg")
    assert dataset.test.labels.tolist() == [1]


def test_splits_below_other_folders(registry: Registry, tmp_path: Path) -> None:
    write_files(tmp_path, {f"images/train/{name}/1.jpg": jpeg(number) for number, name in enumerate("ab")})
    (tmp_path / "card.toml").write_text(CARD + 'options = { train = "images/train" }\n')
    dataset = open_dataset(registry, str(tmp_path / "card.toml"), tmp_path / "none", tmp_path / "cache", Silent())
    assert dataset.train.labels.tolist() == [0, 1]


def test_a_split_without_images_is_missing(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "test" / "a").mkdir(parents=True)
    dataset = _open(registry, tmp_path, "train/a/1.jpg", "train/b/1.jpg")
    assert isinstance(dataset.test, UnavailableSplit)


def test_folders_without_images_are_no_dataset(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(UsageError, match="looked for train/CLASS or test/CLASS"):
        _open(registry, tmp_path)


def test_one_class_is_not_enough(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only the class a; a dataset needs two or more"):
        _open(registry, tmp_path, "train/a/1.jpg")
