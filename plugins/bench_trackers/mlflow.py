"""Runs in MLflow: `--plugin bench_trackers.mlflow`.

MLFLOW_TRACKING_URI says where; without it a local file store below BENCH_TRACKING, or ./tracking. The experiment is
MLFLOW_EXPERIMENT_NAME, or condensation-bench. A run that is told again replaces the one of its name.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from bench.hookspecs import hookimpl
from bench_trackers.content import curves, home, needs, parameters, results
from bench_trackers.opening import Runs

try:
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient
except ImportError as error:
    raise needs("mlflow", "mlflow") from error

EXPERIMENT = "condensation-bench"
LONGEST = 6000  # characters of a parameter
MOST = 500  # metrics in one call


def _opened(run: str, spec: Mapping[str, Any]) -> tuple[MlflowClient, str]:
    """A run of that name with the spec as its parameters, in place of one that was told before."""
    client = _client()
    experiment = _experiment(client)
    for earlier in client.search_runs([experiment], f"attributes.run_name = '{run}'"):
        client.delete_run(earlier.info.run_id)
    made = client.create_run(experiment, run_name=run).info.run_id
    told = [Param(name, str(value)[:LONGEST]) for name, value in parameters(spec).items()]
    client.log_batch(made, params=told)
    return client, made


_runs = Runs(_opened)


@hookimpl
def bench_run_started(run: str, spec: Mapping[str, Any]) -> None:
    """It is opened when it is known to be this process'."""
    _runs.begin(run, spec)


@hookimpl
def bench_progress(run: str, what: str, done: int, total: int) -> None:
    """The share that is done, by steps."""
    if (opened := _runs.at_work(run)) is not None:
        client, made = opened
        client.log_metric(made, f"progress/{what}", done / max(1, total), step=done)


@hookimpl
def bench_run_finished(run: str, record: Mapping[str, Any], folder: str) -> None:
    """Costs, scores, curves by epoch."""
    if (opened := _runs.end(run)) is None:
        return
    client, made = opened
    now = int(1000 * time.time())
    found = [Metric(name, value, now, 0) for name, value in results(record).items()]
    found += [Metric(point.name, point.value, now, point.epoch) for point in curves(folder, record)]
    for start in range(0, len(found), MOST):
        client.log_batch(made, metrics=found[start : start + MOST])
    client.set_terminated(made, "FINISHED" if record["status"] == "done" else "FAILED")


def _client() -> MlflowClient:
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return MlflowClient(tracking_uri=uri)
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # which newer versions want to be told
    folder = home("mlflow").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=folder.as_uri())


def _experiment(client: MlflowClient) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))
