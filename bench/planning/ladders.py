"""Ladders: configurations of which each is one change from the last, as TOML files that plugins offer.

name = "edc-figure-1"
title = "EDC, Figure 1 (right)"
source = "EDC paper, Figure 1 (ImageNet-1K, IPC 10, ResNet-18)"   # where the published numbers are from

[[rungs]]
name = "B"
change = "starts from real images"     # what is new in it
method = "g-vbsm"
set = ["recover.start=real"]           # as --set
protocol = "g-vbsm"                    # as --protocol (default: the paper's)
published = 34.4                       # top-1 in percent, where the source has one
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import UsageError
from bench.evaluation import PAPER
from bench.extensions.registry import Registry
from bench.planning.placing import Placed, answers
from bench.planning.request import Request
from bench.results.rows import Row
from bench.storage.users_toml import read_toml

ONE_OF = {"datasets": "--dataset", "ipcs": "--ipc", "backbones": "--backbone", "eval_backbones": "--eval-backbone"}


class Rung(BaseModel):
    """A configuration; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    change: str
    method: str
    set: tuple[str, ...] = ()
    protocol: str = PAPER
    published: float | None = None


class Ladder(BaseModel):
    """See the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    source: str
    rungs: tuple[Rung, ...] = Field(min_length=2)


def find_ladder(registry: Registry, name: str) -> Ladder:
    """The ladder of a name. Raises UsageError: nobody offers it, or its file is wrong."""
    return read_toml(Ladder, Path(registry.load("ladder", name)), "ladder")


def requests(ladder: Ladder, request: Request) -> Iterator[tuple[Rung, Request]]:
    """What each rung asks for: what the user asked for, with the rung's method, protocol and changes.

    Raises:
        UsageError: a grid, where rungs are to be compared one by one.
    """
    for field, option in ONE_OF.items():
        if len(getattr(request, field)) > 1:
            raise UsageError(f"--ladder compares its rungs in one place: give one {option}")
    for rung in ladder.rungs:
        changes = (*rung.set, *request.changes)
        yield rung, replace(request, methods=(rung.method,), protocols=(rung.protocol,), changes=changes)


def check_one_ipc(placed: Sequence[Placed[Rung | None]]) -> None:
    """Raises UsageError: rungs would have different numbers of images, those of their papers."""
    ipcs = sorted({job.spec.ipc for each in placed if each.part for job in each.jobs})
    if len(ipcs) > 1:
        raise UsageError(
            f"the papers of the rungs have {' and '.join(map(str, ipcs))} images per class: give one --ipc"
        )


def laddered(placed: Sequence[Placed[Rung | None]], rows: Sequence[Row]) -> list[Row]:
    """The rows that answer for each rung, from the first to the last, each with its rung."""
    told = ("name", "change", "published")
    return [{**row, "rung": rung.model_dump(include=set(told))} for rung, row in answers(placed, rows) if rung]
