"""Classes that a card does not list itself: the ids and words of a file beside it.

A line is an id and, after a blank, its words: the form of `LOC_synset_mapping.txt`, which comes with ImageNet-1K.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.storage.names import brief, unknown
from bench.storage.users_files import content

KEY = "class_list"
LARGEST = 16 << 20  # bytes; those of ImageNet-21K are a hundredth of it


def with_listed(fields: Mapping[str, Any], card: Path) -> Mapping[str, Any]:
    """The fields of a card, with `class_ids` and `class_names` in place of `class_list`.

    A card that lists ids has their words from the file; one that lists none is of all classes of the file.

    Raises:
        UsageError: no such file beside the card, an id twice or not in it, or words in both.
    """
    if KEY not in fields:
        return fields
    where, rest = f"dataset card {card}", {name: value for name, value in fields.items() if name != KEY}
    if "class_names" in rest:
        raise UsageError(f"{where}: {KEY} and class_names are two ways to say one thing; keep one")
    words = _read(card, fields[KEY], where)
    ids = rest.get("class_ids", list(words))
    for each in ids if isinstance(ids, list) else ():  # of another type it is refused as every field is
        if each not in words:
            raise UsageError(f"{where}: {unknown('class', str(each), list(words))} ({fields[KEY]})")
    told = {each: words[each] for each in words if each in set(ids) and words[each]}
    return {**rest, "class_ids": ids, "class_names": told}


def _read(card: Path, name: object, where: str) -> dict[str, str]:
    """Words by id, in the order of the lines."""
    if not isinstance(name, str) or name != Path(name).name:
        raise UsageError(f"{where}: field {KEY!r} is the name of a file beside the card, not {brief(name)}")
    path = card.parent / name
    try:
        lines = [line.split(None, 1) for line in content(path, LARGEST).decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: {path} is no text: {error}") from error
    words = {each[0]: each[1].strip() if len(each) > 1 else "" for each in lines}
    if len(words) != len(lines) or not words:
        raise UsageError(f"{where}: {path} holds {'no class' if not words else 'one id twice'}")
    return words
