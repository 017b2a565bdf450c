"""Files that are whole or absent, and that know when they were altered.

Everything the suite leaves on disk goes through here: written beside its final name, flushed to the device and
renamed (so a killed process leaves either the old file or the new one), with a checksum inside that reading verifies.
"""

import glob
import json
import math
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import xxhash

from bench.errors import CorruptArtefact, RunFailure, UnreadableArtefact, why
from bench.storage.names import brief

LEFTOVER = ".part"  # ends the names of files that are being written
SEAL = "checksum"
LARGEST_JSON = 1 << 28  # bytes; what is larger was not written by us, and would fill the memory


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; on success it is synced and takes the name, on failure it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}{LEFTOVER}")
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the rename itself durable; a crash after it must not bring the old name back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clean_leftovers(folder: Path) -> None:
    """Removes what killed writers left in `folder`. Call it only while holding the folder's lock."""
    for part in folder.glob(f"*{LEFTOVER}"):
        part.unlink(missing_ok=True)


def clean_leftovers_of(path: Path) -> None:
    """Removes what killed writers of this one file left. Call it only while holding the file's lock."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*{LEFTOVER}"):
        part.unlink(missing_ok=True)


def is_being_written(part: Path) -> bool:
    """Whether the process of this machine that began a file whose name ends in `LEFTOVER` is still there."""
    number = part.name.removesuffix(LEFTOVER).rpartition(".")[2]
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def clean_dead(folder: Path) -> None:
    """Removes what writers of this machine left in `folder` that are there no more. It needs no lock."""
    for part in folder.glob(f"*{LEFTOVER}"):
        if not is_being_written(part):
            part.unlink(missing_ok=True)


def is_quarantined(path: Path) -> bool:
    """Whether `quarantine` gave a file or folder its name."""
    return re.search(r"\.corrupt-\d+$", path.name) is not None


def quarantine(path: Path) -> Path:
    """Renames a corrupt file or folder out of the way, keeping it for inspection, and returns its new name.

    Raises:
        UnreadableArtefact: the system does not let it be renamed, or it has been set aside 999 times.
    """
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.corrupt-{number}")
        if not os.path.lexists(aside):
            return _renamed(path, aside)
    raise UnreadableArtefact(f"{path} has been set aside 999 times; something keeps damaging it")


def _renamed(path: Path, new: Path) -> Path:
    try:
        return path.rename(new)
    except OSError as error:
        raise UnreadableArtefact(f"{path} is damaged and cannot be set aside: {why(error)}") from error


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """Within the context a file of ours is read; yields its size in bytes.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptArtefact: a folder, a pipe or a device has its name.
        UnreadableArtefact: the system does not let it be read.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise CorruptArtefact(f"{path} is not a regular file")
        yield about.st_size
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableArtefact(f"{path} cannot be read: {why(error)}") from error


def link_or_copy(source: Path, target: Path) -> None:
    """The same content under a second name, whole or not at all: a hard link where the file system has them.

    Files of ours are never written in place, so the two cannot change each other.
    """
    with whole(target) as part:
        second_name(source, part)


def second_name(source: Path, target: Path) -> None:
    """The same content at a place where nothing is: a hard link where the file system has them, else a copy."""
    try:
        os.link(os.path.realpath(source), target)  # a link's second name would be one to a place that is not from there
    except OSError:
        shutil.copyfile(source, target)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    with whole(path) as part:
        part.write_bytes(content)


def canonical(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The one JSON text of a value (sorted keys, no spaces): what hashes and checksums are taken over.

    Raises:
        RunFailure: a number in it is NaN or infinite; it is named.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        check_finite(value)
        raise


def check_finite(value: Any, what: str = "") -> None:  # noqa: ANN401 - any JSON value
    """Refuses numbers that are NaN or infinite: they are no results, and JSON has no word for them.

    Args:
        what: begins the name of what is refused, as in "costs.label_s".

    Raises:
        RunFailure: it says which number.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise RunFailure(f"{what or 'a number'} is {value}, not a finite number")
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, each in inner:
        check_finite(each, f"{what}.{name}" if what else str(name))


def digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A 128-bit content hash of a JSON value, as 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(canonical(value).encode())


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The hex digest of a file's bytes by a hashlib algorithm."""
    import hashlib

    with path.open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def write_json(path: Path, payload: Mapping[str, Any]) -> None:
    """Writes a JSON object with a checksum over its content, whole or not at all."""
    sealed = {**payload, SEAL: digest(payload)}
    write_text(path, json.dumps(sealed, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, *, sealed: bool = True) -> dict[str, Any]:
    """Reads what `write_json` wrote.

    With `sealed=False` a file without a checksum passes (one written by hand); a wrong checksum never does.

    Raises:
        CorruptArtefact: not JSON, not an object, not what was written, or by hand and says something twice.
        FileNotFoundError: there is no such file.
        UnreadableArtefact: the system does not let it be read.
    """
    with reading(path) as size:
        if size > LARGEST_JSON:
            raise CorruptArtefact(f"{path} has {size} bytes, more than any file of its kind")
        content = path.read_bytes()
    return unsealed(content, path, sealed=sealed)


def unsealed(content: bytes, path: Path, *, sealed: bool = True) -> dict[str, Any]:
    """What the bytes of a JSON file hold; `path` is what messages call it. Raises CorruptArtefact as `read_json`."""
    payload = _json_object(content, path, None if sealed else partial(_each_once, path))
    seal = payload.pop(SEAL, None)
    if seal is None and sealed:
        raise CorruptArtefact(f"{path} has no checksum")
    if seal is None and not _is_text(payload):
        raise CorruptArtefact(f"{path} holds halves of characters (\\ud800 to \\udfff), which are no text")
    if seal is not None and seal != _seal_of(payload):
        raise CorruptArtefact(f"{path} was altered: its checksum does not match")
    return payload


def _each_once(path: Path, said: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses what a hand writes twice, of which Python takes the last without a word."""
    found = dict(said)
    if len(found) < len(said):
        twice = Counter(name for name, _ in said).most_common(1)[0][0]
        raise CorruptArtefact(f"{path} says {brief(twice)} twice")
    return found


def _json_object(content: bytes, path: Path, made: Callable[[list[tuple[str, Any]]], Any] | None) -> dict[str, Any]:
    try:
        payload = json.loads(content, object_pairs_hook=made)
    except RecursionError:
        raise CorruptArtefact(f"{path} is not valid JSON: its brackets are nested too deeply") from None
    except ValueError as error:  # of JSON, of UTF-8, or of a number with thousands of digits
        raise CorruptArtefact(f"{path} is not valid JSON: {error}") from error
    if not isinstance(payload, dict):
        raise CorruptArtefact(f"{path} does not hold a JSON object")
    return payload


def _seal_of(payload: Mapping[str, Any]) -> str | None:
    """The checksum of a content, or None where numbers in it are none: such a content was never sealed."""
    try:
        return digest(payload)
    except (RunFailure, RecursionError):
        return None


def _is_text(payload: Mapping[str, Any]) -> bool:
    """Whether its strings can be written down: escapes of JSON may also stand for halves of characters."""
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
