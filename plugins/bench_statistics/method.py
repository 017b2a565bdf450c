"""Recovering images from a pool of networks by matching statistics: what G-VBSM and EDC are recipes of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor

from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.errors import RunFailure, UsageError
from bench.labels import Labels
from bench.recipes import Recipe, RecipeBook, Setting, Values
from bench.recovery.batches import phases_of
from bench.recovery.engine import Batch, Engine
from bench.recovery.engines import engine_for
from bench.recovery.health import record_health
from bench.recovery.layers import layers_of
from bench.recovery.pool import Member
from bench.recovery.real import real_statistics
from bench.training.soft_labels.relabelling import check_relabel, relabel_images
from bench.training.teachers import RECIPES as TEACHERS
from bench.training.teachers import Teacher, check_weights, obtain, together
from bench_statistics.config import Recover, StatisticsConfig
from bench_statistics.protocols import PROTOCOLS
from bench_statistics.starts import Members, Start, images_needed, met_images, mirrored_by_chance, start_from


@dataclass(frozen=True)
class BatchUnit(Unit):
    """Batches that are recovered at once: the class and the number within it of each image of each batch."""

    batches: tuple[Members, ...] = ()


class PoolCondenser(Condenser[StatisticsConfig]):
    """Squeeze the dataset into a pool of networks, recover images from statistics of their layers, relabel them.

    A unit is `recover.groups` batches of at most `recover.batch_size` images.
    """

    Config: ClassVar[type[MethodConfig]] = StatisticsConfig
    version: ClassVar[int] = 2
    knobs: ClassVar[Mapping[str, str]] = {"batch_size": "recover.batch_size", "engine": "recover.engine"}
    book: ClassVar[RecipeBook]
    papers_protocol: ClassVar[str]
    _teachers: list[Teacher]
    _engine: Engine
    _start: Start | None

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The release's hyper-parameters for the dataset, or ours where it has none; the recipe's source says which."""
        found = cls.book.pick(setting)
        return found.over(_squeezed(setting, found.values))

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The paper's own."""
        return cls.papers_protocol

    @property
    def pixel_format(self) -> PixelFormat:
        """How the images are stored."""
        return self.config.recover.images

    @property
    def label_kind(self) -> str:
        """As relabel.labels says."""
        return self.config.relabel.labels

    def backbones(self, setting: Setting) -> Sequence[str]:
        """The networks of the pool."""
        return [name for name in self.config.networks(setting.backbone) if name != setting.backbone]

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """One network of the pool in turn, or all. What looks at the images' moving average has no backward pass.

        An image that is smaller for a while counts by its pixels.
        """
        recover, pool = self.config.recover, self.config.recovered_from(setting.backbone)
        pixels = self._share_of_pixels(setting)
        return dict.fromkeys(pool, pixels if recover.networks == "all" else pixels / len(pool))

    def _share_of_pixels(self, setting: Setting) -> float:
        """Of those that the images would have in all iterations at their full size."""
        sides = self.config.recover.sides(setting.resolution)
        pixels = sum(count * side**2 for side, count in sides.items())
        return pixels / (self.config.recover.iterations * setting.resolution**2)

    def check(self, setting: Setting) -> None:
        """Somebody must be recovered from, somebody label, and weights be published where networks are not trained.

        Raises:
            UsageError: nobody is or does, or they are not; or crops to start from cannot be as many.
        """
        pool = self.config.networks(setting.backbone)
        _check_left_out("recover.without", self.config.recover.without, pool, "recover from")
        _check_left_out("recover.start_without", self.config.recover.start_without, pool, "judge what to start from")
        _check_left_out("relabel.without", self.config.relabel.without, pool, "label")
        if strange := set(self.config.squeeze_of) - set(pool):
            raise UsageError(f"squeeze_of names {', '.join(sorted(strange))}; the pool has {', '.join(pool)}")
        for name in pool:
            check_weights(replace(setting, backbone=name), self.config.squeeze_for(name), "squeeze")
        check_relabel(setting, self.config.relabel)
        images_needed(self.config.recover.start, setting.ipc)

    def real_images(self, setting: Setting) -> int:
        """As many as what images start from is taken from: none, one for each, or enough for their crops."""
        return images_needed(self.config.recover.start, setting.ipc)

    def prepare(self, task: Task) -> None:
        """Squeezes the dataset into each network of the pool, and measures what training data give in them."""
        _check_sides(task, self.config.recovered_from(task.backbone), self.config.recover)
        self.prepare_labels(task)
        pool = self._looked_through(task)
        own = next(each for each in pool if each.ref.backbone == task.backbone)
        if any(layer.kind == "batchnorm" for layer in layers_of(own.network, ("batchnorm", "convolution"))):
            record_health(task, own.network, own.ref.stage)
        judges = [each.network for each in pool if each.ref.backbone not in self.config.recover.start_without]
        self._start = start_from(self.config.recover.start, task, together(judges))
        matched = [each for each in pool if each.ref.backbone not in self.config.recover.without]
        members = [self._member(task, teacher) for teacher in matched]
        task.facts["statistics_bytes"] = sum(member.real.bytes for member in members if member.real)
        self._engine = engine_for(members, self.config.recover)

    def prepare_labels(self, task: Task) -> None:
        """The pool."""
        seed, names = task.seed_for("squeeze"), self.config.networks(task.backbone)
        self._teachers = [obtain(task, self.config.squeeze_for(name), seed=seed, backbone=name) for name in names]

    def _looked_through(self, task: Task) -> Sequence[Teacher]:
        """The pool that images are recovered from: those that label, where a method has no others."""
        return self._teachers

    def _member(self, task: Task, teacher: Teacher) -> Member:
        recover = self.config.recover
        if recover.match == ("batchnorm",) and recover.global_share == 1 and not recover.smoothing:
            return Member(teacher.network)
        seen = self.config.squeeze_for(teacher.ref.backbone).training()
        return Member(teacher.network, real_statistics(task, teacher, recover, seen))

    def units(self, task: Task) -> Sequence[Unit]:
        """All images in the recipe's order, cut into batches; batches that are alike are recovered several at once."""
        batches = self._batches(task)
        alike = [list(some) for _, some in groupby(batches, key=lambda each: (len(each), self._shares(task, each)))]
        groups = self.config.recover.groups
        cut = [some[start : start + groups] for some in alike for start in range(0, len(some), groups)]
        return [_unit(number, some) for number, some in enumerate(cut)]

    def _batches(self, task: Task) -> list[Members]:
        recover = self.config.recover
        size = recover.batch_size
        if recover.order == "class-major":
            sweeps = _parts(task.ipc, recover.sweeps)
            images = [(label, number) for part in sweeps for label in range(task.classes) for number in part]
            return [tuple(images[start : start + size]) for start in range(0, len(images), size)]
        chunks = [range(start, min(start + size, task.classes)) for start in range(0, task.classes, size)]
        return [tuple((label, number) for label in chunk) for number in range(task.ipc) for chunk in chunks]

    def warm_up(self, task: Task) -> None:
        """Compiles the recovery step."""
        units = [unit for unit in self.units(task) if isinstance(unit, BatchUnit)]
        sizes = [(len(unit.batches), size) for unit in units for size in self._sizes(task, unit.batches[0])]
        self._engine.ready(task, sizes)

    def _sizes(self, task: Task, members: Members) -> list[int]:
        """How many images of a batch are there in each phase of its recovery."""
        joins = self._joins(task, members)
        return [len(members)] if joins is None else [len(phase.places) for phase in phases_of(joins)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """The images of the unit's batches. A batch's seed and start depend on its images alone."""
        assert isinstance(unit, BatchUnit)
        pixels = self._engine.recover(task, [self._batch(task, members) for members in unit.batches])
        classes = torch.tensor([label for members in unit.batches for label, _ in members])
        return Images(pixels.flatten(0, 1).cpu(), classes)

    def _batch(self, task: Task, members: Members) -> Batch:
        targets = torch.tensor([label for label, _ in members])
        (first, number), (last, until) = members[0], members[-1]
        seed = task.seed_for("recover", first, number, last, until)
        started, shares, joins = self._started(task, members), self._shares(task, members), self._joins(task, members)
        recover = self.config.recover
        real = met_images(task, targets, recover.goal_images, seed) if recover.meets_real_images else None
        return Batch(targets, seed, started, shares, joins, real)

    def _joins(self, task: Task, members: Members) -> tuple[int, ...] | None:
        """When each image of a batch joins; None where all are there from the first iteration on."""
        return None

    def _shares(self, task: Task, members: Members) -> tuple[float, ...] | None:
        """How much each network of the pool counts in a batch; None where the recipe says which have a part."""
        return None

    def _started(self, task: Task, members: Members) -> Tensor | None:
        if self._start is None:
            return None
        images = self._start(members)
        return mirrored_by_chance(task, images, members) if self.config.recover.start_mirrored else images

    def label(self, task: Task, images: Images) -> Labels:
        """Soft labels by the pool, made while training or stored for every view of the paper's protocol."""
        relabel, setting = self.config.relabel, task.setting
        student = PROTOCOLS[self.protocol(setting)].plan(setting).training
        teachers, votes = self._labellers, self._votes
        return relabel_images(task, teachers, images, relabel, student, combine=relabel.combine, shares=votes)

    @property
    def _votes(self) -> Sequence[float]:
        """How much each of the networks that label counts; () where all count alike."""
        return ()

    @property
    def _labellers(self) -> list[Teacher]:
        return [each for each in self._teachers if each.ref.backbone not in self.config.relabel.without]


def _squeezed(setting: Setting, values: Values) -> Recipe:
    """How the networks are squeezed: a pool's as its first, whatever the run's own backbone is.

    A backbone that the pool has not is squeezed by its own recipe, unless the method has one for all.
    """
    own, name, pool = TEACHERS.pick(setting), setting.backbone, values.get("pool")
    if not pool:
        return own.under("squeeze")
    first = TEACHERS.pick(replace(setting, backbone=pool[0]))
    otherwise = {key: value for key, value in own.values.items() if first.values.get(key) != value}
    if name in pool or "squeeze" in values or not otherwise:
        return first.under("squeeze")
    quick = {key: fraction for key, fraction in own.quick.items() if key in otherwise}
    apart = Recipe(own.name, own.source, otherwise, quick)
    return first.under("squeeze").over(apart.under(name).under("squeeze_of"))


def _parts(count: int, parts: int) -> list[range]:
    """0 .. count - 1 in so many ranges of nearly one length, or in `count` of one number each."""
    parts = min(parts, count)
    return [range(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def _check_left_out(key: str, without: Sequence[str], pool: Sequence[str], what: str) -> None:
    if strange := set(without) - set(pool):
        named = f"{key} names {', '.join(sorted(strange))}; the pool has {', '.join(pool)}"
        raise UsageError(f"{named}; --set {key}=[] leaves nobody out")
    if set(pool) <= set(without):
        raise UsageError(f"{key} leaves nobody to {what}: the pool has {', '.join(pool)}")


@torch.no_grad()
def _check_sides(task: Task, pool: Sequence[str], recover: Recover) -> None:
    """Images must fit the networks at every size that they have. Raises RunFailure: they do not."""
    dataset = task.dataset
    for side in set(recover.sides(dataset.resolution)) - {dataset.resolution}:
        for name in pool:
            network = task.network(0, name).eval()
            try:
                network(torch.zeros(1, dataset.channels, side, side, device=task.device))
            except (RuntimeError, AssertionError) as error:
                fixed = f"{name} takes images of {dataset.resolution} pixels and none of {side}"
                kept = f"--set recover.scales=[1.0] keeps all stages at {dataset.resolution}"
                raise RunFailure(f"{fixed}; {kept}") from error


def _unit(number: int, batches: Sequence[Members]) -> BatchUnit:
    classes = dict.fromkeys(label for members in batches for label, _ in members)
    return BatchUnit(f"batches{number:05}", tuple(classes), batches=tuple(batches))
