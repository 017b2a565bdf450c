"""The fast engine: the loss of the reference, arranged for the hardware.

The arithmetic is that of `bench.recovery.objective`. All batches of a group go through the network together; the step
is compiled where that pays (`bench.compiling`). Every view of a recovery is drawn beforehand and lies on the device, so
nothing is copied or waited for in the loop.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays
from bench.condensation import Task
from bench.recovery.engine import Batch, Engine, Gradient, Shape
from bench.recovery.objective import Objective
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.views import RecoveryView, draw_view

SAVED = 0.4  # of a step, by compiling: most of what is not convolution
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class FastEngine(Engine):
    """See the module's docstring. A shape of work that `ready` was not told of is made ready when it comes."""

    def __init__(self, network: nn.Module, recipe: RecoveryRecipe) -> None:
        super().__init__(network, recipe)
        self._losses: dict[Shape, Loss] = {}

    def ready(self, task: Task, shapes: Iterable[Shape]) -> None:
        """Compiles the loss for each shape, where its many uses pay for that."""
        objective = Objective(self.network, self.recipe, task.device, task.precision)
        for shape, calls in Counter(shapes).items():
            self._losses[shape] = self._chosen(task, objective, shape, calls)

    def gradient(self, task: Task, batches: Sequence[Batch]) -> Gradient:
        """See `Engine.gradient`."""
        targets = torch.stack([batch.targets for batch in batches]).to(task.device)
        shape = (targets.shape[0], targets.shape[1])
        if shape not in self._losses:
            self.ready(task, [shape])
        loss, views = self._losses[shape], self._views(task, batches)
        return lambda images, iteration: _gradient(loss, images, targets, views[iteration])

    def _views(self, task: Task, batches: Sequence[Batch]) -> Tensor:
        """int64 (iterations, G, 7), on the device."""
        resolution = task.dataset.resolution
        rows = [
            [draw_view(self.recipe, resolution, batch.seed, iteration).row(resolution) for batch in batches]
            for iteration in range(self.recipe.iterations)
        ]
        return torch.tensor(rows).to(task.device)

    def _chosen(self, task: Task, objective: Objective, shape: Shape, calls: int) -> Loss:
        example = _example(task, shape)
        what, steps = f"recover {shape[0]}x{shape[1]}", calls * self.recipe.iterations
        work = Workload(what, self.network, tuple(example[0].shape), steps, SAVED)
        return compiled_where_it_pays(task, work, objective, lambda loss: _gradient(loss, *example))


def _gradient(loss: Loss, images: Tensor, targets: Tensor, views: Tensor) -> Tensor:
    leaf = images.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf, targets, views), [leaf])[0]


def _example(task: Task, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of the shape, to time and to compile with."""
    dataset, (groups, size) = task.dataset, shape
    pixels = (dataset.channels, dataset.resolution, dataset.resolution)
    images = torch.randn((groups, size, *pixels), generator=seeds.generator("trial"))
    views = torch.tensor([RecoveryView(None, flipped=False, roll=(0, 0)).row(dataset.resolution)] * groups)
    return images.to(task.device), torch.zeros(shape, dtype=torch.int64, device=task.device), views.to(task.device)
