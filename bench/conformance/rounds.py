"""Fewer epochs and iterations than recipes have, so that a conformance test takes seconds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from bench.condensation import MethodConfig
from bench.planning.configuring import set_at
from bench.recipes import Recipe, RecipeBook, Setting, Values, merge
from bench.training.protocol import TrainingProtocol

KEYS = ("epochs", "iterations", "steps")  # what such keys are called


def shortened(config: MethodConfig, keys: Sequence[str], rounds: int) -> Iterator[str]:
    """As --set takes them: numbers of rounds at most `rounds`, and warm-ups (which must stay below) off."""
    for key in keys:
        last, value = key.rpartition(".")[2], set_at(config, key)
        if last in KEYS and isinstance(value, int) and value > rounds:
            yield f"{key}={rounds}"
        elif last == "warmup_epochs" and value:
            yield f"{key}=0"


@contextmanager
def short_trainings(rounds: int) -> Iterator[None]:
    """Meanwhile every `TrainingProtocol` plans at most so many epochs; a method may make labels for each of them."""
    whole = TrainingProtocol.recipe

    def short(self: TrainingProtocol, setting: Setting) -> Recipe:
        return fewer_epochs(whole(self, setting), rounds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingProtocol, "recipe", short)
        yield


class ShortenedBook(RecipeBook):
    """A recipe book whose epochs are at most `rounds`."""

    def __init__(self, book: RecipeBook, rounds: int) -> None:
        self._book, self._rounds = book, rounds

    def names(self) -> list[str]:
        """Those of the book."""
        return self._book.names()

    def pick(self, setting: Setting) -> Recipe:
        """The book's recipe with fewer epochs."""
        return fewer_epochs(self._book.pick(setting), self._rounds)


def fewer_epochs(recipe: Recipe, rounds: int) -> Recipe:
    """The same recipe at both budgets with at most so many epochs and, as they must stay below, no warm-ups."""
    return Recipe(recipe.name, recipe.source, _fewer(recipe.at("paper"), rounds))


def _fewer(values: Values, rounds: int) -> Values:
    changes: Values = {key: _fewer(value, rounds) for key, value in values.items() if isinstance(value, dict)}
    if "epochs" in values:
        changes |= {"epochs": min(values["epochs"], rounds), "warmup_epochs": 0}
    return merge(values, changes)
