"""A page of two runs beside each other: scores, images, curves and classes, what differs in them, what they cost."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.errors import CorruptArtefact, UnreadableArtefact, why
from bench.reporting import machine
from bench.reporting.compared import (
    NONE_SHARED,
    OF_COSTS,
    OF_SCORES,
    Comparison,
    Differing,
    cost_cells,
    cost_notes,
    differing_cells,
    notes,
    score_cells,
)
from bench.reporting.folders import RunFolder
from bench.storage.streams import one_line
from bench_reports.site.rendering import page
from bench_reports.site.runs import Json, again, sheet_of
from bench_reports.site.tables import Table, plain
from bench_reports.site.training import Left, Training, beside, losses_beside

WHO = ("first", "second")


def comparison_page(found: Comparison, runs: Sequence[RunFolder]) -> str:
    """The page, whole in itself: the sheets of images stand in it."""
    left = {who: (run.record(), run.path) for who, run in zip(WHO, runs, strict=True)}
    trained, lost = _trainings(found, left)
    losses, unread = losses_beside({who: path for who, (_, path) in left.items()})
    alone = [each for each in found.spec if each.is_alone]
    return page(
        "comparison",
        title="Two runs compared",
        names=[*zip(WHO, map(one_line, found.runs), strict=True)],
        shared=_shared([record for record, _ in left.values()]),
        scores=_table("Scores", OF_SCORES, map(score_cells, found.scores)),
        none_shared=NONE_SHARED,
        notes=notes(found),
        sheets=[(who, _picture(path)) for who, (_, path) in left.items()],
        trainings=trained,
        losses=losses,
        spec=_differing("spec", [each for each in found.spec if not each.is_alone]),
        alone=_differing("spec", alone, f"What one of them alone has ({len(alone)})"),
        machine=_differing("machine and versions", found.machine),
        costs=_table("Costs", OF_COSTS, map(cost_cells, found.costs)),
        cost_notes=cost_notes(found),
        again=[(who, again(record["environment"])) for who, (record, _) in left.items()],
        lost="; ".join([*lost, *unread]),
    )


def _shared(records: Iterable[Json]) -> list[tuple[str, str]]:
    """In a few words, what both are."""
    mine, theirs = map(_facts, records)
    return [(name, text) for name, text in mine.items() if theirs.get(name) == text]


def _facts(record: Json) -> dict[str, str]:
    spec, made = record["spec"], record["environment"]
    facts = {
        "method": spec["method"]["name"],
        "dataset": f"{spec['dataset']}, {len(spec['classes'])} of {spec['all_classes']} classes",
        "images a class": spec["ipc"],
        "condensed with": _condensed_with(spec),
        "budget": spec["budget"],
        "seed": spec["seed"],
        "machine": f"{machine(made)}, {made.get('precision')}",
    }
    return {name: one_line(fact) for name, fact in facts.items() if fact is not None}


def _condensed_with(spec: Json) -> str | None:
    """The network; of a set from elsewhere what its manifest says, and a control's are from here."""
    maker: Json = spec if spec.get("labeller") else spec.get("origin") or spec
    backbone: str | None = maker["backbone"]
    return backbone


def _table(caption: str, titles: Sequence[str], lines: Iterable[Sequence[str]]) -> Table | None:
    found = list(lines)
    return plain(caption, titles, found, numbers=range(1, len(titles))) if found else None


def _differing(what: str, found: Sequence[Differing], caption: str = "") -> Table | None:
    lines = list(map(differing_cells, found))
    return plain(caption or f"What differs: {what}", (what, *WHO), lines) if lines else None


def _picture(run: Path) -> str:
    """The sheet of its images as a page holds it; "" where there is none."""
    sheet = sheet_of(run)
    return "" if sheet is None else f"data:image/png;base64,{base64.b64encode(sheet.read_bytes()).decode()}"


def _trainings(found: Comparison, left: Mapping[str, Left]) -> tuple[list[Training], list[str]]:
    """Of each evaluation of which both have curves; and of those that cannot be read, why."""
    made, lost = [], list[str]()
    for score in found.scores:
        try:
            made += beside(left, (score.protocol_id, score.eval_backbone))
        except (CorruptArtefact, UnreadableArtefact) as error:
            lost.append(one_line(why(error)))
    return made, lost
