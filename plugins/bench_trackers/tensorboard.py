"""Runs in TensorBoard: `--plugin bench_trackers.tensorboard`, then `tensorboard --logdir tracking/tensorboard`.

BENCH_TRACKING is the folder, ./tracking without it. A run that is told again takes the place of what was told before.
"""

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.hookspecs import hookimpl
from bench_trackers.content import curves, home, needs, parameters, results
from bench_trackers.opening import Runs

try:
    import tensorboard  # noqa: F401 - torch's writer imports it when a run is told
except ImportError as error:
    raise needs("tensorboard", "tensorboard") from error

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def _opened(run: str, spec: Mapping[str, Any]) -> "SummaryWriter":
    """A fresh folder with what the run is, as text."""
    from torch.utils.tensorboard import SummaryWriter

    folder = home("tensorboard") / run
    shutil.rmtree(folder, ignore_errors=True)
    writer = SummaryWriter(str(folder))
    lines = [f"| {name} | {value} |" for name, value in parameters(spec).items()]
    writer.add_text("spec", "\n".join(["| key | value |", "| --- | --- |", *lines]))
    return writer


_runs = Runs(_opened)


@hookimpl
def bench_run_started(run: str, spec: Mapping[str, Any]) -> None:
    """It is opened when it is known to be this process'."""
    _runs.begin(run, spec)


@hookimpl
def bench_progress(run: str, what: str, done: int, total: int) -> None:
    """The share that is done, by steps."""
    if (writer := _runs.at_work(run)) is not None:
        writer.add_scalar(f"progress/{what}", done / max(1, total), done)


@hookimpl
def bench_run_finished(run: str, record: Mapping[str, Any], folder: str) -> None:
    """Costs, scores, curves."""
    if (writer := _runs.end(run)) is None:
        return
    with writer:
        for name, value in results(record).items():
            writer.add_scalar(name, value)
        for point in curves(folder, record):
            writer.add_scalar(point.name, point.value, point.epoch)
