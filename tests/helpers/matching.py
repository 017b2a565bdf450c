"""What tests of the matching methods share: small tasks, networks and segments, and what autograd holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.condensation import Task
from bench.testing import tiny_dataset, tiny_task
from bench.training.augmentation import dsa
from bench_backbones.convnet import build as build_convnet
from bench_backbones.convnet_names import Shape
from bench_matching.segments import Segment, Step

STRATEGY = "color_crop_cutout_flip_scale_rotate"
SMALL: dict[str, Any] = {
    "experts": {"count": 2, "epochs": 3, "batch_size": 12, "lr": 0.05, "momentum": 0.0, "weight_decay": 0.0},
    "iterations": 4,
    "steps": 3,
    "expert_epochs": 2,
    "max_start_epoch": 2,
    "dsa": STRATEGY,
    "lr_img": 1.0,
    "lr_lr": 1e-5,
    "lr_init": 0.02,
}


def task_of(folder: Path, backbone: str = "convnet3", classes: int = 3, ipc: int = 2, **options: Any) -> Task:  # noqa: ANN401
    dataset = tiny_dataset(classes=classes, per_class=20, resolution=8)
    return tiny_task(folder, dataset=dataset, ipc=ipc, backbone=backbone, **options)


def network(variant: str = "", resolution: int = 8) -> nn.Module:
    """A ConvNet-3 for 4 classes, or with the variant "vit" a transformer; always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if variant == "vit":
            return transformer(4, resolution, 3)
        return build_convnet(4, resolution, 3, shape=Shape(3, norm=variant.removeprefix("-")))


def transformer(classes: int, resolution: int, channels: int) -> nn.Module:
    return VisionTransformer(
        img_size=resolution,
        patch_size=4,
        in_chans=channels,
        num_classes=classes,
        embed_dim=12,
        depth=2,
        num_heads=3,
    )


def weights_of(net: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def example(
    steps: int, batch: int = 5, *, variant: str = "", soft: bool = False
) -> tuple[Tensor, Tensor, Tensor, Segment]:
    """8 images (3, 8, 8), targets, a step size, and a segment whose student takes `steps` steps; all in float64."""
    draws, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    images = torch.randn(8, 3, 8, 8, generator=draws, dtype=torch.float64)
    start = weights_of(network(variant)).double()
    target = start + 0.05 * torch.randn(len(start), generator=draws, dtype=torch.float64)
    taken = [torch.randperm(8, generator=draws)[:batch] for _ in range(steps)]
    made = [Step(indices, dsa.draw(STRATEGY, batch, 8, rng)) for indices in taken]
    targets = torch.randn(8, 4, generator=draws, dtype=torch.float64).softmax(1) if soft else torch.arange(8) % 4
    return images, targets, torch.tensor(0.3, dtype=torch.float64), Segment(start, target, made)


def most_saved(work: Callable[[], object]) -> int:
    """The most bytes that autograd holds at a time of what it saves for backward passes."""
    held, most = 0, 0

    class Parcel:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal held, most
            self.tensor = tensor
            held += tensor.nbytes
            most = max(most, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.tensor.nbytes

    with torch.autograd.graph.saved_tensors_hooks(Parcel, lambda parcel: parcel.tensor):
        work()
    return most
