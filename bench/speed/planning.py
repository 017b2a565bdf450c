"""From what the user named to the rows to measure, all of it checked before any work."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.condensation import Condenser
from bench.data.cards import DatasetCard
from bench.data.finding import load_card
from bench.data.identity import known_as
from bench.errors import UsageError
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registry
from bench.hardware.choices import Compile, Precision
from bench.hardware.devices import AUTO, choose_device, choose_precision, plain_precision
from bench.loops.iterations import window
from bench.planning.checks import NetworkChecks, check_backbone
from bench.planning.configuring import build, condenser, configure, set_at, share_changes
from bench.recipes import Setting
from bench.reporting import REFERENCE
from bench.results.spec import MethodChoice
from bench.speed.floor import FloorSpec
from bench.speed.knobs import OPTIONS, Method, engines_of, key_of
from bench.speed.measuring import StepSpec
from bench.speed.random_data import random_dataset
from bench.speed.tables import SpeedTable, TableRow, read_table
from bench.storage.names import unknown

DATASET = "tiny-imagenet"  # whose shape is taken where none is named: that of the table papers compare with
FEW_CLASSES = 10  # where neither the card nor a batch says how many


@dataclass(frozen=True)
class SpeedRequest:
    """What the user asked for; None where nothing was said. A table stands for methods, backbones and dataset."""

    methods: tuple[str, ...]
    backbones: tuple[str, ...]
    dataset: str | None
    table: str | None
    batch_size: int | None
    ipc: int
    iterations: int | None
    engine: str | None
    changes: tuple[str, ...]
    vary: str | None
    compile: Compile | None
    device: str
    precision: str


@dataclass(frozen=True)
class Planned:
    """A row to be.

    Attributes:
        batch_size: images that a step updates, where the method says so.
        engine: None for a method that has no engines.
        published_as: what the source of the table calls the backbone, where it calls it otherwise.
        varied: the hyper-parameter that differs between rows, with this row's value.
        skipped: why nothing can be measured; then `step` and `floor` are None.
        known_as: the name under which recipes and claims know the dataset of the card (see `bench.data.identity`).
    """

    method: str
    backbone: str
    card: DatasetCard
    batch_size: int | None
    engine: str | None
    published_as: str | None = None
    varied: Mapping[str, Any] | None = None
    skipped: str | None = None
    step: StepSpec | None = None
    floor: FloorSpec | None = None
    known_as: str | None = None


class SpeedPlanner:
    """Makes rows from a request.

    Raises:
        UsageError: anything that cannot be right, in one line.
    """

    def __init__(self, registry: Registry, request: SpeedRequest) -> None:
        self.registry, self.request = registry, request
        self.device = choose_device(request.device)
        self.precision = choose_precision(request.precision, self.device)
        self._networks = NetworkChecks(registry)
        self._check_iterations()
        self.table = self._table()
        self._card_name = self.table.dataset if self.table else request.dataset or DATASET
        self._cells = self.table.rows if self.table else self._grid()
        self._card = load_card(registry, self._card_name)
        self._known_as = known_as(registry, self._card, self._card.classes)
        self._known = [
            name for name in dict.fromkeys(cell.method for cell in self._cells) if registry.has("method", name)
        ]
        self._changes = share_changes(registry, self._known, request.changes) if self._known else {}
        self._variations = self._varied()

    def rows(self) -> list[Planned]:
        """Every row in order; those of one method and backbone with the reference engine first."""
        return [row for cell in self._cells for row in self._rows(cell)]

    def _check_iterations(self) -> None:
        asked, least = self.request.iterations, window(self.device)
        if asked is not None and asked < least:
            raise UsageError(f"--iterations must be at least {least} on {self.device.type}, not {asked}")

    def _varied(self) -> dict[str, tuple[str, ...]]:
        """For each method the changes, of which every row has one; none for a method without such a key."""
        if self.request.vary is None:
            return {}
        key, equals, texts = self.request.vary.partition("=")
        values = [text.strip() for text in texts.split(",") if text.strip()]
        if not equals or len(values) < 2:
            raise UsageError(f"--vary takes KEY=VALUE,VALUE,..., not {self.request.vary!r}")
        shared = share_changes(self.registry, self._known, [f"{key.strip()}={values[0]}"])
        keys = {method: [change.partition("=")[0] for change in changes] for method, changes in shared.items()}
        return {
            method: tuple(f"{each}={value}" for each in known for value in values) for method, known in keys.items()
        }

    def _table(self) -> SpeedTable | None:
        request = self.request
        if request.table is None:
            if not (request.methods and request.backbones):
                raise UsageError("name methods (-m) and backbones (--backbone), or a table (--table)")
            return None
        named = {"-m": request.methods, "--backbone": request.backbones, "-d": request.dataset}
        if given := [option for option, value in named.items() if value]:
            raise UsageError(f"--table {request.table} says what to measure; leave {' and '.join(given)} out")
        return read_table(Path(self.registry.load("speed table", request.table)))

    def _grid(self) -> tuple[TableRow, ...]:
        request = self.request
        for kind, names in (("method", request.methods), ("backbone", request.backbones)):
            for name in names:
                self.registry.find(kind, name)
        return tuple(
            TableRow(method=method, backbone=backbone, batch_size=request.batch_size)
            for backbone in dict.fromkeys(request.backbones)
            for method in dict.fromkeys(request.methods)
        )

    def _rows(self, cell: TableRow) -> list[Planned]:
        """A table may name what nobody has installed; its published numbers are of interest all the same."""
        for kind, name in (("method", cell.method), ("backbone", cell.backbone)):
            if not self.registry.has(kind, name):
                missing = f"not measured: no such {kind} here"
                return [self._planned(cell, batch_size=cell.batch_size, engine=None, skipped=missing)]
        method = condenser(self.registry, cell.method)
        if not method.made_here:
            raise UsageError(f"{cell.method} makes no images, so it has no speed")
        check_backbone(self.registry, cell.method, cell.backbone)
        variations = self._variations.get(cell.method) or (None,)
        with answers_of(self.registry, "method", cell.method):
            return [
                self._measured(cell, method, engine, variation)
                for variation in variations
                for engine in self._engines(cell, method)
            ]

    def _engines(self, cell: TableRow, method: Method) -> Sequence[str | None]:
        asked, engines = self.request.engine, engines_of(method)
        if asked is None or (self.table and not engines):
            return engines or (None,)
        key_of(cell.method, method, "engine")
        if asked not in engines:
            raise unknown(f"engine of {cell.method}", asked, engines)
        return (asked,)

    def _measured(self, cell: TableRow, method: Method, engine: str | None, variation: str | None) -> Planned:
        choice = self._choice(cell, method, engine, variation)
        named = build(self.registry, choice)
        batch = set_at(named.config, method.knobs["batch_size"]) if "batch_size" in method.knobs else None
        classes, precision = _classes(self._card, batch), self._precision(method, engine)
        step = StepSpec(
            method=choice,
            card=self._card_name,
            classes=classes,
            ipc=self.request.ipc,
            backbone=cell.backbone,
            precision=precision,
            compile=self.request.compile,
            iterations=self.request.iterations,
        )
        dataset = random_dataset(self._card, classes, 1)
        self._networks.check(cell.backbone, dataset)
        self._networks.check_named(cell.method, named.backbones(self._setting(cell, batch)), dataset)
        passes = named.passes(self._setting(cell, batch))
        floor = self._floor(cell, classes, batch or classes * self.request.ipc, precision, passes)
        key = variation and variation.partition("=")[0]
        varied = {key: set_at(named.config, key)} if key else None
        return self._planned(cell, batch_size=batch, engine=engine, varied=varied, step=step, floor=floor)

    def _choice(self, cell: TableRow, method: Method, engine: str | None, variation: str | None) -> MethodChoice:
        """The paper's recipe, the user's --set and --vary over it, and over that what the options turn."""
        batch = cell.batch_size and (self.request.batch_size or cell.batch_size)
        turned = {"batch_size": batch, "engine": engine}
        changes = [*self._changes[cell.method], *([variation] if variation else [])]
        for option, value in turned.items():
            if value is not None:
                changes.append(f"{_free_key(cell.method, method, option, changes)}={value}")
        return configure(self.registry, cell.method, self._setting(cell, batch), changes)

    def _setting(self, cell: TableRow, batch: int | None) -> Setting:
        classes = _classes(self._card, batch)
        return Setting.of(self._card, self._known_as, classes, self.request.ipc, cell.backbone)

    def _precision(self, method: Method, engine: str | None) -> Precision:
        """Where none is asked for: the reference computes as papers' code does, all else as a run does."""
        plain = engine == REFERENCE or method.plain_arithmetic
        return plain_precision(self.device) if plain and self.request.precision == AUTO else self.precision

    def _floor(
        self, cell: TableRow, classes: int, images: int, precision: Precision, passes: Mapping[str, float]
    ) -> FloorSpec:
        card, alone = self._card, {cell.backbone: 1.0}
        through = () if dict(passes) == alone else tuple(passes.items())
        return FloorSpec(cell.backbone, classes, card.resolution, card.channels, images, precision, through)

    def _planned(self, cell: TableRow, **known: Any) -> Planned:  # noqa: ANN401 - the fields of Planned
        known = {"published_as": cell.published_as, "known_as": self._known_as, **known}
        return Planned(cell.method, cell.backbone, self._card, **known)


def _classes(card: DatasetCard, batch: int | None) -> int:
    """As many as the card has, or a few more: whole batches, because one of another size would be compiled as well."""
    known = card.classes or batch or FEW_CLASSES
    return known if batch is None else math.ceil(known / batch) * batch


def _free_key(name: str, method: type[Condenser[Any]], option: str, changes: Sequence[str]) -> str:
    """The key that an option turns, which the user must not set as well."""
    key = key_of(name, method, option)
    if any(change.partition("=")[0].strip() == key for change in changes):
        raise UsageError(f"{OPTIONS[option]} and --set {key} are two ways to say one thing; keep {OPTIONS[option]}")
    return key
