"""Ladders: what each rung asks for, whose jobs answer for it, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benching import Bench

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.ladders import Ladder, Rung, check_one_ipc, find_ladder, laddered, requests
from bench.planning.placing import Placed, place, together
from bench.planning.planner import Planner
from bench.planning.request import Request
from bench.progress import Silent
from bench.results.rows import blank_row

EDC = (31.4, 34.4, 38.7, 39.5, 46.2, 48.0, 48.6)  # EDC paper, Figure 1 (right), A to G


def request(folder: Path, **changes: Any) -> Request:  # noqa: ANN401 - the fields of Request
    return Bench(folder).request(**{"methods": (), "changes": (), **changes})


def two(**changes: Any) -> Ladder:  # noqa: ANN401 - the fields of the second rung
    first = Rung(name="A", change="plain", method="random", protocol="hard", published=10.0)
    second: dict[str, Any] = {"name": "B", "change": "another protocol", "method": "random", "protocol": "soft"}
    return Ladder(name="two", title="Two", source="nobody", rungs=(first, Rung(**second | changes)))


def planned(ladder: Ladder, asked: Request) -> list[Placed[Rung]]:
    registry = Registry()
    return [place(rung, Planner(registry, each, Silent())) for rung, each in requests(ladder, asked)]


def test_rungs_of_one_set_are_one_run_that_is_evaluated_twice(tmp_path: Path) -> None:
    placed = planned(two(), request(tmp_path))
    jobs = together(placed)
    assert [[each.asked for each in job.evaluations] for job in jobs] == [["hard", "soft"]]
    assert [[each.asked for each in of.jobs[0].evaluations] for of in placed] == [["hard"], ["soft"]]


def test_a_rung_has_its_own_changes_and_the_users(tmp_path: Path) -> None:
    ladder = two(method="edc", set=("recover.lr=0.5",), protocol="edc")
    (_, first), (_, second) = requests(ladder, request(tmp_path, changes=("recover.iterations=3",)))
    assert first.changes == ("recover.iterations=3",)
    assert second.changes == ("recover.lr=0.5", "recover.iterations=3")
    assert second.methods == ("edc",)


def test_rows_stand_by_rungs_in_their_order(tmp_path: Path) -> None:
    placed = planned(two(), request(tmp_path, seeds=(0, 1)))
    asked = [of.jobs[0].evaluations[0] for of in reversed(placed)]
    rows = [blank_row(job.spec, each, "skipped", "busy") for each in asked for job in placed[0].jobs]
    shown = [(row["rung"]["name"], row["protocol"], row["seed"]) for row in laddered(placed, rows)]
    assert shown == [("A", "hard", 0), ("A", "hard", 1), ("B", "soft", 0), ("B", "soft", 1)]


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("ipcs", (1, 2), "--ipc"),
        ("datasets", ("digits", "cifar10"), "--dataset"),
        ("backbones", ("a", "b"), "--backbone"),
    ],
)
def test_a_grid_is_refused(tmp_path: Path, field: str, value: tuple[object, ...], option: str) -> None:
    with pytest.raises(UsageError, match=f"give one {option}$"):
        list(requests(two(), replace(request(tmp_path), **{field: value})))  # type: ignore[arg-type]


def test_rungs_whose_papers_have_other_numbers_of_images_are_not_compared(tmp_path: Path) -> None:
    registry = Registry()
    both = [replace(request(tmp_path), methods=("random",), ipcs=(ipc,)) for ipc in (1, 2)]
    named = [place(rung, Planner(registry, each, Silent())) for rung, each in zip(two().rungs, both, strict=True)]
    with pytest.raises(UsageError, match="the papers of the rungs have 1 and 2 images per class: give one --ipc"):
        check_one_ipc(named)


def test_edcs_figure_goes_from_g_vbsm_to_edc_one_change_at_a_time() -> None:
    ladder = find_ladder(Registry(), "edc-figure-1")
    assert tuple(rung.published for rung in ladder.rungs) == EDC
    assert (ladder.rungs[0].method, ladder.rungs[-1].method) == ("g-vbsm", "edc")
    for before, rung in zip(ladder.rungs[:-2], ladder.rungs[1:-1], strict=True):
        added = set(rung.set) - set(before.set)
        assert set(before.set) <= set(rung.set)
        assert bool(added) != (rung.protocol != before.protocol)


def test_every_rung_of_edcs_figure_can_be_planned(tmp_path: Path) -> None:
    ladder = find_ladder(Registry(), "edc-figure-1")
    placed = planned(ladder, request(tmp_path))
    jobs = together(placed)
    assert [len(each.jobs) for each in placed] == [1] * 7
    assert len(jobs) == 5  # two pairs of rungs differ in how students are trained alone


def test_a_ladder_nobody_offers_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'edc-figure-1'"):
        find_ladder(Registry(), "edc-figure-2")


def test_a_row_answers_by_what_was_measured_whatever_it_was_called_before(tmp_path: Path) -> None:
    """Both were asked for as the paper's once, as a plugin says from one version to the next."""
    placed = planned(two(), request(tmp_path))
    (job,) = together(placed)
    names = ("hard", "soft", "paper")
    rows = [blank_row(job.spec, each, "skipped", "busy", *names) for each in job.evaluations]
    assert [row["protocol_id"] for row in laddered(placed, rows)] == [each.protocol_id for each in job.evaluations]
