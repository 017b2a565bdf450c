"""Statistics smoothed over iterations, with the gradient of the current batch alone."""

import torch
from torch import Tensor

from bench.recovery.layers import ByLayer, Measured


def smoothed(
    found: ByLayer, memory: ByLayer, keep: float | Tensor, kept: Tensor | None = None
) -> tuple[dict[int, Measured], dict[int, Measured]]:
    """What is compared with the goals, and what is remembered (G-VBSM section 3.3 and code; EDC).

        s' = keep s_old + (1 - keep) s,    compared: s' + s - stopgrad(s)

    so the value is the moving average's and the gradient the current batch's.

    Args:
        found: measured in this iteration, (G, n) each. A layer that is not there was left out; its memory stays.
        memory: of earlier ones, for every layer.
        keep: how much of it stays: 0 makes the current batch all that is remembered.
        kept: (L,), 0 for layers that were measured and do not count, whose memory stays too.
    """
    remembered: dict[int, Measured] = {place: tuple(kept) for place, kept in memory.items()}
    compared: dict[int, Measured] = {}
    for place, measurements in found.items():
        stays = keep if kept is None else torch.where(kept[place] > 0, keep, 1.0)
        fresh = tuple(
            stays * old + (1 - stays) * new.detach() for old, new in zip(memory[place], measurements, strict=True)
        )
        remembered[place] = fresh
        compared[place] = tuple(average + new - new.detach() for average, new in zip(fresh, measurements, strict=True))
    return compared, remembered
