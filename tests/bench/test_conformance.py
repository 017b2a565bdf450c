"""Registering is being tested: everything that is registered goes through the conformance suite."""

import os
from pathlib import Path

import pytest

from bench.evaluation import PAPER
from bench.extensions.registry import Registry
from bench.testing import (
    BackboneConformance,
    DatasetConformance,
    MethodConformance,
    ProtocolConformance,
    ReportFormatConformance,
)

REGISTRY = Registry()
OURS = (
    "backbones",
    "bn-vit",
    "coresets",
    "datasets",
    "frepo",
    "imports",
    "matching",
    "protocols",
    "ray",
    "rded",
    "reports",
    "sre2l",
    "statistics",
)


def ours(kind: str) -> list[str]:
    """What the project's own plugins offer of a kind; a developer's other plugins have tests of their own."""
    return [each.offer.name for each in REGISTRY.registered(kind) if each.plugin in OURS]


def makers() -> list[str]:
    """The methods that make images; `bench evaluate` has one that reads a set, which is tested with the command."""
    return [name for name in ours("method") if REGISTRY.load("method", name).made_here]


TRAJECTORIES = ("mtt", "tesla")
GROWING = ("datm",)
GRADIENTS = ("dc", "dsa")
LEARNING = ("idc", "idc-i", "dream")
POOLS = ("edc", "fadrm-plus", "g-vbsm")
COMMITTEES = ("cv-dd",)
ALL_IMAGES = ("full-data",)
CHANGED = (*TRAJECTORIES, *GROWING, *GRADIENTS, *LEARNING, *POOLS, *COMMITTEES, *ALL_IMAGES)


class OnTinyImages(MethodConformance):
    """Nothing in the contract depends on how large images are, and these cost a quarter."""

    resolution = 8


class TestMethods(OnTinyImages):
    """Those whose recipes are quick once their rounds are lowered."""

    @pytest.fixture(scope="class", params=[name for name in makers() if name not in CHANGED])
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestTrajectoryMatching(OnTinyImages):
    """Two experts, whose epochs are lowered: what is matched must begin early enough to end before they do."""

    changes = ("experts.count=2", "max_start_epoch=2")

    @pytest.fixture(scope="class", params=TRAJECTORIES)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestGrowingTrajectories(OnTinyImages):
    """Likewise, where the starts of what is matched grow in number."""

    changes = ("experts.count=2", "current_max_start_epoch=1", "max_start_epoch=2")

    @pytest.fixture(scope="class", params=GROWING)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestGradientMatching(OnTinyImages):
    """Two networks, each matched a few times: enough for an update after inner training and for one before it."""

    changes = ("networks=2", "outer_steps=3", "inner_epochs=1")

    @pytest.fixture(scope="class", params=GRADIENTS)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestLearningNetworks(OnTinyImages):
    """Two networks, which learn a few real images between matches."""

    changes = ("networks=2", "batch_real=8", "learn_images=8", "learn_batch=4")

    @pytest.fixture(scope="class", params=LEARNING)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestPools(OnTinyImages):
    """Two networks that take turns stand for the five to eight of a recipe, each of which is tested as a backbone."""

    changes = ('pool=["convnet3-bn", "convnet2-bn"]',)

    @pytest.fixture(scope="class", params=POOLS)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestCommittees(OnTinyImages):
    """Likewise, with a committee of two and one of one."""

    changes = (
        'pool=["convnet3-bn", "convnet2-bn"]',
        'recover.committees=[["convnet3-bn", "convnet2-bn"], ["convnet3-bn"]]',
    )

    @pytest.fixture(scope="class", params=COMMITTEES)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestAllImages(OnTinyImages):
    """What takes all draws nothing."""

    seeded = False

    @pytest.fixture(scope="class", params=ALL_IMAGES)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


def test_each_method_is_tested_once() -> None:
    """One that is listed under a name that it no longer has would be tested by nobody."""
    assert set(CHANGED) <= set(makers()) and len(set(CHANGED)) == len(CHANGED)


class TestBackbones(BackboneConformance):
    @pytest.fixture(scope="class", params=ours("backbone"))
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestBackbonesByARule(BackboneConformance):
    """A few of those that are had by name and not listed, with every part in one of them."""

    resolution = 16

    @pytest.fixture(
        scope="class", params=["convnet3-w32-ln-sigmoid-max", "convnet2-w32-gn-leaky", "convnet2-w32-bn-nopool"]
    )
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestDatasets(DatasetConformance):
    @pytest.fixture(scope="class", params=ours("dataset"))
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(scope="class")
    @classmethod
    def data_root(cls) -> Path:
        beside = Path(__file__).parents[3] / "shared" / "data"
        return Path(os.environ.get("BENCH_DATA", beside))


class TestProtocols(ProtocolConformance):
    @pytest.fixture(scope="class", params=[name for name in ours("protocol") if name != PAPER])
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestReportFormats(ReportFormatConformance):
    @pytest.fixture(scope="class", params=ours("format"))
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


def test_ours_are_all_that_this_project_installs() -> None:
    """A plugin added to setup.cfg and not here would go untested."""
    from importlib.metadata import distribution

    points = distribution("condensation-bench").entry_points
    assert sorted(point.name for point in points if point.group == "bench.plugins") == sorted(OURS)
