"""A protocol that writes into the set that it is given spoils no later training."""

import torch
from benching import Bench

WRITING = """
import torch

from bench.condensation import Condenser, Images, MethodConfig
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl


class Floats(Condenser[MethodConfig]):
    pixel_format = "float32"

    def synthesize(self, task, unit):
        train = task.dataset.train
        found = torch.stack([torch.nonzero(train.labels == label)[0, 0] for label in unit.classes])
        pixels = task.dataset.normalisation.apply(train.take(found))
        return Images(pixels, train.labels[found])


class Writes(Protocol):
    labels = "hard"

    def __init__(self, name, taken):
        self.name, self._taken = name, taken

    def evaluate(self, condensed, task, backbone, seed):
        images = self._taken(condensed)
        images.mul_(0.5)
        return Scores(float(images.abs().mean()), None, epochs=1, seconds=1.0)


@hookimpl
def bench_methods():
    return [Offer("floats", Floats, "three real images")]


@hookimpl
def bench_protocols():
    ways = {"own-copy": lambda condensed: condensed.normalised(), "in-place": lambda condensed: condensed.images.pixels}
    return [Offer(name, Writes(name, taken), "halves the images") for name, taken in ways.items()]
"""


def test_every_training_gets_the_set_as_it_is_stored(bench: Bench) -> None:
    path = bench.folder / "writing.py"
    path.write_text(WRITING)
    bench = Bench(bench.folder, (str(path),))
    asked = {"protocols": ("own-copy", "in-place", "hard"), "ipcs": (1,), "eval_seeds": 3}
    (job,) = bench.jobs("floats", **asked)
    record = bench.run(job)
    found = {each.protocol: [score.top1 for score in each.scores] for each in record.evaluations.values()}
    assert len(set(found["own-copy"])) == 1 and found["own-copy"] == found["in-place"], "halved once each time"
    said = [said for said in bench.ear.heard if "wrote into the tensors of the set" in said]
    assert len(said) == 3 and all(each.startswith("protocol in-place wrote") for each in said)
    assert torch.tensor(found["own-copy"]).isfinite().all()
