"""Conformance of condensation methods."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench.condensation import Condenser, Images, MethodConfig
from bench.condensation.sizes import class_sizes
from bench.conformance.common import Conformance
from bench.conformance.making import Maker, Outcome, backbone_for, in_spite_of_stops, setting
from bench.conformance.tiny import tiny_dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.labels import Labels
from bench.planning.configuring import build, configure, keys_of
from bench.recipes import Budget
from bench.reporting import REFERENCE
from bench.speed.knobs import OPTIONS, engines_of

KEPT_AS = {"probabilities": torch.float32, "targets": torch.float32, "logits": torch.float16}  # tensors of labels
BUDGETS: tuple[Budget, ...] = ("paper", "quick")


class MethodConformance(Conformance):
    """Holds a condensation method to its contract, on a tiny dataset of three classes.

    You may set, besides `plugins`:
        changes: hyper-parameters for the tests, as for --set ("recover.batch_size=4").
        rounds: every whole number called epochs, iterations or steps is lowered to at most this, and so are the
            epochs of the training that labels are stored for. `bench speed` times a loop after it has warmed up, so
            there it is `bench.conformance.making.TIMED_ROUNDS`.
        backbone: what to condense with (default: a small one that has what the method needs).
        seeded: False for a method that makes the same images whatever the seed.
        resolution: pixels a side of the tiny dataset.
    """

    kind = "method"
    changes: ClassVar[Sequence[str]] = ()
    rounds: ClassVar[int] = 3
    backbone: ClassVar[str | None] = None
    seeded: ClassVar[bool] = True
    resolution: ClassVar[int] = 16

    @pytest.fixture(scope="class")
    @classmethod
    def maker(cls, registry: Registry, subject: str, tmp_path_factory: pytest.TempPathFactory) -> Maker:
        """Makes small sets with the method; all of one class of tests share their stages."""
        backbone = cls.backbone or backbone_for(registry, subject)
        return Maker(cls, registry, subject, backbone, tmp_path_factory.mktemp(subject))

    @pytest.fixture(scope="class")
    @classmethod
    def outcome(cls, maker: Maker) -> Outcome:
        """The set of seed 0."""
        return maker.make("first")

    @pytest.fixture(scope="class")
    @classmethod
    def again(cls, maker: Maker, outcome: Outcome) -> Outcome:
        """The same with its units in another order, and what became of the rest of the world meanwhile.

        It is not the first, which imports what the method needs: libraries draw from global generators then.
        """
        before = _random_states()
        procedure = maker.ready("again")
        train = procedure.given.dataset.train
        images = train.take(torch.arange(len(train))).clone()
        weights = _weights_of(procedure.method)
        made = maker.complete(procedure, reverse=True)
        after = _weights_of(procedure.method)
        found = {
            "a global generator was drawn from": all(map(_same, before, _random_states())),
            "the dataset was changed": torch.equal(images, train.take(torch.arange(len(images)))),
            **{f"{name} changed": torch.equal(tensor, after[name]) for name, tensor in weights.items()},
        }
        return replace(made, disturbed=[said for said, same in found.items() if not same])

    def test_config_refuses_unknown_keys(self, registry: Registry, subject: str) -> None:
        """Both from --set and from a recipe book, with one line for the user."""
        method: type[Condenser[Any]] = registry.load("method", subject)
        assert issubclass(method.Config, MethodConfig), "Config derives from bench.condensation.MethodConfig"
        with pytest.raises(ValidationError):
            method.Config.model_validate({"no_such_key": 1})
        with pytest.raises(UsageError, match="no_such_key"):
            configure(registry, subject, setting(64, 3, "convnet3"), ["no_such_key=1"])

    def test_knobs_are_keys_of_config(self, registry: Registry, subject: str) -> None:
        """Each option of `bench speed` that the method takes sets a key that there is; engines are named."""
        method: type[Condenser[Any]] = registry.load("method", subject)
        assert set(method.knobs) <= set(OPTIONS), f"knobs are {', '.join(OPTIONS)}"
        assert set(method.knobs.values()) <= set(keys_of(method.Config))
        if "engine" in method.knobs:
            assert engines_of(method), "the key of the engine is a Literal of names"

    @pytest.mark.parametrize("budget", BUDGETS)
    @pytest.mark.parametrize(("resolution", "channels"), [(8, 1), (32, 3), (64, 3), (224, 3)])
    def test_recipe_resolves(
        self, registry: Registry, subject: str, budget: Budget, resolution: int, channels: int
    ) -> None:
        """For small and large images at both budgets, to a configuration that survives spec.json."""
        at = setting(resolution, channels, backbone_for(registry, subject), budget)
        choice = configure(registry, subject, at, ())
        assert choice.source, "a recipe says where it comes from"
        again = build(registry, choice).config
        assert again.model_dump(mode="json") == choice.config
        assert registry.find("protocol", registry.load("method", subject).protocol(at))

    def test_units_partition_the_work(self, outcome: Outcome) -> None:
        """Unique names that can be file names, and over all units exactly ipc images of every class, or all."""
        names = [unit.name for unit in outcome.units]
        assert names and len(set(names)) == len(names), f"units must have unique names: {names}"
        assert all(name.replace("-", "").replace("_", "").replace(".", "").isalnum() for name in names), names
        for unit in outcome.units:
            made = set(outcome.pieces[unit.name].classes.tolist())
            assert made <= set(unit.classes), f"unit {unit.name} made classes {made}, not only its own {unit.classes}"
        counts = torch.bincount(outcome.stored.classes, minlength=outcome.task.classes).tolist()
        assert counts == class_sizes(outcome.method, outcome.task), f"images of each class: {counts}"

    def test_images_are_valid(self, outcome: Outcome) -> None:
        """The dataset's shape, finite, and inside the box of valid pixels where they are not stored as float32."""
        dataset, pixels = outcome.task.dataset, outcome.made.pixels
        assert pixels.shape[1:] == (dataset.channels, dataset.resolution, dataset.resolution)
        assert pixels.dtype == torch.uint8 or pixels.is_floating_point(), f"uint8 or float pixels, not {pixels.dtype}"
        assert not pixels.requires_grad, "detach the images"
        assert torch.isfinite(pixels.float()).all(), "images hold NaN or infinity"
        assert outcome.stored.classes.dtype == torch.int64, "classes are int64"
        if pixels.is_floating_point() and outcome.method.pixel_format != "float32":
            lower, upper = outcome.method.preprocessing(outcome.task).box(pixels)
            assert ((pixels >= lower - 1e-4) & (pixels <= upper + 1e-4)).all(), "clamp to the box, or store as float32"

    def test_same_seed_same_images(self, again: Outcome, outcome: Outcome) -> None:
        """Bit for bit, with the units in another order and the stages from the cache."""
        differ = _differences(again.made, outcome.made)
        assert not differ, f"{differ}: seed from task.seed_for(...), apart for every unit"

    def test_other_seed_other_images(self, maker: Maker, outcome: Outcome) -> None:
        """Unless the method says that it does not draw."""
        same = torch.equal(maker.pixels("other", seed=1), outcome.made.pixels)
        assert same is not self.seeded, "set `seeded = False` for a method that makes the same images for all seeds"

    def test_continues_where_it_was_stopped(self, maker: Maker, outcome: Outcome) -> None:
        """Stopped in the middle and continued from its checkpoint, if it keeps one, it makes the same images.

        With the same soft labels and the same step size, where it learns them.
        """
        procedure = maker.ready("stopped")
        made = Images.joined([in_spite_of_stops(procedure, unit) for unit in procedure.units()])
        differ = _differences(made, outcome.made)
        assert not differ, f"{differ}: give task.iterations(state=...) all that the loop changes"

    def test_leaves_the_rest_of_the_world_alone(self, again: Outcome) -> None:
        """Global random states, the dataset, and every network that prepare() left on the method."""
        assert not again.disturbed, "draw from task.seed_for(...); a teacher stays as it was squeezed"

    def test_bench_speed_measures_every_engine(self, maker: Maker, tmp_path: Path) -> None:
        """On random data, trained on nothing; an engine that is compared with the plain one says what it compiles."""
        for engine in engines_of(maker.method):
            measured = maker.measured(engine, tmp_path)
            assert measured["iterations"], "walk the loop with task.iterations(...)"
            if engine != REFERENCE:
                assert measured["compiled"], f"{engine}: compile its steps with bench.compiling.compiled_where_it_pays"

    def test_labels_are_valid(self, outcome: Outcome) -> None:
        """Hard, a distribution an image, or online or stored ones of a teacher that is one of the task's stages."""
        labels = outcome.labels
        assert isinstance(labels, Labels)
        expected = outcome.method.label_kind
        assert expected in (None, labels.kind), f"label_kind is {expected!r}, and the labels are {labels.kind}"
        decoder, count = outcome.method.decoder, len(outcome.stored)
        wrong = labels.unfit(count * decoder.count if decoder else count, outcome.task.classes)
        assert not wrong, wrong
        for name, tensor in labels.tensors.items():
            assert tensor.dtype == KEPT_AS.get(name, tensor.dtype), f"{name} are {KEPT_AS[name]}, not {tensor.dtype}"
            assert torch.isfinite(tensor).all(), f"{name} hold NaN or infinity"
        assert labels.facts.get("temperature", 1.0) > 0
        for teacher in labels.teachers:
            assert teacher.stage in outcome.task.used_stages, "each teacher is a stage of this task"
            assert teacher.bytes > 0

    def test_labels_a_set_that_it_did_not_make(self, maker: Maker, outcome: Outcome) -> None:
        """One that was kept, as of a run that goes on: the same labels; and a control's, which have none of their own.

        `label` may rely on what `prepare`, or `prepare_labels`, made, and on nothing that `synthesize` left on self.
        """
        again = maker.labelled_anew("labelled-anew", outcome.stored)
        assert again.facts == outcome.labels.facts
        assert all(torch.equal(tensor, outcome.labels.tensors[name]) for name, tensor in again.tensors.items())
        if maker.method.takes_all or not maker.method.made_here:
            return
        images, labels = maker.labelled_control("control")
        wrong = labels.unfit(len(images), outcome.task.classes)
        assert not wrong, wrong

    def test_makes_gray_images_one_a_class(self, maker: Maker) -> None:
        """A dataset of one channel, at ipc 1 where the method does not take all."""
        gray = maker.make("gray", ipc=1, dataset=tiny_dataset(channels=1, resolution=self.resolution))
        sizes = class_sizes(gray.method, gray.task)
        assert gray.made.pixels.shape == (sum(sizes), 1, self.resolution, self.resolution)
        assert torch.bincount(gray.stored.classes).tolist() == sizes


def _differences(first: Images, second: Images) -> list[str]:
    """The names of what is not the same, bit for bit, in the images of two syntheses."""
    parts = [field.name for field in fields(Images)]
    return [name for name in parts if not _same(getattr(first, name), getattr(second, name))]


def _random_states() -> list[Any]:
    numpy: Any = np.random.get_state()
    return [torch.get_rng_state(), random.getstate(), numpy[1], numpy[2]]


def _same(first: Any, second: Any) -> bool:  # noqa: ANN401 - tensors, arrays and plain values
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    return bool(np.array_equal(first, second)) if isinstance(first, np.ndarray) else bool(first == second)


def _weights_of(thing: object, name: str = "method", depth: int = 4) -> dict[str, Tensor]:
    """Copies of all weights of the networks that a method holds on to, directly or inside what it holds."""
    if isinstance(thing, nn.Module):
        return {f"{name}.{key}": value.clone() for key, value in thing.state_dict().items()}
    found: dict[str, Tensor] = {}
    for key, value in _inside(thing) if depth else ():
        found |= _weights_of(value, f"{name}.{key}", depth - 1)
    return found


def _inside(thing: object) -> list[tuple[Any, Any]]:
    """What an object holds, by key; nothing for classes, modules, functions and plain values."""
    if isinstance(thing, Mapping):
        return list(thing.items())
    if isinstance(thing, list | tuple):
        return list(enumerate(thing))
    closed = isinstance(thing, type | ModuleType | Tensor) or callable(thing)
    return [] if closed else list(getattr(thing, "__dict__", {}).items())
