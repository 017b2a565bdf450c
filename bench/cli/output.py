"""Files that commands write: their format by their suffix, and whole or not at all where they are regular files.

A report may be a folder of files. One that is there must be empty, or hold an earlier report, whose list of files
(`WRITTEN`) says what is ours: what the new report lacks of it goes away, as does what a killed process left of one that
it was making, and nothing else is touched.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from bench.errors import UsageError, why

if TYPE_CHECKING:
    from bench.extensions.registry import Registry
    from bench.reporting.folders import File

WRITTEN = ".bench-report.json"


@dataclass(frozen=True)
class Target:
    """Where a report goes, and its format: into a file, a folder, or (neither) to standard output."""

    form: str
    file: Path | None = None
    folder: Path | None = None


def target_of(registry: "Registry", form: str | None, output: str | None) -> Target:
    """What `--format` and `-o` ask for.

    A name that ends in a slash, and one that is a folder, is a folder; so is, for a format that makes folders, any
    name without the suffix of its files.

    Raises:
        UsageError: an unknown or unavailable format, none for such a name, or a folder that holds other files.
    """
    from bench.reporting import format_of
    from bench.reporting.folders import FolderFormat

    path = Path(output) if output is not None else None
    if path is None:
        format_of(registry, form := form or "table")
        return Target(form)
    folder = str(output).endswith(("/", os.sep)) or path.is_dir()
    form = form or (_form_of_folders(registry) if folder else form_of(registry, path, text=False))
    format_ = format_of(registry, form)
    if not folder and not (isinstance(format_, FolderFormat) and path.suffix != format_.suffix):
        return Target(form, file=path)
    if not isinstance(format_, FolderFormat):
        raise UsageError(f"{output} is a folder, and the format {form!r} makes one file; name a file in it")
    _check_folder(path)
    return Target(form, folder=path)


def _form_of_folders(registry: "Registry") -> str:
    from bench.reporting.folders import FolderFormat

    able = [name for name in registry.names("format") if isinstance(registry.load("format", name), FolderFormat)]
    if len(able) != 1:
        raise UsageError(f"say which format with --format (of folders: {', '.join(able) or 'none'})")
    return able[0]


def _check_folder(output: Path) -> None:
    """Raises UsageError: it cannot be a folder, or it holds files that no report wrote."""
    try:
        names = [each.name for each in output.iterdir()] if _is_there(output) else []
    except OSError as error:
        raise UsageError(f"cannot write into {output}: {why(error)}") from error
    other = sorted(name for name in names if not name.startswith("."))
    if other and WRITTEN not in names:
        raise UsageError(f"{output} holds {other[0]!r}, which is of no report; name a new or an empty folder")


def write_folder(output: Path, files: Iterable["File"]) -> list[str]:
    """Writes a report's files once all are made, and takes away those of an earlier report that it does not have.

    Whatever is raised while they are made, the folder is as it was, or not there.

    Returns:
        Their names, as they came.

    Raises:
        UsageError: a file cannot be written.
    """
    from bench.storage.shared.scratch import part_folder

    is_new = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        with part_folder(output) as made:
            names = [_put(made, file) for file in files]
            _move(names, made, output)
        return names
    except OSError as error:
        raise UsageError(f"cannot write into {output}: {why(error)}") from error
    finally:
        if is_new:
            with suppress(OSError):  # a report is in it
                output.rmdir()


def _move(names: Sequence[str], made: Path, output: Path) -> None:
    from bench.storage.files import write_json

    earlier = _written(output)
    write_json(output / WRITTEN, {"files": sorted(earlier.union(names))})  # first: one that was cut short is a report
    for name in names:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).replace(output / name)
    for name in earlier.difference(names):
        (output / name).unlink(missing_ok=True)
    others = {name for name in _written(output) if (output / name).is_file()}  # of a report that is written meanwhile
    write_json(output / WRITTEN, {"files": sorted(others.union(names))})


def _written(output: Path) -> set[str]:
    """The files of the report that is there; names that lead out of the folder are nobody's."""
    from bench.errors import CorruptArtefact
    from bench.storage.files import read_json

    try:
        names = read_json(output / WRITTEN).get("files", [])
    except (FileNotFoundError, CorruptArtefact):
        return set()
    return {name for name in names if _is_inside(PurePosixPath(name))}


def _is_inside(name: PurePosixPath) -> bool:
    return not name.is_absolute() and ".." not in name.parts


def _put(made: Path, file: "File") -> str:
    """Not flushed to the device: a site of thousands of files is made again from its records."""
    from bench.storage.files import second_name
    from bench.storage.streams import shown

    assert _is_inside(PurePosixPath(file.name)), file.name
    path = made / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file.content, Path):
        second_name(file.content, path)
    else:
        path.write_text(shown(file.content), encoding="utf-8")
    return file.name


def form_of(registry: "Registry", output: Path, *, text: bool = True) -> str:
    """The name of the format whose files have the suffix of `output`. What is no format is refused where it is named.

    Args:
        text: of files that are text; else of pictures too (`bench.reporting.pictures`).

    Raises:
        UsageError: there is none; those that there are are named.
    """
    from bench.reporting import ReportFormat
    from bench.reporting.pictures import suffixes_of

    formats = {name: registry.load("format", name) for name in registry.names("format")}
    files = {name: suffixes_of(form) for name, form in formats.items() if isinstance(form, ReportFormat)}
    suffixes: dict[str, list[str]] = {}
    for name, each in files.items():
        for suffix in each[:1] if text else each:
            suffixes.setdefault(suffix, []).append(name)
    if output.suffix not in suffixes:
        known = ", ".join(sorted(suffixes))
        raise UsageError(f"no format has files like {output.name!r} (known: {known}); say which with --format")
    if len(able := suffixes[output.suffix]) > 1:
        whose = " and ".join(f"{name} (of plugin {registry.find('format', name).plugin!r})" for name in able)
        raise UsageError(f"{whose} have files like {output.name!r}; say which with --format")
    return able[0]


def write(output: Path, content: str | bytes) -> None:
    """Writes the file. What a link leads to is replaced and not the link; devices and pipes are written into.

    Text holds in every format what standard output would show (`bench.storage.streams.shown`): whoever looks into a
    file does so on a terminal, and the escapes mean the same to a reader of JSON.

    Raises:
        UsageError: it cannot be written.
    """
    from bench.storage.files import write_bytes
    from bench.storage.streams import shown

    visible = content if isinstance(content, bytes) else shown(content).encode()
    try:
        if _is_there(output) and not output.is_file():
            output.write_bytes(visible)
        else:
            write_bytes(Path(os.path.realpath(output)), visible)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {why(error)}") from error


def said_written(output: Path, what: str = "") -> None:
    """One line on standard error that names what was written."""
    click.echo(f"wrote {output}{what}", err=True)


def _is_there(output: Path) -> bool:
    """Whether something has the name, behind links. Raises OSError where that cannot be known: links in a circle."""
    try:
        output.stat()
    except FileNotFoundError:
        return False
    return True
