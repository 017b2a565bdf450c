"""Where a source's splits lie, as its card may say it: the one rule for every layout.

A card that names folders or files for a split means all of them, and each must be there. A reader's own names are
alternatives, as people use them: the first that holds images counts, so an empty `test` hides no `val`.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path, PurePath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator

from bench.data.cards import SplitName, spelled
from bench.errors import UsageError

T = TypeVar("T")
SPLITS: tuple[SplitName, ...] = ("train", "test")


def _listed(given: Any) -> Any:  # noqa: ANN401 - whatever a card says; pydantic checks the rest
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple):
        raise ValueError("a name or a list of names is expected")
    if absolute := [each for each in names if isinstance(each, str) and PurePath(each).is_absolute()]:
        raise ValueError(f"{absolute[0]} is absolute; name it below path")
    return names


Place = Annotated[str, AfterValidator(spelled)]
Places = Annotated[tuple[Place, ...], BeforeValidator(_listed)]


def chosen(options: BaseModel, split: SplitName, read: Callable[[str], T], base: Path) -> list[T]:
    """What the options' names for a split stand for; nothing where the split is not there.

    Args:
        options: a reader's, with a field of type `Places` for each split.
        read: what one name stands for; false where that holds no images.
        base: what the names are below, for messages.

    Raises:
        UsageError: some of the names that a card gives hold images and one does not.
    """
    names: tuple[str, ...] = getattr(options, split)
    if split not in options.model_fields_set:
        return list(islice(filter(None, map(read, names)), 1))
    found = {name: read(name) for name in names}
    if any(found.values()) and (missing := [name for name in names if not found[name]]):
        said = ", ".join(names)
        raise UsageError(f"{base / missing[0]} holds no images; the card wants all of {split} = {said}")
    return [each for each in found.values() if each]
