"""What the program writes and reads back: each kind of file has a version and a shape, and is held against both.

A file of another version is none of ours until something says how it becomes one of this version; one of ours in which
a part is missing or of another type was written by something else, whatever its checksum says.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticSerializationError, to_json

from bench.errors import MISFITS, CorruptArtefact, RunFailure, understood
from bench.progress import Progress
from bench.storage.files import canonical, quarantine, read_json, write_json

STAMP = "schema"  # the key of the version
UNSTAMPED = 0  # the version of files from before they said one

Content = dict[str, Any]
T = TypeVar("T")


class Part(BaseModel):
    """What a file holds, or a part of it: a subclass says what programs rely on, each part with its type.

    Nothing is converted: "3" is no number. What a subclass does not name may be anything, and is kept; a field with a
    default is one that older files lack.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, protected_namespaces=())

    @model_validator(mode="wrap")
    @classmethod
    def _in_order(cls, content: Any, make: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - any JSON value
        """Fields stay in the order in which they were written."""
        made = make(content)
        if isinstance(content, Mapping):
            fields = made.__dict__
            given = [*filter(fields.__contains__, content)]
            if given != [*filter(content.__contains__, fields)]:
                object.__setattr__(made, "__dict__", {**{name: fields[name] for name in given}, **fields})
        return made

    def __eq__(self, other: object) -> bool:
        """Whether both are written alike."""
        return isinstance(other, Part) and self.to_json() == other.to_json()

    def to_json(self) -> Content:
        """As it was read or made, without what it left out."""
        return self.model_dump(exclude_unset=True)


P = TypeVar("P", bound=Part)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any type
    return TypeAdapter(shape)


def parted(part: type[P], content: Mapping[str, Any]) -> P:
    """JSON as the part that it is.

    Raises:
        CorruptArtefact: it says which field is not as the type says.
    """
    try:
        return part.model_validate(content)
    except (ValidationError, *MISFITS) as error:
        raise CorruptArtefact(_misfit(error)) from error


def shaped(shape: type[T], content: Any) -> T:  # noqa: ANN401 - any JSON value
    """JSON as a value of a dataclass, held against the types of its fields as strictly. Raises as `parted`."""
    try:
        made: T = _adapter(cast(Hashable, shape)).validate_json(_text_of(content), strict=True)
    except (ValidationError, RunFailure, *MISFITS) as error:
        raise CorruptArtefact(_misfit(error)) from error
    return made


def _text_of(content: Any) -> str | bytes:  # noqa: ANN401 - any JSON value
    """JSON of a value. Raises as `canonical`, which takes four times as long and names what is no number."""
    try:
        text = to_json(content)
    except PydanticSerializationError:
        return canonical(content)
    return canonical(content) if b"NaN" in text or b"Infinity" in text else text


def _misfit(error: Exception) -> str:
    """The first part that does not fit, with its path."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


@dataclass(frozen=True)
class Kind(Generic[P]):
    """A kind of file.

    Attributes:
        name: what one is called, as "costs".
        version: of what it holds; it stands in each under "schema".
        shape: what it holds.
        older: how the content of an older version becomes that of this one, by that version.
    """

    name: str
    version: int
    shape: type[P]
    older: Mapping[int, Callable[[Content], Content]] = field(default_factory=dict)

    def stamped(self, content: Mapping[str, Any]) -> Content:
        """The content as it is written: with its version."""
        return {STAMP: self.version, **content}

    def write(self, path: Path, content: Mapping[str, Any]) -> P:
        """Writes it as sealed JSON, whole or not at all, and returns what will be read.

        Raises:
            RunFailure: it has not the shape of its kind, so that nobody could read it.
        """
        try:
            made = parted(self.shape, content)
        except CorruptArtefact as error:
            raise RunFailure(f"these are no {self.name}: {error}") from error
        write_json(path, self.stamped(content))
        return made

    def read(self, path: Path) -> P:
        """Reads what `write` wrote, of this or of an older version that can be migrated.

        Raises:
            FileNotFoundError: there is no such file.
            CorruptArtefact: altered, of another version, or of another shape; the message names the file.
            UnreadableArtefact: the system does not let it be read.
        """
        return self.checked(read_json(path), path)

    def checked(self, content: Mapping[str, Any], path: Path) -> P:
        """The content of a file of this kind, as this version writes it and without its stamp. Raises as `read`."""
        current = self._migrated(dict(content), path)
        try:
            return parted(self.shape, current)
        except CorruptArtefact as error:
            raise CorruptArtefact(f"{path} does not hold {self.name} of schema {self.version}: {error}") from error

    def _migrated(self, content: Content, path: Path) -> Content:
        version = content.pop(STAMP, UNSTAMPED)
        if version == self.version and isinstance(version, int):
            return content
        migrate = self.older.get(version) if isinstance(version, int) else None
        if migrate is None:
            raise CorruptArtefact(f"{path} has schema {version!r} of {self.name}; this program reads {self.version}")
        with understood(path):
            return migrate(content)


def whole_or_aside(read: Callable[[], T], path: Path, progress: Progress, warning: str) -> T | None:
    """What lies at a path, or None where there is nothing; what is corrupt is set aside, so that it is made again.

    Args:
        read: reads it.
        warning: what is said then, with "{}" for the new name; the reason follows.

    Raises:
        UnreadableArtefact: the system does not let it be read or set aside.
    """
    try:
        return read()
    except FileNotFoundError:
        return None
    except CorruptArtefact as error:
        progress.warn(f"{warning.format(quarantine(path).name)}: {error}")
        return None


def unchanged(content: Content) -> Content:
    """The migration of what only lacks its stamp."""
    return content
