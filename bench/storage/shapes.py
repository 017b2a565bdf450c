"""Numbers and parts that several kinds of files hold."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, WrapValidator

from bench.storage.artefacts import Part


def _as_written(value: float, check: Callable[[float], float]) -> float:
    check(value)
    return value


AS_WRITTEN = WrapValidator(_as_written)  # a float without a fraction stays without, so that a file is written as it was
Number = Annotated[float, AS_WRITTEN]
Time = Annotated[float, Field(ge=-1e12, le=1e12), AS_WRITTEN]  # in seconds or milliseconds; sums of them are finite
Count = Annotated[int, Field(ge=0, lt=2**63)]
Percent = Annotated[float, Field(ge=0, le=100), AS_WRITTEN]
Share = Annotated[float, Field(ge=0, le=1), AS_WRITTEN]


class PeakPart(Part):
    """Peak bytes; see `bench.hardware.meters.PeakMemory`."""

    allocated: Count | None
    reserved: Count | None
    rss: Count | None


class StagePart(Part):
    """What a stage cost when it was made.

    Older records do not say of which kind it is, what share of its time it `waited` for a core, and what its result
    takes on a disk.
    """

    seconds: Time
    memory: PeakPart
    workers: int = 1
    waited: Share | None = None
    kind: str | None = None
    bytes: Count | None = None
