"""The file of a run with the loss of its synthesis, term by term, at some iterations."""

from collections.abc import Sequence

from bench.storage.artefacts import Kind, Part


class Losses(Part):
    """A loss by term, at some iterations.

    Attributes:
        terms: their names; together they are the loss.
        iterations: those that were kept, from 0.
        values: what each term added to the loss in each of these.
        loops: of how many loops it is the mean.
    """

    terms: list[str]
    iterations: list[int]
    values: list[list[float]]
    loops: int = 1

    @classmethod
    def mean(cls, parts: Sequence["Losses"]) -> "Losses | None":
        """Of those that have the terms and the iterations of the first; None of none."""
        alike = [part for part in parts if (part.terms, part.iterations) == (parts[0].terms, parts[0].iterations)]
        if not alike:
            return None
        loops = sum(part.loops for part in alike)
        steps = zip(*(part.values for part in alike), strict=True)
        weights = [part.loops / loops for part in alike]
        values = [[_weighed(each, weights) for each in zip(*step, strict=True)] for step in steps]
        return cls(terms=alike[0].terms, iterations=alike[0].iterations, values=values, loops=loops)


LOSSES_FILE = Kind("losses of a synthesis", 1, Losses)


def _weighed(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True))
