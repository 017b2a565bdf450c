"""From an exception to the one-line reason that a failed row carries."""

import errno
from collections.abc import Mapping
from typing import Any

import torch

from bench.errors import BenchError, Interrupted, StoreAway, UnreadableArtefact, UsageError, fault, why
from bench.results.outcomes import Status
from bench.storage.shared.leases import LockHeld

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoFault(Exception):
    """What ends the work of this process on a run, and is no failure of it."""


class WorkToDo(NoFault):
    """A run that was only looked at is not finished: something has to be made."""


class Prepared(NoFault):
    """This process has made what a synthesis needs, and another makes the images.

    Libraries that were loaded for it (torch's compiler, with the first optimiser; a reader of images) cannot be
    unloaded, and would count as memory of the synthesis.

    Attributes:
        found: what the harness found out on the way (`bench.condensation.notes.Findings`), as JSON values.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__("what the synthesis needs is made")
        self.found = found


def is_recordable(error: BaseException) -> bool:
    """Whether an error ends one row (True), a plugin's sys.exit too, or the work as a whole: a stop, another's run."""
    return not isinstance(error, Interrupted | StoreAway | LockHeld | NoFault | KeyboardInterrupt)


def is_of_the_system(error: BaseException) -> bool:
    """Whether the system refused to read or write (permission, I/O error, full disk): it says nothing of the run."""
    return any(isinstance(each, OSError | UnreadableArtefact) for each in (error, error.__cause__))


def status_of(error: BaseException) -> Status:
    """ "refused" for what cannot be asked of a method or a protocol, "failed" for all else."""
    return "refused" if isinstance(error, UsageError) else "failed"


def reason_of(error: BaseException) -> str:
    """One line for the table; the traceback is in the run's log."""
    if (full := _no_room(error)) is not None:
        return f"disk full: {why(error) if isinstance(error, BenchError) else full}"
    if _is_out_of_memory(error):
        return f"out of memory: {why(error)}"
    if isinstance(error, BenchError):
        return why(error)
    return fault(error)


def _no_room(error: BaseException) -> str | None:
    """What the system said of a full disk, if that is what the error, or the one behind it, is about."""
    for each in (error, error.__cause__):
        if isinstance(each, OSError) and each.errno in NO_ROOM:
            return why(each) + (f": {each.filename}" if each.filename else "")
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """CUDA has a type for it; the CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
