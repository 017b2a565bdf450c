"""A comparison of two runs as text, and the cells that all of its forms share."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.reporting.units import UNKNOWN, spread
from bench.storage.streams import one_line

if TYPE_CHECKING:
    from bench.reporting.comparing import Comparison, Cost, Differing, Scored

WIDEST = 44  # characters of a value in a table
OF_SCORES = ("scores", "metric", "first", "second", "difference", "95 % interval", "p", "better")
OF_COSTS = ("costs", "first", "second", "second/first")
NOTE = "p: Welch's test over the trainings of each set; level: above 0.05. It says nothing of other seeds of synthesis."
APART = "The two do not stand in one ranking: what differs beside the method decides scores, too."
METHOD = "method.name"  # among what differs
LEFT = "and {count} more that one of the two methods alone has: --format json lists them"
NONE_SHARED = "scores: no evaluation in common"


def text_of(found: "Comparison") -> str:
    """As `bench compare` prints it."""
    first, second = map(one_line, found.runs)
    parts = [f"first   {first}\nsecond  {second}", _scores(found), _costs(found)]
    parts += [_differing("spec", found.spec), _differing("machine and versions", found.machine)]
    return "\n\n".join(parts)


def score_cells(each: "Scored") -> list[str]:
    """Below `OF_SCORES`."""
    found, sides = each.difference, (each.first, each.second)
    interval, p = (found.interval, found.p) if found else (None, None)
    return [
        one_line(f"{each.protocol_id} on {each.eval_backbone}"),
        each.first.title,
        *(spread(side.mean, side.std, len(side.values)) or UNKNOWN for side in sides),
        UNKNOWN if found is None else f"{found.value:+.2f}",
        UNKNOWN if interval is None else "{:+.2f} to {:+.2f}".format(*interval),
        UNKNOWN if p is None else f"{p:.2g}",
        each.better or UNKNOWN,
    ]


def cost_cells(each: "Cost") -> list[str]:
    """Below `OF_COSTS`."""
    ratio = UNKNOWN if each.ratio is None else f"{each.ratio:.2f}"
    return [
        one_line(", ".join(filter(None, [each.name, each.evaluation]))),
        each.first or UNKNOWN,
        each.second or UNKNOWN,
        ratio,
    ]


def differing_cells(each: "Differing") -> list[str]:
    """The field, and both values."""
    return [one_line(each.key), value_text(each.first), value_text(each.second)]


def value_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """In one line."""
    return UNKNOWN if value is None else one_line(value if isinstance(value, str) else json.dumps(value))


def notes(found: "Comparison") -> list[str]:
    """What is to be known of the scores."""
    reasons = list(dict.fromkeys(reason for each in found.scores for reason in each.reasons))
    apart = [APART] if any(not each.together for each in found.scores if each.difference) else []
    return list(map(one_line, [*([NOTE] if found.scores else []), *apart, *reasons, *found.alone]))


def _differing(what: str, found: "Sequence[Differing]") -> str:
    if not found:
        return f"{what}: no difference"
    shown = _shared(found) if any(each.key == METHOD for each in found) else found
    lines = [list(map(_short, differing_cells(each))) for each in shown]
    left = [LEFT.format(count=len(found) - len(shown))] if len(shown) < len(found) else []
    return "\n".join([_drawn([what, "first", "second"], lines), *left])


def _shared(found: "Sequence[Differing]") -> "list[Differing]":
    """What both runs have: of two methods each has hyper-parameters of its own."""
    return [each for each in found if None not in (each.first, each.second)]


def _scores(found: "Comparison") -> str:
    if not found.scores:
        return "\n".join([NONE_SHARED, *notes(found)])
    return "\n".join([_drawn(OF_SCORES, list(map(score_cells, found.scores))), "", *notes(found)])


def _costs(found: "Comparison") -> str:
    return _drawn(OF_COSTS, list(map(cost_cells, found.costs))) if found.costs else "costs: none known"


def _drawn(head: Sequence[str], lines: list[list[str]]) -> str:
    from tabulate import tabulate

    return tabulate(lines, head, disable_numparse=True)


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
