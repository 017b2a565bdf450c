"""What is seen of a lease by whoever does not hold it: its owner, and whether that lives."""

import time
from contextlib import suppress
from dataclasses import dataclass

from bench.storage.shared.owners import Owner, owner_in, time_to_live
from bench.storage.shared.slots import FREE, Slots

NOBODY_KNOWN = "another process"


@dataclass(frozen=True)
class Sighting:
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
        """The owner in words."""
        return self.owner.who if self.owner else NOBODY_KNOWN

    @property
    def time_to_live(self) -> float:
        """Seconds after which an owner that says nothing is dead."""
        return self.owner.time_to_live if self.owner else time_to_live()

    @classmethod
    def at(cls, slots: Slots) -> "Sighting":
        """The lease of these slots, as it is now."""
        while True:
            if not (number := max(slots.numbers(), default=0)):
                return cls(0, None, False, None)
            with suppress(FileNotFoundError):  # a higher one has replaced it
                return cls.of(number, *slots.read(number))

    @classmethod
    def of(cls, number: int, content: bytes, seen: object) -> "Sighting":
        """One that was read: its number, what its file holds, and what differs after each beat."""
        if content.startswith(FREE):
            return cls(number, None, False, seen)
        owner = owner_in(content)
        return cls(number, owner, owner.alive() if owner else None, seen)


@dataclass
class Watch:
    """Watches owners whose life cannot be seen, by this process' own stopwatch."""

    last: tuple[int, object] = (0, None)
    since: float = 0.0

    def alive(self, look: Sighting) -> bool | None:
        """As far as was seen until now: one that moves lives, one that did not for its time to live is dead."""
        if look.alive is not None:
            return look.alive
        before, self.last = self.last, (look.number, look.seen)
        if self.last != before:
            self.since = time.monotonic()
            return True if look.number == before[0] else None
        return False if time.monotonic() - self.since > look.time_to_live else None
