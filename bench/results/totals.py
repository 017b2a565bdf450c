"""What a row says of all parts of its cost together: sums, and what stages and waiting come to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.hardware.waiting import share_of_all
from bench.results.outcomes import Costs, Score
from bench.storage.shapes import PeakPart, StagePart

Known = dict[str, Any]  # some fields of a row


def of_stages(costs: Costs) -> Known:
    """Of what comes before the images. Null where it was not made here, as `prepare_s` is."""
    made_here, stages = costs.prepare_s is not None, list(costs.stages.values())
    own = costs.prepare_peak_memory_bytes  # of records that have none the stages have, each
    peaks = [own] if own else [stage.memory for stage in stages]
    return {
        "prepare_peak_memory_bytes": _greatest(peaks) if made_here else None,
        "stage_bytes": _sum([stage.bytes for stage in stages]) if made_here else None,
    }


def sums(known: Mapping[str, Any]) -> Known:
    """Of a row: what making its set took, with the labels that the protocol trains on, and what a user keeps of it.

    Labels that took nothing are null and count nothing; any other part that is null leaves the sum so.
    """
    seconds = [known.get("prepare_s"), known.get("synthesis_s"), known.get("label_s") or 0.0]
    return {"total_s": _sum(seconds), "total_bytes": _sum([known.get("set_bytes"), known.get("label_bytes")])}


def waited(costs: Costs, scores: Sequence[Score], *, labelled: bool) -> dict[str, float | None] | None:
    """The shares of their time that the parts of a row waited for a core; None where none is known.

    Args:
        labelled: whether the labels that the protocol trains on took a time of their own.
    """
    shared = {name: stage for score in scores for name, stage in score.stages.items()}
    making = costs.waited
    shares = {
        "prepare": _of(costs.stages.values()),
        "synthesis": making.synthesis if making else None,
        "labels": making.labels if making and labelled else None,
        "evaluation_prepare": _of(shared.values()),
        "evaluation": share_of_all((score.seconds, score.waited) for score in scores),
    }
    return shares if any(share is not None for share in shares.values()) else None


def _of(stages: Iterable[StagePart]) -> float | None:
    return share_of_all((stage.seconds, stage.waited) for stage in stages)


def _greatest(peaks: Sequence[PeakPart]) -> dict[str, int | None] | None:
    """The greatest of each; None of none."""
    each = [peak.to_json() for peak in peaks]
    names = each[0] if each else {}
    return {name: max((one[name] for one in each if one[name] is not None), default=None) for name in names} or None


def _sum(parts: Sequence[Any]) -> Any:  # noqa: ANN401 - of numbers of one type
    """None where a part is not known."""
    return None if None in parts else sum(parts)
