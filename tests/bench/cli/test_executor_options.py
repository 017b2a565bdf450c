"""--executor, --workers and --address: who does the work is looked up, and checked, before anything is written."""

from pathlib import Path

import pytest
from benching import Bench
from commands import run_bench

from bench.cli.console import Console
from bench.cli.grid import executor_of
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.hardware.quantities import size_in
from bench.running.executors import Hiring, LocalWorkers, OneWorker, SpreadExecutor
from bench.running.executors.side_by_side import local


@pytest.mark.parametrize(
    "words",
    [
        ("run", "-m", "random", "-d", "digits"),
        ("evaluate", ".", "-d", "digits", "--eval-backbone", "convnet3"),
        ("reproduce", "sre2l-table-1"),
    ],
    ids=lambda words: words[0],
)
def test_a_slip_of_the_pen_is_answered_by_the_nearest_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    known = run_bench("list", "tables", "--format", "json", folder=tmp_path).stdout if words[0] == "reproduce" else ""
    table = known.split('"name": "')[1].split('"')[0] if known else ""
    asked = (words[0], table) if table else words
    ended = run_bench(*asked, "--executor", "lokal", folder=tmp_path)
    assert (ended.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "unknown executor 'lokal'; did you mean 'local'?" in ended.stderr


def test_executors_are_listed(tmp_path: Path) -> None:
    assert "local" in run_bench("list", "executors", folder=tmp_path).stdout


def test_one_worker_is_disturbed_by_nobody_and_several_have_a_device_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(local(Hiring(None, "cpu", None, tmp_path)), OneWorker)
    several = local(Hiring(3, "cpu", None, tmp_path))
    assert isinstance(several, LocalWorkers) and several.slots == 3
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    on_gpus = local(Hiring(2, "cuda", None, tmp_path))
    assert isinstance(on_gpus, LocalWorkers) and [vars(desk)["device"] for desk in on_gpus._desks] == [
        "cuda:0",
        "cuda:1",
    ]
    every = local(Hiring(None, "cuda", None, tmp_path))
    assert isinstance(every, LocalWorkers) and every.slots == 2, "--device cuda takes them all"
    for count, device in ((None, "auto"), (None, "cuda:1"), (1, "cuda")):
        assert isinstance(local(Hiring(count, device, None, tmp_path)), OneWorker)
    for asked, device in ((3, "cuda"), (2, "cuda:1")):
        with pytest.raises(UsageError, match=f"--workers {asked}: each has a GPU of its own"):
            local(Hiring(asked, device, None, tmp_path))
    with pytest.raises(UsageError, match="--address goes with executors of other machines"):
        local(Hiring(2, "cpu", "there", tmp_path))
    with pytest.raises(UsageError, match="--memory goes with executors of other machines"):
        local(Hiring(2, "cpu", None, tmp_path, memory=1 << 30))


@pytest.mark.parametrize(("asked", "workers"), [("cuda", 2), ("auto", 1), ("cuda:1", 1)])
def test_a_command_takes_all_gpus_where_it_says_cuda(
    asked: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    request = Bench(tmp_path).request("random", device=asked)
    executor = executor_of(request, Registry(), tmp_path, Console(), [], retry=False, timeout=None)
    assert isinstance(executor, SpreadExecutor)
    assert executor.hire and executor.hire().slots == workers
    assert ("2 GPUs, a worker each" in capsys.readouterr().err) == (workers > 1)


@pytest.mark.parametrize(
    ("text", "count"), [("16GiB", 16 * 2**30), ("0.5 MiB", 2**19), ("800MB", 800_000_000), ("1.5TB", 1.5e12)]
)
def test_a_size_is_read_in_units_of_thousands_or_of_1024s(text: str, count: float) -> None:
    assert size_in(text) == count


@pytest.mark.parametrize("text", ["16", "lots", "0GiB", "16 gigs", "-1GB"])
def test_another_word_for_a_size_is_one_line(tmp_path: Path, text: str) -> None:
    ended = run_bench("run", "-m", "random", "-d", "digits", f"--memory={text}", folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "is no size above 0" in ended.stderr and not list(tmp_path.iterdir())
