"""How the papers train on their condensed sets: the recipes are in protocols.toml."""

from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

BOOKS = RecipeBook.load_several(Path(__file__).with_name("protocols.toml"))

DC = TrainingProtocol("dc", "hard", BOOKS["dc"])
DSA = TrainingProtocol("dsa", "hard", BOOKS["dsa"])
MTT = TrainingProtocol("mtt", "own", BOOKS["mtt"])
IDC = TrainingProtocol("idc", "hard", BOOKS["idc"])
TESLA = TrainingProtocol("tesla", "own", BOOKS["tesla"])
DATM = TrainingProtocol("datm", "own", BOOKS["datm"])
