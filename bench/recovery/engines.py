"""Finding a recovery engine by name."""

from torch import nn

from bench.recovery.engine import Engine
from bench.recovery.fast import FastEngine
from bench.recovery.recipes import EngineName, RecoveryRecipe
from bench.recovery.reference import ReferenceEngine

ENGINES: dict[EngineName, type[Engine]] = {"fast": FastEngine, "reference": ReferenceEngine}


def engine_for(network: nn.Module, recipe: RecoveryRecipe) -> Engine:
    """The engine that the recipe names, over a network that it freezes.

    Raises:
        RunFailure: the network has no BatchNorm.
    """
    return ENGINES[recipe.engine](network, recipe)
