"""The pool of online networks (section 3.3 of the paper): of different ages, trained on the images as they are.

Every iteration draws one. The images are updated by its features, and then it is trained for a step on them, or, once
it has been trained more often than it may, makes place for a new one. At first all are new, but their ages are spread
evenly, so that they do not leave all at once (release: `proto_train_and_evaluate`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from bench import seeds
from bench.condensation import Task
from bench.training import optimizers
from bench.training.loop import place
from bench.training.losses import half_squared_error


@dataclass
class Member:
    """A network with its optimiser.

    Attributes:
        network: in evaluation mode, but while it is trained.
        age: how often it counts as trained.
    """

    network: nn.Module
    optimizer: Optimizer
    age: int

    def train(self, task: Task, images: Tensor, targets: Tensor) -> None:
        """A step of Adam on half the squared distance of its outputs from the targets (B, K)."""
        self.network.train()
        with task.autocast():
            outputs = self.network(images)
        loss = half_squared_error(outputs, targets)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.network.eval()
        self.age += 1


class Pool:
    """The networks. Its state dict holds all of them, with moments and ages.

    Args:
        task: makes the networks.
        size: how many.
        most: a network that was trained more often than this is replaced, once it was drawn again (release: 100, so
            that a network is trained 101 times and its features are those of 0 to 101 steps).
        rate: of Adam.
        batch: the most images of a training step.
    """

    def __init__(self, task: Task, *, size: int, most: int, rate: float, batch: int) -> None:
        self._task, self._most, self._rate, self._batch = task, most, rate, batch
        self._drawn, self._born, self._shown = (task.seed_for(name) for name in ("drawn", "born", "shown"))
        self.members = [self._new(most // size * slot, "first", slot) for slot in range(size)]

    def drawn(self, iteration: int) -> Member:
        """The network of an iteration, each equally likely."""
        return self.members[self._slot(iteration)]

    def advance(self, iteration: int, images: Tensor, targets: Tensor) -> None:
        """Trains that network on images (N, C, S, S) and targets (N, K), at most a batch of them, or replaces it."""
        slot = self._slot(iteration)
        if self.members[slot].age > self._most:
            self.members[slot] = self._new(0, iteration)
            return
        chosen = self._chosen(iteration, len(images))
        if chosen is not None:
            images, targets = images[chosen], targets[chosen]
        with seeds.layers_draw(self._task.device, "layers", self._shown, iteration):
            self.members[slot].train(self._task, images.detach(), targets.detach())

    def state_dict(self) -> dict[str, Any]:
        """Networks, moments and ages."""
        return {"members": [_content(member) for member in self.members]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes a state back. Raises what torch raises of networks that do not fit."""
        for member, content in zip(self.members, state_dict["members"], strict=True):
            member.network.load_state_dict(content["network"])
            member.optimizer.load_state_dict(content["optimizer"])
            optimizers.match_layout(member.optimizer)
            member.age = int(content["age"])

    def _slot(self, iteration: int) -> int:
        return int(seeds.counter(self._drawn, iteration).integers(len(self.members)))

    def _chosen(self, iteration: int, images: int) -> Tensor | None:
        """Which images a step sees, where that is not all."""
        if images <= self._batch:
            return None
        chosen = seeds.counter(self._shown, iteration).choice(images, self._batch, replace=False)
        return torch.from_numpy(chosen).to(self._task.device, non_blocking=True)

    def _new(self, age: int, *names: str | int) -> Member:
        network = place(self._task.network(seeds.derive(self._born, *names)), self._task).eval()
        fused = Adam(network.parameters(), lr=self._rate, fused=True)
        return Member(network, fused, age)


def _content(member: Member) -> dict[str, Any]:
    parts = {"network": member.network.state_dict(), "optimizer": member.optimizer.state_dict()}
    return {**parts, "age": member.age}
