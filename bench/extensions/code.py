"""What the code of a plugin is known by: a digest of all code and settings with it, so that an edit anywhere is seen.

Other files are left out: data that a plugin brings would be read at every start, and what it writes is no edit of it.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_CODE = (".py", ".pyi", ".typed", ".so", ".pyx", ".pxd", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".cuh")
_SETTINGS = (".toml", ".json", ".yaml", ".yml", ".ini", ".cfg", ".txt", ".csv")
SUFFIXES = frozenset({*_CODE, *_SETTINGS})
LARGE = 1 << 20  # bytes of a file above which it goes by its size: a table, not settings


def code_of_file(path: Path) -> str:
    """Of a plugin in a file: the file, and the modules beside it that it imports, and theirs."""
    path = path.resolve()
    others = {str(file.relative_to(path.parent)): file for file in beside(path)}
    return _digest({"": path, **others})  # whatever it is called


def beside(path: Path) -> set[Path]:
    """What lies beside a resolved file and is imported by it, however far."""
    return _with_imports(path) - {path}


def code_of_module(name: str) -> str:
    """Of a module that was imported: the whole package that it is in, or else as of a file; "" of what has no file."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        module = sys.modules.get(".".join(parts[:count]))
        if file := getattr(module, "__file__", None):  # a namespace has none, and is nobody's
            return _code_at(Path(file).resolve())
    return ""


def _code_at(path: Path) -> str:
    if path.name != "__init__.py":
        return code_of_file(path)
    return _digest({str(each.relative_to(path.parent)): each for each in _below(path.parent)})


def content_of(path: Path) -> str:
    """What a plugin in a file has in place of a version: its content, shortened."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def _digest(files: dict[str, Path]) -> str:
    found = hashlib.sha256()
    for name, path in sorted(files.items()):
        found.update(f"{name}\0{_known_by(path)}\n".encode(errors="surrogateescape"))
    return f"sha256:{found.hexdigest()[:12]}"


def _known_by(path: Path) -> str:
    try:
        size = path.stat().st_size
        return f"{size} bytes" if size > LARGE else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:  # what cannot be read is no reason to load nothing
        return type(error).__name__


def _below(folder: Path) -> Iterator[Path]:
    """The code and settings of a package, without what Python and systems leave in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))
            elif Path(entry.name).suffix in SUFFIXES and entry.is_file():
                yield Path(entry.path)


def _with_imports(path: Path) -> set[Path]:
    """A file, and what lies beside it and is imported, however far; of what is installed the file alone."""
    folder, found, left = path.parent, {path}, [path]
    while left and folder not in _installed():
        beside = [file for name in _imported(left.pop()) for file in _of_name(folder, name) if file not in found]
        found.update(beside)
        left += [file for file in beside if file.suffix == ".py"]
    return found


@cache
def _installed() -> frozenset[Path]:
    """The folders of installed modules, which are no part of each other."""
    import sysconfig  # takes its time, and most commands meet no plugin in a file

    places = sysconfig.get_paths()
    return frozenset(Path(places[name]).resolve() for name in ("purelib", "platlib", "stdlib"))


def _imported(path: Path) -> set[str]:
    """The first words of what a file imports, wherever in it; of one that is no Python nothing."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    named = [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    named += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in named if name}


def _of_name(folder: Path, name: str) -> Iterator[Path]:
    if (folder / name / "__init__.py").is_file():
        yield from _below(folder / name)
    elif (folder / f"{name}.py").is_file():
        yield folder / f"{name}.py"
