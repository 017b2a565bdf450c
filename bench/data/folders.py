"""Walking folders of images: what counts as an image, what others left there, where links lead back.

The one place that knows what is no part of a dataset although it lies in its folders. Whoever reads a layout of folders
walks them with `Walk`, and hands on `notes`: what was left out is counted and said, never dropped in silence.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import UsageError, why

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
DROPPINGS = {  # of file servers, Windows, macOS and Python; those of notebooks and desktops begin with a dot
    *{"@eadir", "@recycle", "#recycle", "#snapshot", "lost+found", "__macosx", "__pycache__"},
    *{"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"},
}
ASIDE = {".txt", ".json", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml", ".md", ".html", ".log", ".md5", ".sha256"}
DEEPEST = 200  # folders in one another; no layout has so many, and those that are generated without end are no dataset


def is_dropping(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or one that systems are known to leave in folders."""
    return name.startswith(".") or name.lower() in DROPPINGS


def require_utf8(path: Path | str) -> None:
    """Refuses a path whose bytes are no UTF-8: it can be no class id, and neither be written down nor hashed.

    Raises:
        UsageError: it shows the bytes as escapes.
    """
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"the name {_shown(path)} is not UTF-8 (bytes shown as \\x..); rename it") from None


def require_target(path: Path | str) -> None:
    """Refuses a link that leads nowhere: to what is not there, or around to itself.

    Raises:
        UsageError: it names the link.
    """
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - as for every entry of a walk
        raise UsageError(f"{_shown(path)} is a link to {_shown(os.readlink(path))} and leads nowhere")  # noqa: PTH115


@dataclass
class Walk:
    """One walk through folders.

    Attributes:
        droppings: hidden and system folders and image files, not looked into.
        loops: links to a folder that they lie in, not followed.
        loose: images beside the class folders of a split.
        strange: files among the images whose suffix is neither one of `SUFFIXES` nor of notes beside them (`ASIDE`);
            and, whatever they are called, FIFOs, sockets and devices, which nobody opens.
    """

    droppings: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    strange: list[Path] = field(default_factory=list)
    _folders: set[str] = field(default_factory=set)  # real paths of folders in which images lie
    _linked: set[str] = field(default_factory=set)  # real paths of images that links lead to

    def images(self, folder: Path) -> Iterator[Path]:
        """Every image file below a folder, in sorted order, folder by folder.

        Raises:
            UsageError: a folder that cannot be read, a name that is no UTF-8, an image that is no file or a link to
                none, any link that leads nowhere, or folders without end in one another.
        """
        real = os.path.realpath(folder)
        return self._below(str(folder), real, (real,))

    def classes(self, split: Path, only: Collection[str] | None = None) -> dict[str, list[Path]]:
        """The images of each folder of a split by the folder's name, sorted; none for a folder without images.

        Args:
            only: the folders to look into; None: all of them.

        Raises:
            UsageError: as `images`.
        """
        real, found = os.path.realpath(split), {}
        for entry in self._entries(str(split)):
            if _is_folder(entry):
                if only is not None and entry.name not in only:
                    continue
                found[entry.name] = list(self._inside(entry, real, (real,)))
            elif _is_image(entry.name):
                self.loose.append(Path(entry.path))
            elif not self._is_file(entry):
                self.strange.append(Path(entry.path))
        return found

    def in_common(self, other: "Walk") -> str | None:
        """A folder of images, or an image behind a link, that both walks came through, or None.

        Links are resolved. Hard links are not: tools make them of equal files, which public datasets have.
        """
        both = self._folders & other._folders or self._linked & other._linked
        both = both or {path for path in self._linked if os.path.dirname(path) in other._folders}  # noqa: PTH120
        both = both or {path for path in other._linked if os.path.dirname(path) in self._folders}  # noqa: PTH120
        return min(both, default=None)

    def _below(self, folder: str, real: str, above: tuple[str, ...]) -> Iterator[Path]:
        for entry in self._entries(folder):
            if _is_folder(entry):
                yield from self._inside(entry, real, above)
            elif _is_image(entry.name):
                self._remember(entry, real)
                yield Path(entry.path)
            elif not self._is_file(entry) or _suffix(entry.name) not in ASIDE:
                self.strange.append(Path(entry.path))

    def _inside(self, entry: "os.DirEntry[str]", real: str, above: tuple[str, ...]) -> Iterator[Path]:
        """The images of a folder, unless it is a link back; `above` are the real paths of the folders on the way."""
        if not entry.is_symlink():
            target = f"{real}/{entry.name}"
        elif _leads_back(target := os.path.realpath(entry.path), above):
            self.loops.append(Path(entry.path))
            return
        if len(above) > DEEPEST:
            raise UsageError(f"{above[0]} holds more than {DEEPEST} folders in one another")
        yield from self._below(entry.path, target, (*above, target))

    def _entries(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        """What lies in a folder, sorted by name, without droppings."""
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise UsageError(f"{folder} cannot be read: {why(error)}") from error
        for entry in entries:
            if is_dropping(entry.name):
                if _is_folder(entry) or _is_image(entry.name):
                    self.droppings.append(Path(entry.path))
            else:
                if not entry.name.isascii():
                    require_utf8(entry.path)
                yield entry

    def _is_file(self, entry: "os.DirEntry[str]") -> bool:
        """Whether what is called neither a folder nor an image is a file. Raises UsageError as `require_target`."""
        require_target(entry.path)
        return entry.is_file()

    def _remember(self, entry: "os.DirEntry[str]", real: str) -> None:
        if entry.is_file(follow_symlinks=False):
            self._folders.add(real)
            return
        if not entry.is_symlink():
            raise UsageError(f"{entry.path} cannot be read: it is called as an image is, and is no file")
        target = os.path.realpath(entry.path)
        if not os.path.isfile(target):  # noqa: PTH113 - a Path for every entry costs more
            raise UsageError(f"{entry.path} is a link to {target}, which is no file")
        self._linked.add(target)


def holding_images(folder: Path) -> list[str]:
    """The folders in a folder in which an image lies, by name in sorted order; none where it cannot be read."""
    with suppress(OSError), os.scandir(folder) as scan:
        return sorted(each.name for each in scan if not is_dropping(each.name) and _holds_image(each))
    return []


def _holds_image(entry: "os.DirEntry[str]") -> bool:
    with suppress(OSError), os.scandir(entry.path) as scan:
        return any(_is_image(each.name) and not is_dropping(each.name) for each in scan)
    return False


def notes(root: Path, walks: Sequence[Walk]) -> tuple[str, ...]:
    """What walks left out, a line a kind, counted; names are relative to `root`."""
    kinds = {
        ("hidden or system name", ""): [path for walk in walks for path in walk.droppings],
        ("link", " to a folder that holds it"): [path for walk in walks for path in walk.loops],
        ("image", " outside the class folders"): [path for walk in walks for path in walk.loose],
        ("file", " without the suffix of an image"): [path for walk in walks for path in walk.strange],
    }
    return tuple(f"left out {_counted(paths, *what)} ({_named(root, paths)})" for what, paths in kinds.items() if paths)


def _counted(paths: Sequence[Path], noun: str, which: str) -> str:
    return f"{len(paths)} {noun}{'s' if len(paths) > 1 else ''}{which}"


def _named(root: Path, paths: Sequence[Path]) -> str:
    first = _shown(paths[0].relative_to(root))
    return first if len(paths) == 1 else f"{first}, ..."


def _shown(path: Path | str) -> str:
    """The path with whatever is no UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _leads_back(target: str, above: Sequence[str]) -> bool:
    """Whether a folder is one of those above, or holds one of them."""
    return any(each == target or each.startswith(target.rstrip("/") + "/") for each in above)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that ends nowhere, in itself say
        return False


def _is_image(name: str) -> bool:
    return _suffix(name) in SUFFIXES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path for every entry costs more
