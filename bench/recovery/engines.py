"""Finding a recovery engine by name."""

from collections.abc import Sequence

from torch import nn

from bench.recovery.engine import Engine
from bench.recovery.fast import FastEngine
from bench.recovery.pool import Member
from bench.recovery.recipes import EngineName, RecoveryRecipe
from bench.recovery.reference import ReferenceEngine

ENGINES: dict[EngineName, type[Engine]] = {"fast": FastEngine, "reference": ReferenceEngine}


def engine_for(pool: nn.Module | Sequence[Member], recipe: RecoveryRecipe) -> Engine:
    """The engine that the recipe names, over a network, or a pool of some, that it freezes.

    Raises:
        RunFailure: a network has no BatchNorm, or statistics are matched that were not measured on training data.
    """
    return ENGINES[recipe.engine](pool, recipe)
