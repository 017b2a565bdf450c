"""Plugins that `--plugin` names: modules, and files, each run as a module of its own."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from bench.extensions.code import beside

FILE_PREFIX = "bench_file_"  # a plugin in a file called random.py must not take the place of Python's own module


def identity(named: str) -> object:
    """Of what `--plugin` names: a file is one and the same by whatever path, as a plan's and a user's."""
    return Path(named).resolve() if named.endswith(".py") else named


class _FromSource(SourceFileLoader):
    """Runs a file as it stands. Python goes by the bytecode of an earlier state of equal length and second, if any."""

    def get_code(self, fullname: str) -> CodeType:
        """Of the source, compiled now and kept nowhere."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_file(path: Path) -> ModuleType:
    """The module, which may import those beside it; what is installed comes first, as it does not in a script.

    Raises FileNotFoundError, ImportError for what is no Python, and whatever the file raises.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    name = f"{FILE_PREFIX}{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # and stays: functions import when they are called
    spec.loader.exec_module(module)
    return module


class Neighbours:
    """The modules beside the files that one command loads: Python gives each name one module, whoever asks for it."""

    def __init__(self) -> None:
        self._taken: dict[str, Path] = {}

    def add(self, path: Path) -> None:
        """Those of one more file. Raises ImportError: another file has another module of that name beside it."""
        path = path.resolve()
        for file in beside(path):
            package = file.name == "__init__.py" and file.parent.parent == path.parent
            if not package and file.parent != path.parent:
                continue
            name = file.parent.name if package else file.stem
            if (other := self._taken.setdefault(name, file)) != file:
                raise ImportError(f"it imports {name}, which is {other} already, not {file}: one needs another name")


def remedy(named: str, error: BaseException) -> str:
    """What to do about a package that is not installed: one's own, as a new plugin's, or the file's."""
    missing = (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing == named.partition(".")[0]:
        return "; a package has to be installed (pip install -e FOLDER), a single file is named by its path"
    if missing and missing == Path(named).parent.name:
        return f"; the file is a part of that package: pip install -e {Path(named).parent.parent}"
    return ""
