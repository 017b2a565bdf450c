"""Trackers: one run told to all three, and what each of them then has."""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Any

import pytest
from commands import run_bench
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.errors import UsageError
from bench_trackers.content import parameters, results

TRACKERS = ("tensorboard", "wandb", "mlflow")
WORDS = "-m random -d digits --ipc 1 --backbone convnet1 --classes 3 --protocol hard --budget quick --eval-seeds 1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracked")


@pytest.fixture(scope="module")
def tracked(folder: Path) -> "CompletedProcess[str]":
    """Told twice: the second time the run is found finished."""
    words = ["run", *WORDS.split(), "--looks", "2", "--no-control", "--runs", str(folder / "runs")]
    plugins = [word for name in TRACKERS for word in ("--plugin", f"bench_trackers.{name}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_TRACKING", str(folder / "tracking"))
        patch.setenv("WANDB_MODE", "offline")
        run_bench(*words, *plugins)
        return run_bench(*words, *plugins)


@pytest.fixture(scope="module")
def record(folder: Path, tracked: "CompletedProcess[str]") -> dict[str, Any]:
    assert tracked.returncode == 0, tracked.stderr
    (path,) = (folder / "runs").glob("*/record.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_nothing_of_it_disturbs_the_run(tracked: "CompletedProcess[str]", record: dict[str, Any]) -> None:
    assert "warning" not in tracked.stderr
    assert record["status"] == "done"


def test_tensorboard_has_scores_and_curves(folder: Path, record: dict[str, Any]) -> None:
    events = EventAccumulator(str(folder / "tracking" / "tensorboard" / record["run"])).Reload()
    (score,) = record["evaluations"]["hard-convnet1"]["scores"]
    (top1,) = events.Scalars("hard-convnet1/0/top1")
    assert top1.value == pytest.approx(score["top1"], rel=1e-6)
    assert [each.step for each in events.Scalars("hard-convnet1/0/train_loss")] == [*range(1, score["epochs"] + 1)]
    assert [each.step for each in events.Scalars("hard-convnet1/0/test_top1")] == [100, 200]


def test_mlflow_has_one_run_with_its_parameters(folder: Path, record: dict[str, Any]) -> None:
    client = MlflowClient(tracking_uri=(folder / "tracking" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("condensation-bench")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == record["run"]
    assert run.data.params["method.name"] == "random"
    assert run.data.metrics["hard-convnet1/0/top1"] == record["evaluations"]["hard-convnet1"]["scores"][0]["top1"]
    assert [each.step for each in client.get_metric_history(run.info.run_id, "hard-convnet1/0/test_top1")] == [100, 200]


def test_wandb_keeps_it_for_later(folder: Path, record: dict[str, Any]) -> None:
    """Offline: a file that `wandb sync` sends."""
    kept = list((folder / "tracking" / "wandb" / "wandb").glob(f"offline-run-*-{record['run']}/*.wandb"))
    assert kept
    assert b"hard-convnet1/0/test_top1" in kept[-1].read_bytes()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_library_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"bench_trackers.{name}", raising=False)
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=f'this tracker needs {name}: pip install "condensation-bench\\[{name}\\]"'):
        import_module(f"bench_trackers.{name}")


def process_with(tracker: str) -> ModuleType:
    """A tracker's module as another process has it: what it remembers is its own."""
    found = find_spec(f"bench_trackers.{tracker}")
    assert found and found.loader
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


def in_tensorboard(folder: Path) -> set[str]:
    return set(EventAccumulator(str(folder / "tensorboard" / "run")).Reload().Tags()["scalars"])


def in_mlflow(folder: Path) -> set[str]:
    client = MlflowClient(tracking_uri=(folder / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("condensation-bench")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    return set(run.data.metrics)


@pytest.mark.parametrize(("tracker", "told"), [("tensorboard", in_tensorboard), ("mlflow", in_mlflow)])
def test_a_run_that_another_process_has_is_left_to_it(
    tracker: str, told: Callable[[Path], set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a second command for the same grid trackers hear that the run begins, and nothing more."""
    monkeypatch.setenv("BENCH_TRACKING", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    method = {"name": "random", "version": 1, "recipe": "r", "config": {}}
    first, second = process_with(tracker), process_with(tracker)
    first.bench_run_started("run", {"method": method})
    first.bench_progress("run", "recover", 1, 10)
    second.bench_run_started("run", {"method": method})
    first.bench_run_finished("run", {"status": "done", "costs": {"prepare_s": 1.0}}, str(tmp_path / "run"))
    assert told(tmp_path) == {"progress/recover", "costs/prepare_s"}


def test_a_spec_is_told_by_dotted_names() -> None:
    method = {"name": "dm", "version": 2, "recipe": "r", "config": {"lr": {"img": 1.0}, "none": None}, "quick": ["x"]}
    found = parameters({"method": method, "classes": ["a", "b"], "ipc": 1, "split": None})
    config = {"method.name": "dm", "method.version": 2, "method.recipe": "r", "method.config.lr.img": 1.0}
    assert found == {**config, "classes": "a, b", "ipc": 1}


def test_scores_are_told_with_their_mean() -> None:
    scores = [
        {"seed": 0, "top1": 10.0, "metrics": {"forgetting": {"value": 3.0}}},
        {"seed": 1, "top1": 20.0, "top5": None},
    ]
    found = results({"costs": {"prepare_s": 1}, "evaluations": {"soft-a": {"scores": scores}}})
    assert found == {
        **{"costs/prepare_s": 1.0, "soft-a/0/top1": 10.0, "soft-a/0/forgetting": 3.0},
        **{"soft-a/1/top1": 20.0, "soft-a/top1_mean": 15.0},
    }
