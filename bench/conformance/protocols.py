"""Conformance of protocols."""

from copy import copy
from dataclasses import replace
from typing import ClassVar, get_args

import pytest
import torch
from torch import Tensor

from bench import seeds
from bench.condensation import Images, Task
from bench.conformance.common import Conformance
from bench.conformance.rounds import ShortenedBook
from bench.conformance.tiny import tiny_dataset, tiny_task
from bench.data.datasets import Normalisation
from bench.evaluation import LabelSource, Protocol, Scores
from bench.extensions.registry import Registry
from bench.labels import HardLabels
from bench.recipes import Setting
from bench.sets.condensed import CondensedSet
from bench.training.protocol import TrainingProtocol
from bench.whitening import fit

SEED = 5


class ProtocolConformance(Conformance):
    """Holds a protocol to its contract, on a tiny set of real images of seven classes.

    You may set, besides `plugins`:
        rounds: the epochs of a `TrainingProtocol`, and of its teacher, are lowered to at most this. Other protocols
            run as they are, under the quick budget.
        backbone: what to train.
    """

    kind = "protocol"
    rounds: ClassVar[int] = 3
    backbone: ClassVar[str] = "convnet3-bn"

    @pytest.fixture(scope="class")
    @classmethod
    def protocol(cls, registry: Registry, subject: str) -> Protocol:
        """The protocol, with fewer epochs where its recipes say how many."""
        found = registry.load("protocol", subject)
        assert isinstance(found, Protocol)
        if not isinstance(found, TrainingProtocol):  # only a book of recipes can be lowered
            return found
        shortened = copy(found)  # of whatever class it is
        shortened.book = ShortenedBook(found.book, cls.rounds)
        return shortened

    @pytest.fixture(scope="class")
    @classmethod
    def task(cls, subject: str, tmp_path_factory: pytest.TempPathFactory) -> Task:
        """A task over seven classes, so that there is a top-5."""
        return tiny_task(
            tmp_path_factory.mktemp(subject),
            dataset=tiny_dataset(classes=7),
            backbone=cls.backbone,
            plugins=cls.plugins,
        )

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, protocol: Protocol, task: Task) -> Scores:
        """What one evaluation gives."""
        return protocol.evaluate(real_images(task), _in(task, "first"), cls.backbone, SEED)

    def test_says_what_it_is(self, registry: Registry, subject: str) -> None:
        """Its name is the one it is offered under; its version and kind of labels are known."""
        found = registry.load("protocol", subject)
        assert isinstance(found, Protocol)
        assert found.name == subject
        assert found.version >= 1
        assert found.labels in get_args(LabelSource)

    def test_recipes_resolve(self, registry: Registry, subject: str) -> None:
        """For small and large images at both budgets, where the protocol is one of recipes."""
        found = registry.load("protocol", subject)
        if not isinstance(found, TrainingProtocol):  # no other protocol has a `plan`
            pytest.skip(f"{subject} is not a TrainingProtocol: it has no recipe to resolve")
        for resolution, channels in ((8, 1), (32, 3), (64, 3), (224, 3)):
            paper = Setting("tiny", resolution, channels, 10, 10, self.backbone)
            assert found.plan(replace(paper, budget="quick")).training.epochs <= found.plan(paper).training.epochs
            assert found.recipe(paper).source, "a recipe says where it comes from"

    def test_scores_are_percentages(self, scores: Scores) -> None:
        """top-1, where it is measured, within top-5, both in [0, 100], as metrics in %; epochs and seconds counted."""
        assert_percentages(scores)
        if scores.top1 is not None:
            assert scores.top5 is not None
            assert scores.top1 <= scores.top5 <= 100
            assert scores.best_top1 is None or scores.top1 <= scores.best_top1 <= 100
        assert scores.epochs >= 1
        assert scores.seconds > 0

    def test_has_no_top_5_of_few_classes(self, protocol: Protocol, task: Task) -> None:
        """A dataset of three classes can be evaluated, and has None for it."""
        few = replace(task, dataset=tiny_dataset(classes=3))
        scores = protocol.evaluate(real_images(few), _in(few, "few"), self.backbone, SEED)
        assert_percentages(scores)
        assert scores.top5 is None, "below 6 classes top5 is None"

    def test_same_seed_same_scores(self, protocol: Protocol, task: Task, scores: Scores) -> None:
        """Whatever torch's global generator holds, which it leaves alone."""
        with seeds.cpu_draws(1234):
            before = torch.get_rng_state()
            again = protocol.evaluate(real_images(task), _in(task, "again"), self.backbone, SEED)
            assert torch.equal(before, torch.get_rng_state())
        assert replace(again, seconds=0.0) == replace(scores, seconds=0.0)

    def test_sees_test_images_as_the_set_says(self, protocol: Protocol, task: Task) -> None:
        """Through the set's own preprocessing: nobody sees an image of a whitened set by the dataset's constants."""
        condensed = replace(real_images(task), preprocessing=fit(task))
        dataset = replace(task.dataset, normalisation=_ForbiddenNormalisation((0.5,) * 3, (0.2,) * 3))
        scores = protocol.evaluate(condensed, _in(replace(task, dataset=dataset), "whitened"), self.backbone, SEED)
        assert_percentages(scores)

    @pytest.mark.parametrize("kept_as", ["uint8", "float32"])
    def test_leaves_the_set_alone(self, protocol: Protocol, task: Task, kept_as: str) -> None:
        """The tensors of a condensed set are evaluated many times; those of floats are as networks see them."""
        condensed = real_images(task)
        if kept_as == "float32":
            condensed = replace(condensed, images=replace(condensed.images, pixels=condensed.normalised()))
        before, classes = condensed.images.pixels.clone(), condensed.images.classes.clone()
        protocol.evaluate(condensed, _in(task, f"careful-{kept_as}"), self.backbone, SEED)
        assert torch.equal(before, condensed.images.pixels), "write into none of the set's tensors"
        assert torch.equal(classes, condensed.images.classes), "write into none of the set's tensors"


def assert_percentages(scores: Scores) -> None:
    """Top-1 and the metrics in % are none below 0 or above 100."""
    measured = [metric.value for metric in scores.metrics.values() if metric.unit == "%"]
    assert all(0 <= value <= 100 for value in (*measured, *([] if scores.top1 is None else [scores.top1])))


class _ForbiddenNormalisation(Normalisation):
    """Constants that nobody may take."""

    def apply(self, images: Tensor) -> Tensor:
        """Never."""
        raise AssertionError("take condensed.preprocessing for all images, not task.dataset.normalisation")


def real_images(task: Task) -> CondensedSet:
    """The first `ipc` training images of every class with hard labels: a condensed set that any protocol must take."""
    train = task.dataset.train
    picked = [torch.nonzero(train.labels == label).flatten()[: task.ipc] for label in range(task.classes)]
    indices = torch.cat(picked)
    images = Images(train.take(indices), train.labels[indices])
    return CondensedSet(images, HardLabels(), task.dataset.classes, task.dataset.normalisation)


def _in(task: Task, workspace: str) -> Task:
    folder = task.workspace / workspace
    folder.mkdir(parents=True)
    return replace(task, workspace=folder)
