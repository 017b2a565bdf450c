"""DREAM, representative matching (Liu et al., ICCV 2023), as a condenser: IDC with other real images.

What is followed where paper and code differ: see the package's docstring.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench import seeds
from bench.condensation import MethodConfig, Task
from bench.drawing import members
from bench.loops.checkpoints import State
from bench.recipes import RecipeBook
from bench.training.features import Penultimate
from bench_matching import formation
from bench_matching.clusters import nearest_to_centres
from bench_matching.idc import IDC, IDCConfig

_HERE = Path(__file__).parent
PIXELS = 2**20  # of the images whose features are taken at once


class DREAMConfig(IDCConfig):
    """IDC's, and which real images stand for a class.

    Attributes:
        interval: updates for which they stay; they are chosen anew where a network begins.
        representative_start: images that start from real ones start from such, too.
        normalised: their features are those of normalised images, as in training, and not of pixels in [0, 1].
    """

    interval: int = Field(default=10, ge=1)
    representative_start: bool = True
    normalised: bool = False


class DREAM(IDC):
    """IDC whose real images are those nearest to the centres of their class's features in the network of the moment."""

    config: DREAMConfig
    Config: ClassVar[type[MethodConfig]] = DREAMConfig
    recipes: ClassVar[RecipeBook] = RecipeBook.load(_HERE / "idc.toml", _HERE / "dream.toml")
    _chosen: Tensor

    def prepare(self, task: Task) -> None:
        """Finds the real images of each class."""
        super().prepare(task)
        count = self._reals.batch_size(self.config.batch_real)
        self._chosen = torch.zeros(task.classes, count, dtype=torch.int64)

    @property
    def _kept(self) -> State:
        return {"chosen": self._chosen}

    @property
    def _cycle(self) -> int:
        """The first update of each interval chooses the real images."""
        return min(self.config.interval, self.config.steps)

    def _start(self, task: Task) -> Tensor:
        if self.config.init != "real" or not self.config.representative_start:
            return super()._start(task)
        network, count, seed = self._network(task, 0), task.ipc * self.config.factor**2, task.seed_for("start")
        for label in range(task.classes):
            members(task.dataset, label, count)
        picked = [self._representatives(task, network, label, count, seed, 0) for label in range(task.classes)]
        return formation.of_images(task, torch.cat(picked), self.config.factor)

    def _real_images(self, task: Task, network: nn.Module, classes: Sequence[int], update: int) -> Tensor:
        count, seed = self._chosen.shape[1], task.seed_for("representatives")
        if update % self.config.steps % self.config.interval == 0:
            for label in classes:
                self._chosen[label] = self._representatives(task, network, label, count, seed, update)
        images: Tensor = self._reals.feed.images(self._chosen[list(classes)].flatten())
        found: Tensor = images.unflatten(0, (len(classes), count))
        return found

    def _representatives(
        self, task: Task, network: nn.Module, label: int, count: int, seed: int, position: int
    ) -> Tensor:
        """int64 (count,): where the images of a class that stand for it are among all training images."""
        found = self._reals.members[label]
        drawn = seeds.counter(seed, position, label).choice(len(found), count, replace=False)
        first = torch.from_numpy(drawn).to(task.device, non_blocking=True)
        return found[nearest_to_centres(self._features(task, network, found), first).cpu()]

    @torch.no_grad()
    def _features(self, task: Task, network: nn.Module, indices: Tensor) -> Tensor:
        """float32 (n, d): what the network, in training mode, gives its classifier of these training images."""
        penultimate, normalisation = Penultimate(network.train()), task.dataset.normalisation
        found = []
        for some in indices.split(max(1, PIXELS // task.dataset.resolution**2)):
            images = self._reals.feed.images(some)
            with task.autocast():
                found.append(penultimate(images if self.config.normalised else normalisation.invert(images)).float())
        return torch.cat(found)
