"""Folders of stored labels as FKD writes them (Shen and Xing, ECCV 2022), with the mixes that SRe2L's code adds.

    FKD_cutmix_fp16/epoch_0/batch_0.tar, batch_1.tar, ...
    FKD_cutmix_fp16/epoch_1/...

Each file is a torch.save of [crops, flips, partners, lambda, box, logits] for one batch: crops float (b, 4), top, left,
height and width as fractions; flips bool (b,); partners int (b,) or None; the box of CutMix [top, left, bottom, right]
in pixels, or None; logits (b, K) of the teacher that saw the batch cropped, flipped and mixed. SRe2L, CDA, SC-DD, CV-DD
and their followers write that. Which images a batch holds is not written down there: it follows from torch's
RandomSampler under a seed (`--fkd-seed` of the releases, 42), over the images as torchvision's ImageFolder orders them,
so the names and the number of the images must be those that were labelled. G-VBSM adds a seventh part, the places of
the batch's images in that order, int (b,), which is then followed; and EDC an eighth, how the patches of each image are
shuffled, which must be zero throughout: its relabelling shuffles none.

The files are read without running anything that they hold.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import RandomSampler

from bench.errors import UsageError, why
from bench.progress import Progress
from bench.sets.tensor_files import FLOATS, INTEGERS, load_plain, not_plain
from bench.training.soft_labels.recorded import BATCH, BOXES, FLIPS, MIX_BOXES, ORDER, PARTNERS, SHARES

SEED = 42  # --fkd-seed of every release
ROUNDING = 1e-4  # of fractions kept in fp32
DIGITS = 9  # of the number of an epoch or a batch, at most
PARTS = ("crops", "flips", "partners", "lambda", "box", "logits")
FURTHER = ("images", "patches")  # which some have besides

# Lambda and boxes are numpy's numbers: what a pickle needs to make some, and nothing else. Older numpy had other names.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMBERS: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32")),
]


@dataclass(frozen=True)
class FkdBatch:
    """One file: crops float (b, 4), flips bool (b,), partners int (b,) or None, lambda, box or None, logits (b, K).

    The box is that of the file, [top, left, bottom, right]. `images` int (b,) are the places of its images, where the
    file says them, and `patches` how it says that theirs are shuffled.
    """

    crops: Tensor
    flips: Tensor
    partners: Tensor | None
    share: float | None
    box: Sequence[int] | None
    logits: Tensor
    images: Tensor | None = None
    patches: Tensor | None = None

    @property
    def mix(self) -> str:
        """How it is mixed, in the words of a training recipe."""
        if self.partners is None:
            return "none"
        return "mixup" if self.box is None else "cutmix"


@dataclass(frozen=True)
class FkdFolder:
    """A folder of stored labels, looked at but not yet read.

    Attributes:
        files: the files of each epoch, in the order of their batches.
        images: how many are presented in an epoch.
        batch_size: of every batch but the last.
        classes: of the logits.
        mix: how batches are mixed: "none", "mixup" or "cutmix".
        ordered: whether the files say which images a batch holds.
    """

    files: tuple[tuple[Path, ...], ...]
    images: int
    batch_size: int
    classes: int
    mix: str
    ordered: bool

    @classmethod
    def at(cls, path: Path) -> "FkdFolder":
        """Looks at the names of all files and into the first and the last batch of the first epoch.

        Raises:
            UsageError: no such folder, epochs or batches that are missing, or a file that is not as above.
        """
        files = tuple(_numbered(folder, "batch") for folder in _numbered(path, "epoch"))
        if uneven := next((each for each in files if len(each) != len(files[0])), None):
            raise UsageError(f"{uneven[0].parent} has {len(uneven)} batches, {files[0][0].parent} has {len(files[0])}")
        first, last = read_batch(files[0][0]), read_batch(files[0][-1])
        size, classes = first.logits.shape
        images, ordered = size * (len(files[0]) - 1) + len(last.logits), first.images is not None
        return cls(files, images, size, classes, first.mix, ordered)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the logits: epochs, images, classes."""
        return len(self.files), self.images, self.classes

    def read(self, logits: Tensor, resolution: int, seed: int, progress: Progress) -> dict[str, Tensor]:
        """Reads every file.

        Args:
            logits: fp16 of `shape`, which is filled; it may be memory-mapped.
            resolution: pixels a side of the images; crops become whole pixels, as PIL rounds them.
            seed: of the sampler that made the batches; of no use where the files say which images they hold.

        Returns:
            the record of `bench.training.soft_labels.recorded.RecordedViews`.

        Raises:
            UsageError: a file that is not like the first, or logits that are not finite.
        """
        order = torch.zeros(self.shape[:2], dtype=torch.int32) if self.ordered else self._order(seed)
        record = {**self._empty(), ORDER: order}
        for epoch, files in enumerate(self.files):
            for number, file in enumerate(files):
                batch, part = read_batch(file), self._part(number)
                self._check(file, batch, part, resolution)
                logits[epoch, part] = batch.logits.half()
                self._note(record, batch, epoch, number, resolution)
            if not torch.equal(order[epoch].sort().values, torch.arange(self.images, dtype=torch.int32)):
                raise UsageError(f"{files[0].parent} does not present each of {self.images} images once")
            progress.advance("reading stored labels", epoch + 1, len(self.files))
        return record

    def _part(self, number: int) -> slice:
        start = number * self.batch_size
        return slice(start, min(start + self.batch_size, self.images))

    def _empty(self) -> dict[str, Tensor]:
        epochs, images, _ = self.shape
        record = {
            BATCH: torch.tensor(self.batch_size),
            BOXES: torch.zeros(epochs, images, 4, dtype=torch.int16),
            FLIPS: torch.zeros(epochs, images, dtype=torch.bool),
        }
        if self.mix != "none":
            record[PARTNERS] = torch.zeros(epochs, images, dtype=torch.int32)
            record[SHARES] = torch.zeros(epochs, len(self.files[0]))
        if self.mix == "cutmix":
            record[MIX_BOXES] = torch.zeros(epochs, len(self.files[0]), 4, dtype=torch.int16)
        return record

    def _order(self, seed: int) -> Tensor:
        """int32 (epochs, images): the sampler goes on drawing from one epoch to the next."""
        sampler = RandomSampler(range(self.images), generator=torch.Generator().manual_seed(seed))
        return torch.stack([torch.tensor(list(sampler), dtype=torch.int32) for _ in self.files])

    def _check(self, file: Path, batch: FkdBatch, part: slice, resolution: int) -> None:
        expected = (part.stop - part.start, self.classes)
        if tuple(batch.logits.shape) != expected:
            raise UsageError(f"{file} has logits of shape {tuple(batch.logits.shape)}, not {expected}")
        if batch.mix != self.mix:
            raise UsageError(f"{file} is mixed by {batch.mix}, the first batch by {self.mix}")
        if (batch.images is not None) != self.ordered:
            raise UsageError(f"{file} and the first batch do not both say which images they hold")
        if not bool(torch.isfinite(batch.logits.half()).all()):
            raise UsageError(f"{file} holds logits that are not finite in fp16")
        if batch.box is not None and not all(0 <= edge <= resolution for edge in batch.box):
            edges = ", ".join(str(int(edge)) for edge in batch.box)
            raise UsageError(f"{file} mixes by the box {edges} in pixels, and the images have {resolution} a side")

    def _note(self, record: dict[str, Tensor], batch: FkdBatch, epoch: int, number: int, resolution: int) -> None:
        part = self._part(number)
        record[BOXES][epoch, part] = (batch.crops.double() * resolution).round().short()
        record[FLIPS][epoch, part] = batch.flips.bool()
        if batch.images is not None:
            record[ORDER][epoch, part] = batch.images.int()
        if batch.partners is not None:
            record[PARTNERS][epoch, part] = batch.partners.int()
            record[SHARES][epoch, number] = batch.share or 0.0
        if batch.box is not None:
            top, left, bottom, right = (int(edge) for edge in batch.box)
            record[MIX_BOXES][epoch, number] = torch.tensor([top, bottom, left, right], dtype=torch.int16)


def read_batch(file: Path) -> FkdBatch:
    """One file of a folder.

    Raises:
        UsageError: it cannot be read without running code, or does not hold what a batch holds.
    """
    try:
        held = load_plain(file, _NUMBERS)
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {why(error)}") from error
    except Exception as error:  # torch has many for a damaged file
        raise UsageError(f"{file} is no readable batch of stored labels: {why(error)}") from error
    if not isinstance(held, list | tuple) or not len(PARTS) <= len(held) <= len(PARTS + FURTHER):
        raise UsageError(f"{file} does not hold the {len(PARTS)} parts of a batch: {', '.join(PARTS)}")
    batch = FkdBatch(*held)
    if wrong := _malformed(batch):
        raise UsageError(f"{file}: {wrong}")
    return batch


def _malformed(batch: FkdBatch) -> str:
    """What is wrong with a batch, or ""."""
    if batch.patches is not None and (_is_not(batch.patches, INTEGERS) or bool(batch.patches.any())):
        return "its images were shown with their patches shuffled, which cannot be shown again"
    return _no_tensors(batch) or _no_crops(batch.crops) or _no_mix(batch)


def _no_tensors(batch: FkdBatch) -> str:
    """Which part is no plain tensor of its type and shape, or ""."""
    if _is_not(batch.logits, FLOATS) or batch.logits.ndim != 2:
        return "its logits are no float tensor (b, K)"
    count = len(batch.logits)
    numbers = {*FLOATS, *INTEGERS}
    wanted: dict[str, tuple[Any, tuple[int, ...], Collection[torch.dtype]]] = {
        "crops": (batch.crops, (count, 4), FLOATS),
        "flips": (batch.flips, (count,), {*numbers, torch.bool}),
        "partners": (batch.partners, (count,), INTEGERS),
        "images": (batch.images, (count,), INTEGERS),
    }
    for name, (tensor, shape, types) in wanted.items():
        if name in ("partners", "images") and tensor is None:
            continue
        if _is_not(tensor, types) or tuple(tensor.shape) != shape:
            return f"its {name} are no tensor of shape {shape}"
    return ""


def _is_not(value: Any, types: Collection[torch.dtype]) -> bool:  # noqa: ANN401 - whatever was saved
    return not isinstance(value, Tensor) or bool(not_plain(value)) or value.dtype not in types


def _no_crops(crops: Tensor) -> str:
    if not (bool((crops >= 0).all()) and bool((crops[:, 2:] > 0).all())):  # so NaN is none either
        return "its crops are no fractions of an image"
    return "" if bool((crops[:, :2] + crops[:, 2:] <= 1 + ROUNDING).all()) else "its crops leave the image"


def _no_mix(batch: FkdBatch) -> str:
    if batch.partners is None:
        return "" if batch.box is None else "it has a box, and no partners"
    if sorted(batch.partners.tolist()) != list(range(len(batch.partners))):
        return "its partners are no permutation"
    if not (_is_finite(batch.share) and 0 <= float(batch.share or 0) <= 1):
        return f"its lambda is {batch.share}, not 0 to 1"
    if batch.box is None:
        return ""
    if not (isinstance(batch.box, list | tuple) and len(batch.box) == 4 and all(map(_is_finite, batch.box))):
        return "its box has not four edges"
    top, left, bottom, right = batch.box
    return "" if top <= bottom and left <= right else "its box is no [top, left, bottom, right]"


def _is_finite(value: Any) -> bool:  # noqa: ANN401 - whatever was saved
    """Whether it is a finite number, Python's or NumPy's."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _numbered(folder: Path, what: str) -> tuple[Path, ...]:
    """What is called WHAT_0, WHAT_1, ... in a folder, in the order of the numbers.

    Raises:
        UsageError: there is none, or a number is missing.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder of stored labels at {folder}")
    pattern = rf"{what}_(\d{{1,{DIGITS}}})(\.tar)?"
    found = {int(match[1]): path for path in folder.iterdir() if (match := re.fullmatch(pattern, path.name))}
    if not found:
        raise UsageError(f"{folder} holds no {what}_0: stored labels lie in epoch_0/batch_0.tar and so on")
    if (missing := next((number for number in range(len(found)) if number not in found), None)) is not None:
        raise UsageError(f"{folder} lacks {what}_{missing}")
    return tuple(found[number] for number in range(len(found)))
