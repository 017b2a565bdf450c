"""What a reader should doubt in a finished row: students, teachers and labels that know no more than chance.

And what its method itself says of it.
"""

from collections.abc import Iterator, Sequence

from bench.progress import DOUBT
from bench.results.chance import is_no_better
from bench.results.fields import Row
from bench.results.label_fit import NOTE, LabelFit
from bench.results.outcomes import Score
from bench.storage.artefacts import parted

RECOGNISED = 90.0  # percent of a set's images that its teacher should recognise; recovered images end close to 100
ONE_CLASS = 0.1  # who gives all other classes less than this part of their share of images predicts one class


def doubts(row: Row, scores: Sequence[Score], edited: Sequence[str] = ()) -> list[str]:
    """One line each, to be shown with the row; nothing for a row without a result.

    Args:
        row: of a table.
        scores: of its trainings. Those of older versions and of some protocols do not say what was predicted, or on how
            many images; of them less can be said.
        edited: what was found to be from before an edit of its code.
    """
    if row.status != "done":
        return []
    own = [str(row.notes[DOUBT])] if DOUBT in row.notes else []
    return [*own, *edited, *_mixed(scores), *_students(row, scores), *_teacher(row, scores), *_labels(row)]


def _mixed(scores: Sequence[Score]) -> Iterator[str]:
    """Once scores from before an edit were averaged with those after it."""
    files, epochs = [score.made.plugins for score in scores if score.made], [score.epochs for score in scores]
    if any(each != files[0] for each in files):
        yield "its trainings are not of one code: a file was edited between them"
    if len(set(epochs)) > 1:
        yield f"its trainings took {min(epochs):g} to {max(epochs):g} epochs"


def _students(row: Row, scores: Sequence[Score]) -> Iterator[str]:
    blind = [score.most_predicted or 0.0 for score in scores if _predicts_one_class(score)]
    if blind:
        shares = " to ".join(dict.fromkeys(f"{share:.1f}" for share in (min(blind), max(blind))))
        yield f"{len(blind)} of {len(scores)} students give one class to {shares} % of the test images"
    elif chance := _chance(row.top1_mean, scores):
        yield f"top-1 is {chance}"


def _predicts_one_class(score: Score) -> bool:
    most, test = score.most_predicted, score.test
    return bool(test and most is not None and 100 - most < ONE_CLASS * (100 - test.largest_class))


def _teacher(row: Row, scores: Sequence[Score]) -> Iterator[str]:
    if chance := _chance(row.teacher_top1, scores):
        yield f"the teacher's top-1 is {chance}"
    seen = row.teacher_on_set
    if seen and seen["top1"] < RECOGNISED and row.iterations is not None:
        yield f"the teacher itself recognises {seen['top1']:.1f} % of these images: the recovery is not finished"


def _labels(row: Row) -> Iterator[str]:
    """What was noted when a set from elsewhere was read."""
    noted = row.notes.get(NOTE) if row.imported else None
    if noted and (fit := parted(LabelFit, noted)).doubtful:
        yield str(fit)


def _chance(top1: float | None, scores: Sequence[Score]) -> str:
    """Why an accuracy says nothing, to end a sentence with; "" where it does."""
    test = scores[0].test
    if top1 is None or not test or not is_no_better(top1, test.images, test.largest_class):
        return ""
    return f"not to be told from chance by {test.images:,} test images, {test.largest_class:.2f} % of one class"
