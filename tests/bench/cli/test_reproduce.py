"""`bench reproduce`, as a user types it: a plugin's table on the bundled digits, each verdict, and what is refused."""

import json
import re
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from child_work import children_here
from commands import run_bench
from their_table import CLAIMS, HEAD, PLUGIN, TABLE, Reproduce

from bench.cli.numbers import numbers
from bench.errors import UsageError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduce")
    (folder / "theirs.py").write_text(PLUGIN)
    (folder / "table.toml").write_text(TABLE)
    return folder


@pytest.fixture(scope="module")
def reproduce(place: Path) -> Reproduce:
    """`bench reproduce theirs` with a claim of that value; runs are shared, so the training is done once."""

    def done(*words: str, value: float = 50.0) -> "CompletedProcess[str]":
        (place / "claims.csv").write_text(HEAD + CLAIMS.format(value=value))
        plugin = ("--plugin", str(place / "theirs.py"), "--runs", str(place / "runs"), "--data-root", str(place))
        trainings = () if "--recorded" in words else ("--eval-seeds", "1")
        with children_here():
            return run_bench("reproduce", "theirs", *trainings, *plugin, *words, folder=place)

    return done


@pytest.fixture(scope="module")
def score(reproduce: Reproduce) -> float:
    (row,) = json.loads(reproduce("--cells", "1", "--format", "json").stdout)
    return float(row["top1_mean"])


def cell(done: "CompletedProcess[str]") -> dict[str, Any]:
    (row,) = json.loads(done.stdout)
    found: dict[str, Any] = row["cell"]
    return found


@pytest.mark.parametrize(("away", "verdict"), [(0.0, "within"), (5.0, "below"), (-5.0, "above")])
def test_a_cell_is_measured_and_judged(reproduce: Reproduce, score: float, away: float, verdict: str) -> None:
    done = reproduce("--cells", "1", "--format", "json", value=score + away)
    assert done.returncode == 0
    assert cell(done)["verdict"] == verdict
    assert cell(done)["difference"] == pytest.approx(-away)


def test_records_say_the_same_without_running(reproduce: Reproduce, score: float) -> None:
    done = reproduce("--recorded", "--format", "json", value=score)
    verdicts = [(row["cell"]["verdict"], row["status"], row["reason"]) for row in json.loads(done.stdout)]
    missing = (None, "skipped", "there is no record of it")
    assert verdicts == [("within", "done", None), missing, missing]


def test_cells_that_cannot_be_reached_are_listed_with_the_reason(reproduce: Reproduce, score: float) -> None:
    done = reproduce(value=score)
    assert done.returncode == 0
    assert "cell 2: skipped: there is no backbone 'resnet9'" in done.stdout
    assert "cell 3: skipped: dataset 'cifar10' is not below" in " ".join(done.stdout.split())
    assert "not here: cell 2: there is no backbone 'resnet9'" in done.stderr


def test_what_it_takes_is_said_first(reproduce: Reproduce, place: Path) -> None:
    done = reproduce("--cells", "1", "--dry-run", "--runs", str(place / "none"))
    assert done.returncode == 0
    assert "random-digits-ipc1-convnet1" in done.stdout
    assert not list((place / "none").glob("*/record.json"))


def test_cells_that_do_not_fit_into_the_time_are_left_out(reproduce: Reproduce, place: Path) -> None:
    done = reproduce("--cells", "1", "--within", "1s", "--runs", str(place / "none"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "bench: no cell of theirs fits into 1.0 s"


def test_which_cells_fit_is_said_without_running_them(reproduce: Reproduce, place: Path) -> None:
    asked = ("--cells", "1", "--dry-run", "--runs", str(place / "none"))
    assert "within 60 min: cell 1\n" in reproduce("--within", "1h", *asked).stderr
    assert "no cell of theirs fits into 1.0 s" in reproduce("--within", "1s", *asked).stderr


def test_what_is_done_takes_no_time(reproduce: Reproduce, score: float) -> None:
    done = reproduce("--cells", "1", "--within", "1s", "--format", "json", value=score)
    assert cell(done)["verdict"] == "within"


def test_sets_of_several_seeds_are_judged_as_one(reproduce: Reproduce, score: float) -> None:
    done = reproduce("--cells", "1", "--seed", "0", "--seed", "1", "--format", "json", value=score)
    (row,) = json.loads(done.stdout)
    assert (row["sets"], row["seed"]) == (2, None)
    assert row["cell"]["difference"] == pytest.approx(sum(row["top1_values"]) / 2 - score)
    assert row["top1_values"][0] == score


def test_cells_of_metrics_that_are_no_top1_are_held_against_those(place: Path, tmp_path: Path) -> None:
    """One run answers two cells; the numbers published are those of the same protocol, two points off."""
    other = Path(__file__).parents[1] / "running" / "incremental_protocols.py"
    plugins = ("--plugin", str(tmp_path / "theirs.py"), "--plugin", str(other))
    words = ("--runs", str(place / "runs"), "--data-root", str(place), "--eval-seeds", "1", *plugins)
    claim = "random,digits,10,1,convnet1,convnet1,hard,incremental,{},,{},0.1,a paper,\n"
    (tmp_path / "theirs.py").write_text(PLUGIN)
    (tmp_path / "table.toml").write_text(TABLE)

    def done(average: float, forgetting: float, *more: str) -> str:
        lines = claim.format("average_incremental", average) + claim.format("forgetting", forgetting)
        (tmp_path / "claims.csv").write_text(HEAD + lines)
        with children_here():
            ended = run_bench("reproduce", "theirs", *words, *more, folder=place)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    found = {name: each["mean"] for name, each in json.loads(done(0, 0, "--format", "json"))[0]["metrics"].items()}
    rows = json.loads(done(found["average_incremental"], found["forgetting"] + 2, "--format", "json"))
    assert [row["cell"]["verdict"] for row in rows] == ["within", "below"]
    assert [row["cell"]["difference"] for row in rows] == pytest.approx([0, -2])
    text = done(found["average_incremental"], found["forgetting"] + 2)
    assert "average incremental" in text and "forgetting" in text and "top-1" not in text
    assert f"{found['forgetting']:.2f} (1)" in text
    assert re.search(r"± 0\.10* forgetting", run_bench("show", "theirs", *plugins).stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--wait", "1h", "--dry-run"), "--dry-run waits for nothing: --wait does not go with it"),
        (("--cells", "4"), "theirs has cells 1 to 3, not 4; bench show theirs lists them"),
        (("--cells", "2"), "cell 2 of theirs cannot be run here: there is no backbone 'resnet9'"),
        (("--cells", "x"), "--cells takes numbers and ranges such as 1,3-5, or all, not 'x'"),
        (("--recorded", "--dry-run"), "--recorded runs nothing: --dry-run does not go with it"),
        (("--recorded", "--set", "lr=1"), "--recorded runs nothing: --set does not go with it"),
        (
            ("--cells", "1", "--format", "svg"),
            "the format 'svg' has no form for a published table; take table, markdown, latex, html or json",
        ),
        (("--cells", "1", "--set", "lr=1"), "--set lr: random takes no hyper-parameters"),
    ],
)
def test_what_cannot_be_is_one_line(reproduce: Reproduce, words: tuple[str, ...], said: str) -> None:
    done = reproduce(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"bench: {said}"


def test_records_are_not_looked_for_where_no_folder_is(reproduce: Reproduce, tmp_path: Path) -> None:
    done = reproduce("--recorded", "--runs", str(tmp_path / "rnus"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bench: there is no folder of runs at {tmp_path / 'rnus'}; ")


def test_a_misspelt_table_names_the_nearest() -> None:
    done = run_bench("reproduce", "cpu-cell")
    assert (done.returncode, done.stderr) == (2, "bench: unknown table 'cpu-cell'; did you mean 'cpu-cells'?\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("reproduce", "sre2l-table-1"), "a published table of costs: bench speed --table sre2l-table-1"),
        (("reproduce", "edc-figure-1"), "a ladder: bench run --ladder edc-figure-1"),
        (("speed", "--table", "sre2l-table-3"), "a published table of results: bench reproduce sre2l-table-3"),
    ],
)
def test_a_table_of_another_kind_names_the_command_that_takes_it(words: tuple[str, ...], said: str) -> None:
    done = run_bench(*words)
    assert (done.returncode, done.stderr) == (2, f"bench: {words[-1]!r} is {said}\n")


def test_what_will_not_be_judged_is_said_before_the_work() -> None:
    shown = run_bench("show", "rded-table-2").stdout
    text = " ".join(shown.split())
    assert 'will be "not the same", whatever is measured' in text
    assert "cells 7-15, 22-30, 67-75 an observer of our own squeezing, not the release's; " in text
    noted = run_bench("show", "coresets-cifar10").stdout
    assert "not the same" not in noted and re.search(r"cells 4-9 +no paper states the network", noted)


def test_of_a_name_of_several_kinds_the_shortest_is_shown_first() -> None:
    shown = run_bench("show", "sc-dd").stdout
    assert shown.index("published table sc-dd") < shown.index("protocol sc-dd") < shown.index("method sc-dd")


@pytest.mark.parametrize(("text", "found"), [("1", (1,)), ("3-5,1", (3, 4, 5, 1)), (" 2 , 2-3", (2, 3))])
def test_numbers(text: str, found: tuple[int, ...]) -> None:
    assert numbers(text, "--cells") == found


@pytest.mark.parametrize("text", ["", "0", "2-1", "-3", "3-", "1-2-3", "²", "1,,2", "1-99999999"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="takes numbers and ranges"):
        numbers(text, "--cells")
