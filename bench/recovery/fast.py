"""The fast engine: the loss of the reference, arranged for the hardware.

The arithmetic is that of `bench.recovery.objective`. All batches of a group go through a network together; the step
is compiled where that pays (`bench.compiling`), once for each network of the pool. Convolutions that chance leaves out
of an iteration are not measured; where steps are compiled they are, and do not count. Every view of a recovery is drawn
before and lies on the device, so nothing is copied or waited for in the loop.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays
from bench.condensation import Task
from bench.recovery.engine import Batch, Engine, Gradient, Shape
from bench.recovery.layers import laid_out
from bench.recovery.objective import Objective
from bench.recovery.pool import Member
from bench.recovery.real import class_goals
from bench.recovery.recipes import MatchingRecipe, RecoveryRecipe
from bench.recovery.views import RecoveryView, draw_view, seen_through

SAVED = 0.4  # of a step, by compiling: most of what is not convolution
Loss = Callable[..., tuple[Tensor, Tensor | None, Tensor]]


class FastEngine(Engine):
    """See the module's docstring. A shape of work that `ready` was not told of is made ready when it comes."""

    def __init__(self, pool: nn.Module | Sequence[Member], recipe: RecoveryRecipe) -> None:
        super().__init__(pool, recipe)
        self.objectives: list[Objective] = []
        self.losses: dict[tuple[Shape, int], list[Loss]] = {}  # by what is recovered at once, and the images' side

    def ready(self, task: Task, shapes: Iterable[Shape]) -> None:
        """Compiles the loss in each network for each shape, where its many uses pay for that."""
        if not self.objectives:  # what was made ready before goes on with those it has
            self.objectives = [Objective(member, self.recipe, task.device, task.precision) for member in self.pool]
        for shape, calls in Counter(shapes).items():
            for side, iterations in self.recipe.sides(task.dataset.resolution).items():
                steps = calls * iterations
                every = range(len(self.pool))
                self.losses[shape, side] = [self._chosen(task, place, shape, side, steps) for place in every]

    def gradient(self, task: Task, batches: Sequence[Batch]) -> Gradient:
        return _FastGradient(self, task, batches)

    def _chosen(self, task: Task, place: int, shape: Shape, side: int, steps: int) -> Loss:
        objective = self.objectives[place]
        example = self._example(task, place, shape, side)
        objective.left_out = self.typically_left_out(place)
        which = f" in {place + 1} of {len(self.pool)}" if len(self.pool) > 1 else ""
        turns = 1 if self.recipe.networks == "all" else len(self.pool)
        at = "" if side == task.dataset.resolution else f" at {side} px"
        name = f"recover {shape[0]}x{shape[1]}{at}{which}"
        work = Workload(name, self.pool[place].network, tuple(example[0].shape), -(-steps // turns), SAVED)
        return compiled_where_it_pays(task, work, objective, lambda loss: _gradient(loss, *example))

    def _example(self, task: Task, place: int, shape: Shape, side: int) -> tuple[Any, ...]:
        """Inputs of the shape, to time and to compile with."""
        dataset, (groups, size) = task.dataset, shape
        pixels = (dataset.channels, side, side)
        noise = torch.randn((groups, size, *pixels), generator=seeds.generator("trial"))
        views = torch.tensor([RecoveryView(None, flipped=False, roll=(0, 0)).row(side)] * groups)
        targets = torch.zeros(shape, dtype=torch.int64, device=task.device)
        member, images = self.pool[place], noise.to(task.device)
        goals = class_goals(task, member, [self._batch(task, size)] * groups, self.recipe)
        memory = member.start_of_memory(groups, task.device) if self.recipe.smoothing else None
        keep = torch.tensor(self.recipe.smoothing, device=task.device) if self.recipe.smoothing else None
        average = images if self.recipe.flatness else None
        layers, left_out = len(member.layers(self.recipe)), [self.typically_left_out(place)]
        kept = _kept(left_out, layers)[0].to(task.device) if self.recipe.drop else None
        laid = laid_out(goals) if goals else None
        return images, targets, views.to(task.device), laid, memory, keep, average, kept

    def typically_left_out(self, place: int) -> frozenset[int]:
        """As many of a network's convolutions as are left out of an iteration on average."""
        layers = self.pool[place].layers(self.recipe)
        convolutions = [at for at, layer in enumerate(layers) if layer.kind == "convolution"]
        return frozenset(convolutions[: round(self.recipe.drop * len(convolutions))])


class _FastGradient(Gradient):
    def __init__(self, engine: FastEngine, task: Task, batches: Sequence[Batch]) -> None:
        super().__init__(engine.pool, engine.recipe, task, batches)
        shape = (self.targets.shape[0], self.targets.shape[1])
        sides = self.recipe.sides(task.dataset.resolution)
        if any((shape, side) not in engine.losses for side in sides):
            engine.ready(task, [shape])
        self._losses, self._objectives = {side: engine.losses[shape, side] for side in sides}, engine.objectives
        self._views = _all_views(self.recipe, task, batches)
        self._goals = [laid_out(goals) if goals else None for goals in self.class_goals]
        every, places = range(self.recipe.iterations), range(len(self.pool)) if self.recipe.drop else ()
        self._out = [[self.left_out(place, iteration) for iteration in every] for place in places]
        self._kept = [_kept(out, len(self._kinds[at])).to(task.device) for at, out in enumerate(self._out)]
        smoothing = self.recipe.smoothing
        self._keeps = {keep: torch.tensor(keep, device=task.device) for keep in (0.0, smoothing)} if smoothing else {}

    def _by(self, place: int, images: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        if self.recipe.drop:
            self._objectives[place].left_out = self._out[place][iteration]
        memory = self.memories[place] if self.memories else None
        keep = self._keeps.get(self.keep(iteration))
        kept = self._kept[place][iteration] if self.recipe.drop else None
        given = (images, self.targets, self._views[iteration], self._goals[place], memory, keep, self.average, kept)
        gradient, remembered, by_term = _gradient(self._losses[images.shape[-1]][place], *given)
        if remembered is not None:
            self.memories[place].copy_(remembered)
        return gradient, by_term

    def _seen(self, images: Tensor, iteration: int) -> Tensor:
        return seen_through(images, self._views[iteration])


def _kept(left_out: Sequence[frozenset[int]], layers: int) -> Tensor:
    """(iterations, L): 0 for the layers that an iteration leaves out, 1 for the others."""
    return torch.tensor([[float(place not in out) for place in range(layers)] for out in left_out])


def _all_views(recipe: MatchingRecipe, task: Task, batches: Sequence[Batch]) -> Tensor:
    """int64 (iterations, G, 7), on the device."""
    sides = [recipe.side(iteration, task.dataset.resolution) for iteration in range(recipe.iterations)]
    rows = [
        [draw_view(recipe, side, batch.seed, iteration).row(side) for batch in batches]
        for iteration, side in enumerate(sides)
    ]
    return torch.tensor(rows).to(task.device)


def _gradient(
    loss: Loss,
    images: Tensor,
    *given: Any,  # noqa: ANN401 - as `Objective`
) -> tuple[Tensor, Tensor | None, Tensor]:
    leaf = images.detach().requires_grad_()
    value, remembered, by_term = loss(leaf, *given)
    return torch.autograd.grad(value, [leaf])[0], remembered, by_term
