"""Several teachers as one network, and teachers that label by each batch's own statistics."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.labels import Combine, TeacherMode


def together(networks: Sequence[nn.Module], combine: Combine = "mean", shares: Sequence[float] = ()) -> nn.Module:
    """One network that labels as all do together; a single one is itself.

    Args:
        combine: "mean", the mean of their logits (EDC); or "equal-norm", the mean after the logits (B, K) of
            each were scaled to the mean of all their Frobenius norms (G-VBSM's relabelling of ImageNet-1K; for other
            datasets its code has that line commented out). Such labels depend on the batch that they are made in.
        shares: how much each counts in the mean (CV-DD), in their order and 1 in all; all alike where none are given.
    """
    return networks[0] if len(networks) == 1 else _Together(networks, combine, shares)


class _Together(nn.Module):
    """Images (B, C, S, S) -> fp32 logits (B, K)."""

    _shares: Tensor

    def __init__(self, networks: Sequence[nn.Module], combine: Combine, shares: Sequence[float]) -> None:
        super().__init__()
        self._networks, self._equal = nn.ModuleList(networks), combine == "equal-norm"
        there = next((each.device for each in self.parameters()), None)
        self.register_buffer("_shares", torch.tensor(shares, device=there), persistent=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.stack([network(images).float() for network in self._networks])
        logits = equal_norms(logits) if self._equal else logits
        return torch.tensordot(self._shares, logits, 1) if len(self._shares) else logits.mean(0)


def equal_norms(logits: Tensor) -> Tensor:
    """Logits (M, B, K) of M networks, each (B, K) scaled to the mean of their M Frobenius norms."""
    norms: Tensor = torch.linalg.vector_norm(logits, dim=(1, 2), keepdim=True)
    return logits * (norms.mean() / norms.clamp_min(torch.finfo(norms.dtype).tiny))


def in_mode(network: nn.Module, mode: TeacherMode) -> nn.Module:
    """A teacher as it is, or in "train" mode a copy whose BatchNorm normalises by each batch.

    Running statistics play no part there, so nothing moves. All else of the network stays in evaluation mode. In
    "train-halves" mode it sees a batch in two halves, the second the larger of an odd one, as CV-DD's code cuts it.
    """
    if mode == "eval":
        return network
    network = without_running_statistics(copy.deepcopy(network))
    return _InHalves(network) if mode == "train-halves" else network


def without_running_statistics(network: nn.Module) -> nn.Module:
    """The network, changed: BatchNorm normalises by each batch in evaluation mode too."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return network


class _InHalves(nn.Module):
    """Images (B, C, S, S) -> logits (B, K), of each half of a batch by itself.

    Fewer than four at once: one image of one pixel, as the last map may be, has no statistics.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        half = len(images) // 2 if len(images) > 3 else 0
        parts = [images[:half], images[half:]] if half else [images]
        return torch.cat([self._network(part) for part in parts])
