"""A unit of a synthesis as a file: its images, their costs, and what was noted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from bench.condensation import Condenser, Images, Task
from bench.errors import RunFailure, understood
from bench.hardware.meters import IterationTimes, PeakMemory
from bench.loops.losses import Losses
from bench.results.outcomes import FindingsPart
from bench.sets.pixel_formats import outside_box
from bench.sets.wellformed import far_out, malformed, not_normalised
from bench.storage.artefacts import UNSTAMPED, Content, Kind, Part
from bench.storage.shapes import Number, PeakPart, Share
from bench.storage.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True)
class UnitCost:
    """What one unit took; kept beside its images.

    `workers` and `waited` are as of `bench.storage.shared.elapsed.Others`.
    """

    seconds: float
    times: IterationTimes
    memory: PeakMemory
    workers: int = 1
    waited: float | None = None


def check_images(images: Images, task: Task, method: Condenser[Any], unit: str) -> None:
    """Refuses what a method must not return, before it is kept.

    Raises:
        RunFailure: images or labels of another type, shape or range than they must have; one line that names the unit.
    """
    if not isinstance(images, Images):  # nothing but its own type checker tells an author before
        raise RunFailure(f"synthesize returned a {type(images).__name__}; it must return bench.condensation.Images")
    dataset = task.dataset
    wrong = malformed(images, (dataset.channels, dataset.resolution, dataset.resolution), task.classes)
    if wrong or (wrong := _out_of_range(images, task, method)):
        raise RunFailure(f"unit {unit}: {wrong}")


def doubtful(images: Images, task: Task, method: Condenser[Any]) -> str:
    """What is no mistake of a type and is hardly meant, in words; "" for nothing."""
    own = next((name for name in ("soft", "targets") if getattr(images, name) is not None), None)
    if own and method.made_here and type(method).label is Condenser.label:
        who = type(method).__name__
        return f"{who} gives its images labels of their own ({own}) and has no `label` that returns them: none is used"
    return not_normalised(images.pixels, method.preprocessing(task)) if method.made_here else ""


def _out_of_range(images: Images, task: Task, method: Condenser[Any]) -> str:
    """What the method's pixel format cannot hold, or nothing is; what somebody else made is held to its manifest."""
    if images.pixels.dtype == torch.uint8 or not method.made_here:
        return ""
    preprocessing = method.preprocessing(task)
    if method.pixel_format == "float32":
        return far_out(images.pixels, preprocessing)
    return outside_box(images.pixels, preprocessing)


def _with_findings_apart(about: Content) -> Content:
    """Once what was noted and what was found out stood together."""
    if "facts" not in about:
        return about
    parts: dict[bool, Content] = {False: {}, True: {}}
    for name, value in about["facts"].items():
        parts[name in FindingsPart.model_fields][name] = value
    return {**about, "notes": parts[False], "measured": parts[True]}


def _with_learned_lr_apart(about: Content) -> Content:
    """Once a learned step size was noted by the method."""
    return {**about, "learned_lr": about["notes"].get("learned_lr")}


def _from_before_versions(about: Content) -> Content:
    return _with_learned_lr_apart(_with_findings_apart(about))


class Times(Part):
    """Of the iterations of a unit (`bench.hardware.meters.IterationTimes`)."""

    windows: list[Number]
    warm_up_s: Number
    iterations: int
    carried_s: Number = 0.0


class UnitAbout(Part):
    """What a unit's file says beside its images: what it took, and what was said of it."""

    seconds: Number
    times: Times
    memory: PeakPart
    notes: dict[str, Any]
    measured: FindingsPart
    learned_lr: Number | None
    workers: int = 1
    waited: Share | None = None
    losses: Losses | None = None


UNIT_FILE = Kind("a unit", 2, UnitAbout, {UNSTAMPED: _from_before_versions, 1: _with_learned_lr_apart})


@dataclass(frozen=True)
class KeptUnit:
    """A unit as it was read: its images, what they took, what was noted and found out, and the loss of its loops."""

    images: Images
    cost: UnitCost
    notes: Content
    measured: Content
    losses: Losses | None = None


def write_unit(path: Path, unit: KeptUnit) -> None:
    """Writes a unit's file, whole or not at all."""
    said = {"notes": unit.notes, "measured": unit.measured, "learned_lr": unit.images.learned_lr}
    losses = {"losses": unit.losses.to_json()} if unit.losses else {}
    write_tensors(path, tensors_of(unit.images), UNIT_FILE.stamped({**asdict(unit.cost), **said, **losses}))


def read_unit(path: Path) -> KeptUnit:
    """Reads a unit's file. Raises as `bench.storage.artefacts.Kind.read`."""
    tensors, content = read_tensors(path)
    about = UNIT_FILE.checked(content, path)
    with understood(path):
        images = replace(images_of(tensors), learned_lr=about.learned_lr)
        times, memory = IterationTimes(**about.times.to_json()), PeakMemory(**about.memory.to_json())
        cost = UnitCost(about.seconds, times, memory, about.workers, about.waited)
        return KeptUnit(images, cost, about.notes, about.measured.to_json(), about.losses)


def tensors_of(images: Images) -> dict[str, torch.Tensor]:
    """What a unit's file holds: detached, on the CPU."""
    named = {"pixels": images.pixels, "classes": images.classes, "soft": images.soft, "targets": images.targets}
    return {name: tensor.detach().cpu() for name, tensor in named.items() if tensor is not None}


def kept_images(images: Images) -> Images:
    """Images as a unit's file gives them back."""
    return replace(images_of(tensors_of(images)), learned_lr=images.learned_lr)


def without_pixels(unit: KeptUnit) -> KeptUnit:
    """All else of a unit: of many units the pixels are more than the memory holds."""
    return replace(unit, images=replace(unit.images, pixels=torch.empty(0)))


def images_of(tensors: Mapping[str, torch.Tensor]) -> Images:
    """The inverse of `tensors_of`; files from before there were labels of their own have none."""
    return Images(tensors["pixels"], tensors["classes"], tensors.get("soft"), targets=tensors.get("targets"))


def unit_costs(units: Sequence[UnitCost], images: int) -> dict[str, Any]:
    """The synthesis' part of the costs; null where there is nothing to say, never 0."""
    times = IterationTimes()
    for unit in units:
        times.merge(unit.times)
    seconds = sum(unit.seconds for unit in units)
    return {
        "synthesis_s": seconds,
        "seconds_per_image": seconds / images,
        "ms_per_image_iteration": times.milliseconds(),
        "iterations": times.iterations or None,
        "warm_up_s": times.warm_up_s if times.iterations else None,
        "peak_memory_bytes": {each.name: _most(units, each.name) for each in fields(PeakMemory)},
    }


def _most(units: Sequence[UnitCost], which: str) -> int | None:
    peaks = (getattr(unit.memory, which) for unit in units)
    return max((peak for peak in peaks if peak is not None), default=None)
