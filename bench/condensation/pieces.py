"""What a synthesis consists of: units of work, and images with their classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import RunFailure
from bench.storage import paging
from bench.storage.names import check_file_name


@dataclass(frozen=True)
class Unit:
    """An independent piece of synthesis: what resumes and what spreads over machines.

    `name` is unique in its set and names the unit's file: letters, digits, "-", "_" and ".", at most 50. `classes` are
    the class indices it makes images of. For methods that make their images one of each class at a time, `index` is
    which image of the class it is (0-based), and `count` how many of each it makes, from `index` on. What else one
    method alone needs is carried by a subclass, a frozen dataclass too: `synthesize` is given what `units` returned.
    """

    name: str
    classes: tuple[int, ...]
    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Raises RunFailure for a name that is none of a file."""
        check_file_name("a unit", self.name)


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        pixels: uint8 (N, C, H, W), or float as `Condenser.preprocessing` gives it (the dataset's normalised space). Of
            many they lie in a mapped file and are not for writing in place.
        classes: int64 (N,), class indices.
        soft: float32 (N, K), probabilities learned or made with the images, or None. They are kept with the images, and
            `label` may return them as `SoftLabels`.
        targets: float32 (N, K), what outputs are to be by the squared error, learned with the images, or None; no
            distributions, but numbers of any sign. `label` may return them as `RegressionLabels`.
        learned_lr: a step size, above 0, that was learned with the images, or None. It goes into the set's manifest,
            and the method's own protocol trains with it.
    """

    pixels: Tensor
    classes: Tensor
    soft: Tensor | None = None
    learned_lr: float | None = None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def at(self, chosen: Tensor) -> "Images":
        """Some of the images, in the order asked for."""
        soft, targets = (None if each is None else each[chosen] for each in (self.soft, self.targets))
        return Images(paging.taken(self.pixels, chosen), self.classes[chosen], soft, self.learned_lr, targets)

    @classmethod
    def joined(cls, parts: Sequence["Images"]) -> "Images":
        """All images of the parts, in order.

        Raises:
            RunFailure: some parts have labels of their own and others none, or they learned different step sizes.
        """
        soft = _joined([part.soft for part in parts], "soft labels")
        targets = _joined([part.targets for part in parts], "regression targets")
        learned = {part.learned_lr for part in parts}
        if len(learned) > 1:
            raise RunFailure(f"units learned different step sizes ({', '.join(map(str, learned))}); a set has one")
        pixels, classes = torch.cat([part.pixels for part in parts]), torch.cat([part.classes for part in parts])
        return cls(pixels, classes, soft, learned.pop(), targets)


@dataclass(frozen=True)
class ImageFiles:
    """The files in which somebody else published images, one an image: what their user keeps.

    Attributes:
        sizes: int64 (N,), bytes of each, in the order of the images.
        form: as what, "jpeg" or "png"; of several "jpeg + png".
        besides: bytes of what they lie in, beside theirs.
    """

    sizes: Tensor
    form: str
    besides: int = 0

    @property
    def bytes(self) -> int:
        """All together."""
        return int(self.sizes.sum()) + self.besides

    def at(self, chosen: Tensor) -> "ImageFiles":
        """Those of some of the images."""
        return ImageFiles(self.sizes[chosen], self.form, self.besides)


def _joined(parts: Sequence[Tensor | None], what: str) -> Tensor | None:
    """Of all parts in order, or None. Raises RunFailure: some have it and others have not."""
    found = [part for part in parts if part is not None]
    if len(found) not in (0, len(parts)):
        raise RunFailure(f"{len(found)} of {len(parts)} units have {what}; all or none must have them")
    return torch.cat(found) if found else None
