"""Folders that a user names: there, or yet to be made; whatever can be neither is said before any work."""

import os
import stat
from pathlib import Path
from typing import Any

import click


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


class Folder(click.Path):
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
