"""What can go wrong, sorted by whose move is next: the user's, the run's, or a file's."""

import re

_UNPICKLABLE = re.compile(r"WeightsUnpickler error:\s*(.+?)(?:\. |\n|$)")


class BenchError(Exception):
    """Base of all errors that carry a message meant for the user."""


class UsageError(BenchError):
    """A user's mistake. The command line prints its one line and exits with status 2; nothing was written."""


class RunFailure(BenchError):
    """A run that cannot go on (NaN, a corrupt image, a full disk): it becomes a failed row with this reason."""


class CorruptArtefact(BenchError):
    """A file of ours whose content is not what was written: truncated, altered, or of another schema."""


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
