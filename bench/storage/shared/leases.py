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

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from bench.errors import Interrupted, StoreAway, UnreadableArtefact, why
from bench.progress import Progress, Silent
from bench.storage.shared.mirrors import Mirrored, mirrored
from bench.storage.shared.owners import AT_WORK, Owner, heartbeat, myself
from bench.storage.shared.sightings import Sighting, Watch
from bench.storage.shared.slots import LEASES, FolderSlots, Slots
from bench.storage.shared.stores import StoreSlots

PATIENCE = 0.5  # seconds of looking whether somebody lives, after which it is said


class LockHeld(Exception):
    """A lock is held by a live process. The message names it."""


class Lease:
    """A lease of this process, which `_beat` keeps alive until it is given back."""

    def __init__(self, slots: Slots, number: int, owner: Owner) -> None:
        self._slots, self.number, self._owner = slots, number, owner
        self._beats, self._beaten = 0, time.monotonic()
        self._lost, self._ended = False, False
        self._writing = threading.Lock()  # a beat under way must not write over the word that the lease is free

    @property
    def lost(self) -> bool:
        """Whether somebody else has it by now. Who slept for long looks before it answers."""
        if time.monotonic() - self._beaten > self._owner.time_to_live:
            self.beat()
        return self._lost

    def beat(self) -> None:
        """Says that the owner lives, or finds that the lease is another's; a place that is away tells later."""
        with self._writing, suppress(OSError, StoreAway):
            if self._ended:
                return
            slots = self._slots.hasty
            self._lost = self._lost or slots.numbers()[-1:] != [self.number]
            if not self._lost:
                self._beats += 1
                slots.write(self.number, self._owner.written(self._beats))
            self._beaten = time.monotonic()

    def give_back(self) -> None:
        """Anybody may have it."""
        with self._writing, suppress(OSError):
            self._ended = True
            self._slots.free(self.number)


_HELD: set[Lease] = set()  # of this process; those of its parent are none after a fork
_KEEPER: list[threading.Thread] = []
_STOPPED: list[Callable[[], bool]] = []  # whether this process was asked to stop, where it knows


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


def stop_waiting_when(stopped: Callable[[], bool]) -> None:
    """From now on whoever waits for a lease looks whether the process was asked to stop."""
    _STOPPED[:] = [stopped]


def lost() -> bool:
    """Whether a lease that this process works under is another's by now: the work must stop as if asked to."""
    return any(lease.lost for lease in tuple(_HELD))


@contextmanager
def locked(path: Path, progress: Progress, *, wait: bool, bring: bool = True) -> Iterator[None]:
    """Holds the lease on a name; `path` is "NAME.lock" in its folder. A dead owner's is taken, a live owner is named.

    Args:
        bring: in a mirror of a store, has here what the store has of that name, and sends what becomes of it.

    Raises:
        LockHeld: another process holds it and `wait` is False; or this one slept, and another took over.
        Interrupted: the process was asked to stop while it waited (`stop_waiting_when`).
        UnreadableArtefact: the system does not let it be held.
        StoreAway: it lies in a store that does not answer, or what was done could not all be sent there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path, progress, wait=wait) as lease:
        try:
            with _guarded(path, lease) if bring else nullcontext():
                yield
        except Interrupted as error:
            if lease.lost:
                raise LockHeld(f"taken over while this process slept, and in use by {holder(path)}") from error
            raise


@contextmanager
def _held(path: Path, progress: Progress, *, wait: bool) -> Iterator[Lease]:
    owner = myself()
    AT_WORK.add(owner.token)
    try:
        lease = _acquired(path, owner, progress, wait=wait)
        _keep(lease)
        try:
            yield lease
        finally:
            _HELD.discard(lease)
            lease.give_back()
    finally:
        AT_WORK.discard(owner.token)


def holder(path: Path) -> str | None:
    """The process that holds the lease, in words; None where nobody does. One whose life cannot be seen counts."""
    try:
        with _lockable(path):
            look = Sighting.at(_slots(path))
    except UnreadableArtefact as error:
        return f"whoever it is: {error}"
    return None if look.alive is False else look.who


def owner_lives(path: Path, progress: Progress) -> bool:
    """Whether somebody has the lease; an owner of another machine is looked at for as long as it takes to tell.

    One that is dead is forgotten, so that `holder` tells of it no more.
    """
    try:
        with locked(path, progress, wait=False, bring=False):
            return False
    except (LockHeld, UnreadableArtefact):
        return True


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
        look = Sighting.at(_slots(path))
        return look.owner is not None and look.alive is False
    return False


def leased(folder: Path) -> list[Path]:
    """The paths of all leases on names in a folder, held or not."""
    return sorted(folder / each.name for each in (folder / LEASES).glob("*"))


def _slots(path: Path) -> Slots:
    files = path.parent / LEASES / path.name
    there = mirrored(files)
    return StoreSlots(there.mirror.store, there.name) if there else FolderSlots(files)


def _guarded(path: Path, lease: Lease) -> AbstractContextManager[None]:
    """Of a name in a mirror: what it is for is had here, and sent."""
    there: Mirrored | None = mirrored(path.with_name(path.name.removesuffix(".lock").removeprefix(".")))
    return there.mirror.guarded(there.name, lambda: lease.lost) if there else nullcontext()


@contextmanager
def _lockable(path: Path) -> Iterator[None]:
    """What the system refuses: a file in the folder's place, no permission."""
    try:
        yield
    except OSError as error:
        raise UnreadableArtefact(f"{path} cannot be locked: {why(error)}") from error


def _acquired(path: Path, owner: Owner, progress: Progress, *, wait: bool) -> Lease:
    slots, watch = _slots(path), Watch()
    say = _saying(path, progress, wait=wait)
    while True:
        with _lockable(path):
            look = Sighting.at(slots)
            alive = watch.alive(look)
            if alive is False:
                if lease := _taken(slots, look.number + 1, owner):
                    return lease
                continue  # somebody was quicker
        if alive and not wait:
            raise LockHeld(f"in use by {look.who}")
        say(look, alive)
        if any(stopped() for stopped in _STOPPED):
            raise Interrupted(f"stopped while it waited for {look.who}")
        time.sleep(slots.pause)


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


def _saying(path: Path, progress: Progress, *, wait: bool) -> Callable[[Sighting, bool | None], None]:
    """Says once who is waited for: an owner at once, one that may be dead or about to say its name after a moment."""
    began, said = time.monotonic(), False

    def say(look: Sighting, alive: bool | None) -> None:
        nonlocal said
        if said or not (alive or time.monotonic() - began > PATIENCE):
            return
        said = True
        if wait:
            return progress.warn(f"waiting for {look.who}, which is making {path.stem}")
        most = f"for {look.time_to_live:g} s at most"
        progress.warn(f"{path.stem} is in use by {look.who}: looking {most} whether that still works")

    return say
