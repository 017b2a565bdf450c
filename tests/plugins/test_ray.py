"""Runs on the nodes of a Ray cluster, which lie on this machine: one is lost while it works, and nothing is."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import ray_methods
from benching import Bench, one_thread, until
from commands import run_bench
from ray_methods import STEP, STEPS, parent_of

from bench import __version__
from bench.cli.console import Console
from bench.errors import StoreAway, UsageError
from bench.extensions.registry import Registry
from bench.running.executors.side_by_side import SideBySide
from bench.running.executors.spread import SpreadExecutor
from bench.running.executors.workers import Hiring, Needs

ray = pytest.importorskip("ray")
from bench_ray.node import NodeDesk  # noqa: E402
from bench_ray.workers import Marks, RayDesk, Shares, shares  # noqa: E402 - without Ray there is nothing of it

PLUGIN = ray_methods.__file__
ON_RAY = ("--plugin", "bench_ray", "--executor", "ray")
SMALL: dict[str, Any] = {"object_store_memory": 80 << 20}  # bytes, the least that Ray takes


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """On one thread, as the nodes here."""
    with one_thread():
        yield Bench(tmp_path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one processor each, of which one is the head."""
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}  # bytes, about the least that Ray takes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # what else this machine does is not the nodes' affair
        patch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
        found = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **small})
        found.add_node(**small)
    yield found
    found.shutdown()


def steps(bench: Bench) -> list[tuple[str, int, int]]:
    """Unit, step and the process on whose behalf it was made, in order."""
    path = bench.cache / "steps.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(name, int(step), int(worker)) for name, step, worker in (line.split() for line in lines)]


def lose_a_node(bench: Bench, cluster: Any, lost: list[str]) -> None:  # noqa: ANN401 - Ray's class
    """Kills the node that is not the head, in the middle of a unit, once both work; says which unit."""
    gate, (node,) = bench.cache / "gate", cluster.worker_nodes
    raylet = node.all_processes["raylet"][0].process.pid

    def at_the_gate() -> dict[str, int]:
        return {name: worker for name, step, worker in steps(bench) if step == STEP}

    until(lambda: [gate] * (len(at_the_gate()) == 2))
    ((unit, worker),) = [each for each in at_the_gate().items() if parent_of(each[1]) == raylet]
    cluster.remove_node(node, allow_graceful=False)
    until(lambda: [gate] * (parent_of(worker) is None))
    lost.append(unit)
    gate.unlink()


def images(bench: Bench) -> dict[str, bytes]:
    """The files of the condensed set, by name."""
    return {path.name: path.read_bytes() for path in bench.runs.glob("*/condensed/*.safetensors")}


def test_a_lost_node_loses_nothing(bench: Bench, cluster: Any, tmp_path: Path) -> None:  # noqa: ANN401 - Ray's class
    """The units of a run on two nodes, of which one is killed: the images are those of a run here."""
    bench.plugins = (PLUGIN,)
    bench.cache.mkdir()
    (bench.cache / "gate").touch()
    lost: list[str] = []
    killer = threading.Thread(target=lose_a_node, args=(bench, cluster, lost))
    killer.start()
    asked = ("-m", "stepwise", "--protocol", "unseen-there", "--no-control", "--format", "json")
    where = ("--plugin", PLUGIN, *ON_RAY, "--address", cluster.address)
    environment = {**bench.environment(), "BENCH_CHECKPOINT_SECONDS": "0"}
    ended = run_bench(*bench.words(*asked, *where), folder=bench.folder, environment=environment)
    killer.join()
    assert ended.returncode == 0, ended.stderr
    assert [row["status"] for row in json.loads(ended.stdout)] == ["done"], "and nothing else is said there"
    assert "warning: a node was lost while it worked on stepwise-digits" in ended.stderr
    of_it = [(step, worker) for name, step, worker in steps(bench) if [name] == lost]
    assert [step for step, _ in of_it] == [*range(STEP + 1), *range(STEP, STEPS)], "from the last step that was saved"
    assert len({worker for _, worker in of_it}) == 2
    assert len(steps(bench)) == 3 * STEPS + 1, "no other step was made twice"
    here = Bench(tmp_path / "here", (PLUGIN,))
    (job,) = here.jobs("stepwise", protocols=("unseen-there",))
    here.run(job)
    assert images(bench) == images(here) != {}


def hiring(device: str, workers: int | None = None, memory: int | None = None) -> Hiring:
    return Hiring(workers, device, None, Path(), memory)


LARGE = Shares(1, 0, 8, 5 * 10**9)  # where one node has the memory


@pytest.mark.parametrize(
    ("nodes", "asked", "found"),
    [
        ([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 4.0}], hiring("cuda"), Shares(4, 1, 2)),
        ([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 4.0}], hiring("cuda", 3), Shares(3, 1, 4)),
        ([{"CPU": 8.0}, {"CPU": 4.0}, {"memory": 1.0}], hiring("cpu"), Shares(2, 0, 4)),
        ([{"CPU": 8.0}, {"CPU": 4.0}], hiring("cpu", 5), Shares(5, 0, 1)),
        ([{"CPU": 1.0}], hiring("cpu", 5), Shares(5, 0, 1)),
        ([{"CPU": 8.0, "memory": 8e9}, {"CPU": 4.0, "memory": 4e9}], hiring("cpu", memory=5 * 10**9), LARGE),
    ],
)
def test_a_cluster_is_divided_among_its_workers(nodes: list[dict[str, float]], asked: Hiring, found: Shares) -> None:
    """A GPU each, or a node each; of processors as many as every node can give."""
    assert shares(nodes, asked) == found


def test_a_cluster_without_the_device_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no node of the Ray cluster has a GPU \(1 nodes are alive\)"):
        shares([{"CPU": 8.0}], hiring("cuda"))
    with pytest.raises(UsageError, match=r"has a CPU and 5\.0 GiB of memory \(1 nodes are alive\)"):
        shares([{"CPU": 8.0, "memory": 1e9}], hiring("cpu", memory=5 << 30))


@pytest.mark.parametrize(
    ("device", "said", "asked"), [("cpu", 5, 5), ("cuda", 5, 5), ("cpu", None, 3), ("cuda", None, None)]
)
def test_a_worker_asks_for_the_memory_that_the_user_said_else_for_what_was_foretold_of_a_processor(
    monkeypatch: pytest.MonkeyPatch, device: str, said: int | None, asked: int | None
) -> None:
    """A forecast tells the memory of the GPU itself where there is one, and that is not the node's."""
    share = Shares(1, int(device == "cuda"), 1, said)
    desk = RayDesk(share, Path(), Marks(), lambda memory: None)
    monkeypatch.setattr(RayDesk, "_new", lambda self: self._memory)
    assert desk._actor_for(Needs(share.gpus, memory=3)) == asked


def test_each_node_that_is_lost_is_told_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that was said before is not said again."""
    desk = RayDesk(Shares(1, 1, 0, None), Path(), Marks(), lambda memory: None)
    monkeypatch.setattr(desk, "_tried", Mock(side_effect=ray.exceptions.RayActorError()))
    order: Any = Mock()
    order.job.spec.name = "one"
    with Console() as console:
        assert desk.do(order, Needs(), console, None).event == "failed"
    told = [line.partition("one, ")[2].partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == ["1 of at most 3", "2 of at most 3", "3 of at most 3"]


def test_a_node_that_does_not_fit_ends_the_command_and_fails_no_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of such a node take milliseconds: given order after order, it would fail a whole grid."""
    desk, actor = RayDesk(Shares(1, 0, 1), bench.cache, Marks(), lambda memory: None), Mock()
    node = NodeDesk("cpu", bench.cache, 1)
    actor.misfit.remote = lambda version, marks: node.misfit("another", marks)
    monkeypatch.setattr(desk, "_placed", lambda *asked: actor)
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    executor = SpreadExecutor(Registry(), bench.place(), hire=lambda: SideBySide([desk]))
    with pytest.raises(UsageError, match=f"^the node .* has version {__version__} of .*, and not another$"):
        list(executor.run(bench.jobs("random", ipcs=(1, 2))))
    assert not list(bench.runs.glob("*/record.json"))


def test_what_a_desk_on_a_node_raises_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray hands it on as an error of its own, of the class of those that say that a node is lost."""
    desk, news, away = RayDesk(Shares(1, 0, 1), Path(), Marks(), lambda memory: None), Mock(), StoreAway("s3 is away")
    handed_on = ray.exceptions.RayTaskError("do", "Traceback ...", away).as_instanceof_cause()
    monkeypatch.setattr(desk, "_tried", Mock(side_effect=handed_on))
    with pytest.raises(StoreAway, match=r"^s3 is away$"):
        desk.do(Mock(), Needs(0), news, None)
    news.warn.assert_not_called()


def test_a_node_knows_shared_folders_by_marks(tmp_path: Path) -> None:
    marks, node = Marks(), NodeDesk("cpu", tmp_path, 1)
    seen = marks.below(tmp_path / "runs", tmp_path)
    assert seen == marks.below(tmp_path / "runs", tmp_path), "one in each"
    assert node.misfit(__version__, seen) is None
    marks.remove()
    assert f"does not see {tmp_path / 'runs'}: --runs and BENCH_CACHE" in str(node.misfit(__version__, seen))


def test_ray_is_imported_by_who_uses_it() -> None:
    said = "import sys, bench_ray; bench_ray.bench_executors(); assert 'ray' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", said], check=False).returncode == 0


def test_without_ray_it_is_one_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "bench_ray.workers")
    ended = bench.typed("-m", "random", *ON_RAY)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
    assert "it needs Ray, pip install 'condensation-bench[ray]'" in ended.stderr
    assert not bench.runs.exists()


def test_an_address_without_a_cluster_is_one_line(bench: Bench) -> None:
    ended = bench.typed("-m", "random", *ON_RAY, "--address", "127.0.0.1:1")
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert "no Ray cluster at '127.0.0.1:1'" in ended.stderr.splitlines()[-1]
