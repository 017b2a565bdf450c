"""Files that commands write: their format by their suffix, and whole or not at all where they are regular files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError, why

if TYPE_CHECKING:
    from bench.extensions.registry import Registry


def form_of(registry: "Registry", output: Path) -> str:
    """The name of the format whose files have the suffix of `output`.

    Raises:
        UsageError: there is none; those that there are are named.
    """
    suffixes = {registry.load("format", name).suffix: name for name in registry.names("format")}
    if output.suffix not in suffixes:
        known = ", ".join(sorted(suffixes))
        raise UsageError(f"no format has files like {output.name!r} (known: {known}); say which with --format")
    return str(suffixes[output.suffix])


def write(output: Path, text: str) -> None:
    """Writes the file. What a link leads to is replaced and not the link; devices and pipes are written into.

    In every format it holds what standard output would show (`bench.storage.streams.shown`): whoever looks into a file
    does so on a terminal, and the escapes mean the same to a reader of JSON.

    Raises:
        UsageError: it cannot be written.
    """
    from bench.storage.files import write_text
    from bench.storage.streams import shown

    visible = shown(text)
    try:
        if _is_there(output) and not output.is_file():
            output.write_text(visible, encoding="utf-8")
        else:
            write_text(Path(os.path.realpath(output)), visible)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {why(error)}") from error


def _is_there(output: Path) -> bool:
    """Whether something has the name, behind links. Raises OSError where that cannot be known: links in a circle."""
    try:
        output.stat()
    except FileNotFoundError:
        return False
    return True
