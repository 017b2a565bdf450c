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
    text = (error.strerror if isinstance(error, OSError) else None) or _plainly(error)
    if text.startswith("Weights only load failed"):
        found = _UNPICKLABLE.search(text)
        return "it holds more than tensors" + (f": {found[1]}" if found else "")
    lines = text.strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _plainly(error: BaseException) -> str:
    """What an exception says, where libraries begin with a headline the mistake itself."""
    text, library = str(error), type(error).__module__.partition(".")[0]
    if library.startswith("pydantic") and (found := getattr(error, "errors", None)):
        first = found(include_url=False, include_context=False, include_input=False)[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return " ".join(line.strip() for line in text.splitlines()) if library == "pluggy" else text


def fault(error: BaseException) -> str:
    """An exception that nobody expected, in one line: its type, what it says, and the file and line to look at.

    That is the last one of a plugin, where one was at work: it called what raised the error.
    """
    import traceback  # rarely needed, and no part of a quick start

    where = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(where) if _is_of_a_plugin(frame.filename)), where[-1] if where else None)
    place = f" ({last.filename.rsplit('/', 1)[-1]}:{last.lineno})" if last else ""
    return f"{type(error).__name__}: {why(error)}{place}"


def _is_of_a_plugin(filename: str) -> bool:
    """Whether a file is neither the suite's nor a library's, or lies in a package that is installed as a plugin."""
    import sysconfig
    from importlib.metadata import entry_points

    path = Path(filename)
    if not path.is_file() or path.is_relative_to(Path(__file__).parent):
        return False
    places = sysconfig.get_paths()
    installed = next((places[name] for name in ("purelib", "platlib") if path.is_relative_to(places[name])), None)
    if installed is None:
        return not path.is_relative_to(places["stdlib"])
    plugins = {point.module.partition(".")[0] for point in entry_points(group="bench.plugins")}
    return path.relative_to(installed).parts[0].removesuffix(".py") in plugins


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
