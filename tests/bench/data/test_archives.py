"""Archives: what is good comes out whole; what is evil is refused and leaves nothing."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.archives import Limits, Refused, extract, target_of
from bench.errors import RunFailure

FILES = {"data/a.txt": b"alpha", "data/deep/b.bin": bytes(range(256)) * 8, "data/empty": b""}

Writer = Callable[[Path, dict[str, bytes]], Path]


def _zip(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _tar(folder: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    path = folder / "archive.tar.gz"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _plain_tar(folder: Path, files: dict[str, bytes]) -> Path:
    return _tar(folder, files, "w")


@pytest.fixture(params=[_zip, _tar, _plain_tar])
def write(request: pytest.FixtureRequest) -> Writer:
    writer: Writer = request.param
    return writer


def _refuses(archive: Path, folder: Path, reason: str, limits: Limits | None = None) -> None:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(Refused, match=reason):
        extract(archive, folder, limits)
    assert sorted(folder.parent.rglob("*")) == before


def test_a_good_archive_comes_out_whole(tmp_path: Path, write: Writer) -> None:
    extract(write(tmp_path, FILES), tmp_path / "out" / "data")
    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == FILES


@pytest.mark.parametrize("name", ["../evil", "data/../../evil", "/etc/evil", "data\\..\\evil", "C:/evil"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, write: Writer, name: str) -> None:
    archive = write(tmp_path, {**FILES, name: b"evil"})
    if zipfile.is_zipfile(archive):  # zipfile mends some names itself when it writes; this one is as an attacker has it
        archive.write_bytes(archive.read_bytes().replace(name.replace("\\", "/").encode(), name.encode()))
    _refuses(archive, tmp_path / "data", "is refused: member")


@given(st.text(st.sampled_from(list("ab./\\:~\0 é-")), max_size=20))
def test_every_name_stays_inside_or_is_refused(name: str) -> None:
    folder = Path("/some/folder")
    try:
        target = target_of(name, folder)
    except ValueError:
        return
    assert target != folder
    assert ".." not in target.parts
    assert target.is_relative_to(folder)


@given(st.lists(st.sampled_from(["a", "b", "c.JPEG", "images"]), min_size=1, max_size=5))
def test_plain_names_are_kept(parts: list[str]) -> None:
    assert target_of("/".join(parts), Path("out")) == Path("out", *parts)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("data/link")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    _refuses(path, tmp_path / "data", "a link, a device or sparse")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("data/link")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    _refuses(path, tmp_path / "data", "a link or a device")


def test_bombs_are_refused(tmp_path: Path, write: Writer) -> None:
    bomb = write(tmp_path, {"data/zeros": bytes(4 << 20)})
    _refuses(bomb, tmp_path / "data", "more than 1048576 bytes", Limits(ratio=1, bytes=1 << 20))
    _refuses(bomb, tmp_path / "data", "more than 1000 bytes", Limits(bytes=1000))


def test_too_many_members_are_refused(tmp_path: Path, write: Writer) -> None:
    archive = write(tmp_path, {f"data/{number}": b"" for number in range(20)})
    _refuses(archive, tmp_path / "data", "more than 10 members", Limits(members=10))


def test_a_tar_whose_headers_are_the_bomb_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 8 << 20
    stream.write(member.tobuf() + b"a" * member.size)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(stream.getvalue()))
    _refuses(path, tmp_path / "data", "more than", Limits(ratio=1))


def test_a_zip_that_declares_less_than_it_holds_is_not_extracted(tmp_path: Path) -> None:
    path = _zip(tmp_path, {"data/a": bytes(5000)})
    path.write_bytes(path.read_bytes().replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(RunFailure, match="archive"):
        extract(path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as archive:
        for content in (b"one", b"two"):
            member = tarfile.TarInfo("data/a")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    _refuses(path, tmp_path / "data", "there twice")


def test_a_file_that_is_a_folder_as_well_is_refused(tmp_path: Path, write: Writer) -> None:
    _refuses(write(tmp_path, {"data/a": b"file", "data/a/b": b"below"}), tmp_path / "data", "below another member")


def test_damaged_archives_are_named_and_leave_nothing(tmp_path: Path, write: Writer) -> None:
    archive = write(tmp_path, {"data/noise": bytes(range(251)) * 400})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(RunFailure, match=str(archive)):
        extract(archive, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_an_archive_without_the_folder_is_named(tmp_path: Path, write: Writer) -> None:
    with pytest.raises(RunFailure, match="holds no folder other; its folders: data"):
        extract(write(tmp_path, FILES), tmp_path / "other")


def test_what_a_killed_extraction_left_is_cleaned(tmp_path: Path, write: Writer) -> None:
    left = tmp_path / ".data.extracting"
    left.mkdir()
    (left / "half").write_bytes(b"half")
    extract(write(tmp_path, FILES), tmp_path / "data")
    assert not left.exists()
    assert not (tmp_path / "data" / "half").exists()
