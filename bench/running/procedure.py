"""The order of a method's calls: `prepare`, `warm_up`, `units`, `synthesize`, then `prepare_labels` and `label`.

It is written here alone: runs, forecasts, `bench speed` and conformance differ in what they time and keep in between.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bench.condensation import Condenser, Images, Task, Unit
from bench.data.datasets import Preprocessing
from bench.errors import RunFailure
from bench.hardware.meters import PeakMemory, own_peak, synchronize
from bench.labels import Labels
from bench.sets.decoding import decoded
from bench.sets.pixel_formats import to_stored, valued

Content = dict[str, Any]
T = TypeVar("T")
Timer = Callable[[Callable[[], Images]], tuple[Images, float]]


@dataclass(frozen=True)
class Synthesized:
    """A unit's images as the method gave them, the seconds by a timer, and the peak of memory."""

    images: Images
    seconds: float
    memory: PeakMemory


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work makes, and the seconds by the clock."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


@dataclass
class Procedure:
    """A method at work on a task.

    Attributes:
        method: makes the images.
        given: the task of the run.
        labeller: labels them: the method itself, or for a control the method that it is the control of.
        task: what the method works in: the given task, and from `prepare` on the one that its `prepare` returned.
        warm: whether it was asked to `warm_up`.
    """

    method: Condenser[Any]
    given: Task
    labeller: Condenser[Any]
    task: Task = field(init=False)
    _labelling: Task = field(init=False)
    warm: bool = field(default=False, init=False)
    _planned: Content = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is prepared yet."""
        self.task = self._labelling = self.given
        self._planned = self.method.config.model_dump()

    def prepare(self) -> None:
        """The method's stages, found or made."""
        self.task = _worked_in(self.method.prepare(self.given), self.given)

    def prepare_labels(self) -> None:
        """What labels and preprocessing need: of another labeller its own, else what `prepare` made."""
        if self.labeller is self.method:
            self._labelling = self.task
        else:
            self._labelling = _worked_in(self.labeller.prepare_labels(self.given), self.given)

    def units(self) -> Sequence[Unit]:
        """The pieces of the synthesis, once it is prepared. Raises RunFailure: the method has something else."""
        found = self.method.units(self.task)
        units = [] if isinstance(found, str) or not isinstance(found, Iterable) else list(found)
        if not units or (odd := [each for each in units if not isinstance(each, Unit)]):
            what = f"a {type(odd[0] if units else found).__name__}" if units or found is None else "none"
            said = f"units of {type(self.method).__name__} returned {what}"
            raise RunFailure(f"{said}; it must return a list of bench.condensation.Unit, such as [Unit('all', (0, 1))]")
        return units

    def warm_up(self) -> None:
        """Compiles what units will run, the first time it is asked for."""
        if not self.warm:
            self.warm = True
            self.method.warm_up(self.task)

    def synthesize(self, unit: Unit, **own: Any) -> Images:  # noqa: ANN401 - fields of a task
        """One unit's images. `own` are fields of the task for this unit, such as its workspace.

        Raises:
            RunFailure: the method has other hyper-parameters than before, and so than the record says.
        """
        images = self.method.synthesize(replace(self.task, **own), unit)
        if (changed := self.method.config.model_dump()) != self._planned:
            key = next(key for key, value in changed.items() if value != self._planned[key])
            said = f"{type(self.method).__name__} changed its own config: {key} is {changed[key]!r}"
            raise RunFailure(f"{said}, and {self._planned[key]!r} in the record; keep what changes in variables")
        return images

    def measured(self, unit: Unit, timer: Timer, **own: Any) -> Synthesized:  # noqa: ANN401 - fields of a task
        """The same, with the peak of memory that is its own, and the seconds that `timer` says of it."""
        device = self.task.device

        def made() -> Images:
            images = self.synthesize(unit, **own)
            synchronize(device)  # what is still under way on it is part of making them
            return images

        with own_peak(device) as peak:
            images, seconds = timer(made)
            return Synthesized(images, seconds, peak.read())

    def valued(self, images: Images) -> Images:
        """Images in the values that their form holds, before they are stored."""
        return valued(images, self.method.pixel_format, self.method.preprocessing(self.task))

    def stored(self, images: Images) -> Images:
        """Images as they are after storage, with all that it loses."""
        return to_stored(images, self.method.pixel_format, self.method.preprocessing(self.task))

    def preprocessing(self) -> Preprocessing:
        """The set's, once labels are prepared: a control is trained as the method's set is."""
        return self.labeller.preprocessing(self._labelling)

    def learned_lr(self, images: Images) -> float | None:
        """The step size learned with the images; methods from before it came with them have a member that says it."""
        asked = getattr(self.method, "learned_lr", None) if images.learned_lr is None else None
        return asked(self.task) if asked else images.learned_lr

    def label(self, images: Images, **own: Any) -> Labels:  # noqa: ANN401 - fields of a task
        """The labels of stored images, or of what they decode into, seen through the set's preprocessing.

        `own` as in `synthesize`.
        """
        preprocessing = self.preprocessing()
        shown = decoded(images, self.method.decoder, preprocessing)
        labels = self.labeller.label(replace(self._labelling.seen_through(preprocessing), **own), shown)
        if not isinstance(labels, Labels):
            said = f"label of {type(self.labeller).__name__} returned a {type(labels).__name__}"
            raise RunFailure(f"{said}; it must return labels of bench.labels, such as SoftLabels(probabilities)")
        promised = self.labeller.label_kind if self.labeller is self.method else None  # a control's may be others
        if promised not in (None, labels.kind):
            said = f"label_kind of {type(self.labeller).__name__} is {promised!r}"
            raise RunFailure(
                f"{said}, and its `label` returned {labels.kind} labels; set it to what is returned, or None"
            )
        return labels


def _worked_in(returned: object, given: Task) -> Task:
    """The task that a method works in: the given one where it returned none.

    Raises:
        RunFailure: it returned something else.
    """
    if returned is None:
        return given
    if not isinstance(returned, Task):
        kind = type(returned).__name__
        raise RunFailure(f"prepare returned a {kind}; it must return the bench.condensation.Task it works in, or None")
    return returned
