"""The protocols themselves. Their recipes are data, in hard.toml, soft.toml, own.toml and rd3.toml beside this file.

`rd3` follows what the paper says of its unified evaluation; its code (ndhg1213/RD3) was not at hand. What that leaves
open is taken from RDED, whose views it has, and is named in each recipe's source: the temperature, no factor T², and
which epoch is reported (here: the last).
"""

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

    def variant(self, name: str) -> Protocol:
        """Raises UsageError: a method's protocol has variants, which are named after that one."""
        raise UsageError(
            f"{PAPER!r} stands for the method's own protocol (`bench show METHOD`); "
            f"name that one's variant, PROTOCOL+{name}"
        )

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        """Raises UsageError: only a method says what its paper did, so its protocol must be looked up first."""
        raise UsageError(f"{PAPER!r} stands for the method's own protocol; name one, or run it with a method")


hard = TrainingProtocol("hard", "hard", RecipeBook.load(_HERE / "hard.toml"))
soft = TrainingProtocol("soft", "teacher", RecipeBook.load(_HERE / "soft.toml"))
own = TrainingProtocol("own", "own", RecipeBook.load(_HERE / "own.toml"), shared=True)
rd3 = TrainingProtocol("rd3", "teacher", RecipeBook.load(_HERE / "rd3.toml"))
paper = PaperProtocol()
