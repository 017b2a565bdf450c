"""What can go wrong, sorted by whose move is next: the user's, the run's, or a file's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISFITS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)  # of what is not as expected
_UNPICKLABLE = re.compile(r"WeightsUnpickler error:\s*(.+?)(?:\. |\n|$)")


class BenchError(Exception):
    """Base of all errors that carry a message meant for the user."""


class UsageError(BenchError):
    """A user's mistake. The command line prints its one line and exits with status 2; nothing was written."""


class RunFailure(BenchError):
    """A run that cannot go on (NaN, a corrupt image, a full disk): it becomes a failed row with this reason."""


class CorruptArtefact(BenchError):
    """A file of ours whose content is not what was written: truncated, altered, or of another schema."""


class UnreadableArtefact(BenchError):
    """A file of ours that the system does not let us read or move (permission, I/O error): what it holds is not known.

    Whatever it is, it stays as it is, and nothing is concluded from it.
    """


class StoreAway(BenchError):
    """A store elsewhere does not answer, or refuses: nothing that was done is lost, and the same command goes on."""


class Interrupted(BenchError):
    """The user asked to stop; what is finished is kept and the same command continues."""


class LostOutput(BenchError):
    """Standard output cannot be written: nobody reads it, or its disk is full. What was done stays done."""


def why(error: BaseException) -> str:
    """What an exception says, in one line that is never empty: the system's words, its first line, or its type.

    PyTorch's refusal of a pickle advises, at length, to load it all the same; only what it found is kept.
    """
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if text.startswith("Weights only load failed"):
        found = _UNPICKLABLE.search(text)
        return "it holds more than tensors" + (f": {found[1]}" if found else "")
    lines = text.strip().splitlines()
    return lines[0] if lines else type(error).__name__


def fault(error: BaseException) -> str:
    """An exception that nobody expected, in one line: its type, what it says, and the file and line that raised it."""
    import traceback  # rarely needed, and no part of a quick start

    where = traceback.extract_tb(error.__traceback__)
    place = f" ({where[-1].filename.rsplit('/', 1)[-1]}:{where[-1].lineno})" if where else ""
    return f"{type(error).__name__}: {why(error)}{place}"


@contextmanager
def understood(what: Path | str) -> Iterator[None]:
    """Within the context what was read of a file is taken apart: a part that is missing, or of another type, damns it.

    Raises:
        CorruptArtefact: for each of `MISFITS`.
    """
    try:
        yield
    except MISFITS as error:
        lacking = "it lacks " if isinstance(error, KeyError) else ""
        raise CorruptArtefact(f"{what} does not hold what it should: {lacking}{why(error)}") from error
