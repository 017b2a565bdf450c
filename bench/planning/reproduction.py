"""From the cells of a published table to what is asked for them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.extensions.registry import Registry
from bench.planning.configuring import share_changes
from bench.planning.request import Request
from bench.results.claims import EVERY
from bench.results.published import Cell


def requests(cells: Sequence[Cell], registry: Registry, asked: Request) -> Iterator[tuple[Cell, Request]]:
    """What each cell asks for: what the user asked for, in the cell's place.

    A change of the user's is for every cell whose method has the key.

    Raises:
        UsageError: a change that is for none of them.
    """
    changes = share_changes(registry, tuple({cell.wanted.method: None for cell in cells}), asked.changes)
    for cell in cells:
        wanted = cell.wanted
        place: dict[str, Any] = {
            "methods": (wanted.method,),
            "datasets": (wanted.dataset,),
            "ipcs": () if wanted.ipc == EVERY else (int(wanted.ipc),),
            "backbones": (wanted.backbone,),
            "eval_backbones": (wanted.eval_backbone,),
            "protocols": (cell.protocol,),
            "changes": (*cell.run.set, *changes[wanted.method]),
        }
        yield cell, replace(asked, **place)
