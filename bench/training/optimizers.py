"""Optimisers with the field's parameter groups."""

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from bench.training.recipes import TrainingRecipe


def build(recipe: TrainingRecipe, network: nn.Module) -> Optimizer:
    """The recipe's optimiser over the network's trainable weights."""
    groups = parameter_groups(network, recipe.weight_decay, decay_all=recipe.decay_all)
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    kind = AdamW if recipe.optimizer == "adamw" else Adam
    return kind(groups, lr=recipe.lr, betas=recipe.betas, fused=True)


def parameter_groups(network: nn.Module, weight_decay: float, *, decay_all: bool) -> list[dict[str, object]]:
    """All weights in one group, or with `decay_all` False those of fewer than two dimensions (biases, norm scales)
    in a group of their own without decay, as the validation code of SRe2L has it."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if decay_all:
        return [{"params": weights, "weight_decay": weight_decay}]
    return [
        {"params": [weight for weight in weights if weight.dim() >= 2], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
    ]


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Gives every group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def match_layout(optimizer: Optimizer) -> None:
    """Gives restored moments the memory layout of their weights.

    Files hold contiguous tensors; with channels-last weights the arithmetic would take other code paths than in an
    unbroken training, and the last bit could differ.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if torch.is_tensor(value) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight).copy_(value)
