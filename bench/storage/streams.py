"""Standard output and standard error: nothing that a terminal would obey, and no work that ends because nobody reads.

What is shown holds names of files, messages of exceptions and words of plugins, and any of them may hold an escape
sequence that renames the window or hides a line. `guarded` puts one filter before each of the two streams, so that
whatever is written, by a command, by click or as a traceback, has passed it.
"""

import codecs
import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from bench.errors import LostOutput, why

_UNUSUAL = re.compile(r"[^\n\t -~]")
_SPACE = re.compile(r"\s+")
_HANDLER = "bench.shown"


def shown(text: str) -> str:
    r"""The text with what cannot be seen as escapes (`\u001b`): control, direction, invisible, unassigned characters.

    Line feeds, tabs and spaces stay. The escapes are those of JSON: a JSON text stays one, with the same values.
    """
    if text.isprintable():
        return text
    return _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else _escaped(found[0]), text)


def one_line(text: object) -> str:
    """The text as `shown`, in one line: any run of blanks and line breaks is one space."""
    plain = str(text)
    if plain.isprintable() and plain == plain.strip() and "  " not in plain:  # as most are; its one blank is the space
        return plain
    return shown(_SPACE.sub(" ", plain).strip())


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _not_encodable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return _escaped(error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _not_encodable)


class Lossy(io.TextIOBase):
    """Writes to a stream what its encoding has, the rest as escapes; what cannot be written is lost without a word.

    Args:
        stream: None where the program was started without it.
    """

    encoding = "utf-8"  # of what is written to this one: all that there is

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.replaced = False  # whether something had to be escaped because the stream's encoding has no word for it

    def write(self, text: str) -> int:
        """Writes it, or not."""
        try:
            self._pass_on(text)
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here; what waits in the stream is sent off, or lost."""
        try:
            if self.stream is not None:
                self.stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return self.stream is not None and not self.stream.closed and self.stream.isatty()

    def fileno(self) -> int:
        """That of the stream."""
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return self.stream.fileno()

    def _pass_on(self, text: str) -> None:
        if self.stream is None:
            return
        encoding = self.stream.encoding or "utf-8"
        written = text.encode(encoding, _HANDLER).decode(encoding)
        self.replaced = self.replaced or written != text
        self.stream.write(written)

    def _give_up(self, error: OSError | ValueError) -> None:
        """From here on everything is lost: Python would try the rest once more at its exit, and fail by it."""
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                _to_nowhere(self.stream.fileno())


class News(Lossy):
    """Standard error: what is shown there helps whoever watches, and nothing ends when nobody does."""

    def write(self, text: str) -> int:
        """Writes it as `shown`, or not."""
        return super().write(shown(text))


class Result(News):
    """Standard output: what is asked for.

    `write` and `flush` raise LostOutput where it cannot be written, and from then on: who tried first may have kept
    it to himself, as click does.
    """

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        self._reason = "it is closed" if stream is None else ""

    def _pass_on(self, text: str) -> None:
        if text and self._reason:
            raise self._lost()
        super()._pass_on(text)

    def flush(self) -> None:
        """Raises LostOutput where what waits in the stream cannot be written."""
        super().flush()
        if self._reason and self.stream is not None:
            raise self._lost()

    def _give_up(self, error: OSError | ValueError) -> None:
        super()._give_up(error)
        self._reason = "whoever read it has closed it" if isinstance(error, BrokenPipeError) else why(error)
        raise self._lost() from error

    def _lost(self) -> LostOutput:
        return LostOutput(f"the result could not be written to standard output: {self._reason}")


def watched() -> Lossy:
    """Standard error for a program that draws on the terminal by escape sequences of its own."""
    stream = sys.stderr
    return Lossy(stream.stream if isinstance(stream, Lossy) else stream)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Filters both streams, and says in the end if standard output has no word for some characters of the result."""
    _occupy_closed()
    before = sys.stdout, sys.stderr
    result, news = Result(sys.stdout), News(sys.stderr)
    sys.stdout, sys.stderr = result, news
    try:
        yield
    finally:
        if result.replaced and result.stream is not None:
            what = f"standard output is {result.stream.encoding}, which lacks characters of the result"
            news.write(f"bench: {what}: they are shown as escapes (PYTHONIOENCODING=utf-8 shows them)\n")
        news.flush()
        sys.stdout, sys.stderr = before


def _occupy_closed() -> None:
    """Takes the places of standard streams that are closed: else the next file that is opened would be one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the lowest number that is free


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
