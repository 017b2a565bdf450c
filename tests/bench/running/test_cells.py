"""Without --ipc a run is the paper's own cell, where the papers of all its methods agree on one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benching import Bench
from child_work import children_here

from bench.cli.outcomes import rows_of
from bench.extensions.registry import Registry
from bench.planning.cells import usual_ipc
from bench.planning.placing import Placed, answers
from bench.planning.planner import Planner
from bench.recipes import Setting
from bench.running.forecasting.forecast import foresee

UNTRAINED = f"--protocol untrained --plugin {Path(__file__).with_name('lying_methods.py')}"


@pytest.mark.parametrize(
    ("methods", "dataset", "expected"),
    [
        (["sre2l"], "tiny-imagenet", 50),  # abstract and Table 4: 42.5 and 60.8 at 50 images per class
        (["sre2l", "cda"], "tiny-imagenet", 50),
        (["sre2l", "cda"], "imagenet-1k", 50),
        (["sre2l", "rded"], "tiny-imagenet", 10),  # of which one names none
        (["random"], "tiny-imagenet", 10),
        (["sre2l"], "digits", 10),
        (["sre2l"], "of-my-own", 10),  # whose recipe is Tiny-ImageNet's
        (["sre2l"], "cifar10", 10),
    ],
)
def test_the_papers_number_is_taken_where_all_agree(methods: list[str], dataset: str, expected: int) -> None:
    ipc, why = usual_ipc(Registry(), methods, Setting(dataset, 64, 3, 200, 10, "resnet18"))
    assert ipc == expected
    assert why == ("the default" if expected == 10 else f"the paper's own for {' and '.join(methods)}")


def test_what_was_chosen_is_said_in_one_line_and_what_is_named_is_not(bench: Bench) -> None:
    command = "run -m random -d digits --classes 3 --backbone convnet3 --budget quick --eval-seeds 1"
    options = f"--no-control --device cpu --format csv --runs {bench.runs} {UNTRAINED}"
    with children_here():
        ended = bench.spoken(*command.split(), *options.split())
    assert ended.returncode == 0, ended.stderr
    assert "digits at 10 images per class, the default; --ipc says otherwise\n" in ended.stderr
    assert "random-digits-ipc10-" in ended.stdout
    with children_here():
        assert "--ipc" not in bench.typed("-m", "random", "--no-control", *UNTRAINED.split()).stderr


def remarks_of(bench: Bench, *methods: str, **changes: Any) -> list[str]:  # noqa: ANN401 - the fields of Request
    request = bench.request("random", methods=methods, control=True, **changes)
    planner = Planner(Registry(), request, bench.ear, bench.runs)
    planner.jobs()
    return planner.remarks


def test_methods_of_several_protocols_are_told_to_stand_in_several_rankings(bench: Bench) -> None:
    """What `bench show METHOD` names as each paper's protocol for digits of 8x8; the control adds none."""
    said = (
        "digits: 'paper' ranks sre2l by sre2l-c100, random and herding by dc, each protocol on its own; "
        "--protocol NAME puts all on equal terms"
    )
    assert remarks_of(bench, "sre2l", "random", "herding") == [said]
    assert remarks_of(bench, "random", "herding") == remarks_of(bench, "sre2l") == []
    assert remarks_of(bench, "sre2l", "random", protocols=("hard",)) == []
    assert remarks_of(bench, "sre2l", "random", protocols=("paper", "hard")) == []


@pytest.mark.parametrize("how", ["--dry-run", "--plan-only"])
def test_rankings_are_told_of_before_anything_is_done(bench: Bench, how: str) -> None:
    with children_here():
        said = bench.typed("-m", "sre2l", "-m", "random", how).stderr
    assert said.count("'paper' ranks sre2l by sre2l-c100, random by dc") == 1


def test_one_evaluation_asked_for_under_two_names_is_made_once_and_answers_for_both(bench: Bench) -> None:
    """So that no name is without a row, as of a ladder whose rungs name it differently; nor is it foretold twice."""
    here = Bench(bench.folder, plugins=(str(Path(__file__).with_name("lying_methods.py")),))
    (job,) = here.jobs("random", protocols=("untrained",))
    twice = replace(job, evaluations=(replace(job.evaluations[0], asked="paper"), *job.evaluations))
    times = [foresee(each, Registry(here.plugins), here.place(), here.folder / "s") for each in (job, twice)]
    assert times[0].evaluation_s == times[1].evaluation_s != 0
    record = here.run(twice)
    assert [each.asked for each in record.evaluations.values()] == [["paper", "untrained"]]
    (row,) = rows_of([twice], [record])
    assert (row["status"], row["eval_seeds"]) == ("done", 1)
    placed = [Placed(each.asked, (job,), (replace(job, evaluations=(each,)),)) for each in twice.evaluations]
    assert [(part, found["protocol"]) for part, found in answers(placed, [row])] == [("paper",) * 2, ("untrained",) * 2]
