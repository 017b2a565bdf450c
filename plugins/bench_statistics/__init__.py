"""The family of statistics: how G-VBSM, EDC, SC-DD, CV-DD and LPLD train on their sets.

Facts of each, where paper and released code differ, and which of the two is followed: see `bench_statistics.protocols`.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How the papers or their code train on their sets."""
    return [
        Offer("g-vbsm", "bench_statistics.protocols:G_VBSM", "G-VBSM: MSE of logits, the class beside, CutMix, cosine"),
        Offer("edc", "bench_statistics.protocols:EDC", "EDC: as G-VBSM; small batches, smooth rates, averaged weights"),
        Offer("sc-dd", "bench_statistics.protocols:SC_DD", "SC-DD: SRe2L's loss, batches of 64 (code)"),
        Offer("sc-dd-paper", "bench_statistics.protocols:SC_DD_PAPER", "the same by the paper's table on CIFAR-100"),
        Offer("cv-dd", "bench_statistics.protocols:CV_DD", "CV-DD and SRe2L++: batches of 16 in halves, rates by cell"),
        Offer("lpld", "bench_statistics.protocols:LPLD", "LPLD: SRe2L's students on smaller batches"),
    ]
