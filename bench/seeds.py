"""Seeds from a hash of names: independent of order, of worker processes and of PYTHONHASHSEED.

No release of a decoupled method is bit-reproducible, because its draws come from one global stream. Here every
draw has a name (`derive`) or a position (`counter`), so a continued run makes the same draws as an unbroken one.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(*names: str | int) -> int:
    """A seed in [0, 2**63) from the names, e.g. derive("recover", run_seed, unit.name)."""
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*names: str | int) -> torch.Generator:
    """A CPU generator seeded from the names. Draw on the CPU and move, so that devices see the same values."""
    return torch.Generator().manual_seed(derive(*names))


def counter(seed: int, *position: int) -> np.random.Generator:
    """A counter-based generator: the stream at `position` (up to three integers, e.g. epoch, batch) of `seed`.

    Streams at different positions are independent and none needs those before it, so a loop can resume anywhere.
    """
    if len(position) > 3:
        raise ValueError("a position has at most three coordinates")
    words = [0, *position, *[0] * (3 - len(position))]
    return np.random.Generator(np.random.Philox(key=seed, counter=words))


@contextmanager
def cpu_draws(seed: int) -> Iterator[None]:
    """Within it torch's global generator of the CPU is seeded, after it it is as it was; no GPU's is touched.

    For what draws its first weights from no generator of its own, as torch's layers do.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds every GPU as well, which nothing undoes
        yield


@contextmanager
def layers_draw(device: torch.device, *names: str | int) -> Iterator[None]:
    """Within it torch's global generators are seeded from the names, after it they are as they were.

    For layers that take no generator of their own, such as dropout and stochastic depth, on this device.
    """
    seed = derive(*names)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), cpu_draws(seed):
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield
