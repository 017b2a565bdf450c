"""Image folders: what counts as an image, as a class and as a split."""

import os
import stat
from pathlib import Path

import pytest
import torch
from benching import Ear
from small_layouts import jpeg, write_files

from bench.data.datasets import Dataset
from bench.data.opening import open_dataset
from bench.data.splits import UnavailableSplit
from bench.data.verification import verify
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.progress import Progress, Silent

CARD = 'name = "pictures"\nresolution = 16\nnormalisation = "half"\n[[sources]]\nlayout = "image-folder"\n'


def _open(
    registry: Registry, folder: Path, *names: str, options: str = "", fields: str = "", progress: Progress | None = None
) -> Dataset:
    """A dataset of these files; `fields` are the card's and `options` its source's, as TOML."""
    write_files(folder, {name: jpeg(number) for number, name in enumerate(names)})
    said = f"options = {{ {options} }}\n" if options else ""
    (folder / "card.toml").write_text(CARD.replace("[[", f"{fields}\n[[") + said)
    place = folder / "none", folder / "cache"
    return open_dataset(registry, str(folder / "card.toml"), *place, progress or Silent())


def _of(*splits: str) -> list[str]:
    """Two images of each of two classes in each of these folders."""
    return [f"{split}/{name}/{number}.jpg" for split in splits for name in "ab" for number in range(2)]


def test_images_at_any_depth_and_nothing_else(registry: Registry, tmp_path: Path) -> None:
    names = ("train/a/1.JPEG", "train/a/images/2.jpg", "train/b/deep/er/3.png", "train/b/notes.txt", "train/4.jpg")
    assert _open(registry, tmp_path, *names).train.labels.tolist() == [0, 0, 1]


def test_class_folders_beside_the_card_are_told_how_to_be_read(registry: Registry, tmp_path: Path) -> None:
    said = r"not below .*: looked for train/CLASS or test/CLASS \(image-folder\)\. {} holds images in a, b: options = "
    for fields, cut in (("", r"; split = \{ test = 0\.2 \} in the card cuts .*"), ("split = { test = 0.5 }", "")):
        with pytest.raises(
            UsageError, match=said.format(tmp_path) + rf'\{{ train = "\." \}} reads these as classes{cut}$'
        ):
            _open(registry, tmp_path, *_of("."), ".git/1.jpg", "deep/er/1.jpg", "deep/er/2.jpg", fields=fields)
    assert _open(registry, tmp_path, options='train = "."', fields="split = { test = 0.5 }").classes == (
        "a",
        "b",
        "deep",
    )


@pytest.mark.parametrize(
    ("names", "options"), [(["a/1.jpg"], ""), (["a/1.txt", "b/1.jpg"], ""), (_of("."), 'train = "x"')]
)
def test_other_folders_beside_the_card_are_not(
    registry: Registry, tmp_path: Path, names: list[str], options: str
) -> None:
    with pytest.raises(UsageError, match=r"Name its folder with --data-root or BENCH_DATA$"):
        _open(registry, tmp_path, *names, options=options)


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_the_test_split_by_its_usual_names(registry: Registry, tmp_path: Path, name: str) -> None:
    dataset = _open(registry, tmp_path, "train/a/1.jpg", "train/b/1.jpg", f"{name}/b/1.jpg")
    assert dataset.test.labels.tolist() == [1]


def test_a_subset_is_of_the_classes_that_the_card_lists(registry: Registry, tmp_path: Path) -> None:
    """Folders of others are not looked into, so nothing that lies there is refused or said."""
    ear = Ear()
    (tmp_path / "train" / "z").mkdir(parents=True)
    (tmp_path / "train" / "z" / "x.jpg").symlink_to("nowhere")
    some, said = 'class_ids = ["b", "a"]', "subset = true"
    names = [*_of("train", "test"), "train/c/1.jpg", "test/c/@eaDir/1.jpg"]
    dataset = _open(registry, tmp_path, *names, fields=some, options=said, progress=ear)
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("a", "b"), 4, 4)
    assert ear.heard == []
    with pytest.raises(UsageError, match="is no class of this dataset"):
        (tmp_path / "train" / "z" / "x.jpg").unlink()
        _open(registry, tmp_path, fields=some)


def test_a_subset_of_nothing_is_a_mistake(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the card of pictures says subset, and no class_ids to be the subset"):
        _open(registry, tmp_path, *_of("train"), options="subset = true")


def test_names_tell_test_images_apart(registry: Registry, tmp_path: Path) -> None:
    names = [f"{folder}/{each}/{name}.jpg" for folder in ("x", "y") for each in "ab" for name in ("t_1", "v_1", "t_2")]
    options = 'train = ["x", "y"], test_names = "v_*"'
    dataset = _open(registry, tmp_path, *names, options=options)
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == ([0] * 4 + [1] * 4, [0, 0, 1, 1])
    with pytest.raises(UsageError, match="test and test_names are two ways"):
        _open(registry, tmp_path, options=options + ', test = "y"')
    assert dataset.train.take(torch.arange(8)).shape[0] == 8 and dataset.test.take(torch.arange(4)).shape[0] == 4
    others = _open(registry, tmp_path, options=options.replace("v_", "t_"))  # beside what is kept decoded of the first
    assert (len(others.train), len(others.test)) == (4, 8)
    assert torch.equal(others.train.take(torch.arange(4)), dataset.test.take(torch.arange(4)))
    none = _open(registry, tmp_path, options=options.replace("v_", "w_"))
    assert isinstance(none.test, UnavailableSplit) and len(none.train) == 12


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


def test_hidden_and_system_folders_are_no_classes_and_are_said_once(registry: Registry, tmp_path: Path) -> None:
    left = ("train/.ipynb_checkpoints/1.jpg", "train/a/@eaDir/1.jpg", "train/b/._1.jpg", "test/__MACOSX/a/1.jpg")
    ear = Ear()
    dataset = _open(registry, tmp_path, *_of("train", "test"), *left, progress=ear)
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("a", "b"), 4, 4)
    said = "pictures: left out 4 hidden or system names (train/.ipynb_checkpoints, ...)"
    assert ear.heard == [said]


def test_images_beside_the_class_folders_are_said(registry: Registry, tmp_path: Path) -> None:
    ear = Ear()
    assert len(_open(registry, tmp_path, *_of("train", "test"), "train/4.jpg", progress=ear).train) == 4
    assert ear.heard == ["pictures: left out 1 image outside the class folders (train/4.jpg)"]


@pytest.mark.parametrize("left", ["test/a/notes.txt", "test/.cache/1.jpg", "test/1.jpg"])
def test_a_test_folder_without_images_of_classes_hides_no_other(registry: Registry, tmp_path: Path, left: str) -> None:
    assert len(_open(registry, tmp_path, *_of("train", "val"), left).test) == 4


def test_a_list_is_a_union(registry: Registry, tmp_path: Path) -> None:
    names = ("one/a/1.jpg", "one/b/1.jpg", "more/two/b/2.jpg", "more/two/b/3.jpg", "test/a/1.jpg")
    dataset = _open(registry, tmp_path, *names, options='train = ["one", "more/two"]')
    assert dataset.train.labels.tolist() == [0, 1, 1, 1]
    taken = dataset.train.take(torch.arange(4))
    alone = _open(registry, tmp_path, options='train = "more/two"').train
    assert torch.equal(taken[2:], alone.take(torch.arange(2)))


@pytest.mark.parametrize("missing", ["none", "empty"])
def test_a_member_of_a_list_that_is_not_there_is_named(registry: Registry, tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(
        UsageError, match=f"{tmp_path}/{missing} holds no images; the card wants all of train = train, "
    ):
        _open(registry, tmp_path, *_of("train", "test"), options=f'train = ["train", "{missing}"]')


def test_an_absolute_name_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/data/train is absolute; name it below path"):
        _open(registry, tmp_path, *_of("train"), options='train = "/data/train"')


@pytest.mark.parametrize(
    "options", ['test = "train"', 'test = "alias"', 'test = "./train"', 'train = "."', 'train = ["train", "alias"]']
)
def test_splits_that_share_images_are_refused(registry: Registry, tmp_path: Path, options: str) -> None:
    (tmp_path / "alias").symlink_to("train")
    with pytest.raises(UsageError, match=r"share images \(.*(train|test)/a\); each is of one split"):
        _open(registry, tmp_path, *_of("train", "test"), options=options)


def test_a_test_image_that_links_to_a_training_image_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "test" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a" / "x.jpg").symlink_to("../../train/a/0.jpg")
    with pytest.raises(UsageError, match=r"share images \(.*train/a/0\.jpg\)"):
        _open(registry, tmp_path, *_of("train"))


def test_a_test_split_is_cut_out_of_train(registry: Registry, tmp_path: Path) -> None:
    names = [f"train/{name}/{number:02}.jpg" for name in "ab" for number in range(10)]
    dataset = _open(registry, tmp_path, *names, fields="split = { test = 0.3, seed = 5 }")
    assert dataset.split == "30 % of train, by class, seed 5"
    assert [torch.bincount(each.labels).tolist() for each in (dataset.train, dataset.test)] == [[7, 7], [3, 3]]
    whole = _open(registry, tmp_path).train.take(torch.arange(20))
    parts = torch.cat([each.take(torch.arange(len(each))) for each in (dataset.train, dataset.test)])
    assert sorted(image.tolist() for image in parts) == sorted(image.tolist() for image in whole)
    again = _open(registry, tmp_path, fields="split = { test = 0.3, seed = 6 }")
    assert again.card_hash != dataset.card_hash
    assert len(list(tmp_path.glob("cache/images/pictures-*"))) == 1  # decoded once for all cuts


def test_a_card_counts_the_splits_as_they_are_cut(registry: Registry, tmp_path: Path) -> None:
    names = [f"train/{name}/{number}.jpg" for name in "ab" for number in range(5)]
    cut = "split = { test = 0.2 }\nimages = "
    assert len(_open(registry, tmp_path, *names, fields=cut + "{ train = 8, test = 2 }").test) == 2
    with pytest.raises(UsageError, match=r"has 8 train images .* its card says 10"):
        _open(registry, tmp_path, fields=cut + "{ train = 10 }")


def test_a_cut_beside_a_test_split_is_a_contradiction(registry: Registry, tmp_path: Path) -> None:
    cut = "split = { test = 0.5 }"
    with pytest.raises(UsageError, match=r"cuts a test split out of train, and .* has one of its own \(4 files\)"):
        _open(registry, tmp_path, *_of("train", "val"), fields=cut)
    assert len(_open(registry, tmp_path, fields=cut, options="test = []").test) == 2


def test_a_file_that_cannot_be_read_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    os.mknod(tmp_path / "train" / "a" / "x.jpg", stat.S_IFSOCK)  # no permission keeps an administrator out; this does
    with pytest.raises(UsageError, match=r"train/a/x\.jpg cannot be read: "):
        _open(registry, tmp_path, *_of("train", "test"))


def test_a_split_is_named_in_words(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"field 'train': a name or a list of names is expected, not 3"):
        _open(registry, tmp_path, *_of("train"), options="train = 3")


def test_a_dataset_that_no_run_takes_is_not_verified(registry: Registry, tmp_path: Path) -> None:
    said = "is like 'cifar10', which has resolution 32, not 16"
    with pytest.raises(UsageError, match=said):
        _open(registry, tmp_path, *_of("train", "test"), fields='like = "cifar10"')
    with pytest.raises(UsageError, match=said):
        verify(registry, str(tmp_path / "card.toml"), tmp_path / "none", Silent())
