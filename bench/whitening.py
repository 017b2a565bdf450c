"""ZCA whitening: what the trajectory-matching family preprocesses images with.

Images in [0, 1] are flattened, and z = (x - mean) W with W = U diag(1 / sqrt(s + eps)) U', where U diag(s) U' is the
covariance of the training set, divided by N - 1. That is kornia's `ZCAWhitening(eps=0.1)`, which MTT's release fits on
the whole training set and applies to training and test images alike; no mean and std follow.

FRePo's release standardises each channel first, by the mean and the deviation of all its pixels in the training set;
divides the covariance by N; adds eps times the mean variance, which is about eps; and where there are fewer images than
numbers in one leaves the axes without variance as they are (`standardised`). It becomes the same (x - mean) W.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.condensation import Task
from bench.data.datasets import Preprocessing
from bench.data.preprocessing import ImageShape
from bench.errors import UsageError
from bench.loops.passes import walk
from bench.recipes import Setting
from bench.storage.files import digest
from bench.storage.shared.stages import Made
from bench.storage.tensor_files import tensor_digest

EPS = 0.1  # MTT's
LARGEST = 64  # pixels a side: a matrix over 64 x 64 x 3 numbers has 600 MB, one over 128 x 128 x 3 would have 10 GB
CHUNK = 256  # images; sums of so many products of two bytes are exact in fp32: 256 * 255 * 255 < 2 ** 24


@dataclass(frozen=True, eq=False)
class Whitening(Preprocessing):
    """A linear map of all pixels of an image at once, fitted on a training set.

    It takes the place of a dataset's normalisation: `replace(dataset, normalisation=whitening)`. Two whitenings are
    equal when their numbers are.

    Attributes:
        mean: float32 (C, H, W), of pixels in [0, 1].
        matrix: float32 (D, D) with D = C * H * W; a flattened image less the mean, as a row, times this is whitened.
    """

    kind: ClassVar[str] = "zca"
    value_range: ClassVar[str] = "whitened"
    file: ClassVar[str] = "zca.safetensors"
    bounded: ClassVar[bool] = False
    costly: ClassVar[bool] = True
    mean: Tensor
    matrix: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """uint8 (..., C, H, W) -> float32, whitened; fp32 whatever the arithmetic around it is."""
        mean, matrix = (self._on(images.device, name) for name in ("mean", "matrix"))
        return self._times(images.float() / 255 - mean, matrix)

    def invert(self, images: Tensor) -> Tensor:
        """Whitened float (..., C, H, W) -> float pixels. Condensed images may be anywhere, also outside [0, 1]."""
        mean, inverse = (self._on(images.device, name) for name in ("mean", "_inverse"))
        return self._times(images.float(), inverse) + mean

    def box(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Infinite bounds, (C, 1, 1): the valid pixels of an image bound each other, and no value of its own."""
        bound = torch.full((len(self.mean), 1, 1), torch.inf, device=like.device)
        return -bound, bound

    def blank(self, like: Tensor) -> Tensor:
        """Zeros (C, 1, 1): what the mean image becomes."""
        return torch.zeros(len(self.mean), 1, 1, device=like.device)

    @cached_property
    def digest(self) -> str:
        """Hash of the numbers."""
        return digest([tensor_digest(self.mean), tensor_digest(self.matrix)])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Both: the set means nothing without them."""
        return {"mean": self.mean, "matrix": self.matrix}

    @property
    def facts(self) -> dict[str, Any]:
        """Where the numbers lie, and their hash."""
        return {"mean": None, "std": None, "zca": {"file": self.file, "digest": self.digest}}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Whitening":
        """From the tensors."""
        return cls(tensors["mean"], tensors["matrix"])

    def unfit(self, dataset: ImageShape) -> str:
        """It brings all that it needs, and must be for images of the dataset's shape."""
        found, shape = tuple(self.mean.shape), (dataset.channels, dataset.resolution, dataset.resolution)
        return "" if found == shape else f"the set's ZCA matrix is for images of {found}, not {shape}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Whitening) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def _inverse(self) -> Tensor:
        """Of somebody else's matrix of lower rank, which shows only a part of an image, the pseudo-inverse."""
        matrix = self.matrix.double()
        inverse, singular = torch.linalg.inv_ex(matrix)
        exact: Tensor = torch.linalg.pinv(matrix) if bool(singular) else inverse
        return exact.float()

    @cached_property
    def _copies(self) -> dict[tuple[torch.device, str], Tensor]:
        return {}

    def _on(self, device: torch.device, name: str) -> Tensor:
        """One of the tensors on a device; copied there once."""
        if (device, name) not in self._copies:
            self._copies[device, name] = getattr(self, name).to(device)
        return self._copies[device, name]

    def _times(self, images: Tensor, matrix: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # testing normalises inside the network's arithmetic
            return torch.matmul(images.flatten(-3), matrix).view(*images.shape[:-3], *self.mean.shape)


def check_whitening(setting: Setting, key: str = "zca") -> None:
    """Refuses images that are too large for one matrix over all their pixels; for `Condenser.check`.

    Args:
        key: the hyper-parameter that asks for the whitening, for the message.

    Raises:
        UsageError: above 64 pixels a side.
    """
    if setting.resolution > LARGEST:
        raise UsageError(
            f"{key}: ZCA whitening is for images of up to {LARGEST} pixels a side, "
            f"and {setting.dataset} has {setting.resolution}; set {key}=false"
        )


def fit(task: Task, eps: float = EPS, *, standardised: bool = False) -> Whitening:
    """The whitening of the task's training split; a stage, so it is fitted once.

    At 32 pixels in colour the matrix has 38 MB, at 64 pixels 604 MB, and fitting needs about six times that.

    Args:
        eps: added to every eigenvalue of the covariance; standardised, in units of their mean.
        standardised: as FRePo's release.

    Raises:
        UsageError: the images are too large.
        Interrupted: the user asked to stop; a fit has no checkpoint and begins again.
    """
    check_whitening(task.setting)
    how = {"standardised": True} if standardised else {}
    result = task.stage("zca", 1, {"eps": eps, **how}, _maker(task, _standardised if standardised else _plain, eps))
    return Whitening(result.tensors["mean"], result.tensors["matrix"])


Root = Callable[[Tensor, Tensor, int, int, float], Tensor]  # of mean, covariance, images, channels, eps


def _maker(task: Task, root: Root, eps: float) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        mean, covariance = _moments(task)
        dataset = task.dataset
        matrix = root(mean, covariance, len(dataset.train), dataset.channels, eps)
        shape = (dataset.channels, dataset.resolution, dataset.resolution)
        return Made({"mean": mean.float().view(shape).cpu(), "matrix": matrix.float().cpu()}, {"eps": eps})

    return make


def _plain(mean: Tensor, covariance: Tensor, images: int, channels: int, eps: float) -> Tensor:
    """MTT's matrix."""
    variances, axes = torch.linalg.eigh(covariance)
    return _turned(axes, (variances.clamp(min=0) + eps).rsqrt())


def _standardised(mean: Tensor, covariance: Tensor, images: int, channels: int, eps: float) -> Tensor:
    """FRePo's matrix, each row divided by the deviation of its channel, for images that are not standardised."""
    biased = covariance * ((images - 1) / images)
    levels = mean.view(channels, -1)
    spread = biased.diagonal().view(channels, -1) + (levels - levels.mean(1, keepdim=True)).square()
    deviations = _or_one(spread.mean(1).sqrt()).repeat_interleave(levels.shape[1])
    variances, axes = torch.linalg.eigh(biased / deviations.outer(deviations))
    scales = (variances.clamp(min=0) + eps * _or_one(variances.mean())).rsqrt()
    scales[: max(0, len(scales) - images)] = 1.0  # the smallest come first
    return _turned(axes, scales) / deviations[:, None]


def _or_one(sizes: Tensor) -> Tensor:
    """What has no size, such as the deviation of a channel that is the same everywhere, is measured in ones."""
    return torch.where(sizes > 0, sizes, 1.0)


def _turned(axes: Tensor, scales: Tensor) -> Tensor:
    """The symmetric matrix that scales along the axes, columns of (D, D)."""
    return torch.matmul(axes * scales, axes.T)


def _moments(task: Task) -> tuple[Tensor, Tensor]:
    """float64 mean (D,) and covariance (D, D) of the flattened training images in [0, 1], over N - 1.

    Sums of bytes and of their products are whole numbers, which fp32 holds exactly for a chunk and fp64 for all: they
    depend on no order, thread or device.
    """
    train, count = task.dataset.train, 0
    size = task.dataset.channels * task.dataset.resolution**2
    total = torch.zeros(size, dtype=torch.float64, device=task.device)
    products = torch.zeros(size, size, dtype=torch.float64, device=task.device)
    for step in walk(task, "zca", -(-len(train) // CHUNK)):
        images = train.take(torch.arange(step * CHUNK, min((step + 1) * CHUNK, len(train))))
        flat = images.to(task.device).flatten(1).float()
        products += flat.T @ flat
        total += flat.sum(0)
        count += len(flat)
    mean = total / max(count, 1)
    products.addr_(mean, mean, alpha=-count).div_(max(count - 1, 1) * 255**2)
    return mean / 255, products
