"""From a condensed set to scores: the contract of a protocol."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import UsageError
from bench.storage.names import unknown

if TYPE_CHECKING:
    from bench.condensation import Task
    from bench.recipes import Recipe, Setting
    from bench.sets.condensed import CondensedSet

PAPER = "paper"  # the word for "the protocol that the method's own paper uses"; see Condenser.protocol


@dataclass(frozen=True)
class Scores:
    """What one training from scratch gave. Accuracies in percent on the test split.

    `top1` and `top5` are the last epoch's; `best_top1` the maximum over evaluated epochs, where a protocol looked
    (top5 is None with fewer than 6 classes). `epochs` is how many were trained, `seconds` how long it took.
    `most_predicted` is the share of test images, in percent, that got the class which was given most often, or None
    where a protocol did not count. `teacher_top1` is the accuracy of the teacher that a protocol of `labels` "teacher"
    trained with, or None.
    """

    top1: float
    top5: float | None
    epochs: int
    seconds: float
    best_top1: float | None = None
    most_predicted: float | None = None
    teacher_top1: float | None = None


class Protocol(ABC):
    """A named, versioned way of turning a condensed set into scores. A new version is a new name.

    You must write `evaluate`. You must set `name` and `labels`: "own" (trains on the set's own labels), "hard", or
    "teacher" (makes soft labels itself, with one teacher for all methods). You may write `note`, `conditions` and
    `recipe`, and `variants` (name -> what it changes) with `variant`: users ask for one as "NAME+VARIANT"; and set
    `paper_reports`, the epoch that the paper whose protocol it is reports: the "last" or the "best".
    """

    name: str
    version: int = 1
    variants: Mapping[str, str] = {}
    labels: Literal["own", "hard", "teacher"]
    paper_reports: Literal["last", "best"] = "last"

    @abstractmethod
    def evaluate(self, condensed: "CondensedSet", task: "Task", backbone: str, seed: int) -> Scores:
        """Trains one network of `backbone` from scratch on the set and tests it on `task.dataset.test`."""

    def variant(self, name: str) -> "Protocol":
        """The protocol called "<this one's name>+<name>", which is another one under all circumstances.

        Raises:
            UsageError: there is no such variant; the nearest is named.
        """
        if not self.variants:
            raise UsageError(f"protocol {self.name!r} has no variants, and so no {name!r}")
        raise unknown(f"variant of {self.name}", name, self.variants)

    def conditions(self, setting: "Setting") -> Mapping[str, Any]:
        """All beside the set that decides the scores, as JSON. Scores made under other conditions are made again."""
        return {}

    def recipe(self, setting: "Setting") -> "Recipe | None":
        """What it trains by in a setting, for people to look at; None where it is no protocol of recipes."""
        return None

    def note(self, setting: "Setting") -> str:
        """What a table must say beside the scores, such as what the quick budget took of the recipe; "" for nothing."""
        return ""
