"""Which class a label means. One rule for every layout.

1. Ids beat order. Where images carry class ids of the dataset (names of folders, names of a ClassLabel, text labels),
   those decide; `classes` in the manifest is then only held against them.
2. Order needs a statement. Numbers (tensors, Parquet without names, folders "3", "00003" or "new003") are positions in
   the manifest's `classes`. Without it they are positions in the dataset's own class order, but only where neither its
   ids nor the card's words for them are numbers in another order, or have some: sorted as text, c10 comes before c2;
   and where the card knows of nobody who numbers its classes otherwise.
   Names that are no ids are told by `classes` as well, which then lists the ids in the order of the labels (of folders,
   in the order of sorted names). Names that are the card's words for its classes, and ids of no other, need none.
3. What is inferred is said; what contradicts is refused.

A set whose labels mean other classes evaluates at chance without a word (pytorch/vision issue 714: a dataset made of
folders numbers them in the order of text).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.storage.names import nearest

IDS, STATED = "ids", "stated"
SORTED = "inferred: labels are positions in the dataset's class order"
WORDS = "inferred: the card's words for its classes"
_NUMBER = re.compile(r"(?:new)?(\d+)")
_SHOWN, _LISTED = 5, 20
_DIGITS = 20


@dataclass(frozen=True)
class ClassOrder:
    """What labels mean.

    Attributes:
        positions: int64, for each label 0, 1, ... (or each name) the index of its class in the dataset.
        how: "ids", "stated", or "inferred: " and what was.
    """

    positions: Tensor
    how: str


def check_stated(stated: Sequence[str] | None, dataset: Dataset, where: str) -> None:
    """Refuses `classes` of a manifest that are not the dataset's class ids, each once."""
    if stated is not None and sorted(stated) != sorted(dataset.classes):
        raise UsageError(f"the classes of {where} are not those of {dataset.name} here: {_difference(stated, dataset)}")


def _difference(stated: Sequence[str], dataset: Dataset) -> str:
    stray, lacking = sorted(set(stated) - set(dataset.classes)), sorted(set(dataset.classes) - set(stated))
    if stray:
        hint = f"; did you mean {match!r}?" if (match := nearest(stray[0], lacking)) else ""
        return f"it has no {_some(stray)}{hint}"
    if twice := [each for each in stated if stated.count(each) > 1]:
        return f"{twice[0]} stands in the manifest twice"
    return f"the manifest lacks {_some(lacking)}; --classes names those that a set is of"


def of_numbers(stated: Sequence[str] | None, dataset: Dataset, where: str) -> ClassOrder:
    """What the numbers 0 to K - 1 mean.

    Raises:
        UsageError: nothing is stated, and others number the classes otherwise, or the dataset's ids or words have
            numbers in another order.
    """
    if stated is not None:
        return ClassOrder(_ranks(stated, dataset), STATED)
    if (theirs := _numbered_elsewhere(dataset)) is not None:
        who, ids = theirs
        raise UsageError(
            f"the labels of {where} are numbers, by which {who} mean another order of the classes of {dataset.name} "
            f"than that of their ids: state in its manifest the ids in the order of the labels, of theirs as "
            f'"classes": {json.dumps(ids) if len(ids) <= _LISTED else f"[{_quoted(ids)}] (as the card lists them)"}'
        )
    if (other := _by_their_numbers(dataset)) is not None:
        what, ids = other
        raise UsageError(
            f"the labels of {where} are numbers, and so are {what} of {dataset.name}, whose ids sort as text "
            f"({_some(dataset.classes)}): state in its manifest the ids in the order of the labels, "
            f'as "classes": [{_quoted(ids)}]'
        )
    return ClassOrder(torch.arange(len(dataset.classes)), SORTED)


def of_names(
    names: Sequence[str], labels: Sequence[str | int], stated: Sequence[str] | None, dataset: Dataset, where: str
) -> ClassOrder:
    """What the classes that a reader found mean.

    Args:
        names: the classes as the reader found them.
        labels: the same in the order of their labels in the files, as `Reader.label_order` gives them; numbers where
            the files know numbers alone.

    Raises:
        UsageError: they are no class ids, and nothing else says what they mean.
    """
    if bare := [label for label in labels if isinstance(label, int)]:
        return _of_numbered(bare, of_numbers(stated, dataset, where), where)
    if set(names) <= set(dataset.classes):
        return ClassOrder(_ranks(names, dataset), IDS)
    if (numbers := _numbers(names)) is not None:
        return _of_numbered(numbers, of_numbers(stated, dataset, where), where)
    words, told = _in_words(names, dataset), _told(names, labels, stated, dataset)
    if words is not None and told is not None and not torch.equal(words, told):
        raise UsageError(
            f"the class names of {where} are the words of {dataset.name} for its classes, and 'classes' in its "
            f"manifest says another order ({_some(stated or ())}): leave it out, or rename them"
        )
    if words is not None:
        return ClassOrder(words, WORDS)
    if told is not None:
        return ClassOrder(told, STATED)
    raise UsageError(_unknown(names, dataset, where))


def _told(
    names: Sequence[str], labels: Sequence[str | int], stated: Sequence[str] | None, dataset: Dataset
) -> Tensor | None:
    """What `classes`, in the order of the labels, says of each name; None where it says nothing of so many."""
    if stated is None or len(stated) != len(labels):
        return None
    ids = dict(zip(map(str, labels), stated, strict=True))
    return _ranks([ids[name] for name in names], dataset)


def _of_numbered(numbers: Sequence[int], order: ClassOrder, where: str) -> ClassOrder:
    if not 0 <= min(numbers) <= max(numbers) < len(order.positions) or len(set(numbers)) < len(numbers):
        raise UsageError(f"the labels of {where} are not class indices 0 to {len(order.positions) - 1}")
    return ClassOrder(order.positions[torch.tensor(numbers)], order.how)


def _unknown(names: Sequence[str], dataset: Dataset, where: str) -> str:
    stray = [name for name in names if name not in dataset.classes]
    are = "is no class id" if len(stray) == 1 else "are no class ids"
    return (
        f"{_some(stray)} of {where} {are} of {dataset.name} ({_some(dataset.classes)}): name the classes by id, or "
        f'state in its manifest the ids in the order of the labels, as "classes": ["{dataset.classes[0]}", ...]'
    )


def _ranks(names: Sequence[str], dataset: Dataset) -> Tensor:
    rank = {name: index for index, name in enumerate(dataset.classes)}
    return torch.tensor([rank[name] for name in names])


def _quoted(ids: Sequence[str]) -> str:
    return _some([f'"{each}"' for each in ids])


def _numbered_elsewhere(dataset: Dataset) -> tuple[str, list[str]] | None:
    """Who numbers the classes in another order, and the ids in that; None where nobody is known to."""
    if (theirs := dataset.elsewhere) is None or theirs.class_ids is None:
        return None
    ids = [each for each in theirs.class_ids if each in dataset.classes]
    return None if ids == list(dataset.classes) else (theirs.who, ids)


def _by_their_numbers(dataset: Dataset) -> tuple[str, list[str]] | None:
    """The class ids as the numbers in them, or in the card's words, order them, where labels may mean that as well."""
    for what, names in (("the class ids", dataset.classes), ("the words for the classes", dataset.class_names)):
        if all(each.isdecimal() for each in names) and [int(each) for each in names] != list(range(len(names))):
            return what, [id_ for _, id_ in sorted(zip(map(int, names), dataset.classes, strict=True))]
    counted = sorted(dataset.classes, key=_with_equal_digits)
    return None if counted == list(dataset.classes) else ("parts of the class ids", counted)


def _with_equal_digits(name: str) -> str:
    """A text that sorts by the numbers in a name."""
    return re.sub(r"\d+", lambda number: number[0].zfill(_DIGITS), name)


def _numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers that all names are, as "3", "00003" or "new003"."""
    found = [_NUMBER.fullmatch(name) for name in names]
    return [int(each[1]) for each in found if each] if all(found) else None


def _in_words(names: Sequence[str], dataset: Dataset) -> Tensor | None:
    """The classes that names mean by the card's words, where every name is of one class and no two are of the same."""
    words = _words(dataset)
    found = [words.get(_plain(name)) for name in names]
    known = [index for index in found if index is not None]
    return torch.tensor(known) if len(set(known)) == len(names) else None


def _words(dataset: Dataset) -> Mapping[str, int]:
    """The ids, and words of the card, that mean one class alone, as "goldfish" of "goldfish, Carassius auratus"."""
    found: dict[str, set[int]] = {}
    for index, (id_, name) in enumerate(zip(dataset.classes, dataset.class_names, strict=True)):
        for word in {_plain(id_), _plain(name), *map(_plain, name.split(","))}:
            found.setdefault(word, set()).add(index)
    return {word: indices.pop() for word, indices in found.items() if len(indices) == 1}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
