"""Which class a label means. One rule for every layout.

1. Ids beat order. Where images carry class ids of the dataset (names of folders, names of a ClassLabel, text labels),
   those decide; `classes` in the manifest is then only held against them.
2. Order needs a statement. Numbers (tensors, Parquet without names, folders "3", "00003" or "new003") are positions in
   the manifest's `classes`. Without it they are positions in the dataset's own class order, but only where its ids are
   no numbers in another order themselves: sorted as text, 10 comes before 2. Names that are no ids are told by
   `classes` as well, which then lists the ids in the order of the labels (of folders, in the order of sorted names).
   Names that are the card's words for its classes need no statement.
3. What is inferred is said; what contradicts is refused.

A set whose labels mean other classes evaluates at chance without a word (pytorch/vision issue 714: a dataset made of
folders numbers them in the order of text).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import UsageError
from bench.imagery import Dataset

IDS, STATED = "ids", "stated"
SORTED = "inferred: labels are positions in the dataset's class order"
WORDS = "inferred: the card's words for its classes"
_NUMBER = re.compile(r"(?:new)?(\d+)")
_SHOWN = 5


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
        stray = sorted(set(stated) ^ set(dataset.classes)) or sorted(stated)
        raise UsageError(f"the classes of {where} are not those of {dataset.name} here: {_some(stray)}")


def of_numbers(stated: Sequence[str] | None, dataset: Dataset, where: str) -> ClassOrder:
    """What the numbers 0 to K - 1 mean.

    Raises:
        UsageError: nothing is stated, and the dataset's ids are numbers in another order.
    """
    if stated is not None:
        return ClassOrder(_ranks(stated, dataset), STATED)
    if _are_other_numbers(dataset.classes):
        numeric = _some([f'"{each}"' for each in sorted(dataset.classes, key=int)])
        raise UsageError(
            f"the labels of {where} are numbers, and so are the class ids of {dataset.name}, which sort as text "
            f"({_some(dataset.classes)}): state in its manifest the ids in the order of the labels, "
            f'as "classes": [{numeric}]'
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
    bare = not all(isinstance(label, str) for label in labels)
    if not bare and set(names) <= set(dataset.classes):
        return ClassOrder(_ranks(names, dataset), IDS)
    if (numbers := _numbers(names)) is not None:
        return _of_numbered(numbers, of_numbers(stated, dataset, where), where)
    if (words := _in_words(names, dataset)) is not None:
        return ClassOrder(words, WORDS)
    if stated is not None and len(stated) == len(labels):
        ids = dict(zip(map(str, labels), stated, strict=True))
        return ClassOrder(_ranks([ids[name] for name in names], dataset), STATED)
    raise UsageError(_unknown(names, dataset, where))


def _of_numbered(numbers: Sequence[int], order: ClassOrder, where: str) -> ClassOrder:
    if max(numbers) >= len(order.positions) or len(set(numbers)) < len(numbers):
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


def _are_other_numbers(ids: Sequence[str]) -> bool:
    return all(each.isdecimal() for each in ids) and [int(each) for each in ids] != list(range(len(ids)))


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
    """The card's words that mean one class alone, as "goldfish" of "goldfish, Carassius auratus"."""
    found: dict[str, set[int]] = {}
    for index, name in enumerate(dataset.class_names):
        for word in {_plain(name), *map(_plain, name.split(","))}:
            found.setdefault(word, set()).add(index)
    return {word: indices.pop() for word, indices in found.items() if len(indices) == 1}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
