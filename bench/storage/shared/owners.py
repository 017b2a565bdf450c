"""Owners of leases (`bench.storage.shared.leases`): who they are, and whether they are alive."""

import json
import math
import os
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UsageError
from bench.storage.settings import number_set

TIME_TO_LIVE, BEATS = 60.0, 12.0  # seconds, and how often an owner says within them that it lives

AT_WORK: set[str] = set()  # tokens of this process: of another of its own it could not give the lease back


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
    token: str = ""  # of this one lease

    def written(self, beats: int) -> bytes:
        """One line, as long at every beat."""
        return json.dumps({**vars(self), "beats": f"{beats:012}"}).encode() + b"\n"

    def alive(self) -> bool | None:
        """Whether its process is there; None where that cannot be seen from here."""
        if not self.machine or self.machine != machine():
            return None
        if (began := started(self.pid)) is None:
            return None
        return began == self.started and (self.pid != os.getpid() or self.token in AT_WORK)


def owner_in(content: bytes) -> Owner | None:
    """The inverse of `Owner.written`; None for what is none."""
    try:
        said = json.loads(content)
        who, life = str(said["who"]), float(said["time_to_live"])
        good = who.isprintable() and 0 < len(who) <= 200 and 0 < life < math.inf
        numbers = int(said["pid"]), int(said["started"])
        return Owner(who, str(said["machine"]), *numbers, life, str(said["token"])) if good else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def myself() -> Owner:
    """This process. Raises UsageError: the times of leases are set wrongly."""
    heartbeat()
    pid, who = os.getpid(), f"process {os.getpid()} on {os.uname().nodename}"
    return Owner(who, machine(), pid, started(pid) or 0, time_to_live(), secrets.token_hex(8))


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
    return number_set(name, default, "must be a number of seconds above 0", above_zero=True)
