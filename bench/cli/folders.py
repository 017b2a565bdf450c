"""Folders that a user names, there already or not; a path that can be none is refused before any work."""

import os
import stat
from pathlib import Path
from typing import Any

import click

from bench.errors import UsageError, why
from bench.storage.names import nearest
from bench.storage.run_folder import CONDENSED, MANIFEST, SPEC
from bench.storage.settings import is_address, machine_cache

FILE = "file"  # the scheme of addresses of this machine
MIRRORS = "mirrors"  # in the machine's cache: folders that stand for stores elsewhere


def folder_of(address: str, shared: str = "") -> Path:
    """The folder that an address names: of file:// itself, of a store elsewhere the one that stands for it here.

    Args:
        shared: the folder below it that is in the store; "" for all.

    Raises:
        UsageError: there can be none.
    """
    from bench.storage.shared.mirrors import mirror_of  # for addresses alone

    if address.lower().startswith("file://"):
        return Path(address[len("file://") :])
    machine = machine_cache()
    try:
        return mirror_of(address, machine / MIRRORS, shared)
    except OSError as error:
        raise UsageError(f"what stands for a store cannot be kept in {machine}: {error.strerror}") from error


def set_of_run(run: str, runs: Path) -> Path:
    """The condensed set of a run: of its name below the folder of runs, its folder, or the set's own.

    Raises:
        UsageError: there is none.
    """
    from bench.interchange.importing import set_of  # no part of a quick start, as what follows
    from bench.storage.shared.mirrors import at_hand, looked_at

    at_hand(looked_at(runs) / run)
    found = next((place for place in map(set_of, (runs / run, Path(run))) if (place / MANIFEST).is_file()), None)
    if found is None:
        if begun := next((each for each in (runs / run, Path(run)) if (each / SPEC).is_file()), None):
            raise UsageError(f"{begun.name} has no condensed set yet; the command that began it continues it")
        known = [path.parent.parent.name for path in runs.glob(f"*/{CONDENSED}/{MANIFEST}")]
        hint = f"; did you mean {match!r}?" if (match := nearest(run, known)) else f" (looked here and in {runs})"
        raise UsageError(f"no run with a condensed set is called {run!r}{hint}")
    return found


def why_no_folder(path: Path) -> str | None:
    """What keeps a path from being a folder, there already or yet to be made; None where nothing does."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            return f"{path} is a link to {path.readlink()}, which is not there"
        return why_no_folder(path.parent) if path.parent != path else None
    except (OSError, ValueError) as error:  # the second for a NUL
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISDIR(mode):
        return f"{path} is no folder"
    return None if os.access(path, os.R_OK | os.X_OK) else f"{path} cannot be looked into"


def check_writable(folder: Path) -> None:
    """Refuses a folder that cannot be made or written to, or whose name libraries cannot spell (no UTF-8)."""
    import tempfile  # no part of a quick start, as what follows

    from bench.data.folders import require_utf8
    from bench.running.failures import NO_ROOM

    require_utf8(folder)
    if reason := why_no_folder(folder):
        raise UsageError(f"cannot write to {folder}: {reason}")
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    try:  # permissions do not tell it of every file system
        Path(tempfile.mkdtemp(prefix=".bench-", dir=existing)).rmdir()
    except OSError as error:
        if error.errno not in NO_ROOM:  # what is done is found on a full disk, too
            raise UsageError(f"cannot write to {folder}: nothing can be made in {existing}: {why(error)}") from error


def check_runs(folder: Path) -> None:
    """Refuses a folder of runs that is not there. Raises UsageError."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder of runs at {folder}; make runs with `bench run`, or name it with --runs")


class LocalPath(click.Path):
    """An option's path on this machine; an address is none, and would be a folder called `s3:` here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Fails for an address of a store."""
        scheme, _, path = str(value).partition("://")
        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        if scheme.lower() != FILE:
            only = "only runs (--runs) and the cache (BENCH_CACHE) may lie in a store"
            self.fail(f"{scheme}:// names no place on this machine; {only}", param, ctx)
        return super().convert(path, param, ctx)


class Folder(LocalPath):
    """An option's folder, which need not be there."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Fails where it can be none."""
        if str(value) == "":
            self.fail("an empty text names no folder", param, ctx)
        if (reason := why_no_folder(Path(value))) is not None:
            self.fail(reason, param, ctx)
        return super().convert(value, param, ctx)


class RunsFolder(Folder):
    """The same, of runs: an address of a store elsewhere becomes the folder that stands for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Fails where it can be none."""
        return folder_of(value) if isinstance(value, str) and is_address(value) else super().convert(value, param, ctx)
