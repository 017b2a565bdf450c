"""How RDED's code trains on the condensed sets: the recipes are in protocols.toml."""

from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

PROTOCOL = TrainingProtocol("rded", "own", RecipeBook.load(Path(__file__).with_name("protocols.toml")), version=2)
