"""Writes a plugin to start from: complete, installable, and passing the conformance suite."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from bench.errors import UsageError, why

TEMPLATES = Path(__file__).with_name("scaffold")
KINDS = tuple(sorted(path.name for path in TEMPLATES.iterdir()))
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """How a plugin's parts are called, all from the name that users type.

    Raises:
        UsageError: a name that they could not type as the others; the message gives a nearby one that is right.
    """

    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is no name for a plugin: lower case and digits in parts joined by hyphens, "
                f"such as {_near(self.name)!r}"
            )

    @property
    def distribution(self) -> str:
        """What pip installs, and the folder's name."""
        return f"bench-{self.name}"

    @property
    def package(self) -> str:
        """What Python imports. The prefix keeps a method called `random` off Python's own module."""
        return f"bench_{self.name.replace('-', '_')}"

    @property
    def class_name(self) -> str:
        """In capitals: nearest-mean -> NearestMean."""
        return "".join(part.capitalize() for part in self.name.split("-"))


def _near(name: str) -> str:
    parts = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower())
    near = "-".join(parts)
    return near if NAME.fullmatch(near) else "my-method"


def write_plugin(names: Names, kind: str, parent: Path) -> Path:
    """Writes the plugin's folder below `parent`, whole or not at all, and returns it.

    Raises:
        UsageError: it exists already (nothing is overwritten), or it cannot be written.
    """
    folder = parent / names.distribution
    if folder.exists():
        raise UsageError(f"{folder} exists already; name another folder with -o, or another plugin")
    part = parent / f".{names.distribution}.{os.getpid()}.part"
    try:
        for path, text in _rendered(names, kind):
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).write_text(text, encoding="utf-8")
        part.rename(folder)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {why(error)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _rendered(names: Names, kind: str) -> Iterator[tuple[Path, str]]:
    """Each file of the plugin: its path in it, and its text."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    root = TEMPLATES / kind
    for template in sorted(root.rglob("*.j2")):
        path = str(template.relative_to(root)).removesuffix(".j2")
        path = path.replace("PACKAGE", names.package).replace("NAME", names.package.removeprefix("bench_"))
        yield (
            Path(path),
            environment.from_string(template.read_text(encoding="utf-8")).render(
                name=names.name, distribution=names.distribution, package=names.package, class_name=names.class_name
            ),
        )
