"""The protocols themselves. Their recipes are data, in hard.toml, soft.toml and own.toml beside this file."""

from pathlib import Path

from bench.condensation import Task
from bench.errors import UsageError
from bench.evaluation import PAPER, Protocol, Scores
from bench.recipes import RecipeBook
from bench.sets.condensed import CondensedSet
from bench.training.protocol import TrainingProtocol

_HERE = Path(__file__).parent


class PaperProtocol(Protocol):
    """The word "paper". It stands for another protocol, which each method names in `Condenser.protocol`."""

    name = PAPER
    labels = "own"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        """Raises UsageError: only a method says what its paper did, so its protocol must be looked up first."""
        raise UsageError(f"{PAPER!r} stands for the method's own protocol; name one, or run it with a method")


hard = TrainingProtocol("hard", "hard", RecipeBook.load(_HERE / "hard.toml"))
soft = TrainingProtocol("soft", "teacher", RecipeBook.load(_HERE / "soft.toml"))
own = TrainingProtocol("own", "own", RecipeBook.load(_HERE / "own.toml"), shared=True)
paper = PaperProtocol()
