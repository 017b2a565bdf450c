"""From a condensed set to scores: the contract of a protocol."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import UsageError
from bench.results.scores import TOP1 as TOP1
from bench.results.scores import Better as Better
from bench.results.scores import Curves as Curves
from bench.results.scores import Metric as Metric
from bench.results.scores import Scores as Scores
from bench.storage.names import nearest, unknown

if TYPE_CHECKING:
    from bench.condensation import Task
    from bench.recipes import Recipe, Setting
    from bench.sets.condensed import CondensedSet

PAPER = "paper"  # the word for "the protocol that the method's own paper uses"; see Condenser.protocol
LabelSource = Literal["own", "hard", "teacher"]  # whose labels students train on


class Protocol(ABC):
    """A named, versioned way of turning a condensed set into scores. A new version is a new name.

    You must write `evaluate`. You must set `name` and `labels`: "own" (trains on the set's own labels), "hard", or
    "teacher" (makes soft labels itself, with one teacher for all methods). You may write `note`, `conditions`,
    `student`, `teacher_backbone` and `recipe`, and `variants` (name -> what it changes) with `variant`: users ask for
    one as "NAME+VARIANT"; and set `paper_reports`, the epoch that the paper whose protocol it is reports: the "last" or
    the "best".
    """

    name: str
    version: int = 1
    variants: Mapping[str, str] = {}
    labels: LabelSource
    paper_reports: Literal["last", "best"] = "last"

    @abstractmethod
    def evaluate(self, condensed: "CondensedSet", task: "Task", backbone: str, seed: int) -> Scores:
        """Trains one network of `backbone` from scratch on the set and tests it on `task.dataset.test`.

        All trainings of an evaluation measure the same metrics and take as many epochs. The set is given decoded; write
        into none of its tensors, which others are evaluated on (`condensed.normalised()` is a copy).
        """

    def variant(self, name: str) -> "Protocol":
        """The protocol called "<this one's name>+<name>", which is another one under all circumstances.

        Raises:
            UsageError: there is no such variant; the nearest is named.
        """
        if not self.variants:
            raise UsageError(f"protocol {self.name!r} has no variants, and so no {name!r}")
        error, near = unknown(f"variant of {self.name}", name, self.variants), nearest(name, self.variants)
        raise UsageError(f"{error} ({self.variants[near]})") if near else error

    def conditions(self, setting: "Setting") -> Mapping[str, Any]:
        """All beside the set that decides the scores, as JSON. Scores made under other conditions are made again."""
        return {}

    def recipe(self, setting: "Setting") -> "Recipe | None":
        """What it trains by in a setting, for people to look at; None where it is no protocol of recipes."""
        return None

    def student(self, setting: "Setting") -> str:
        """The network that is trained where the user names none; `setting.backbone` is the one condensed with."""
        return setting.backbone

    def teacher_backbone(self, setting: "Setting") -> str:
        """The network that labels, for a protocol of labels "teacher"; `setting.backbone` is the one condensed with."""
        return setting.backbone

    def note(self, setting: "Setting") -> str:
        """What a table must say beside the scores, such as what the quick budget took of the recipe; "" for nothing."""
        return ""
