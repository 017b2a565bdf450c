"""What one training from scratch gives."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from bench.errors import RunFailure

if TYPE_CHECKING:
    from torch import Tensor

TOP1 = "top1"  # the primary metric of protocols that name no other
IN_POINTS = ("%", "points")  # units of which a hundred is all

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Metric:
    """A number that a protocol measures besides, or in place of, top-1 and top-5 on the test split.

    Attributes:
        value: finite.
        unit: "%", another one, or "" for a number without.
        better: which values are the good ones.
    """

    value: float
    unit: str = "%"
    better: Better = "higher"


@dataclass(frozen=True, eq=False)
class Curves:
    """What one training went through, and where it errs at its end. No score is chosen by any of it.

    Attributes:
        train_loss: float64 (E,), the mean over the batches of each epoch.
        train_top1: float64 (E,), percent of the views whose class the network gives first, as it was when it saw them;
            of a mixed view (CutMix, Mixup) that is the class of the image that another was mixed into.
        test_epochs: int64 (N,), after how many epochs the test split was looked at on the way.
        test_top1: float64 (N,), percent, what was found then.
        confusion: int64 (K, K), how many test images of each class, down, got which class, across, at the end.
    """

    train_loss: "Tensor"
    train_top1: "Tensor"
    test_epochs: "Tensor"
    test_top1: "Tensor"
    confusion: "Tensor"


@dataclass(frozen=True)
class Scores:
    """What one training from scratch gave. Accuracies in percent on the test split.

    `top1` and `top5` are the last epoch's; `best_top1` the maximum over evaluated epochs, where a protocol looked
    (top5 is None with fewer than 6 classes). `epochs` is how many were trained, `seconds` how long it took.
    `most_predicted` is the share of test images, in percent, that got the class which was given most often, or None
    where a protocol did not count. `teacher_top1` is the accuracy of the teacher that a protocol of `labels` "teacher"
    trained with, or None.

    `metrics` are others by name, as {"average_incremental": Metric(41.3), "forgetting": Metric(8.0, better="lower")};
    `primary` is the one by which rows are ranked and shown first. All trainings of an evaluation have the same ones. A
    protocol that measures no top-1 gives None for it, and names its primary metric.

    `curves` are kept beside the scores, in a file of their own.

    Raises:
        RunFailure: the primary metric was not measured, or one is not finite or has the name of a field above, or a
            tensor stands for a number.
    """

    top1: float | None
    top5: float | None
    epochs: int
    seconds: float
    best_top1: float | None = None
    most_predicted: float | None = None
    teacher_top1: float | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    primary: str = TOP1
    curves: Curves | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Holds the metrics to what is said of them above."""
        for name in ("top1", "top5", "epochs", "seconds", "best_top1", "most_predicted", "teacher_top1"):
            given, optional = getattr(self, name), name not in ("epochs", "seconds")
            if not (isinstance(given, int | float) or (given is None and optional)):
                raise RunFailure(f"Scores.{name} is a {type(given).__name__}, no number of Python: give float(...)")
        if odd := [name for name, metric in self.metrics.items() if not isinstance(metric, Metric)]:
            raise RunFailure(f"the metric {odd[0]!r} is a {type(self.metrics[odd[0]]).__name__}: give Metric(value)")
        if taken := sorted(self.metrics.keys() & self.__dict__.keys()):
            raise RunFailure(f"a metric cannot be called {taken[0]!r}: Scores has a field of that name")
        if wrong := [name for name, metric in self.metrics.items() if not math.isfinite(metric.value)]:
            raise RunFailure(f"the metric {wrong[0]!r} is not finite")
        if self.primary not in self.metrics and (self.primary != TOP1 or self.top1 is None):
            raise RunFailure(f"the primary metric {self.primary!r} was not measured")

    @property
    def value(self) -> float:
        """Of the primary metric."""
        return self.metrics[self.primary].value if self.primary in self.metrics else cast(float, self.top1)

    def to_json(self) -> dict[str, Any]:
        """By name, without curves; metrics, their primary one and a teacher only where there are any."""
        said = asdict(replace(self, curves=None))
        del said["curves"]
        silent = {"teacher_top1": self.teacher_top1 is None, "metrics": not self.metrics, "primary": not self.metrics}
        return {name: value for name, value in said.items() if not silent.get(name)}
