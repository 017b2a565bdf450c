"""Extracting archives that somebody else made: whole or not at all, and nothing outside the folder.

Refused are absolute names, "..", links, devices, duplicate and encrypted members, and bombs: more members or bytes than
the limits, more bytes than a member declares, or a compression that no collection of images reaches.
"""

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from bench.errors import RunFailure, why

_BLOCK = 1 << 20


class Readable(Protocol):
    """What is read in blocks."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. `ratio` is bytes extracted over bytes of the archive; images reach hardly 2."""

    members: int = 2_000_000
    bytes: int = 64 << 30
    ratio: int = 100


class Refused(RunFailure):
    """The archive is not one that is safe to extract. The message names it and the member."""


def extract(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Extracts the folder `folder.name` that a zip, tar or tar.gz holds, and puts it at `folder`, which must not exist.

    Verify the archive's checksum first. Permissions, owners and times are not restored.

    Raises:
        Refused: something unsafe in it.
        RunFailure: damaged, without such a folder, or no room on the disk.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_beside(folder) as temporary, _named_failures(archive):
        budget = _Budget(archive, limits or Limits())
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, temporary, budget)
        else:
            _extract_tar(archive, temporary, budget)
        if not (temporary / folder.name).is_dir():
            held = ", ".join(sorted(path.name for path in temporary.iterdir() if path.is_dir())[:5]) or "none at all"
            raise RunFailure(f"{archive} holds no folder {folder.name}; its folders: {held}")
        (temporary / folder.name).rename(folder)


def target_of(name: str, folder: Path) -> Path:
    """Where a member of that name goes below `folder`.

    Raises:
        ValueError: the name is empty, absolute, has "..", or is no plain name on some system.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ValueError("it would leave the folder")
    if any(sign in name for sign in "\\:\0"):
        raise ValueError("its name holds a backslash, colon or NUL")
    return folder.joinpath(*parts)


class _Budget:
    """Counts what comes out of an archive against its limits."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self._limits = archive, limits
        self._allowed = min(limits.bytes, max(archive.stat().st_size, _BLOCK) * limits.ratio)
        self._members = self._bytes = 0

    def member(self, name: str) -> None:
        """Counts a member."""
        self._members += 1
        if self._members > self._limits.members:
            raise self.refused(name, f"it is one of more than {self._limits.members} members")

    def take(self, name: str, count: int) -> None:
        """Counts bytes, extracted or decompressed on the way."""
        self._bytes += count
        if self._bytes > self._allowed:
            raise self.refused(name, f"the archive would come to more than {self._allowed} bytes")

    def counted(self, stream: Readable, name: str) -> "_Counted":
        """The stream, whose bytes count."""
        return _Counted(stream, self, name)

    def refused(self, name: str, reason: str) -> Refused:
        """The error for a member."""
        return Refused(f"{self.archive} is refused: member {name!r}: {reason}")


def _extract_zip(archive: Path, folder: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if reason := _unsafe_zip(member):
                raise budget.refused(member.filename, reason)
            target = _prepared(member.filename, folder, member.is_dir(), budget)
            if target is not None:
                with opened.open(member) as content:
                    _copy(budget.counted(content, member.filename), target, member.filename, member.file_size)


def _unsafe_zip(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or a device"
    return "it is encrypted" if member.flag_bits & 1 else None


def _extract_tar(archive: Path, folder: Path, budget: _Budget) -> None:
    """In one pass over the stream, whose every decompressed byte counts: headers can be bombs as well."""
    with _opened_tar(archive, budget) as opened:
        for member in opened:
            if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
                raise budget.refused(member.name, "it is a link, a device or sparse")
            target = _prepared(member.name, folder, member.isdir(), budget)
            content = opened.extractfile(member)
            if target is not None and content is not None:
                _copy(content, target, member.name, member.size)


@contextmanager
def _opened_tar(archive: Path, budget: _Budget) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: Readable = gzip.GzipFile(fileobj=raw) if zipped else raw
        counted = cast(IO[bytes], budget.counted(stream, "(stream)"))  # a stream ("r|") is only ever read
        with tarfile.open(fileobj=counted, mode="r|") as opened:
            yield opened


class _Counted:
    """A stream to read from that counts against a budget."""

    def __init__(self, stream: Readable, budget: "_Budget", name: str) -> None:
        self._stream, self._budget, self._name = stream, budget, name

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        data = self._stream.read(size)
        self._budget.take(self._name, len(data))
        return data


def _prepared(name: str, folder: Path, is_folder: bool, budget: _Budget) -> Path | None:
    """Where a file goes, its folder made; None for a folder."""
    budget.member(name)
    try:
        target = target_of(name, folder)
    except ValueError as error:
        raise budget.refused(name, str(error)) from error
    try:
        (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise budget.refused(name, "it is below another member that is a file") from error
    if not is_folder and target.exists():
        raise budget.refused(name, "it is there twice")
    return None if is_folder else target


def _copy(content: Readable, target: Path, name: str, declared: int) -> None:
    """Copies to a file that does not exist yet, and no byte more or less than was declared."""
    left = declared
    with target.open("xb") as file:
        while data := content.read(_BLOCK):
            left -= len(data)
            file.write(data)
            if left < 0:
                break
    if left:
        raise RunFailure(f"corrupt archive: member {name!r} does not have the {declared} bytes it declares")


@contextmanager
def _temporary_beside(folder: Path) -> Iterator[Path]:
    """An empty folder on the same disk; what a killed extraction left there goes first."""
    temporary = folder.with_name(f".{folder.name}.extracting")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _named_failures(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise RunFailure(f"corrupt archive: {archive}: {error}") from error
    except OSError as error:
        raise RunFailure(f"{archive} cannot be extracted: {why(error)}") from error
