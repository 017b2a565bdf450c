"""SRe2L is held to the contract of every method."""

from bench.testing import MethodConformance


class TestSRe2LConformance(MethodConformance):
    name = "sre2l"


class TestSRe2LConformanceWithStoredJpegs(MethodConformance):
    name = "sre2l"
    changes = ("relabel.labels=stored", "recover.images=jpeg", "recover.batch_size=2")
