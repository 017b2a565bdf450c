"""What two runs are beside each other, and how it reads: the text, and the cells that all of its forms share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from bench.reporting.statistics.welch import LEVEL, Difference
from bench.reporting.units import COMPANY, UNKNOWN, result, spread
from bench.results.metrics import Summary
from bench.results.scores import IN_POINTS
from bench.storage.streams import one_line

WIDEST = 44  # characters of a value in a table
SHARED = 12  # of them that two long values share, before they differ
OF_SCORES = ("scores", "metric", "first", "second", "difference", "95 % interval", "p", "better")
OF_COSTS = ("costs", "first", "second", "second/first")
NOTE = (
    f"p: Welch's test over the trainings of each set; level: above {LEVEL:g}, and the interval within a point of 0; "
    "undecided: above it, and more trainings (--eval-seeds) may show more. It says nothing of other seeds of synthesis."
)
APART = "The two do not stand in one ranking: what differs beside the method decides scores, too."
DRAWS = "The two differ in their seed alone: what p tells apart are two draws of one set, and no better method."
ENGINES = "The two stand in two rankings, because costs of the reference engine are its own; their scores compare."
METHOD, SEED = "method.name", "seed"  # among what differs
LEFT = "and {count} more that one of the two methods alone has: --format json lists them"
MARKED = f"{COMPANY}: taken while others were at work on the machine, and held against no other time"
NONE_SHARED = "scores: no evaluation in common"
Better = Literal["first", "second", "level", "undecided"]


@dataclass(frozen=True)
class Differing:
    """A field in which two runs differ; None where one has none of it."""

    key: str
    first: Any
    second: Any

    @property
    def is_alone(self) -> bool:
        """Whether one of the two has none of it."""
        return self.first is None or self.second is None


@dataclass(frozen=True)
class Scored:
    """An evaluation that both runs have.

    Attributes:
        first, second: of the metric by which they are ranked, over the trainings.
        difference: the second minus the first; None where one has no result.
        together: whether the two stand in one ranking.
        alike: whether all is shared that decides the scores of a ranking; the reference engine stands apart for costs.
        reasons: why a run has no result.
    """

    protocol_id: str
    eval_backbone: str
    first: Summary
    second: Summary
    difference: Difference | None
    together: bool
    alike: bool
    reasons: tuple[str, ...] = ()

    @property
    def better(self) -> Better | None:
        """Whose result is the better one by Welch's test; None where it cannot be said."""
        if self.difference is None or self.difference.level is None:
            return None
        if self.difference.level:
            return "undecided" if self.first.unit in IN_POINTS and self.difference.undecided else "level"
        return "second" if (self.difference.value > 0) == (self.first.better == "higher") else "first"


@dataclass(frozen=True)
class Cost:
    """A quantity of both runs: as it is shown, and the number behind it.

    Attributes:
        evaluation: whose it is, as "hard@1 on resnet18"; None of what the set cost.
    """

    name: str
    first: str | None
    second: str | None
    numbers: tuple[float | None, float | None]
    evaluation: str | None = None

    @property
    def ratio(self) -> float | None:
        """The second over the first."""
        first, second = self.numbers
        return _finite(second / first) if first and second is not None else None


@dataclass(frozen=True)
class Comparison:
    """Two runs, by their names; `alone` are evaluations that one of them has and the other has not, in words."""

    runs: tuple[str, str]
    spec: tuple[Differing, ...]
    machine: tuple[Differing, ...]
    scores: tuple[Scored, ...]
    alone: tuple[str, ...]
    costs: tuple[Cost, ...]

    def __str__(self) -> str:
        """As `bench compare` prints it."""
        return text_of(self)

    def to_json(self) -> dict[str, Any]:
        """As `bench compare --format json` prints it."""
        return {
            "runs": list(self.runs),
            "spec": [vars(each) for each in self.spec],
            "machine": [vars(each) for each in self.machine],
            "scores": [_score_json(each) for each in self.scores],
            "alone": list(self.alone),
            "costs": [
                {
                    **{"name": each.name, "evaluation": each.evaluation},
                    **{"first": each.numbers[0], "second": each.numbers[1], "ratio": each.ratio},
                }
                for each in self.costs
            ],
        }


def text_of(found: Comparison) -> str:
    """As `bench compare` prints it."""
    first, second = map(one_line, found.runs)
    parts = [f"first   {first}\nsecond  {second}", _scores(found), _costs(found)]
    parts += [_differing("spec", found.spec), _differing("machine and versions", found.machine)]
    return "\n\n".join(parts)


def score_cells(each: Scored) -> list[str]:
    """Below `OF_SCORES`."""
    found, sides, unit = each.difference, (each.first, each.second), each.first.unit
    interval, p = (found.interval, found.p) if found else (None, None)
    return [
        one_line(f"{each.protocol_id} on {each.eval_backbone}"),
        each.first.title,
        *(spread(side.mean, side.std, len(side.values), unit) or UNKNOWN for side in sides),
        UNKNOWN if found is None else result(found.value, unit, sign="+"),
        UNKNOWN if interval is None else " to ".join(result(end, unit, sign="+") for end in interval),
        UNKNOWN if p is None else f"{p:.2g}",
        each.better or UNKNOWN,
    ]


def cost_cells(each: Cost) -> list[str]:
    """Below `OF_COSTS`."""
    ratio = UNKNOWN if each.ratio is None else f"{each.ratio:.2f}"
    return [
        one_line(", ".join(filter(None, [each.name, each.evaluation]))),
        each.first or UNKNOWN,
        each.second or UNKNOWN,
        ratio,
    ]


def differing_cells(each: Differing) -> list[str]:
    """The field, and both values."""
    return [one_line(each.key), value_text(each.first), value_text(each.second)]


def value_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """In one line."""
    return UNKNOWN if value is None else one_line(value if isinstance(value, str) else json.dumps(value))


def notes(found: Comparison) -> list[str]:
    """What is to be known of the scores."""
    reasons = list(dict.fromkeys(reason for each in found.scores for reason in each.reasons))
    reasons += dict.fromkeys(filter(None, map(_untested, found.scores)))
    parted = [each for each in found.scores if each.difference and not each.together]
    apart = dict.fromkeys(ENGINES if each.alike else APART for each in parted)
    draws = [DRAWS] if found.scores and [each.key for each in found.spec] == [SEED] else []
    return list(map(one_line, [*([NOTE] if found.scores else []), *draws, *apart, *reasons, *found.alone]))


def cost_notes(found: Comparison) -> list[str]:
    """What the mark on times means, where one has it."""
    shown = [side or "" for each in found.costs for side in (each.first, each.second)]
    return [MARKED] if any(side.endswith(COMPANY) for side in shown) else []


def _untested(each: Scored) -> str:
    """Why the test says nothing of two results; "" where it does, or one is missing."""
    if each.difference is None or each.difference.p is not None:
        return ""
    if min(len(each.first.values), len(each.second.values)) < 2:
        return "no p of a side with one training: --eval-seeds 3 takes more"
    return "no p where neither side varies"


def _differing(what: str, found: Sequence[Differing]) -> str:
    if not found:
        return f"{what}: no difference"
    shown = _shared(found) if any(each.key == METHOD for each in found) else found
    lines = [[_short(key), *_apart(*values)] for key, *values in map(differing_cells, shown)]
    left = [LEFT.format(count=len(found) - len(shown))] if len(shown) < len(found) else []
    return "\n".join([_drawn([what, "first", "second"], lines), *left])


def _shared(found: Sequence[Differing]) -> list[Differing]:
    """What both runs have: of two methods each has hyper-parameters of its own."""
    return [each for each in found if None not in (each.first, each.second)]


def _scores(found: Comparison) -> str:
    if not found.scores:
        return "\n".join([NONE_SHARED, *notes(found)])
    return "\n".join([_drawn(OF_SCORES, list(map(score_cells, found.scores))), "", *notes(found)])


def _costs(found: Comparison) -> str:
    if not found.costs:
        return "costs: none known"
    return "\n".join([_drawn(OF_COSTS, list(map(cost_cells, found.costs))), *cost_notes(found)])


def _drawn(head: Sequence[str], lines: list[list[str]]) -> str:
    from tabulate import tabulate

    return tabulate(lines, head, disable_numparse=True)


def _apart(first: str, second: str) -> list[str]:
    """Two values that differ; of long ones from a few letters before the first that do."""
    if max(len(first), len(second)) <= WIDEST:
        return [first, second]
    pairs = enumerate(zip(first, second, strict=False))
    alike = next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
    begin = max(0, alike - SHARED)
    return [_short(f"...{text[begin:]}" if begin > len("...") else text) for text in (first, second)]


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."


def _finite(value: float) -> float | None:
    """JSON has no word for what is more than a float holds."""
    return value if isfinite(value) else None


def _score_json(each: Scored) -> dict[str, Any]:
    found = each.difference
    interval = found.interval if found else None
    return {
        "protocol_id": each.protocol_id,
        "eval_backbone": each.eval_backbone,
        "metric": each.first.name,
        "unit": each.first.unit,
        "first": {"mean": each.first.mean, "std": each.first.std, "values": list(each.first.values)},
        "second": {"mean": each.second.mean, "std": each.second.std, "values": list(each.second.values)},
        "difference": _finite(found.value) if found else None,
        "interval": list(interval) if interval and all(map(isfinite, interval)) else None,
        "p": found and found.p,
        "better": each.better,
        "ranked_together": each.together,
        "reasons": list(each.reasons),
    }
