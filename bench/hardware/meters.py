"""Time, memory and steady-state step times, measured without disturbing what is measured."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.hardware.allocator import release_memory


@dataclass(frozen=True)
class PeakMemory:
    """Peak bytes: `allocated` and `reserved` by the CUDA allocator (None on a CPU), `rss` of this process."""

    allocated: int | None
    reserved: int | None
    rss: int

    @property
    def held(self) -> int:
        """Those that say what was needed, as `bench.hardware.quantities.peak_of`."""
        return self.rss if self.allocated is None else self.allocated

    def joined(self, other: "PeakMemory") -> "PeakMemory":
        """The greater of each."""
        return PeakMemory(
            allocated=_greater(self.allocated, other.allocated),
            reserved=_greater(self.reserved, other.reserved),
            rss=max(self.rss, other.rss),
        )


def _greater(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else max(one, other)


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class OwnPeak:
    """The peak of a piece of work. What was measured on its own within it counts there, and not here."""

    device: torch.device
    _before: PeakMemory | None = None  # of the parts before pieces that were measured on their own

    def read(self) -> PeakMemory:
        """The peak until now."""
        now = peak_memory(self.device)
        return now if self._before is None else self._before.joined(now)

    def begin(self) -> None:
        """From here on, and from after a piece within it on."""
        release_memory()
        _reset_peak_memory(self.device)

    def pause(self) -> None:
        """Until now; a piece within it begins."""
        self._before = self.read()


_measuring: list[OwnPeak] = []  # pieces of work under way, each within the one before


@contextmanager
def own_peak(device: torch.device) -> Iterator[OwnPeak]:
    """Measures the peak of memory of the work within the context, which begins without what earlier work has left.

    So a stage that is made within a synthesis, or within another stage, has a peak of its own and changes no other's:
    peaks are the same whether it was made or found.
    """
    around = _measuring[-1:]
    for each in around:
        each.pause()
    mine = OwnPeak(device)
    mine.begin()
    _measuring.append(mine)
    try:
        yield mine
    finally:
        _measuring.remove(mine)
        for each in around:
            each.begin()


def _reset_peak_memory(device: torch.device) -> None:
    """Starts a new peak. On Linux the kernel's own high-water mark of this process is reset as well."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # another system, or a container that forbids it: the peak is then the process's whole life's
        return


def peak_memory(device: torch.device) -> PeakMemory:
    """The peak since it was reset last."""
    cuda = device.type == "cuda"
    return PeakMemory(
        allocated=torch.cuda.max_memory_allocated(device) if cuda else None,
        reserved=torch.cuda.max_memory_reserved(device) if cuda else None,
        rss=_peak_rss(),
    )


def memory_in_use(device: torch.device) -> int:
    """Bytes held now: allocated on CUDA; resident in this process otherwise (its peak where the system keeps that)."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    resident = _status("VmRSS:")
    return _peak_rss() if resident is None else resident


def _status(field: str) -> int | None:
    """Bytes in a line of the kernel's own account of this process; None where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)


def _peak_rss() -> int:
    if (known := _status("VmHWM:")) is not None:
        return known
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Clock:
    """Times windows of steps: by CUDA events with one synchronisation a window, by perf_counter on a CPU.

    Args:
        device: where the steps run.
        window: steps a window.
    """

    def __init__(self, device: torch.device, window: int) -> None:
        self.device, self._window = device, window
        self._cuda = device.type == "cuda"
        self.restart()

    def _now(self) -> Any:  # noqa: ANN401 - an event or a float
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def restart(self) -> None:
        """Begins a fresh window now: the one under way is dropped."""
        self._begin(self._now())

    def _begin(self, now: Any) -> None:  # noqa: ANN401 - as `_now` gives it
        self._steps, self._seconds, self._start = 0, 0.0, now

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens within is in no window; the one under way goes on afterwards."""
        if self._steps:
            self._seconds += self._since_start(self._now())
        yield
        self._start = self._now()

    def step(self) -> float | None:
        """Counts one step; at a window's end its mean seconds a step, otherwise None."""
        self._steps += 1
        if self._steps < self._window:
            return None
        end = self._now()
        mean = (self._seconds + self._since_start(end)) / self._steps
        self._begin(end)
        return mean

    def _since_start(self, end: Any) -> float:  # noqa: ANN401 - as `_now` gives it
        """Seconds; on CUDA once the device has come to `end`."""
        if not self._cuda:
            return float(end - self._start)
        end.synchronize()
        return float(self._start.elapsed_time(end) / 1000)


@dataclass
class IterationTimes:
    """Seconds per image and iteration of the windows of a synthesis; what its warm-up took; how many iterations.

    `carried_s` is the time that earlier, interrupted attempts spent on what a checkpoint kept of them; `timed` is how
    many steps this process timed.
    """

    windows: list[float] = field(default_factory=list)
    warm_up_s: float = 0.0
    iterations: int = 0
    carried_s: float = 0.0
    timed: int = 0

    def merge(self, other: "IterationTimes") -> None:
        """Adds the windows of another unit; a set's iterations are those of one image, so the most of any unit."""
        self.windows += other.windows
        self.timed += other.timed
        self.warm_up_s += other.warm_up_s
        self.carried_s += other.carried_s
        self.iterations = max(self.iterations, other.iterations)

    def milliseconds(self) -> dict[str, float] | None:
        """Median, p20 and p80 in ms per image-iteration, or None for a method without iterations."""
        if not self.windows:
            return None
        median, low, high = (1000 * np.quantile(self.windows, [0.5, 0.2, 0.8])).tolist()
        return {"median": median, "p20": low, "p80": high}
