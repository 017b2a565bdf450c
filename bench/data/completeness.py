"""What a dataset lacks that every run needs: images of each class in each split."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from bench.data.cards import SplitName

_NAMED = 5  # classes


def lacks(classes: Sequence[str], labels: Mapping[SplitName, Tensor]) -> Iterator[str]:
    """What classes lack in the splits that are there, a line each; nothing where every class has images in each.

    Args:
        classes: the class ids in order.
        labels: of each split that is there, int64 (N,): indices into `classes`.
    """
    present = {split: torch.bincount(each, minlength=len(classes)) > 0 for split, each in labels.items()}
    if present and not bool(torch.stack(list(present.values())).all(0).any()):
        yield f"no class has images in every split: {'; '.join(_has(classes, *each) for each in present.items())}"
        return
    for split, found in present.items():
        if not bool(found.all()):
            yield f"no {split} image of class {_named(classes, ~found)}"


def _has(classes: Sequence[str], split: SplitName, found: Tensor) -> str:
    return f"{split} has {_named(classes, found)}"


def _named(classes: Sequence[str], chosen: Tensor) -> str:
    names = [classes[index] for index in torch.nonzero(chosen).flatten().tolist()]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}" if names else "none"
