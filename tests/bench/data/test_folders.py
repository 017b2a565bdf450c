"""Walking folders: droppings, links back, names that are no UTF-8, what two walks have in common."""

import os
from pathlib import Path

import pytest

from bench.data.folders import Walk, is_dropping, notes
from bench.errors import UsageError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def _names(root: Path, walk: Walk) -> list[str]:
    return [str(path.relative_to(root)) for path in walk.images(root)]


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "._x.png", ".DS_Store", "@eaDir", "__MACOSX", "Thumbs.db"])
def test_what_systems_leave_is_known(name: str) -> None:
    assert is_dropping(name)


@pytest.mark.parametrize("name", ["cat", "n01443537", "x.png", "thumbs", "@", "ea.dir", "a.b"])
def test_what_people_name_is_not(name: str) -> None:
    assert not is_dropping(name)


def test_droppings_are_left_out_at_every_depth_and_counted(tmp_path: Path) -> None:
    _touch(
        tmp_path, "a/1.png", "a/.hidden/2.png", "a/b/@eaDir/1.png/SYNO.jpg", "a/b/3.png", "a/b/._3.png", "a/.DS_Store"
    )
    walk = Walk()
    assert _names(tmp_path, walk) == ["a/1.png", "a/b/3.png"]
    dropped = [str(path.relative_to(tmp_path)) for path in walk.droppings]
    assert dropped == ["a/.hidden", "a/b/._3.png", "a/b/@eaDir"]  # .DS_Store would be no image in any case
    assert notes(tmp_path, [walk]) == ("left out 3 hidden or system names (a/.hidden, ...)",)


@pytest.mark.parametrize("target", [".", "..", "../..", "../a", "../../split/a"])
def test_a_link_to_a_folder_that_it_lies_in_is_not_followed(tmp_path: Path, target: str) -> None:
    _touch(tmp_path, "split/a/1.png", "split/b/2.png")
    (tmp_path / "split" / "a" / "again").symlink_to(target)
    walk = Walk()
    assert {name: len(images) for name, images in walk.classes(tmp_path / "split").items()} == {"a": 1, "b": 1}
    assert walk.loops == [tmp_path / "split" / "a" / "again"]


def test_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "to-b").symlink_to("../b")
    (tmp_path / "b" / "to-a").symlink_to("../a")
    walk = Walk()
    assert [path.name for path in walk.images(tmp_path / "a")] == ["1.png", "2.png"]
    assert walk.loops == [tmp_path / "a" / "to-b" / "to-a"]


def test_links_elsewhere_are_followed(tmp_path: Path) -> None:
    _touch(tmp_path, "store/1.png", "store/sub/2.png", "split/a/3.png")
    (tmp_path / "split" / "b").symlink_to("../store")
    (tmp_path / "split" / "a" / "4.png").symlink_to("../../store/1.png")
    found = Walk().classes(tmp_path / "split")
    assert {name: [path.name for path in images] for name, images in found.items()} == {
        "a": ["3.png", "4.png"],
        "b": ["1.png", "2.png"],
    }


@pytest.mark.parametrize("target", ["nowhere.png", "x.png"])
def test_a_link_to_no_image_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "x.png").symlink_to(target)
    with pytest.raises(UsageError, match=rf"{tmp_path}/x\.png is a link to .*, which is no file"):
        list(Walk().images(tmp_path))


@pytest.mark.parametrize("name", [b"caf\xe9/1.png", b"a/caf\xe9.png"])
def test_a_name_that_is_no_utf8_is_refused_with_escapes(tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"caf\\xe9.* is not UTF-8") as refusal:
        list(Walk().images(tmp_path))
    str(refusal.value).encode()  # can be printed anywhere


def test_names_in_any_script_are_names(tmp_path: Path) -> None:
    _touch(tmp_path, "café/1.png", "猫/2.png")
    assert _names(tmp_path, Walk()) == ["café/1.png", "猫/2.png"]


def test_folders_and_links_that_two_walks_share(tmp_path: Path) -> None:
    _touch(tmp_path, "one/1.png", "two/2.png", "three/3.png")
    (tmp_path / "alias").symlink_to("one")
    (tmp_path / "three" / "link.png").symlink_to("../one/1.png")
    (tmp_path / "two" / "hard.png").hardlink_to(tmp_path / "one" / "1.png")
    walks = {name: Walk() for name in ("one", "two", "three", "alias")}
    for name, walk in walks.items():
        list(walk.images(tmp_path / name))
    one = str(tmp_path / "one")
    assert walks["one"].in_common(walks["alias"]) == one
    assert walks["one"].in_common(walks["three"]) == walks["three"].in_common(walks["one"]) == f"{one}/1.png"
    assert walks["one"].in_common(walks["two"]) is None  # hard links are made of equal files by tools


def test_files_without_the_suffix_of_an_image_are_counted_and_notes_are_not(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.png", "a/2.avif", "a/3", "a/boxes.txt", "a/README.md", "labels.npy")
    walk = Walk()
    assert {name: len(images) for name, images in walk.classes(tmp_path).items()} == {"a": 1}
    assert notes(tmp_path, [walk]) == ("left out 2 files without the suffix of an image (a/2.avif, ...)",)


def test_an_image_that_is_no_file_is_refused_not_waited_for(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    with pytest.raises(UsageError, match=r"2\.png cannot be read: it is called as an image is, and is no file"):
        Walk().classes(tmp_path)


def test_folders_without_end_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "/".join(["a"] * 300)).mkdir(parents=True)
    with pytest.raises(UsageError, match="holds more than 200 folders in one another"):
        Walk().classes(tmp_path)
