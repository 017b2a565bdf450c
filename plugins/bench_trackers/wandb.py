"""Runs in Weights & Biases: `--plugin bench_trackers.wandb`.

The library's own settings count: WANDB_PROJECT (condensation-bench without it), WANDB_ENTITY, WANDB_MODE=offline; it
says nothing itself unless WANDB_SILENT is set to "false". Files lie below BENCH_TRACKING, or ./tracking. A run has the
id of its name, so that told again it is the same one.
"""

import os
from collections.abc import Mapping
from typing import Any

from bench.hookspecs import hookimpl
from bench_trackers.content import curves, home, needs, parameters, results
from bench_trackers.opening import Runs

try:
    import wandb
except ImportError as error:
    raise needs("wandb", "wandb") from error

PROJECT = "condensation-bench"


def _opened(run: str, spec: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the library's run
    """A run of that name with the spec as its config."""
    folder = home("wandb")
    folder.mkdir(parents=True, exist_ok=True)
    project = os.environ.get("WANDB_PROJECT") or PROJECT
    told: dict[str, Any] = {"id": run, "name": run, "resume": "allow", "reinit": "create_new"}
    quiet = wandb.Settings(silent=os.environ.get("WANDB_SILENT") != "false", console="off")
    config, group = parameters(spec), spec["dataset"]
    return wandb.init(project=project, dir=str(folder), config=config, group=group, settings=quiet, **told)


_runs: Runs[Any] = Runs(_opened)


@hookimpl
def bench_run_started(run: str, spec: Mapping[str, Any]) -> None:
    """It is opened when it is known to be this process'."""
    _runs.begin(run, spec)


@hookimpl
def bench_progress(run: str, what: str, done: int, total: int) -> None:
    """The share that is done."""
    if (tracked := _runs.at_work(run)) is not None:
        tracked.log({f"progress/{what}": done / max(1, total)})


@hookimpl
def bench_run_finished(run: str, record: Mapping[str, Any], folder: str) -> None:
    """Curves by epoch; costs and scores as the run's summary."""
    if (tracked := _runs.end(run)) is None:
        return
    points = list(curves(folder, record))
    for name in dict.fromkeys(point.name for point in points):
        tracked.define_metric(name, step_metric="epoch")
    for point in points:
        tracked.log({point.name: point.value, "epoch": point.epoch})
    tracked.summary.update({**results(record), "status": record["status"]})
    tracked.finish(exit_code=0 if record["status"] == "done" else 1)
