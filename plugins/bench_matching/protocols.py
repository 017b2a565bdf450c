"""How the papers train on their condensed sets: the recipes are in protocols.toml."""

import tomllib
from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import LabelSource, TrainingProtocol

BOOKS = tomllib.loads(Path(__file__).with_name("protocols.toml").read_text(encoding="utf-8"))


def _protocol(name: str, labels: LabelSource) -> TrainingProtocol:
    return TrainingProtocol(name, labels, RecipeBook(BOOKS[name]))


DC = _protocol("dc", "hard")
DSA = _protocol("dsa", "hard")
MTT = _protocol("mtt", "own")
TESLA = _protocol("tesla", "own")
