"""Who works where: a lease on a name in a folder, held by one process at a time, on any folder that machines share.

A lease is a row of numbered files, of which the highest says who has it. Who wants it and finds the highest free, or
its owner dead, makes the next number: a file is made by one process only, wherever the folder lies. Numbers only grow
and the highest is never taken away, so that whoever was slow finds a higher one than its own, and withdraws.

Whether an owner lives is seen at once on its own machine (it names the start of the system, its process and when that
began; a number that was given to another process is not mistaken for it). From elsewhere it is seen by its count, which
it raises every few seconds: an owner whose count stood still for its time to live, by the watcher's own stopwatch, is
dead. No clock is compared with another, so that clocks may jump. An owner that was only asleep, and finds a higher
number, has lost its lease: `lost` tells its loops, which save and stop.
"""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from bench.errors import Interrupted, UnreadableArtefact, UsageError, why
from bench.progress import Progress, Silent

LEASES = ".leases"  # the folder of all leases on names in the folder around it
FREE = b"free\n"  # begins the file of an owner that gave its lease back
NOBODY_KNOWN = "another process"
TIME_TO_LIVE, BEATS = 60.0, 12.0  # seconds, and how often an owner says within them that it lives
LONGEST = 4096  # bytes of a slot that are read
PATIENCE = 0.5  # seconds of looking whether somebody lives, after which it is said


class LockHeld(Exception):
    """A lock is held by a live process. The message names it."""


class Slots(Protocol):
    """The numbered files of one lease, wherever they lie."""

    @property
    def pause(self) -> float:
        """Seconds between two looks at a lease that is waited for."""
        ...

    def numbers(self) -> list[int]:
        """Those there are, ascending."""
        ...

    def create(self, number: int, content: bytes) -> bool:
        """Makes a file that nobody has made; False where somebody has. Its content may be lost where no room is."""
        ...

    def read(self, number: int) -> tuple[bytes, object]:
        """Its content, and something that differs after each `write`. Raises FileNotFoundError."""
        ...

    def write(self, number: int, content: bytes) -> None:
        """Writes over the beginning of a file that is there. Raises FileNotFoundError."""
        ...

    def free(self, number: int) -> None:
        """Has it begin with `FREE`, or takes it away. Raises FileNotFoundError."""
        ...

    def remove(self, number: int) -> None:
        """Takes it away, if it is there."""
        ...


@dataclass(frozen=True)
class FolderSlots:
    """Files in a folder of this lease alone: a listing of it is one call of the system, which nothing interrupts."""

    folder: Path
    pause: float = 0.05

    def numbers(self) -> list[int]:
        """See `Slots`."""
        try:
            return sorted(int(name) for name in os.listdir(self.folder) if name.isdecimal())  # noqa: PTH208 - twice as fast
        except FileNotFoundError:
            return []

    def create(self, number: int, content: bytes) -> bool:
        """A full disk has room for the file's name, though not for whose it is: such a lease is anybody's guess."""
        try:
            handle = self._made(number)
        except FileExistsError:
            return False
        try:
            with suppress(OSError):
                os.write(handle, content)
        finally:
            os.close(handle)
        return True

    def _made(self, number: int) -> int:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        try:
            return os.open(self._file(number), flags, 0o666)
        except FileNotFoundError:  # the first of its name
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._file(number), flags, 0o666)

    def read(self, number: int) -> tuple[bytes, object]:
        """See `Slots`."""
        with self._file(number).open("rb") as handle:
            content = handle.read(LONGEST)
            return content, (content, os.fstat(handle.fileno()).st_mtime_ns)

    def write(self, number: int, content: bytes) -> None:
        """In place, which takes no room; where the file has none, that it was touched is seen all the same."""
        handle = os.open(self._file(number), os.O_WRONLY)
        try:
            os.pwrite(handle, content, 0)
        except OSError:
            os.utime(handle)
        finally:
            os.close(handle)

    def free(self, number: int) -> None:
        """It goes where it has no room for the word: nobody could take it for dead meanwhile."""
        handle = os.open(self._file(number), os.O_WRONLY)
        try:
            os.pwrite(handle, FREE, 0)
        except OSError:
            self.remove(number)
        finally:
            os.close(handle)

    def remove(self, number: int) -> None:
        """See `Slots`."""
        self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self.folder / str(number)


@dataclass(frozen=True)
class Owner:
    """Who has a lease, as its file says it.

    Attributes:
        who: in words.
        machine: the start of the system and the space of process numbers in which `pid` counts; "" where not known.
        started: when the process began, in the system's own count since its start.
        time_to_live: seconds without a beat after which others take it for dead.
    """

    who: str
    machine: str
    pid: int
    started: int
    time_to_live: float

    def written(self, beats: int) -> bytes:
        """One line, as long at every beat."""
        return json.dumps({**vars(self), "beats": f"{beats:012}"}).encode() + b"\n"

    def alive(self) -> bool | None:
        """Whether its process is there; None where that cannot be seen from here."""
        if not self.machine or self.machine != machine():
            return None
        began = started(self.pid)
        return None if began is None else began == self.started


def owner_in(content: bytes) -> Owner | None:
    """The inverse of `Owner.written`; None for what is none."""
    try:
        said = json.loads(content)
        who, life = str(said["who"]), float(said["time_to_live"])
        good = who.isprintable() and 0 < len(who) <= 200 and 0 < life < math.inf
        return Owner(who, str(said["machine"]), int(said["pid"]), int(said["started"]), life) if good else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


@cache
def machine() -> str:
    """This start of this system, and its space of process numbers; "" where the system does not say."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """When a process of this machine began, in the system's ticks; -1 where it is gone, None where it is hidden."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if _is_there(pid) else -1
    except OSError:
        return None
    return -1 if state in (b"Z", b"X") else int(rest[18])  # a zombie does nothing any more


def _is_there(pid: int) -> bool:
    """Whether there is a process of that number, be it one that /proc does not show to this user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def time_to_live() -> float:
    """BENCH_LEASE_TTL, or a minute. Raises UsageError: it is no time."""
    return _seconds("BENCH_LEASE_TTL", TIME_TO_LIVE)


def heartbeat() -> float:
    """BENCH_LEASE_HEARTBEAT, or a twelfth of the time to live. Raises UsageError: it is no time, or too long."""
    beat, life = _seconds("BENCH_LEASE_HEARTBEAT", time_to_live() / BEATS), time_to_live()
    if beat > life / 3:
        raise UsageError(f"BENCH_LEASE_HEARTBEAT is {beat:g} s: at most a third of BENCH_LEASE_TTL ({life:g} s)")
    return beat


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < math.inf:
            return seconds
    raise UsageError(f"{name} must be a number of seconds above 0, not {text!r}")


class Lease:
    """A lease of this process, which `_beat` keeps alive until it is given back."""

    def __init__(self, slots: Slots, number: int, owner: Owner) -> None:
        self._slots, self.number, self._owner = slots, number, owner
        self._beats, self._beaten = 0, time.monotonic()
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether somebody else has it by now. Who slept for long looks before it answers."""
        if time.monotonic() - self._beaten > self._owner.time_to_live:
            self.beat()
        return self._lost

    def beat(self) -> None:
        """Says that the owner lives, or finds that the lease is another's; a place that is away tells later."""
        with suppress(OSError):
            numbers = self._slots.numbers()
            self._lost = self._lost or numbers[-1:] != [self.number]
            if not self._lost:
                self._beats += 1
                self._slots.write(self.number, self._owner.written(self._beats))
            self._beaten = time.monotonic()

    def give_back(self) -> None:
        """Anybody may have it."""
        with suppress(OSError):
            self._slots.free(self.number)


_HELD: set[Lease] = set()  # of this process; those of its parent are none after a fork
_KEEPER: list[threading.Thread] = []


def _forget_all() -> None:
    _HELD.clear()
    _KEEPER.clear()


os.register_at_fork(after_in_child=_forget_all)


def _keep(lease: Lease) -> None:
    """One thread for all leases of the process; it ends with the process, whatever becomes of that."""
    _HELD.add(lease)
    if not _KEEPER:
        _KEEPER.append(threading.Thread(target=_beat, name="leases", daemon=True))
        _KEEPER[0].start()


def _beat() -> None:
    while True:
        time.sleep(heartbeat())
        for lease in tuple(_HELD):
            lease.beat()


def lost() -> bool:
    """Whether a lease that this process works under is another's by now: the work must stop as if asked to."""
    return any(lease.lost for lease in tuple(_HELD))


@contextmanager
def locked(path: Path, progress: Progress, *, wait: bool) -> Iterator[None]:
    """Holds the lease on a name; `path` is "NAME.lock" in its folder. A dead owner's is taken, a live owner is named.

    Raises:
        LockHeld: another process holds it and `wait` is False; or this one slept, and another took over.
        UnreadableArtefact: the system does not let it be held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = _acquired(path, progress, wait=wait)
    _keep(lease)
    try:
        yield
    except Interrupted as error:
        if lease.lost:
            raise LockHeld(f"taken over while this process slept, and in use by {holder(path)}") from error
        raise
    finally:
        _HELD.discard(lease)
        lease.give_back()


def holder(path: Path) -> str | None:
    """The process that holds the lease, in words; None where nobody does. One whose life cannot be seen counts."""
    try:
        with _lockable(path):
            look = _Look.at(_slots(path))
    except UnreadableArtefact as error:
        return f"whoever it is: {error}"
    return None if look.alive is False else look.who


def forget_dead(path: Path) -> None:
    """Takes away who held the lease at `path` where nobody does: an owner that was killed once all was done.

    For whoever finds what it is for finished, and so does not take it.
    """
    with suppress(LockHeld, UnreadableArtefact):
        if is_of_dead(path):
            with locked(path, Silent(), wait=False):
                pass


def is_of_dead(path: Path) -> bool:
    """Whether the last owner of the lease is dead for sure, and did not give it back."""
    with suppress(UnreadableArtefact), _lockable(path):
        look = _Look.at(_slots(path))
        return look.owner is not None and look.alive is False
    return False


def leased(folder: Path) -> list[Path]:
    """The paths of all leases on names in a folder, held or not."""
    return sorted(folder / each.name for each in (folder / LEASES).glob("*"))


def _slots(path: Path) -> Slots:
    return FolderSlots(path.parent / LEASES / path.name)


@contextmanager
def _lockable(path: Path) -> Iterator[None]:
    """What the system refuses: a file in the folder's place, no permission."""
    try:
        yield
    except OSError as error:
        raise UnreadableArtefact(f"{path} cannot be locked: {why(error)}") from error


def _acquired(path: Path, progress: Progress, *, wait: bool) -> Lease:
    slots, owner, watch = _slots(path), _myself(), _Watch()
    say = _saying(path, progress, wait=wait)
    while True:
        with _lockable(path):
            look = _Look.at(slots)
            alive = watch.alive(look)
            if alive is False:
                if lease := _taken(slots, look.number + 1, owner):
                    return lease
                continue  # somebody was quicker
        if alive and not wait:
            raise LockHeld(f"in use by {look.who}")
        say(look, alive)
        time.sleep(slots.pause)


def _myself() -> Owner:
    heartbeat()  # refuses wrong settings before anything is held
    pid = os.getpid()
    return Owner(f"process {pid} on {os.uname().nodename}", machine(), pid, started(pid) or 0, time_to_live())


def _taken(slots: Slots, number: int, owner: Owner) -> Lease | None:
    """The lease of that number, where nobody has made that or a higher one."""
    lease = Lease(slots, number, owner)
    if not slots.create(number, owner.written(0)):
        return None
    *lower, highest = slots.numbers() or [0]
    if highest != number:  # the look was a slow one: others have had it since
        slots.remove(number)
        return None
    for each in lower:
        slots.remove(each)
    return lease


def _saying(path: Path, progress: Progress, *, wait: bool) -> Callable[["_Look", bool | None], None]:
    """Says once who is waited for: an owner at once, one that may be dead or about to say its name after a moment."""
    began, said = time.monotonic(), False

    def say(look: _Look, alive: bool | None) -> None:
        nonlocal said
        if said or not (alive or time.monotonic() - began > PATIENCE):
            return
        said = True
        if wait:
            return progress.warn(f"waiting for {look.who}, which is making {path.stem}")
        most = f"for {look.time_to_live:g} s at most"
        progress.warn(f"{path.stem} is in use by {look.who}: looking {most} whether that still works")

    return say


@dataclass(frozen=True)
class _Look:
    """What was seen of a lease.

    Attributes:
        number: the highest; 0 where there is none.
        owner: where it says one.
        alive: whether somebody has it; None where that cannot be seen at once.
        seen: what differs after each beat.
    """

    number: int
    owner: Owner | None
    alive: bool | None
    seen: object

    @property
    def who(self) -> str:
        return self.owner.who if self.owner else NOBODY_KNOWN

    @property
    def time_to_live(self) -> float:
        return self.owner.time_to_live if self.owner else time_to_live()

    @classmethod
    def at(cls, slots: Slots) -> "_Look":
        while True:
            if not (number := max(slots.numbers(), default=0)):
                return cls(0, None, False, None)
            with suppress(FileNotFoundError):  # a higher one has replaced it
                return cls.of(number, *slots.read(number))

    @classmethod
    def of(cls, number: int, content: bytes, seen: object) -> "_Look":
        if content.startswith(FREE):
            return cls(number, None, False, seen)
        owner = owner_in(content)
        return cls(number, owner, owner.alive() if owner else None, seen)


@dataclass
class _Watch:
    """Watches owners whose life cannot be seen, by this process' own stopwatch."""

    last: tuple[int, object] = (0, None)
    since: float = 0.0

    def alive(self, look: _Look) -> bool | None:
        """As far as was seen until now: one that moves lives, one that did not for its time to live is dead."""
        if look.alive is not None:
            return look.alive
        before, self.last = self.last, (look.number, look.seen)
        if self.last != before:
            self.since = time.monotonic()
            return True if look.number == before[0] else None
        return False if time.monotonic() - self.since > look.time_to_live else None
