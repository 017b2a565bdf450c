"""Variants of protocols that train by a recipe: the same training with some or all of its augmentation off.

A variant is part of the protocol's name ("hard+no-flip"), so files, records and rankings keep it apart and no claim is
tied to it. Label smoothing is no augmentation of images and stays.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.recipes import Recipe, RecipeBook, Setting, Values, merge

NOTHING = {
    **{"crop": "none", "shuffle_patches": 1, "flip": False, "dsa": ""},
    **{"randaugment": 0, "erasing": 0.0, "mix": "none"},
}
VARIANTS: Mapping[str, str] = {
    "no-flip": "nothing is mirrored, neither for the student nor for the protocol's own teacher",
    "no-augmentation": "the student sees the images as they are; the protocol's own teacher is trained as ever",
}


class VariedBook(RecipeBook):
    """A book whose recipes are those of another with the changes of a variant (a key of `VARIANTS`)."""

    def __init__(self, book: RecipeBook, variant: str) -> None:
        self._book, self._variant = book, variant

    def names(self) -> list[str]:
        """The recipes in the book."""
        return self._book.names()

    def pick(self, setting: Setting) -> Recipe:
        """The other book's recipe, changed; its source says so."""
        recipe = self._book.pick(setting)
        return replace(
            recipe, source=f"{recipe.source}; {self._variant}", values=_CHANGES[self._variant](recipe.values)
        )


def _unmirrored(values: Mapping[str, Any]) -> Values:
    """The values, and those of the teacher, without flips."""
    families = [family for family in values.get("dsa", "").split("_") if family not in ("", "flip")]
    changed = merge(values, {"flip": False, "dsa": "_".join(families)})
    teacher = changed.get("teacher")
    if teacher and not teacher.get("weights"):
        changed["teacher"] = _unmirrored(teacher)
    return changed


def _plain(values: Mapping[str, Any]) -> Values:
    return merge(values, NOTHING)


_CHANGES: dict[str, Callable[[Mapping[str, Any]], Values]] = {"no-flip": _unmirrored, "no-augmentation": _plain}
