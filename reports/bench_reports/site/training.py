"""What a run's trainings went through, and what the loss of the synthesis was before them: figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import CorruptArtefact, UnreadableArtefact, why
from bench.loops.losses import LOSSES_FILE
from bench.results.curves import CurveArrays, look
from bench.storage import run_folder
from bench.storage.streams import one_line
from bench_reports.site.axes import Axis, axis
from bench_reports.site.classes import class_accuracies, class_tables, classes_beside
from bench_reports.site.figures import BOTTOM, LEFT, RIGHT, TOP, Figure, Mark, Series, points
from bench_reports.site.tables import Table

MOST_POINTS = 80  # of a line
LOSS = "loss"  # which may fall by orders of magnitude

Json = Mapping[str, Any]
Points = Sequence[tuple[float, float]]
Where = tuple[str, str]  # a protocol's id and the network that was trained
ClassesOf = Callable[[Path, str], Sequence[float] | None]
Left = tuple[Json, Path]  # a run's record and its folder


@dataclass(frozen=True)
class Training:
    """An evaluation's trainings: of how many what follows is the mean, figures, and tables of classes."""

    heading: str
    count: int
    figures: Sequence[Figure]
    tables: Sequence[Table]


def trainings(
    record: Json, run: Path, controls: Mapping[Where, Path], classes_of: ClassesOf | None = None
) -> tuple[list[Training], list[str]]:
    """Of each evaluation that has curves; and of those that cannot be read, why.

    Args:
        run: its folder.
        controls: the folders of the controls that may stand beside, by where.
        classes_of: `control_classes`, where one is the control of many a memory of it.
    """
    found, lost = [], list[str]()
    for key, outcome in (record.get("evaluations") or {}).items():
        try:
            if curves := _curves(run, key):
                control = controls.get((outcome["protocol_id"], outcome["backbone"]))
                beside = (classes_of or control_classes)(control, key) if control else None
                found.append(_training(record["spec"], outcome, curves, beside))
        except (CorruptArtefact, UnreadableArtefact) as error:
            lost.append(one_line(why(error)))
    return found, lost


def beside(runs: Mapping[str, Left], where: Where) -> list[Training]:
    """An evaluation of several runs in the same figures, where all of them have curves. Raises as `_curves`.

    Args:
        runs: by what their lines are called; all have the evaluation.
    """
    outcomes = {who: _outcome(record, where) for who, (record, _) in runs.items()}
    curves = {who: _curves(path, outcomes[who][0]) for who, (_, path) in runs.items()}
    if not all(curves.values()):
        return []
    lines = {who: _lines(found, outcomes[who][1]) for who, found in curves.items()}
    tested = {f"{who}, test split": test for who, (test, _, _) in lines.items()}  # first: a run has one colour then
    seen = tested | {f"{who}, training views": views for who, (_, views, _) in lines.items()}
    loss = {who: falling for who, (_, _, falling) in lines.items()}
    count = sum(map(len, curves.values()))
    tables = classes_beside([record["spec"] for record, _ in runs.values()], curves)
    return [Training(one_line(" on ".join(where)), count, _accuracy_and_loss(seen, loss), tables)]


def _outcome(record: Json, where: Where) -> tuple[str, Json]:
    """An evaluation with the key that its files have."""
    return next(
        (key, each) for key, each in record["evaluations"].items() if (each["protocol_id"], each["backbone"]) == where
    )


def recovery(run: Path) -> tuple[list[Figure], list[str]]:
    """The loss of a run's synthesis by term, where its method has one that is kept; or why it cannot be read."""
    try:
        lines = _losses(run)
    except (CorruptArtefact, UnreadableArtefact) as error:
        return [], [one_line(why(error))]
    return ([_figure("Loss by term", "iteration", LOSS, lines)] if lines else []), []


def losses_beside(runs: Mapping[str, Path]) -> tuple[list[Figure], list[str]]:
    """The same of several runs in one figure, where all of them have such; or why one cannot be read."""
    try:
        every = {who: _losses(run) for who, run in runs.items()}
    except (CorruptArtefact, UnreadableArtefact) as error:
        return [], [one_line(why(error))]
    lines = {f"{who}, {term}": line for who, found in every.items() for term, line in found.items()}
    return ([_figure("Loss by term", "iteration", LOSS, lines)] if all(every.values()) else []), []


def _losses(run: Path) -> dict[str, Points]:
    try:
        losses = LOSSES_FILE.read(run / run_folder.LOSSES)
    except FileNotFoundError:
        return {}
    across = [float(iteration) for iteration in losses.iterations]
    terms = zip(losses.terms, zip(*losses.values, strict=True), strict=True)
    lines: dict[str, Points] = {f"{term} (weighted)": list(zip(across, values, strict=True)) for term, values in terms}
    return lines if len(across) > 1 else {}


def _curves(run: Path, key: str) -> list[CurveArrays]:
    """Those of all trainings of an evaluation that are as long as the first. Raises as `bench.results.curves.look`."""
    paths = sorted(path for path in (run / run_folder.EVALUATIONS).glob(f"*{run_folder.CURVES}") if _is_of(path, key))
    if not paths:
        return []
    found = [look(path) for path in paths]
    return [each for each in found if each.train_loss.shape == found[0].train_loss.shape]


def _is_of(path: Path, key: str) -> bool:
    return path.name.startswith(f"{key}-") and path.name[len(key) + 1 : -len(run_folder.CURVES)].isdecimal()


def control_classes(control: Path, key: str) -> Sequence[float] | None:
    """The accuracies of a control's classes, percent; None where there are none to read, which its own page says."""
    try:
        return class_accuracies(_curves(control, key))
    except (CorruptArtefact, UnreadableArtefact):
        return None


def _training(spec: Json, outcome: Json, curves: Sequence[CurveArrays], control: Sequence[float] | None) -> Training:
    heading = one_line(f"{outcome['protocol_id']} on {outcome['backbone']}")
    return Training(heading, len(curves), _figures(curves, outcome), class_tables(spec, curves, control))


def _figures(curves: Sequence[CurveArrays], outcome: Json) -> list[Figure]:
    test, views, loss = _lines(curves, outcome)
    seen = {"test split": test, "training views, as augmented": views}
    return _accuracy_and_loss(seen, {"training loss": loss})


def _accuracy_and_loss(seen: Mapping[str, Points], loss: Mapping[str, Points]) -> list[Figure]:
    return [_figure("Accuracy", "epoch", "top-1 %", seen), _figure("Training loss", "epoch", LOSS, loss)]


def _lines(curves: Sequence[CurveArrays], outcome: Json) -> tuple[Points, Points, Points]:
    """Over epochs: the accuracy on the test split, that on training views, and the loss; means over trainings."""
    loss, seen, tested = (_mean(curves, name) for name in ("train_loss", "train_top1", "test_top1"))
    last = [score["top1"] for score in outcome["scores"] if score.get("top1") is not None]
    test = list(zip(curves[0].test_epochs.tolist(), tested, strict=True))
    if last:
        test.append((len(loss), sum(last) / len(last)))
    return test, list(enumerate(seen, 1)), list(enumerate(loss, 1))


def _mean(curves: Sequence[CurveArrays], name: str) -> list[float]:
    first, *others = (getattr(each, name) for each in curves)
    means: list[float] = (sum(others, first) / len(curves)).tolist()
    return means


def _figure(heading: str, x_title: str, y_title: str, lines: Mapping[str, Points]) -> Figure:
    """Lines over iterations or epochs; of few points each is marked, and says its number."""
    known = {name: [(x, y) for x, y in _thinned(line) if y == y] for name, line in lines.items()}
    every = [point for line in known.values() for point in line] or [(0.0, 0.0)]
    x = axis([0.0, *(x for x, _ in every)], LEFT, RIGHT)
    y = axis([y for _, y in every], BOTTOM, TOP, linear=y_title != LOSS)
    series = [
        Series(name, f"c{place}", place, _marks(line, x, y, x_title, y_title), points(_placed(line, x, y)))
        for place, (name, line) in enumerate(known.items())
    ]
    return Figure(heading, f"{y_title} by {x_title}: {', '.join(lines)}", x, y, x_title, y_title, series)


def _thinned(line: Points) -> Points:
    """Points evenly apart, the last among them."""
    step = max(1, -(-len(line) // MOST_POINTS))
    return [*line[:-1:step], *line[-1:]]


def _placed(line: Points, x: Axis, y: Axis) -> Points:
    return list(zip(x.places(across for across, _ in line), y.places(value for _, value in line), strict=True))


def _marks(line: Points, x: Axis, y: Axis, x_title: str, y_title: str) -> list[Mark]:
    if len(line) > MOST_POINTS // 4:
        return []
    said = [f"{x_title} {across:g}: {y_title} {value:.2f}" for across, value in line]
    return [Mark(*place, None, words, "") for place, words in zip(_placed(line, x, y), said, strict=True)]
