"""How the papers and code of SRe2L and CDA train on the condensed sets: protocols, their recipes in protocols.toml."""

from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

BOOKS = RecipeBook.load_several(Path(__file__).with_name("protocols.toml"))
BEST = ("sre2l-in1k", "cda-in1k")  # code: train_FKD.py keeps the best; on CIFAR and Tiny-ImageNet the last is printed
PROTOCOLS = {
    name: TrainingProtocol(name, "own", book, paper_reports="best" if name in BEST else "last")
    for name, book in BOOKS.items()
}

TINY = PROTOCOLS["sre2l-tiny"]
C100 = PROTOCOLS["sre2l-c100"]
C100_SGD = PROTOCOLS["sre2l-c100-sgd"]
IN1K = PROTOCOLS["sre2l-in1k"]
CDA_IN1K = PROTOCOLS["cda-in1k"]
