"""What `--classes` names: the first of a dataset's classes, or some by their ids or words."""

import re
from collections.abc import Iterator, Sequence

from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.storage.names import brief, nearest

_NUMBER = re.compile(r"-?[0-9]+")
_DIGITS = 19  # of a number that no dataset has classes of
MOST_NAMED = 3  # ids of an ambiguous word


def select_classes(dataset: Dataset, spec: str | None) -> Dataset:
    """The dataset restricted to what `--classes` names: "10" the first ten in class order, "CLASS,CLASS,..." those.

    A class is named by its id, by its name on the card, or by one of the words that this name joins by commas
    (WordNet's synonyms), in upper or lower case.

    Raises:
        UsageError: an unknown or ambiguous class (one line with the nearest, or with the ids), a class twice, or a
            number below 2 or above what there is.
    """
    if spec is None:
        return dataset
    if _NUMBER.fullmatch(spec.strip()):
        return dataset.only(_first(dataset, spec.strip()))
    wanted = list(_ClassNames(dataset).ids(spec))
    if len(set(wanted)) != len(wanted) or len(wanted) < 2:
        raise UsageError(f"--classes needs two or more different class ids, not {brief(spec)}")
    return dataset.only(wanted)


def _first(dataset: Dataset, text: str) -> Sequence[str]:
    count = int(text) if len(text) < _DIGITS else -1
    if not 2 <= count <= len(dataset.classes):
        raise UsageError(f"--classes must be 2 to {len(dataset.classes)} for {dataset.name}, not {brief(text)[1:-1]}")
    return dataset.classes[:count]


class _ClassNames:
    """The classes of a dataset by all that may name them, in lower case."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._by_word: dict[str, list[str]] = {}
        self._as_written: dict[str, str] = {}
        for each, name in zip(dataset.classes, dataset.class_names, strict=True):
            for low, word in {word.lower(): word for word in (*_parts(name), name, each)}.items():
                self._as_written.setdefault(low, word)
                self._by_word.setdefault(low, []).append(each)

    def ids(self, spec: str) -> Iterator[str]:
        """The classes that a text joins by commas. Names have commas too, so the longest that is one counts."""
        parts = _parts(spec)
        while parts:
            length = next((n for n in range(len(parts), 1, -1) if ", ".join(parts[:n]).lower() in self._by_word), 1)
            yield self._id(", ".join(parts[:length]))
            parts = parts[length:]

    def _id(self, word: str) -> str:
        if word in self.dataset.classes:
            return word
        found = self._by_word.get(word.lower(), [])
        if len(found) > 1:
            more = ", ..." if len(found) > MOST_NAMED else ""
            ids = ", ".join(found[:MOST_NAMED]) + more
            raise UsageError(f"{word!r} names {len(found)} classes of {self.dataset.name}: {ids}; name one by its id")
        if not found:
            raise UsageError(f"unknown class of {self.dataset.name} {brief(word)}; {self._hint(word)}")
        return found[0]

    def _hint(self, word: str) -> str:
        match, classes = nearest(word.lower(), self._by_word), self.dataset.classes
        if match is None:
            return f"it has {len(classes)}, by their ids from {classes[0]!r} to {classes[-1]!r}"
        written, ids = self._as_written[match], self._by_word[match]
        which = "" if written == ids[0] else f" ({ids[0]})"
        return f"did you mean {written!r}{which}, one of {len(classes)}?"


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
