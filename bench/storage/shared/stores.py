"""Stores elsewhere: what lies under an address such as s3://bucket/folder, through fsspec, waited for where it is away.

Who may read and write there is the environment's to say (AWS_PROFILE, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS
and their like): an address that holds a name or password is refused, and no message repeats one.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MethodType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bench.errors import StoreAway, UsageError, why
from bench.storage.settings import number_set
from bench.storage.shared.slots import FREE

T = TypeVar("T")

PATIENCE = 300.0  # seconds for which a store that is away is asked again
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts: each twice the one before
CONNECT, READ = 10, 30  # seconds of one attempt
EXCLUSIVE = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # whose files one of two makes; to the extra of each
VERSIONS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "updated")  # what stores call them
SECRET = re.compile(r"secret|token|password|credential|access_key", re.IGNORECASE)  # in names of variables
REFUSALS = (400, 401, 403)  # of HTTP
FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError)  # asked again they say the same


def without_secrets(text: str) -> str:
    """A message without what the environment keeps secret, and without names and passwords in addresses."""
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return re.sub(r"://[^/@\s]*@", "://***@", text)


@dataclass(frozen=True)
class Entry:
    """A file there: its bytes, and a word that is another one once it was replaced."""

    size: int
    version: str

    @classmethod
    def of(cls, about: dict[str, Any]) -> "Entry":
        """Out of what fsspec says of it."""
        return cls(int(about.get("size") or 0), next((str(about[each]) for each in VERSIONS if about.get(each)), ""))


@dataclass(frozen=True)
class Store:
    """Files by their names below an address. Whatever it is asked is asked again, with growing pauses, for a while.

    Each method raises StoreAway where the store does not answer, or refuses.

    Attributes:
        address: as the user typed it.
        patience: seconds after which it counts as away.
    """

    address: str
    fs: Any = field(repr=False, compare=False)
    patience: float = PATIENCE

    @property
    def hasty(self) -> "Store":
        """The same, asked once."""
        return replace(self, patience=0.0)

    def find(self, under: str = "") -> dict[str, Entry]:
        """What there is, of names that begin so up to a "/"."""
        found = self._patiently(self.fs.find, self._path(under), detail=True)
        first = len(self._path("")) + 1
        return {name[first:]: Entry.of(about) for name, about in found.items() if about.get("type") == "file"}

    def entry(self, name: str) -> Entry:
        """Of one file. Raises FileNotFoundError."""
        return Entry.of(self._patiently(self.fs.info, self._path(name)))

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        with suppress(FileNotFoundError):
            return bool(self.entry(name))
        return False

    def get(self, names: Iterable[str], targets: Iterable[Path]) -> None:
        """Brings files. Raises FileNotFoundError."""
        self._patiently(self.fs.get, [self._path(name) for name in names], [str(path) for path in targets])

    def put(self, path: Path, name: str) -> Entry:
        """Sends a file."""
        self._patiently(self.fs.put_file, str(path), self._path(name))
        return self.entry(name)

    def create(self, name: str, content: bytes) -> bool:
        """Makes a file that nobody has made; False where somebody has. An answer that was lost is no refusal."""
        try:
            self._patiently(self.fs.pipe_file, self._path(name), content, mode="create")
        except FileExistsError:
            with suppress(FileNotFoundError):  # taken away since: that was another's
                return self.read(name) == content
            return False
        return True

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        return bytes(self._patiently(self.fs.cat_file, self._path(name)))

    def write(self, name: str, content: bytes) -> None:
        """Replaces it, or makes it."""
        self._patiently(self.fs.pipe_file, self._path(name), content)

    def remove(self, name: str) -> None:
        """Takes it away, if it is there."""
        with suppress(FileNotFoundError):
            self._patiently(self.fs.rm_file, self._path(name))

    def _path(self, name: str) -> str:
        root: str = self.fs._strip_protocol(self.address)
        return f"{root.rstrip('/')}/{name}" if name else root.rstrip("/")

    def _patiently(self, ask: Callable[..., T], *what: Any, **how: Any) -> T:  # noqa: ANN401 - as fsspec takes it
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return ask(*what, **how)
            except Exception as error:  # botocore, aiohttp and their like have families of their own
                if isinstance(error, FileNotFoundError | FileExistsError):
                    raise
                if is_final(error) or time.monotonic() - began + pause > self.patience:
                    raise self._away(error) from None  # what stands behind it may say who asked
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _away(self, error: Exception) -> StoreAway:
        return StoreAway(f"{self.address} does not answer: {without_secrets(why(error))}")


def is_final(error: Exception) -> bool:
    """Whether to ask again is of no use: refused, or nobody's name to ask in."""
    refused = getattr(error, "code", None) in REFUSALS or str(error).startswith("Forbidden: ")  # as gcsfs says it
    return refused or isinstance(error, FINAL) or "Credentials" in type(error).__name__


@dataclass(frozen=True)
class StoreSlots:
    """The numbered files of a lease in a store (`bench.storage.shared.leases.Slots`)."""

    store: Store
    folder: str
    pause: float = 1.0

    @property
    def hasty(self) -> "StoreSlots":
        """The same, without patience: a beat that is late tells at the next."""
        return replace(self, store=self.store.hasty)

    def numbers(self) -> list[int]:
        """See `Slots`."""
        names = (name.rpartition("/")[2] for name in self.store.find(self.folder))
        return sorted(int(name) for name in names if name.isdecimal())

    def create(self, number: int, content: bytes) -> bool:
        """See `Slots`."""
        return self.store.create(self._file(number), content)

    def read(self, number: int) -> tuple[bytes, object]:
        """See `Slots`."""
        content = self.store.read(self._file(number))
        return content, content

    def write(self, number: int, content: bytes) -> None:
        """See `Slots`."""
        self.store.write(self._file(number), content)

    def free(self, number: int) -> None:
        """See `Slots`."""
        self.store.write(self._file(number), FREE)

    def remove(self, number: int) -> None:
        """See `Slots`."""
        self.store.remove(self._file(number))

    def _file(self, number: int) -> str:
        return f"{self.folder}/{number}"


def checked(address: str) -> str:
    """The address without what does not matter in it.

    Raises:
        UsageError: it holds a name or password, or more than a place; that is not repeated.
    """
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise UsageError(f"a {parts.scheme}:// address with a name or password in it is refused: {ENVIRONMENT}")
    if parts.query or parts.fragment:
        raise UsageError(f"a {parts.scheme}:// address ends with its folder, without ? or #: {ENVIRONMENT}")
    if not parts.netloc:
        raise UsageError(f"{address} names no bucket; as in {parts.scheme}://bucket/folder")
    return f"{parts.scheme.lower()}://{parts.netloc}{parts.path.rstrip('/')}"


ENVIRONMENT = "who may read and write there comes from the environment"


def opened(address: str) -> Store:
    """The store at an address that was `checked`; nothing is asked of it yet.

    Raises:
        UsageError: there is none of that kind here, or one where two could not tell who was first; or nobody's name is
            found to ask in.
    """
    scheme = address.partition(":")[0]
    try:
        fs = _filesystem(scheme)
    except ImportError as error:
        extra = EXCLUSIVE.get(scheme)
        needed = f"pip install 'condensation-bench[{extra}]'" if extra else why(error)
        raise UsageError(f"{scheme}:// is not installed: {needed}") from None
    except Exception as error:
        if not is_final(error):
            raise
        raise UsageError(f"{address}: {without_secrets(why(error))}") from None
    return Store(address, fs, patience())


def _filesystem(scheme: str) -> Any:  # noqa: ANN401 - of the libraries
    import fsspec  # slow to import, and needed for addresses alone

    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ValueError:
        raise UsageError(f"no store is reached by {scheme}://; s3:// and gs:// are, and folders") from None
    if scheme not in EXCLUSIVE:
        raise UsageError(f"two commands at {scheme}:// could not tell which was first; s3://, gs:// and folders can")
    return _asked_once(_of_google() if EXCLUSIVE[scheme] == "gcs" else kind(use_listings_cache=False, **_of_s3()))


def _of_s3() -> dict[str, Any]:
    return {"config_kwargs": {"connect_timeout": CONNECT, "read_timeout": READ, "retries": {"max_attempts": 1}}}


def _of_google() -> Any:  # noqa: ANN401 - of the libraries
    """By the JSON API alone, in the name that Google's own search finds; an emulator may be asked in nobody's.

    Left to itself gcsfs goes on to tokens that it keeps in the user's home, and to nobody; and it asks for the kind of
    each bucket by gRPC, again and again where that is refused.
    """
    from aiohttp import ClientTimeout
    from gcsfs.core import GCSFileSystem

    emulated = "STORAGE_EMULATOR_HOST" in os.environ and "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ
    times = ClientTimeout(total=None, sock_connect=CONNECT, sock_read=READ)
    named = "anon" if emulated else "google_default"
    return GCSFileSystem(token=named, requests_timeout=times, use_listings_cache=False)


def _asked_once(fs: Any) -> Any:  # noqa: ANN401 - of the libraries
    """Asking again is done here: s3fs can be told; gcsfs' methods are taken from under what repeats them and logs."""
    fs.retries = 1
    for name in ("_request", "_get_file_concurrent"):
        if once := getattr(getattr(type(fs), name, None), "__wrapped__", None):
            setattr(fs, name, MethodType(once, fs))
    return fs


def patience() -> float:
    """BENCH_STORE_PATIENCE, or five minutes. Raises UsageError: it is no time."""
    return number_set("BENCH_STORE_PATIENCE", PATIENCE, "must be a number of seconds")
