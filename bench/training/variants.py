"""Variants of protocols that train by a recipe: augmentation off, other epochs, or another temperature of labels.

A variant is part of the protocol's name ("hard+no-flip", "hard+e10", "paper+t5"), so files, records and rankings keep
it apart and no claim is tied to it. Label smoothing is no augmentation of images and stays.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.errors import UsageError
from bench.recipes import Recipe, RecipeBook, Setting, Values, merge

NOTHING = {
    **{"crop": "none", "shuffle_patches": 1, "flip": False, "dsa": "", "jitter": 0.0, "lighting": 0.0},
    **{"randaugment": 0, "erasing": 0.0, "mix": "none"},
}
AUGMENTATION: Mapping[str, str] = {
    "no-flip": "nothing is mirrored, neither for the student nor for the protocol's own teacher",
    "no-augmentation": "the student sees the images as they are; the protocol's own teacher is trained as ever",
}
LENGTH: Mapping[str, str] = {"eN": "N epochs under any budget, such as e10 or e1000; a warm-up in proportion"}
SOFTNESS: Mapping[str, str] = {
    "tN": "teachers and student are compared at temperature N, such as t5 or t20 (SRe2L, Figure 4)"
}


def temperature_of(variant: str) -> int | None:
    """What a variant divides logits by, or None where it is of another kind. "t20" is 20."""
    return _number(variant, "t")


def epochs_of(variant: str) -> int | None:
    """How many epochs a variant has, or None where it is of another kind. "e20" is 20."""
    return _number(variant, "e")


def _number(variant: str, kind: str) -> int | None:
    found = re.fullmatch(rf"{kind}([1-9]\d{{0,4}})", variant)
    return int(found[1]) if found else None


class VariedBook(RecipeBook):
    """A book whose recipes are those of another with the changes of a variant."""

    def __init__(self, book: RecipeBook, variant: str) -> None:
        self._book, self._variant = book, variant

    def names(self) -> list[str]:
        """The recipes in the book."""
        return self._book.names()

    def pick(self, setting: Setting) -> Recipe:
        """The other book's recipe, changed; its source says so. Raises UsageError: the change would make none."""
        recipe = self._book.pick(setting)
        return _changed(replace(recipe, source=f"{recipe.source}; {self._variant}"), self._variant)


def _changed(recipe: Recipe, variant: str) -> Recipe:
    if temperature := temperature_of(variant):
        if recipe.values.get("soft_loss", "kl") != "kl":
            raise UsageError(f"there is no {variant} of a protocol that compares logits as they are, at no temperature")
        return replace(recipe, values=merge(recipe.values, {"temperature": float(temperature)}))
    if epochs := epochs_of(variant):
        return _lasting(recipe, epochs)
    return replace(recipe, values=_CHANGES[variant](recipe.values))


def _lasting(recipe: Recipe, epochs: int) -> Recipe:
    """With so many epochs, of which a budget takes none."""
    warm_up = round(recipe.values.get("warmup_epochs", 0) * epochs / recipe.values["epochs"])
    quick = {key: share for key, share in recipe.quick.items() if key not in ("epochs", "warmup_epochs")}
    return replace(recipe, values=merge(recipe.values, {"epochs": epochs, "warmup_epochs": warm_up}), quick=quick)


def _unmirrored(values: Mapping[str, Any]) -> Values:
    """The values, and those of the teacher, without flips."""
    families = [family for family in values.get("dsa", "").split("_") if family not in ("", "flip")]
    changed = merge(values, {"flip": False, "dsa": "_".join(families)})
    if "augmax" in values:
        changed["augmax"] = "_".join(family for family in values["augmax"].split("_") if family != "flip")
    teacher = changed.get("teacher")
    if teacher and not teacher.get("weights"):
        changed["teacher"] = _unmirrored(teacher)
    return changed


def _plain(values: Mapping[str, Any]) -> Values:
    return merge(values, {**NOTHING, **({"augmax": ""} if "augmax" in values else {})})


_CHANGES: dict[str, Callable[[Mapping[str, Any]], Values]] = {"no-flip": _unmirrored, "no-augmentation": _plain}
