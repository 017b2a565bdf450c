"""SRe2L's other shape is held to the contract of every method; its first is in tests/bench/test_conformance.py."""

from bench.testing import MethodConformance


class TestSRe2LConformanceWithStoredJpegs(MethodConformance):
    name = "sre2l"
    changes = ("relabel.labels=stored", "recover.images=jpeg", "recover.batch_size=2")
