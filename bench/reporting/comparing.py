"""Two runs beside each other: what differs in what they are, in what they scored, and what they cost."""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from bench.reporting import Row, rankings, terms
from bench.reporting.columns import COSTS, OF_EVALUATION, TIMES, Quantity, quantity, timed
from bench.reporting.compared import Comparison, Cost, Differing, Scored
from bench.reporting.layout import flat
from bench.reporting.statistics.welch import difference
from bench.reporting.units import duration
from bench.results.metrics import metric, primary_name
from bench.results.records import Record
from bench.results.rows import rows

DERIVED = ("hash", "name", "card", "method.quick", "method.differs", "method.changed", "method.aside", "origin")
SAID = ("device", "precision", "synthesis_precision", "made.date", "made.command")  # by the spec, or of the moment
A_TRAINING = "a\ntraining"
OF_EVALUATIONS = ("label\nbytes", "total\nbytes", "labelling", "total", "shared\nstages", A_TRAINING)  # costs
CONFIG = "method.config."  # before what --set calls its keys
Key = tuple[str, str]  # a protocol and the network that it trains


def _a_training(row: Row) -> float | None:
    """Seconds of one: the two sides may have had more or fewer."""
    return row["evaluation_s"] / row["eval_seeds"] if row.get("evaluation_s") and row.get("eval_seeds") else None


ALL_COSTS = {name: cell for name, cell in {**COSTS, **TIMES}.items() if name != "evaluation"}
ALL_COSTS[A_TRAINING] = timed(quantity(_a_training, duration), OF_EVALUATION)


def compared(first: Record, second: Record) -> Comparison:
    """The second run beside the first."""
    mine, theirs = _evaluations(first), _evaluations(second)
    shared = [key for key in mine if key in theirs]
    beside = (mine[shared[0]], theirs[shared[0]]) if shared else (_any(mine), _any(theirs))
    return Comparison(
        runs=(first.spec.name, second.spec.name),
        spec=(*_differing(first.spec.to_json(), second.spec.to_json(), DERIVED), *_stored(*beside)),
        machine=tuple(_differing(_machine(first, shared), _machine(second, shared), SAID)),
        scores=tuple(_scored(mine[key], theirs[key]) for key in shared),
        alone=(*_alone("first", mine, theirs), *_alone("second", theirs, mine)),
        costs=(
            *_costs(*beside, [title for title in ALL_COSTS if title not in OF_EVALUATIONS]),
            *(cost for key in shared for cost in _costs(mine[key], theirs[key], OF_EVALUATIONS, _told(key))),
        ),
    )


def _evaluations(record: Record) -> dict[Key, Row]:
    """The rows of a run by protocol and backbone."""
    return {(str(row["protocol_id"]), str(row["eval_backbone"])): row for row in rows([record])}


def _told(key: Key) -> str:
    """An evaluation in words."""
    return "{} on {}".format(*key)


def _any(found: Mapping[Any, Row]) -> Row:
    return next(iter(found.values()), {})


def _alone(whose: str, mine: Mapping[Key, Row], theirs: Mapping[Key, Row]) -> Iterator[str]:
    """Evaluations that only one has, in their order."""
    yield from (f"{_told(key)} of the {whose} alone" for key in mine if key not in theirs)


def _differing(first: Mapping[str, Any], second: Mapping[str, Any], beside: tuple[str, ...]) -> Iterator[Differing]:
    """The fields in which two objects differ, dotted, those of the first in their order."""
    one, other = dict(_dotted(first, "")), dict(_dotted(second, ""))
    for key in dict.fromkeys(chain(one, other)):
        known = not any(key == each or key.startswith(f"{each}.") for each in beside)
        if known and one.get(key) != other.get(key):
            yield Differing(key.removeprefix(CONFIG), one.get(key), other.get(key))


def _machine(record: Record, shared: Container[Key]) -> dict[str, Any]:
    """On what it was computed, and which loops were compiled there: their steps round otherwise."""
    return {**record.environment.to_json(), "compiled": dict(_compiled(record, shared))}


def _compiled(record: Record, shared: Container[Key]) -> Iterator[tuple[str, Any]]:
    """Of each loop of the set, and of a training of each shared evaluation, whether it was."""
    for name, loop in record.costs.compiled.items():
        yield f"{name} of the set", loop.get("compiled")
    for each in record.evaluations.values():
        key = (each.protocol_id, each.backbone)
        for name, loop in each.scores[0].compiled.items() if each.scores and key in shared else ():
            yield f"{name} of {_told(key)}", loop.get("compiled")


def _stored(first: Row, second: Row) -> Iterator[Differing]:
    """As what the images are stored: bytes of JPEG and of raw pixels are no rivals."""
    forms = [row.get("image_format") for row in (first, second)]
    if None not in forms and forms[0] != forms[1]:
        yield Differing("image_format", *forms)


def _dotted(fields: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", list(value) if isinstance(value, tuple) else value


def _scored(first: Row, second: Row) -> Scored:
    name = primary_name(first)
    mine, theirs = metric(first, name), metric(second, name)
    both = bool(mine.values and theirs.values)
    reasons = [f"{row['run']}: {row['status']}: {row['reason']}" for row in (first, second) if row["status"] != "done"]
    return Scored(
        protocol_id=first["protocol_id"],
        eval_backbone=first["eval_backbone"],
        first=mine,
        second=theirs,
        difference=difference(mine.values, theirs.values) if both else None,
        together=len(rankings([first, second])) == 1,
        alike=terms(first) == terms(second),
        reasons=tuple(reasons),
    )


def _costs(first: Row, second: Row, titles: Iterable[str], evaluation: str | None = None) -> Iterator[Cost]:
    for title, cell in ((title, ALL_COSTS[title]) for title in titles):
        numbers = [cell.number(row) if isinstance(cell, Quantity) else None for row in (first, second)]
        shown = Cost(flat(title), cell(first), cell(second), (numbers[0], numbers[1]), evaluation)
        if (shown.first, shown.second) != (None, None):
            yield shown
