"""What a run's trainings went through, and what the loss of the synthesis was before them: figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import CorruptArtefact, UnreadableArtefact, why
from bench.loops.losses import LOSSES_FILE
from bench.reporting.folders import RunFolder
from bench.results.curves import CurveArrays, look, path_of
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
ClassesOf = Callable[[Path, Where], Sequence[float] | None]
Left = tuple[Json, Path]  # a run's record and its folder
Kept = tuple[CurveArrays, float | None]  # a training's curves and its top-1 at the end


@dataclass(frozen=True)
class Training:
    """An evaluation's trainings: of how many what follows is the mean, figures, and tables of classes.

    Attributes:
        part: of how many of them the line of the test split is, in words; "" where it is of all.
    """

    heading: str
    count: int
    figures: Sequence[Figure]
    tables: Sequence[Table]
    part: str


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
            if kept := _kept(run, key, outcome):
                control = controls.get(_where(outcome))
                beside = (classes_of or control_classes)(control, _where(outcome)) if control else None
                found.append(_training(record["spec"], outcome, kept, beside))
        except (CorruptArtefact, UnreadableArtefact) as error:
            lost.append(one_line(why(error)))
    return found, lost


def beside(runs: Mapping[str, Left], where: Where) -> list[Training]:
    """An evaluation of several runs in the same figures, where all of them have curves. Raises as `_curves`.

    Args:
        runs: by what their lines are called.
    """
    kept = {who: _kept_of(record, path, where) for who, (record, path) in runs.items()}
    if not all(kept.values()):
        return []
    lines = {who: _lines(found) for who, found in kept.items()}
    tested = {f"{who}, test split": test for who, (test, _, _) in lines.items()}  # first: a run has one colour then
    seen = tested | {f"{who}, training views": views for who, (_, views, _) in lines.items()}
    loss = {who: falling for who, (_, _, falling) in lines.items()}
    count = sum(map(len, kept.values()))
    curves = {who: [each for each, _ in found] for who, found in kept.items()}
    tables = classes_beside([record["spec"] for record, _ in runs.values()], curves)
    part = ", ".join(f"{said} of the {who}" for who, found in kept.items() if (said := _part(found)))
    return [Training(one_line(" on ".join(where)), count, _accuracy_and_loss(seen, loss), tables, part)]


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


def _where(outcome: Json) -> Where:
    return outcome["protocol_id"], outcome["backbone"]


def _kept_of(record: Json, run: Path, where: Where) -> list[Kept]:
    """`_kept` of the evaluation there, if the record has it."""
    evaluations = record["evaluations"].items()
    return [kept for key, outcome in evaluations if _where(outcome) == where for kept in _kept(run, key, outcome)]


def _kept(run: Path, key: str, outcome: Json) -> list[Kept]:
    """Of an evaluation's trainings those that are as long as the first. Raises as `_curves`."""
    found = [(each, score.get("top1")) for score in outcome["scores"] if (each := _curves(run, key, score))]
    return [each for each in found if each[0].train_loss.shape == found[0][0].train_loss.shape]


def _curves(run: Path, key: str, score: Json) -> CurveArrays | None:
    """Those of the training that a score is of; None where it left none. Raises as `bench.results.curves.look`."""
    try:
        found = look(path_of(run, key, score.get("seed", 0)))
    except FileNotFoundError:
        return None
    return found if found.made_under == score.get("made_under") else None


def control_classes(control: Path, where: Where) -> Sequence[float] | None:
    """The accuracies of a control's classes, percent; None where there are none to read, which its own page says."""
    try:
        return class_accuracies([each for each, _ in _kept_of(RunFolder(control).record(), control, where)])
    except (FileNotFoundError, CorruptArtefact, UnreadableArtefact):
        return None


def _training(spec: Json, outcome: Json, kept: Sequence[Kept], control: Sequence[float] | None) -> Training:
    tables = class_tables(spec, [each for each, _ in kept], control)
    return Training(one_line(" on ".join(_where(outcome))), len(kept), _figures(kept), tables, _part(kept))


def _part(kept: Sequence[Kept]) -> str:
    tested = len(_tested_alike(kept))
    return "" if tested == len(kept) else f"{tested} of {len(kept)} trainings"


def _figures(kept: Sequence[Kept]) -> list[Figure]:
    test, views, loss = _lines(kept)
    seen = {"test split": test, "training views, as augmented": views}
    return _accuracy_and_loss(seen, {"training loss": loss})


def _accuracy_and_loss(seen: Mapping[str, Points], loss: Mapping[str, Points]) -> list[Figure]:
    return [_figure("Accuracy", "epoch", "top-1 %", seen), _figure("Training loss", "epoch", LOSS, loss)]


def _lines(kept: Sequence[Kept]) -> tuple[Points, Points, Points]:
    """Over epochs: the accuracy on the test split, that on training views, and the loss; means over trainings."""
    loss, seen = (_mean(kept, name) for name in ("train_loss", "train_top1"))
    return _tested(_tested_alike(kept)), list(enumerate(seen, 1)), list(enumerate(loss, 1))


def _tested(alike: Sequence[Kept]) -> Points:
    """The accuracy on the test split on the way and at the end, the mean over the same trainings."""
    first, _ = alike[0]
    line = list(zip(first.test_epochs.tolist(), _mean(alike, "test_top1"), strict=True))
    last = [top1 for _, top1 in alike if top1 is not None]
    return [*line, (len(first.train_loss), sum(last) / len(last))] if last else line


def _tested_alike(kept: Sequence[Kept]) -> Sequence[Kept]:
    """The most that were tested after the same epochs: a later command may have asked for other looks (`--looks`).

    Those that were tested on the way go before those that were not.
    """
    groups: dict[tuple[int, ...], list[Kept]] = {}
    for each in kept:
        groups.setdefault(tuple(each[0].test_epochs.tolist()), []).append(each)
    _, alike = max(groups.items(), key=lambda group: (len(group[0]) > 0, len(group[1]), len(group[0])))
    return alike


def _mean(kept: Sequence[Kept], name: str) -> list[float]:
    first, *others = (getattr(each, name) for each, _ in kept)
    means: list[float] = (sum(others, first) / len(kept)).tolist()
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
