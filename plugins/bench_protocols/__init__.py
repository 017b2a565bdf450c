"""The protocols that all methods share, and the word for a method's own."""

from collections.abc import Sequence

from bench.evaluation import PAPER
from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """`hard`, `soft`, `own`, `rd3` and `paper`."""
    return [
        Offer("hard", "bench_protocols.shared:hard", "one recipe for all: hard labels, SGD, DSA augmentation"),
        Offer("soft", "bench_protocols.shared:soft", "one recipe for all: soft labels of one teacher, AdamW, CutMix"),
        Offer("own", "bench_protocols.shared:own", "one recipe for all: each set's own labels, AdamW, CutMix"),
        Offer("rd3", "bench_protocols.shared:rd3", "RD3's recipe for all: soft labels of one ResNet-18, Adam, CutMix"),
        Offer(PAPER, "bench_protocols.shared:paper", "the protocol that the method's own paper uses"),
    ]
