"""`bench compare`: two runs beside each other. The second is the shipped record with what a test changes of it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import run_bench
from PIL import Image

import bench
from bench.results.records import Record
from bench.storage.files import read_json, write_json

SHIPPED = next((Path(__file__).parents[3] / "reports" / "bench_reports" / "measured").glob("sre2l-*/record.json"))
Content = dict[str, Any]


def with_scores(values: Sequence[float]) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        (evaluation,) = content["evaluations"].values()
        first = evaluation["scores"][0]
        evaluation["scores"] = [{**first, "seed": seed, "top1": value} for seed, value in enumerate(values)]

    return change


def left(runs: Path, *changes: Callable[[Content], None]) -> str:
    """A run with the shipped record, changed; its name."""
    content = read_json(SHIPPED)
    for change in changes:
        change(content)
    name = Record.from_json(content).spec.name
    (runs / name).mkdir(parents=True)
    write_json(runs / name / "record.json", content)
    return name


def seed(number: int) -> Callable[[Content], None]:
    return lambda content: content["spec"].update(seed=number)


def compared(runs: Path, *words: str) -> Content:
    ended = run_bench("compare", *words, "--runs", str(runs), "--format", "json")
    assert ended.returncode == 0, ended.stderr
    found: Content = json.loads(ended.stdout)
    return found


def test_scores_that_differ(tmp_path: Path) -> None:
    """By hand: means 41 and 46, variances 1, three values each: half of the interval is 2.7764 sqrt(2/3) = 2.267."""
    names = [left(tmp_path, with_scores([40, 41, 42])), left(tmp_path, seed(1), with_scores([45, 46, 47]))]
    (score,) = compared(tmp_path, *names)["scores"]
    assert (score["difference"], score["better"], score["ranked_together"]) == (5.0, "second", True)
    assert score["interval"] == pytest.approx([2.733, 7.267], abs=1e-3)
    assert score["first"]["values"] == [40, 41, 42] and score["metric"] == "top1"
    text = run_bench("compare", *names, "--runs", str(tmp_path)).stdout
    assert "41.00 ± 1.00 (3)" in text and "+5.00" in text and "+2.73 to +7.27" in text and "0.0036" in text


def test_engines_are_ranked_apart_and_their_scores_compare(tmp_path: Path) -> None:
    def plain(content: Content) -> None:
        content["spec"]["method"]["engine"] = "reference"
        content["spec"]["method"]["config"]["recover"]["engine"] = "reference"

    names = left(tmp_path, with_scores([40, 41])), left(tmp_path, plain, with_scores([40, 42]))
    assert compared(tmp_path, *names)["scores"][0]["ranked_together"] is False
    text = run_bench("compare", *names, "--runs", str(tmp_path)).stdout
    assert "their scores compare" in text and "decides scores, too" not in text


def test_evaluations_of_more_or_fewer_trainings_compare_by_one(tmp_path: Path) -> None:
    names = left(tmp_path, with_scores([40, 41])), left(tmp_path, seed(1), with_scores([40, 41, 42, 43]))
    (cost,) = (each for each in compared(tmp_path, *names)["costs"] if each["name"] == "a training")
    assert cost["first"] == cost["second"] > 0


def test_scores_that_are_level_and_one_that_cannot_be_tested(tmp_path: Path) -> None:
    first = left(tmp_path, with_scores([40, 41, 42]))
    above, alone = left(tmp_path, seed(1), with_scores([42, 43, 44])), left(tmp_path, seed(2), with_scores([50]))
    assert compared(tmp_path, first, above)["scores"][0]["better"] == "undecided"  # 2 points, -0.27 to 4.27
    assert "no better method" in run_bench("compare", first, above, "--runs", str(tmp_path)).stdout
    level = [
        left(tmp_path, seed(8), with_scores([40.4, 40.5, 40.6])),
        left(tmp_path, seed(9), with_scores([40.6, 40.4])),
    ]
    assert compared(tmp_path, *level)["scores"][0]["better"] == "level"
    apart = left(tmp_path, seed(3), with_scores([60, 80, 75])), left(tmp_path, seed(4), with_scores([30, 95, 20]))
    assert compared(tmp_path, *apart)["scores"][0]["better"] == "undecided"  # p 0.4, and 90 points have room
    (score,) = compared(tmp_path, first, alone)["scores"]
    assert (score["difference"], score["p"], score["interval"], score["better"]) == (9.0, None, None, None)
    still = left(tmp_path, seed(5), with_scores([50, 50])), left(tmp_path, seed(6), with_scores([60, 60]))
    reasons = {names: run_bench("compare", *names, "--runs", str(tmp_path)).stdout for names in ((first, alone), still)}
    assert "no p of a side with one training: --eval-seeds 3 takes more" in reasons[first, alone]
    assert "no p where neither side varies" in reasons[still]


def test_what_differs_is_named_as_it_is_set(tmp_path: Path) -> None:
    def changed(content: Content) -> None:
        content["spec"]["method"]["config"]["recover"]["lr"] = 0.2
        content["spec"]["method"]["config"]["squeeze"] = {"epochs": 1}
        content["environment"]["versions"]["torch"] = "9.9"
        content["environment"]["made"] = {**(content["environment"]["made"] or {}), "date": "2000-01-01"}

    found = compared(tmp_path, left(tmp_path), left(tmp_path, seed(3), changed))
    spec = {each["key"]: (each["first"], each["second"]) for each in found["spec"]}
    assert spec["seed"] == (0, 3) and spec["recover.lr"] == (0.1, 0.2) and spec["squeeze.epochs"] == (50, 1)
    assert spec["squeeze.optimizer"] == ("sgd", None)
    assert "name" not in spec and "hash" not in spec and "recover.iterations" not in spec
    assert [each["key"] for each in found["machine"]] == ["versions.torch"]


def test_of_long_values_what_differs_is_shown(tmp_path: Path) -> None:
    def source(end: str) -> Callable[[Content], None]:
        def change(content: Content) -> None:
            content["spec"]["method"]["source"] = f"{'a long way from the start, ' * 4}{end}"

        return change

    first, second = left(tmp_path, source("as in the paper")), left(tmp_path, seed(3), source("as in the code"))
    text = run_bench("compare", first, second, "--runs", str(tmp_path)).stdout
    (line,) = (line for line in text.splitlines() if line.startswith("method.source"))
    assert line.split("  ")[-1].endswith("as in the code") and "as in the paper" in line and "..." in line


def test_loops_that_one_run_alone_compiled_are_named(tmp_path: Path) -> None:
    """Their steps round otherwise: the same spec, other bits."""

    def compiling(how: bool) -> Callable[[Content], None]:
        return lambda content: content["costs"].update(compiled={"recover": {"compiled": how, "why": "so"}})

    found = compared(tmp_path, left(tmp_path, compiling(True)), left(tmp_path, seed(3), compiling(False)))
    assert found["machine"] == [{"key": "compiled.recover of the set", "first": True, "second": False}]


def test_loops_of_each_evaluation_are_told_apart(tmp_path: Path) -> None:
    """Loops of all evaluations have one name."""

    def trained(*how: bool) -> Callable[[Content], None]:
        def change(content: Content) -> None:
            (one,) = content["evaluations"].values()
            for place, compiled in enumerate(how):
                score = {**one["scores"][0], "compiled": {"evaluate": {"compiled": compiled, "why": "so"}}}
                content["evaluations"][f"p{place}"] = {**one, "protocol_id": f"p{place}@1", "scores": [score]}

        return change

    found = compared(tmp_path, left(tmp_path, trained(True, False)), left(tmp_path, seed(3), trained(False, False)))
    (key,) = [each["key"] for each in found["machine"]]
    assert key.startswith("compiled.evaluate of p0@1 on ")


def test_of_two_methods_scores_come_first_and_hyper_parameters_of_one_are_counted(tmp_path: Path) -> None:
    def another(content: Content) -> None:
        content["spec"]["method"].update(name="rded", config={"crops": 5})

    names = [left(tmp_path), left(tmp_path, another)]
    alone = [each for each in compared(tmp_path, *names)["spec"] if None in (each["first"], each["second"])]
    assert len(alone) > 5
    text = run_bench("compare", *names, "--runs", str(tmp_path)).stdout
    assert text.index("difference") < text.index("method.name") and "crops" not in text
    assert f"and {len(alone)} more that one of the two methods alone has" in text


def test_costs_stand_side_by_side(tmp_path: Path) -> None:
    def dear(content: Content) -> None:
        content["costs"]["synthesis_s"] *= 2
        content["costs"]["label_bytes"] = None

    found = compared(tmp_path, left(tmp_path), left(tmp_path, seed(1), dear))
    costs = {each["name"]: each for each in found["costs"]}
    assert costs["synthesis"]["ratio"] == 2.0
    assert costs["label bytes"]["second"] is None and costs["label bytes"]["ratio"] is None
    assert costs["image bytes"]["ratio"] == 1.0


def test_the_mark_on_a_time_is_told_of_where_one_has_it(tmp_path: Path) -> None:
    def beside_others(content: Content) -> None:
        content["costs"]["workers"] = 2

    first, alone, marked = (
        left(tmp_path, each, seed(n)) for n, each in enumerate([seed(0), seed(0), beside_others], 1)
    )
    said = "†: taken while others were at work"
    assert said not in run_bench("compare", first, alone, "--runs", str(tmp_path)).stdout
    assert said in run_bench("compare", first, marked, "--runs", str(tmp_path)).stdout
    run_bench("compare", first, marked, "--runs", str(tmp_path), "-o", str(tmp_path / "both.html"))
    assert said in (tmp_path / "both.html").read_text(encoding="utf-8")


def test_each_evaluation_has_costs_of_its_own_in_the_order_of_the_record(tmp_path: Path) -> None:
    """Stored labels weigh under the protocol that trains on them, and nothing under hard ones before it."""

    def both(content: Content) -> None:
        ((key, evaluation),) = content["evaluations"].items()
        hard = {**evaluation, "protocol": "hard", "protocol_id": "hard@1", "label_kind": "hard"}
        content["evaluations"] = {"hard-resnet18": hard, key: evaluation}

    found = compared(tmp_path, left(tmp_path, both), left(tmp_path, seed(1), both))
    costs = {(each["name"], each["evaluation"]): each["first"] for each in found["costs"]}
    kept = read_json(SHIPPED)["costs"]["label_bytes"]
    assert kept and costs["label bytes", "sre2l-tiny@1 on resnet18"] == kept
    assert ("label bytes", "hard@1 on resnet18") not in costs and ("image bytes", None) in costs
    assert {of for name, of in costs if name == "a training"} == {"hard@1 on resnet18", "sre2l-tiny@1 on resnet18"}
    alone = compared(tmp_path, left(tmp_path, seed(2)), left(tmp_path, seed(3), both))["alone"]
    assert alone == ["hard@1 on resnet18 of the second alone"]


def test_images_stored_in_two_forms_are_told(tmp_path: Path) -> None:
    def stored(form: str) -> Callable[[Content], None]:
        return lambda content: content["costs"].update(image_format=form)

    raw, small = left(tmp_path, stored("uint8")), left(tmp_path, seed(1), stored("jpeg"))
    told = {each["key"]: (each["first"], each["second"]) for each in compared(tmp_path, raw, small)["spec"]}
    assert told["image_format"] == ("uint8", "jpeg")
    assert "image_format" not in {each["key"] for each in compared(tmp_path, raw, left(tmp_path, seed(2)))["spec"]}


def test_what_only_one_has_and_what_failed_is_said(tmp_path: Path) -> None:
    def other(content: Content) -> None:
        (evaluation,) = content["evaluations"].values()
        content["evaluations"] = {"hard-resnet18": {**evaluation, "protocol": "hard", "protocol_id": "hard@1"}}

    def failed(content: Content) -> None:
        (evaluation,) = content["evaluations"].values()
        evaluation.update(status="failed", reason="no memory", scores=[])

    first, apart, broken = left(tmp_path), left(tmp_path, seed(1), other), left(tmp_path, seed(2), failed)
    found = compared(tmp_path, first, apart)
    assert found["scores"] == [] and found["alone"] == [
        "sre2l-tiny@1 on resnet18 of the first alone",
        "hard@1 on resnet18 of the second alone",
    ]
    assert not {"a training", "labelling", "label bytes"} & {each["name"] for each in found["costs"]}
    (score,) = compared(tmp_path, first, broken)["scores"]
    assert (score["second"]["mean"], score["difference"], score["better"]) == (None, None, None)
    assert score["reasons"] == [f"{broken}: failed: no memory"]
    assert "no memory" in run_bench("compare", first, broken, "--runs", str(tmp_path)).stdout


def test_runs_that_stand_in_no_one_ranking_are_said_to(tmp_path: Path) -> None:
    def quick(content: Content) -> None:
        content["spec"]["budget"] = "quick"

    names = left(tmp_path), left(tmp_path, quick)
    assert compared(tmp_path, *names)["scores"][0]["ranked_together"] is False
    assert "do not stand in one ranking" in run_bench("compare", *names, "--runs", str(tmp_path)).stdout


@pytest.mark.parametrize(("second", "said"), [("sre2l-tny", "no run and no folder"), (".", "holds 2 runs; name one")])
def test_a_mistake_is_one_line(tmp_path: Path, second: str, said: str) -> None:
    name, _ = left(tmp_path), left(tmp_path, seed(1))
    word = str(tmp_path) if second == "." else second
    ended = run_bench("compare", name, word, "--runs", str(tmp_path))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_the_images_of_both_stand_beside_each_other(tmp_path: Path) -> None:
    """Sheets of 30 by 20 and 50 by 40 pixels: 84 wide with the gap of 4, as high as the higher one with its name."""
    names = left(tmp_path), left(tmp_path, seed(1))
    for name, size, colour in zip(names, ((30, 20), (50, 40)), ("red", "blue"), strict=True):
        Image.new("RGB", size, colour).save(tmp_path / name / "preview.png")
    ended = run_bench("compare", *names, "--runs", str(tmp_path), "-o", str(tmp_path / "both.png"))
    assert ended.returncode == 0 and "second" in ended.stdout
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.size == (84, 64)
        assert [picture.getpixel(place) for place in ((15, 40), (60, 60))] == [(255, 0, 0), (0, 0, 255)]


def test_pictures_that_cannot_be_drawn_are_one_line(tmp_path: Path) -> None:
    names = left(tmp_path), left(tmp_path, seed(1))
    for output, said in (("both.gif", "-o takes a page, FILE.html, or"), ("both.png", "has no sheet of its images")):
        ended = run_bench("compare", *names, "--runs", str(tmp_path), "-o", str(tmp_path / output))
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1) and said in ended.stderr
        assert not (tmp_path / output).exists()


def test_a_comparison_is_printed_as_the_command_prints_it(tmp_path: Path) -> None:
    names = left(tmp_path, with_scores([40, 41, 42])), left(tmp_path, seed(1), with_scores([45, 46, 47]))
    printed = run_bench("compare", *names, "--runs", str(tmp_path)).stdout
    assert f"{bench.compare(*names, runs=tmp_path)}\n" == printed and printed.startswith(f"first   {names[0]}\n")


def test_values_are_harmless(tmp_path: Path) -> None:
    def hostile(content: Content) -> None:
        content["spec"]["method"]["recipe"] = "\x1b[31m|\n" + "x" * 200

    text = run_bench("compare", left(tmp_path), left(tmp_path, seed(1), hostile), "--runs", str(tmp_path)).stdout
    assert "\x1b" not in text and "x" * 60 not in text
