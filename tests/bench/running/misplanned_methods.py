"""A plugin of methods and a reader that break while a run is planned, each where its name says."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import model_validator

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.data.datasets import DatasetCard, Source, SourceCard
from bench.hookspecs import Offer, hookimpl
from bench_datasets.image_folder import ImageFolderReader


class Plain(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        return Images(torch.zeros(task.classes, 1, 8, 8, dtype=torch.uint8), torch.arange(task.classes))


class RaisingConfig(MethodConfig):
    @model_validator(mode="after")
    def raises(self) -> "RaisingConfig":
        raise ZeroDivisionError("by design")


class RaisingReader(ImageFolderReader):
    def locate(self, card: DatasetCard, source: SourceCard, root: Any) -> Source | None:  # noqa: ANN401 - never asked
        raise ZeroDivisionError("by design")


def _raises(*_: object) -> None:
    raise ZeroDivisionError("by design")


def _leaves(*_: object) -> None:
    raise SystemExit(0)


def _answers(value: object) -> Callable[..., object]:
    return lambda *_: value


def _with(**attributes: object) -> type[Plain]:
    return type("Broken", (Plain,), attributes)


METHODS = {
    "recipe-raises": _with(recipe=classmethod(_raises)),
    "protocol-raises": _with(protocol=classmethod(_raises)),
    "check-raises": _with(check=_raises),
    "check-leaves": _with(check=_leaves),
    "real-images-raises": _with(real_images=_raises),
    "backbones-raises": _with(backbones=_raises),
    "differs-raises": _with(differs=_raises),
    "init-raises": _with(__init__=_raises),
    "config-raises": _with(Config=RaisingConfig),
    "config-is-none": _with(Config=None),
    "recipe-is-none": _with(recipe=classmethod(_answers(None))),
    "real-images-is-text": _with(real_images=_answers("some")),
    "backbones-is-none": _with(backbones=_answers(None)),
    "differs-is-a-number": _with(differs=_answers(4)),
    "label-kind-raises": _with(label_kind=property(_raises)),  # asked for the variant of a protocol
}


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer(name, target, "breaks by design") for name, target in METHODS.items()]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("is-no-protocol", object(), "breaks by design")]


@hookimpl
def bench_readers() -> Sequence[Offer]:
    return [Offer("locate-raises", RaisingReader, "breaks by design")]
