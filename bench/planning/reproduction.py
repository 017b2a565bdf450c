"""From the cells of a published table to what is asked for them, and to what is known of their verdicts before."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.data.finding import load_card
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.configuring import configure, share_changes
from bench.planning.request import Request
from bench.recipes import Setting
from bench.results.claims import EVERY
from bench.results.differences import of_protocol
from bench.results.published import Cell, of_claim
from bench.storage.names import brief


def requests(cells: Sequence[Cell], registry: Registry, asked: Request) -> Iterator[tuple[Cell, Request]]:
    """What each cell asks for: what the user asked for, in the cell's place.

    A change of the user's is for every cell whose method has the key.

    Raises:
        UsageError: a change that is for none of them, or of what a cell is about.
    """
    changes = share_changes(registry, tuple({cell.wanted.method: None for cell in cells}), asked.changes)
    for cell in cells:
        wanted = cell.wanted
        _refuse_what_is_set(cell, changes[wanted.method])
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


def foreseen(cell: Cell, registry: Registry) -> list[str]:
    """Why whatever is measured for a cell is "not the same", in words; empty where it will be judged.

    It is what its claim, its method with its recipe and its protocol say of themselves: neither data nor a run is
    needed, and what a user asks for besides (a quick budget, an arithmetic, changes) is not in it.

    Raises:
        UsageError: the cell cannot be set up (see `Cell.why_not`, and `configure`).
    """
    wanted, card = cell.wanted, load_card(registry, cell.wanted.dataset)
    ipc = 1 if wanted.ipc == EVERY else int(wanted.ipc)  # of all real images nothing hangs on how many they are
    setting = Setting.of(card, card.like or card.name, wanted.classes, ipc, wanted.backbone)
    changes = share_changes(registry, (wanted.method,), cell.run.set)[wanted.method]
    choice = configure(registry, wanted.method, setting, changes)
    trained = replace(setting, backbone=wanted.eval_backbone)
    return [*of_claim(cell.claim), *choice.differs, *of_protocol(registry, cell.protocol, trained)]


def _refuse_what_is_set(cell: Cell, changes: Sequence[str]) -> None:
    typed = {change.partition("=")[0]: change for change in changes}
    for own in cell.run.set:
        if change := typed.get(own.partition("=")[0].rpartition(":")[2]):
            raise UsageError(
                f"--set {brief(change)}: the table itself sets {own} for cell {cell.number}; bench run takes any value"
            )
