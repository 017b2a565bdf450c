"""How the papers train on their condensed sets: the recipes are in protocols.toml."""

from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

BOOKS = RecipeBook.load_several(Path(__file__).with_name("protocols.toml"))

DC = TrainingProtocol("dc", "hard", BOOKS["dc"])
DSA = TrainingProtocol("dsa", "hard", BOOKS["dsa"])
MTT = TrainingProtocol("mtt", "own", BOOKS["mtt"], paper_reports="best")
IDC = TrainingProtocol("idc", "hard", BOOKS["idc"])
TESLA = TrainingProtocol("tesla", "own", BOOKS["tesla"], paper_reports="best")
DATM = TrainingProtocol("datm", "own", BOOKS["datm"], paper_reports="best")
