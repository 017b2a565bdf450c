"""SRe2L's other shapes are held to the contract of every method; its first is in tests/bench/test_conformance.py."""

from bench.testing import MethodConformance


class TestSRe2LConformanceWithStoredJpegs(MethodConformance):
    resolution = 8
    name = "sre2l"
    changes = ("relabel.labels=stored", "recover.images=jpeg", "recover.batch_size=2")


class TestSRe2LConformanceWithFewLabels(MethodConformance):
    resolution = 8
    name = "sre2l"
    changes = ("relabel.labels=stored", "relabel.keep=0.3", "relabel.store=top-k", "relabel.top_k=2")
