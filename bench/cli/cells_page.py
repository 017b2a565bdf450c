"""The cells of a published table as `bench show` lists them, with what is known of their verdicts before a run."""

from collections.abc import Sequence

from tabulate import tabulate

from bench.cli.run_page import section
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.reproduction import foreseen
from bench.reporting.cell_numbers import by_words, cells_said
from bench.reporting.units import claimed
from bench.results.published import Cell
from bench.results.scores import TOP1

HEAD = ("cell", "method", "dataset", "ipc", "backbone", "trained", "protocol", "--set", "published", "not here")


def cell_sections(registry: Registry, cells: Sequence[Cell]) -> list[str]:
    """A line a cell, then which cells will not be judged and why, then what is noted beside the verdicts of others."""
    known = [(cell, *_known(cell, registry)) for cell in cells]
    rows = [(*_line(cell), why_not) for cell, why_not, _ in known]
    listed = tabulate(rows, HEAD, disable_numparse=True, maxcolwidths=[None] * 9 + [40])
    apart = by_words((cell.number, reasons) for cell, _, reasons in known)
    notes = by_words((cell.number, cell.notes) for cell in cells)
    said = (('will be "not the same", whatever is measured', apart), ("noted beside the verdict", notes))
    return [
        listed,
        *(section(title, [(cells_said(numbers), text) for text, numbers in told]) for title, told in said),
    ]


def _line(cell: Cell) -> tuple[str, ...]:
    wanted, claim = cell.wanted, cell.claim
    what = (wanted.method, wanted.dataset, wanted.ipc, wanted.backbone, wanted.eval_backbone, cell.protocol)
    number = claimed(claim.value, claim.std, claim.decimals) + ("" if claim.score == TOP1 else f" {claim.metric}")
    return (str(cell.number), *what, " ".join(cell.run.set), number)


def _known(cell: Cell, registry: Registry) -> tuple[str, Sequence[str]]:
    """Why it cannot be run here whatever data there is, and else why it will not be judged; nothing where it will."""
    if why_not := cell.why_not(registry):
        return why_not, []
    try:
        return "", foreseen(cell, registry)
    except UsageError as error:
        return str(error), []
