"""Coresets chosen among penultimate features. What is open in the papers: see the package's docstring."""

from abc import abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.drawing import members
from bench.recipes import Recipe, Setting
from bench.training.features import features
from bench.training.feeding import Feed
from bench.training.recipes import TeacherRecipe
from bench.training.teachers import RECIPES, check_weights, obtain
from bench_coresets import choosing


class CoresetConfig(MethodConfig):
    """How the network that gives the features is trained."""

    extractor: TeacherRecipe


C = TypeVar("C", bound=CoresetConfig)


class FeaturedCoreset(Condenser[C]):
    """Real images of each class, chosen by their penultimate features. A unit is a class."""

    Config: ClassVar[type[MethodConfig]] = CoresetConfig
    version: ClassVar[int] = 3
    _extractor: nn.Module
    _feed: Feed

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """How the extractor is trained."""
        return RECIPES.pick(setting).under("extractor")

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """DC's, with which the lines that tables print were made."""
        return "dc"

    def check(self, setting: Setting) -> None:
        """The extractor's weights must be published, where they are not trained.

        Raises:
            UsageError: they are not.
        """
        check_weights(setting, self.config.extractor, "extractor")

    def prepare(self, task: Task) -> None:
        """Trains the extractor, or finds it trained."""
        extractor = obtain(task, self.config.extractor, seed=task.seed_for("squeeze"))
        self._extractor, task.facts["extractor_top1"] = extractor.network, extractor.ref.top1
        self._feed = Feed.of(task)

    def prepare_labels(self, task: Task) -> None:
        """Nothing: hard labels need no extractor."""

    def units(self, task: Task) -> Sequence[Unit]:
        """One a class."""
        return [Unit(f"class{label:04}", (label,)) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """`task.ipc` images of the unit's class, in the order in which they were chosen."""
        (label,) = unit.classes
        found, name = members(task.dataset, label, task.ipc), task.dataset.classes[label]
        points = features(task, self._extractor, self._feed, found).double().cpu()
        chosen = found[self.choose(points, task.ipc, task.seed_for("coreset", name))]
        return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])

    @abstractmethod
    def choose(self, points: Tensor, count: int, seed: int) -> Tensor:
        """int64 (count,): which of a class's features, float64 (n, d)."""


class HerdingConfig(CoresetConfig):
    """Herding's.

    Attributes:
        normalise_features: scale each feature to length 1 first, as iCaRL does.
        selection: "greedy", Welling's, or the "nearest" to the mean of their class, as DC's tables.
    """

    added: ClassVar[frozenset[str]] = frozenset({"selection"})

    normalise_features: bool = False
    selection: Literal["greedy", "nearest"] = "greedy"


class Herding(FeaturedCoreset[HerdingConfig]):
    """Images whose mean feature follows the mean of their class (Welling, ICML 2009)."""

    Config: ClassVar[type[MethodConfig]] = HerdingConfig

    def choose(self, points: Tensor, count: int, seed: int) -> Tensor:
        """The first is the nearest to the mean either way."""
        choose = choosing.nearest_to_mean if self.config.selection == "nearest" else choosing.herding
        return choose(F.normalize(points) if self.config.normalise_features else points, count)


class KCenterConfig(CoresetConfig):
    """K-center's.

    Attributes:
        start: the first image: the one nearest to the "mean" of its class, or a "random" one.
    """

    start: Literal["mean", "random"] = "mean"


class KCenter(FeaturedCoreset[KCenterConfig]):
    """Images far from each other, so that none of its class is far from all of them (Sener and Savarese, ICLR 2018)."""

    Config: ClassVar[type[MethodConfig]] = KCenterConfig

    def choose(self, points: Tensor, count: int, seed: int) -> Tensor:
        """Greedily, the farthest next."""
        return choosing.k_center(points, count, self._first(points, seed))

    def _first(self, points: Tensor, seed: int) -> int:
        if self.config.start == "mean":
            return int(choosing.nearest_to_mean(points, 1))
        return int(torch.randint(len(points), (), generator=seeds.generator("start", seed)))


class KMeansConfig(CoresetConfig):
    """K-means'.

    Attributes:
        restarts: how often it starts anew; the best of them is kept.
    """

    restarts: int = Field(default=1, ge=1)


class KMeans(FeaturedCoreset[KMeansConfig]):
    """The images nearest to the centres of k-means, one for each."""

    Config: ClassVar[type[MethodConfig]] = KMeansConfig

    def warm_up(self, task: Task) -> None:
        """Loads scikit-learn, so that the first class takes no longer than the others."""
        import_module("sklearn.cluster")

    def choose(self, points: Tensor, count: int, seed: int) -> Tensor:
        """As many centres as images are wanted."""
        return choosing.k_means(points, count, restarts=self.config.restarts, seed=seed % 2**32)
