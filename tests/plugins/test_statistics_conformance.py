"""The methods of the family of statistics held to the contract of every method, in shapes that their recipes lack."""

from collections.abc import Sequence
from typing import ClassVar

from bench.testing import MethodConformance

SMALL: Sequence[str] = (
    'pool=["convnet3-bn", "convnet3"]',
    "squeeze.epochs=1",
    "recover.patch=2",
    "recover.batch_size=4",
)


class TestGVBSMConformance(MethodConformance):
    resolution = 8
    name = "g-vbsm"
    changes: ClassVar[Sequence[str]] = (*SMALL, "relabel.labels=online")
    backbone = "convnet3-bn"


class TestEDCConformance(MethodConformance):
    resolution = 8
    name = "edc"
    changes: ClassVar[Sequence[str]] = (*SMALL, "relabel.labels=stored", "recover.flatness=0.25", "recover.groups=2")
    backbone = "convnet3-bn"


class TestCVDDConformance(MethodConformance):
    resolution = 8
    name = "cv-dd"
    changes: ClassVar[Sequence[str]] = (
        *('pool=["convnet3-bn", "convnet2-bn", "convnet1-bn"]', "prior={convnet2-bn=50, convnet1-bn=40}"),
        *("squeeze.epochs=1", "recover.batch_size=2", "recover.groups=2", "relabel.labels=stored"),
        "recover.committees=[]",
    )
    backbone = "convnet3-bn"


class TestFADRMPlusConformance(MethodConformance):
    resolution = 8
    name = "fadrm-plus"
    changes: ClassVar[Sequence[str]] = (
        *('pool=["convnet3-bn", "convnet2-bn"]', "squeeze.epochs=1", "recover.batch_size=2", "recover.groups=2"),
        "relabel.labels=stored",
    )
    backbone = "convnet3-bn"


class TestDELTConformance(MethodConformance):
    resolution = 8
    name = "delt"
    changes: ClassVar[Sequence[str]] = (
        *("squeeze.epochs=1", "squeeze.warmup_epochs=0", "recover.batch_size=2", "recover.rounds=2"),
    )
    backbone = "convnet3-bn"


class TestSCDDConformance(MethodConformance):
    name = "sc-dd"
    changes: ClassVar[Sequence[str]] = (
        *("pretrain.epochs=1", "pretrain.batch_size=6", "pretrain.queue=12", "pretrain.parts=1", "probe.epochs=1"),
        *("squeeze.epochs=1", "squeeze.warmup_epochs=0", "recover.batch_size=2", "relabel.teacher=probed"),
    )
    backbone = "convnet3-bn"


class TestLPLDConformance(MethodConformance):
    name = "lpld"
    changes: ClassVar[Sequence[str]] = (
        *("squeeze.epochs=1", "squeeze.warmup_epochs=0", "recover.batch_size=2", "relabel.keep=0.5"),
    )
    backbone = "convnet3-bn"
