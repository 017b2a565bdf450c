"""docs/reliability.md is what its table and the last run say, and its table names tests that are there."""

import re

from tests.soak import page
from tests.soak.scenes import SCENES


def test_the_page_is_the_one_that_the_command_writes() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(page.tried(), page.found())


def test_every_row_is_complete_and_its_tests_are_there() -> None:
    rows = page.tried()
    assert all(row.what and row.answer and row.tests for row in rows)
    assert page.missing_tests(rows) == []


def test_a_test_that_is_not_there_is_missed() -> None:
    here = "tests/soak/test_page.py"
    names = [here, f"{here}::test_a_test_that_is_not_there_is_missed", f"{here}::test_none", "tests/none.py"]
    assert page.missing_tests([page.Tried("", "", names)]) == names[2:]


def test_the_last_run_had_every_scene_and_hundreds_of_kills_that_all_ended_the_same() -> None:
    kept = page.found()["kills"]
    assert {name: scene["covers"] for name, scene in kept.items()} == {scene.name: scene.covers for scene in SCENES}
    assert all(scene["differing"] == 0 for scene in kept.values())
    kills = [each for scene in kept.values() for each in scene["kills"]]
    assert sum(each["kills"] for each in kills) >= 200
    assert {each["victim"] for each in kills} == set(page.VICTIMS)
    assert {each["moment"] for each in kills} >= {"fsync", "replace", "rmtree", "put", "a random moment"}


def test_scenes_and_victims_are_counted_apart_though_both_may_be_called_server() -> None:
    kills = [{"scene": "server", "victim": "server", "moment": "fsync", "kills": 3}]
    scene = {
        "kills": kills,
        "differing": 0,
        "attacks": 3,
        "planned": 3,
        "seconds": 1,
        "machine": "here",
        "covers": "it",
    }
    _, _, row, *_ = page.kills_part({"server": scene}).splitlines()
    assert [int(cell) for cell in row.split("|")[2:-1]] == [3, 0, 0, 0, 0, 0, 3, 3]


def test_the_tests_that_the_page_on_security_names_are_there() -> None:
    text = (page.ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = [f"{file}::{name}" for name, file in re.findall(r"\[`(\w+)`\]\(\.\./([\w/]+\.py)\)", text)]
    assert len(named) >= 20
    assert page.missing_tests([page.Tried("", "", named)]) == []
