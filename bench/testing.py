"""The conformance suite: what every plugin is held to, the built-in ones and a stranger's alike.

An author subclasses the class of the kind in a test file, names the thing, and runs pytest:

    from bench.testing import MethodConformance

    class TestNearestMean(MethodConformance):
        name = "nearest-mean"
        plugins = ["nearest_mean.py"]   # only where the plugin is not installed

`tiny_dataset` and `tiny_task` are there for the author's own tests. It all needs pytest
(`pip install "condensation-bench[test]"`).
"""

from bench.conformance.backbones import BackboneConformance
from bench.conformance.common import Conformance
from bench.conformance.datasets import DatasetConformance
from bench.conformance.formats import ReportFormatConformance
from bench.conformance.methods import MethodConformance
from bench.conformance.protocols import ProtocolConformance
from bench.conformance.tiny import tiny_dataset, tiny_task

__all__ = [
    "BackboneConformance",
    "Conformance",
    "DatasetConformance",
    "MethodConformance",
    "ProtocolConformance",
    "ReportFormatConformance",
    "tiny_dataset",
    "tiny_task",
]
