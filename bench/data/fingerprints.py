"""What files hold, by digest, remembered by path, size and time of change so that a large file is read only once."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import xxhash
from pydantic import Field

from bench.data.cards import SplitName
from bench.data.datasets import Source
from bench.data.decoding import in_threads
from bench.errors import CorruptArtefact, RunFailure, UnreadableArtefact, UsageError, why
from bench.storage.artefacts import UNSTAMPED, Kind, Part, unchanged
from bench.storage.files import clean_dead, digest, file_digest

READ_LIMIT = 4 << 30  # sources with more bytes are known by their files' names, sizes and times of change
_BATCH = 512  # files


class Remembered(Part):
    """The digest of a file that was read once."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{32,128}$")]


DIGEST_FILE = Kind("a digest", 1, Remembered, {UNSTAMPED: unchanged})


class Fingerprints:
    """Digests remembered in one folder. A damaged memory is a forgotten one.

    Args:
        later: what is found out is written by `keep` alone: a command that may yet be refused writes nothing before.
    """

    def __init__(self, folder: Path, *, later: bool = False) -> None:
        self._folder, self._later = folder, later
        self._found: dict[Path, str] = {}

    @classmethod
    def below(cls, cache: Path, *, later: bool = False) -> "Fingerprints":
        """Those of a cache folder."""
        return cls(cache / "images" / "digests", later=later)

    def keep(self) -> None:
        """Writes what was found out and not written yet. What there is no room to remember is computed again."""
        with suppress(OSError):
            if self._found:
                clean_dead(self._folder)
            for memory, value in self._found.items():
                DIGEST_FILE.write(memory, {"digest": value})
        self._found.clear()

    def verify(self, source: Source, split: SplitName, remedy: str) -> None:
        """Holds the files of a split against the checksums that are known of them.

        Raises:
            RunFailure: one differs or is missing; the message names it and ends with `remedy`.
        """
        for path in source.files[split]:
            if path not in source.checksums:
                continue
            if not path.is_file():
                raise RunFailure(f"missing file: {path}{remedy}")
            algorithm, _, expected = source.checksums[path].partition(":")
            found = self.of_file(path, algorithm)
            if found != expected:
                raise RunFailure(f"corrupt file: {path} has {algorithm} {found}, not {expected}{remedy}")

    def of_file(self, path: Path, algorithm: str) -> str:
        """The hex digest of a file by a hashlib algorithm."""
        return self._remembered([algorithm, _state(path)], lambda: file_digest(path, algorithm))

    def of_source(self, source: Source) -> str:
        """The content of all files of a source: their names below its root and their bytes.

        Raises:
            UsageError: one that cannot be read, which is named.
        """
        paths = sorted({path for files in source.files.values() for path in files})
        if paths and all(path in source.checksums for path in paths):
            return digest([[_name(source, path), source.checksums[path]] for path in paths])
        states = [_state(path) for path in paths]
        if sum(state[1] for state in states) > READ_LIMIT:
            return digest(states)
        return self._remembered(["content", str(source.root), states], lambda: _content(source, paths))

    def _remembered(self, key: Sequence[Any], compute: Callable[[], str]) -> str:
        memory = self._folder / f"{digest(list(key))}.json"
        if memory in self._found:
            return self._found[memory]
        try:
            return DIGEST_FILE.read(memory).digest
        except (FileNotFoundError, CorruptArtefact, UnreadableArtefact):
            value = self._found[memory] = compute()
        if not self._later:
            self.keep()
        return value


def _state(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


def _name(source: Source, path: Path) -> str:
    return path.relative_to(source.root).as_posix()


def _content(source: Source, paths: Sequence[Path]) -> str:
    def hashed(start: int) -> list[list[str]]:
        return [[_name(source, path), _xxh3(path)] for path in paths[start : start + _BATCH]]

    return digest(sorted(pair for _, pairs in in_threads(hashed, range(0, len(paths), _BATCH)) for pair in pairs))


def _xxh3(path: Path) -> str:
    state = xxhash.xxh3_128()
    try:
        with path.open("rb") as handle:
            while block := handle.read(1 << 22):
                state.update(block)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error
    return state.hexdigest()
