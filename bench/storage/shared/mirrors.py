"""Mirrors: folders of this machine that stand for a store elsewhere, so that all else works on folders.

Who holds a lease on a name in a mirror has in it what the store has of that name, and sends what changes: while it
works and at its end, whole files alone, those that were written first before those that seal them. A file that was
changed elsewhere since is brought; one that was changed here alone is sent. So nothing is lost where this machine or
the store was away: the same command goes on, here or elsewhere.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from glob import escape
from pathlib import Path

from bench.errors import StoreAway, UsageError
from bench.storage import run_folder
from bench.storage.files import LEFTOVER, digest, link_or_copy, read_json, write_json
from bench.storage.shared.mirror_notes import IN_UNITS, SENDING, Known, KnownFiles, is_of
from bench.storage.shared.owners import heartbeat
from bench.storage.shared.stores import Entry, Store, checked, opened

ABOUT = ".store.json"  # in a mirror: what it stands for
SEALS = (run_folder.RECORD, run_folder.COSTS, "stage.json", run_folder.MANIFEST)  # what says that the rest is whole


class Mirror:
    """A folder that stands for a store.

    Args:
        root: the folder.
        address: of the store.
        shared: the folder below it that is there too; "" for all.
    """

    def __init__(self, root: Path, address: str, shared: str) -> None:
        self.root, self.address, self.shared = root, address, shared
        self.files = KnownFiles(root)
        self.listing: dict[str, Entry] | None = None  # of the whole store, once it was looked at

    @cached_property
    def store(self) -> Store:
        """Opened when it is first asked."""
        return opened(self.address)

    def name(self, path: Path) -> str:
        """What a path in the mirror is called there."""
        return path.relative_to(self.root).as_posix()

    def bring(self, name: str, seal: str | None = None, *, leased: bool = False) -> None:
        """Has here what is there of a name; what was changed here alone stays.

        Args:
            seal: a file of it, without which it is left there.
            leased: whether the name is this process' own; else what is on its way is another's affair.
        """
        there, known = self._seen(name)
        if seal is None or f"{name}/{seal}" in there:
            self._take_over(there, known, leased=leased)
            self._drop(there, known, leased=leased)

    def look(self) -> None:
        """Has here what small files say of everything there."""
        self.listing, known = self._seen(self.shared)
        said = {name: entry for name, entry in self.listing.items() if name.endswith(".json")}
        self._take_over(said, known, leased=False)
        self._drop(self.listing, known, leased=False)

    def _seen(self, name: str) -> tuple[dict[str, Entry], dict[str, Known]]:
        """What is there of a name, and what is known of it here.

        What another process of this machine sent, or took away, while the store was asked is that one's affair: it is
        in neither.
        """
        before, there, known = self.files.of(name), self._there(name), self.files.of(name)
        for each in before.keys() | known.keys():
            if before.get(each) != known.get(each):
                there.pop(each, None)
                known.pop(each, None)
        return there, known

    def send(self, name: str, store: Store | None = None) -> None:
        """Has there what is here of a name. Raises StoreAway: some of it is not there, and is sent the next time."""
        store, known = store or self.store, self.files.of(name)
        here = {self.name(path): path for path in self._here(name)}
        for each, path in sorted(here.items(), key=lambda item: _written(*item)):
            with suppress(FileNotFoundError):  # it was replaced or taken away meanwhile
                if each not in known or not known[each].is_there(*_stat(path)):
                    self._send_file(store, each, path, known.get(each))
        for each in sorted(known.keys() - here.keys(), key=lambda each: not each.endswith(SEALS)):
            store.remove(each)
            self.files.put({each: None})

    def remove(self, name: str) -> None:
        """Takes away what is there of a name; what seals it first, so that a kill leaves no ruin."""
        there = self._there(name)
        for each in sorted(there, key=lambda each: not each.endswith(SEALS)):
            self.store.remove(each)
            self.files.put({each: None})

    def size(self, name: str) -> int:
        """Bytes that are there under a name."""
        return sum(entry.size for each, entry in (self.listing or {}).items() if is_of(each, name))

    @contextmanager
    def guarded(self, name: str, lost: Callable[[], bool]) -> Iterator[None]:
        """Within the context the mirror has what the store has of a name, and the store gets what changes.

        Args:
            lost: whether it is another's by now, so that nothing more may be sent.
        """
        self.bring(name, leased=True)
        done = threading.Event()
        thread = threading.Thread(target=self._keep_sending, args=(name, done, lost), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            if not lost():
                self.send(name)

    def _keep_sending(self, name: str, done: threading.Event, lost: Callable[[], bool]) -> None:
        while not done.wait(heartbeat()):
            with suppress(StoreAway, OSError):  # the next time, or the end, tells
                if not lost():
                    self.send(name, self.store.hasty)

    def _send_file(self, store: Store, name: str, path: Path, known: Known | None) -> None:
        """A file of ours is never written in place, so a second name holds on to what is sent."""
        there = known.there if known else ""
        if known and known.is_on_its_way:
            with suppress(FileNotFoundError):
                there = store.entry(name).version
        held = self.root / ".sending" / f"{threading.get_native_id()}-{path.name}"
        try:
            link_or_copy(path, held)
            size, mtime = _stat(held)
            self.files.put({name: Known(size, mtime, f"{SENDING}{there}")})
            self.files.put({name: Known(size, mtime, store.put(held, name).version)})
        finally:
            held.unlink(missing_ok=True)

    def _take_over(self, there: dict[str, Entry], known: dict[str, Known], *, leased: bool) -> None:
        wanted = [name for name in there if self._is_newer_there(name, there[name], known.get(name), leased=leased)]
        self._fetch(sorted(wanted, key=lambda name: name.endswith(SEALS)), there)

    def _drop(self, there: dict[str, Entry], known: dict[str, Known], *, leased: bool) -> None:
        for name in known.keys() - there.keys():
            if known[name].there and known[name].is_settled(leased=leased):
                self._forget_here(name)

    def _is_newer_there(self, name: str, entry: Entry, known: Known | None, *, leased: bool) -> bool:
        """Of one that was on its way: where something arrived since, which is ours, or who came after us made it."""
        if known is None or not (self.root / name).is_file():
            return True
        return known.there != entry.version and known.is_settled(leased=leased)

    def _fetch(self, names: list[str], there: dict[str, Entry]) -> None:
        targets = [self.root / name for name in names]
        parts = [path.with_name(f"{path.name}.{os.getpid()}{LEFTOVER}") for path in targets]
        for part in parts:
            part.parent.mkdir(parents=True, exist_ok=True)
        try:
            if names:
                self.store.get(names, parts)
        except FileNotFoundError:
            left = list(filter(self.store.has, names))
            if left == names:
                raise
            return self._fetch(left, there)  # the others were taken away since they were listed
        for name, part, target in zip(names, parts, targets, strict=True):
            part.replace(target)
            self.files.put({name: Known(*_stat(target), there[name].version)})

    def _forget_here(self, name: str) -> None:
        """Takes away what was taken away there, with folders that it leaves empty."""
        path = self.root / name
        path.unlink(missing_ok=True)
        self.files.put({name: None})
        with suppress(OSError):
            while path.parent != self.root:
                path = path.parent
                path.rmdir()

    def _there(self, name: str) -> dict[str, Entry]:
        """What is there of a name. Files of a unit lie beside those of others."""
        found = self.store.find(name.rpartition("/")[0] if IN_UNITS in name else name)
        return {each: entry for each, entry in found.items() if is_of(each, name)}

    def _here(self, name: str) -> Iterator[Path]:
        folder, _, first = name.rpartition("/")
        for path in (self.root / folder).glob(f"{escape(first)}*"):
            for each in [path] if path.is_file() else path.rglob("*"):
                if is_of(self.name(each), name) and not each.name.endswith(LEFTOVER) and each.is_file():
                    yield each


def _stat(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def _written(name: str, path: Path) -> tuple[int, bool]:
    """Orders files by when they were written; of two that the clock does not tell apart the seal is the later."""
    with suppress(FileNotFoundError):
        return _stat(path)[1], name.endswith(SEALS)
    return 0, False


@dataclass(frozen=True)
class Mirrored:
    """What a path stands for.

    Attributes:
        mirror: in which it lies.
        name: of what it is there.
    """

    mirror: Mirror
    name: str


def mirrored(path: Path) -> Mirrored | None:
    """What a path stands for; None for one that is this machine's alone."""
    mirror = _mirror_above(path.parent)
    if mirror is None:
        return None
    name = mirror.name(path)
    return Mirrored(mirror, name) if f"{name}/".startswith(f"{mirror.shared}/" if mirror.shared else "") else None


@cache
def _mirror_above(folder: Path) -> Mirror | None:
    above = next((each for each in (folder, *folder.parents) if (each / ABOUT).is_file()), None)
    return None if above is None else _mirror(above)


@cache
def _mirror(root: Path) -> Mirror:
    about = read_json(root / ABOUT)
    return Mirror(root, str(about["address"]), str(about["shared"]))


def mirror_of(address: str, below: Path, shared: str = "") -> Path:
    """The folder that stands for a store; nothing is asked of the store yet.

    Args:
        address: as typed.
        below: the machine's own folder of mirrors.
        shared: as of `Mirror`.

    Raises:
        UsageError: no such address can be.
    """
    address = checked(address)
    opened(address)
    root = below / f"{re.sub('[^A-Za-z0-9.-]+', '-', address)[:60]}-{digest([address, shared])[:8]}"
    if not (root / ABOUT).exists():
        write_json(root / ABOUT, {"address": address, "shared": shared})
    return root


def looked_at(folder: Path) -> Path:
    """The folder; a mirror has by then what small files say of everything in its store. For commands, at their start.

    Raises:
        UsageError: there is no such place, or not for whoever asks.
    """
    if (there := mirrored(folder / "any")) is not None and there.mirror.listing is None:
        try:
            there.mirror.look()
        except FileNotFoundError:
            raise UsageError(f"{there.mirror.address}: there is no such bucket") from None
    return folder


def at_hand(folder: Path, seal: str | None = None) -> Path:
    """The folder, as `Mirror.bring` brings it; one of this machine alone as it is."""
    if (there := mirrored(folder)) is not None:
        there.mirror.bring(there.name, seal)
    return folder
