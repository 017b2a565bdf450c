"""How RDED's code trains on the condensed sets: the recipes are in protocols.toml."""

from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

BOOK = RecipeBook.load(Path(__file__).with_name("protocols.toml"))
PROTOCOL = TrainingProtocol("rded", "own", BOOK, version=2, paper_reports="best")
