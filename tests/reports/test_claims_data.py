"""The published numbers: all there, in words of ours, and consistent in themselves."""

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

import bench_reports
from bench.data.finding import load_card
from bench.extensions.registry import Registry
from bench.results.claims import COSTS, Claims, load

PATH = Path(bench_reports.__file__).with_name("claims.csv")
LINES = list(csv.DictReader(PATH.open(encoding="utf-8", newline="")))
OURS = {
    *("convnet3", "convnet4", "convnet5", "convnet3-bn", "convnet4-bn", "convnet5-bn"),
    *("resnet18", "resnet50", "resnet101", "deit-tiny", "bn-vit-tiny", "convnet3-w128"),
    *("mobilenetv2", "shufflenetv2-0.5", "efficientnet-b0", "swin-tiny", "frepo-conv", "resnet10-ap"),
    *("resnet18-instance", "resnet18-imagenet-stem", "resnet101-imagenet-stem", "convnet6-bn", "convnext-tiny"),
}
NOT_OURS = {  # networks of claims that nobody offers
    *("resnet18-unknown-stem", "vit", "vgg11-bn-slimmed", "as-published", ""),
}
PROTOCOLS = {
    *("sre2l-tiny", "sre2l-in1k", "sre2l-c100-sgd", "sre2l-cl", "cda-in1k", "sc-dd", "g-vbsm", "rded", "edc", "cv-dd"),
    *("fadrm", "delt", "lpld", "rd3", "hard", "dsa", "dc", "mtt", "tesla", "frepo", "idc", "datm"),
}
SCORE = re.compile(r"top1(_last|_best|_after_slimming|_class_incremental_step\dof5|@[\w.+-]+)?")


@pytest.fixture(scope="module")
def claims() -> Claims:
    return load(Registry())


def test_none_is_missing(claims: Claims) -> None:
    assert len(LINES) == len(claims.all) == 940


def test_names_are_ours_or_at_least_of_our_kind() -> None:
    for line in LINES:
        for name in (line["method"], line["dataset"], line["backbone"], line["eval_backbone"]):
            assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*|", name), line
    registry, networks = Registry(), {line[side] for line in LINES for side in ("backbone", "eval_backbone")}
    assert {name for name in networks if not registry.has("backbone", name)} == NOT_OURS
    assert {line["eval_backbone"] for line in LINES} >= OURS - {"bn-vit-tiny"}
    assert "bn-vit-tiny" in {line["backbone"] for line in LINES}
    assert {line["label_type"] for line in LINES} == {"hard", "online", "stored", "ensemble", "learned", ""}


def test_one_printed_name_has_one_meaning_on_one_dataset() -> None:
    for printed, ours in (("original_method", "method"), ("original_label_type", "label_type")):
        meanings = defaultdict(set)
        for line in LINES:
            meanings[line[printed]].add(line[ours])
        assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def test_datasets_have_one_number_of_classes_and_one_resolution() -> None:
    shapes = defaultdict(set)
    for line in LINES:
        shapes[line["dataset"]].add((line["classes"], line["resolution"]))
    known = {name: {shape for shape in found if shape[1]} for name, found in shapes.items()}
    assert {name: found for name, found in known.items() if len(found) > 1} == {}
    assert known["tiny-imagenet"] == {("200", "64")}
    assert known["imagenet-1k"] == {("1000", "224")}


def test_datasets_are_those_of_the_cards() -> None:
    """A claim of a ConvNet at 128 pixels stands beside no row of images of 224."""
    registry = Registry()
    cards = {name: load_card(registry, name) for name in registry.names("dataset")}
    strange = {line["dataset"] for line in LINES} - cards.keys()
    assert strange == {"imagenet-21k-p"}, "there is no card"
    for line in LINES:
        if (card := cards.get(line["dataset"])) is not None:
            assert line["classes"] == str(card.classes)
            assert line["resolution"] in ("", str(card.resolution))


def test_every_number_is_one_in_its_metrics_range() -> None:
    for line in LINES:
        if SCORE.fullmatch(line["metric"]):
            assert 0 < float(line["value"]) < 100, line
            assert not line["std"] or 0 <= float(line["std"]) < 10, line
        else:
            assert line["metric"] in (*COSTS, "label_storage_gb", "label_storage_mb"), line
            assert float(line["value"]) > 0


def test_every_number_has_a_source_and_every_unknown_protocol_an_explanation() -> None:
    assert all(line["source"] for line in LINES)
    assert {name for line in LINES for name in line["protocol"].split()} == PROTOCOLS
    assert [line for line in LINES if not line["protocol"] and not line["note"]] == []


def test_images_per_class_are_a_number_or_all() -> None:
    for line in LINES:
        assert line["ipc"].isdigit() or line["ipc"] == "all" or line["metric"] in COSTS, line
        assert (line["ipc"] == "all") == (line["method"] == "full-data"), line


def test_a_recovery_budget_is_also_in_the_iterations() -> None:
    stated = [line for line in LINES if re.fullmatch(r"top1@\d+it", line["metric"])]
    assert len(stated) == 16
    assert all(line["metric"] == f"top1@{line['iterations']}it" for line in stated)


def test_only_hard_labels_are_claimed_under_hard_protocols() -> None:
    hard = [line for line in LINES if {"hard", "dsa", "dc", "mtt", "idc"} & set(line["protocol"].split())]
    assert {line["label_type"] for line in hard} == {"hard"}
    assert "hard" not in {line["label_type"] for line in LINES if line["protocol"].startswith("sre2l")}


def test_what_another_table_quotes_is_not_taken_for_a_measurement_under_its_own_protocol() -> None:
    quoted = [line for line in LINES if line["method"] == "sre2l" and "quoted there" in line["note"]]
    assert {(line["dataset"], line["ipc"], line["value"]) for line in quoted} == {
        *(("tiny-imagenet", "50", "41.1"), ("tiny-imagenet", "50", "42.5")),
        *(("imagenet-1k", "10", "21.3"), ("imagenet-1k", "10", "30.9")),
        *(("imagenet-1k", "50", "46.8"), ("imagenet-1k", "50", "60.8")),
    }
    assert {line["protocol"] for line in quoted} == {"sre2l-tiny", "sre2l-in1k"}


Cell = tuple[str, str, int, str, str, str, int | None, float, float | None]

CELLS: list[Cell] = [
    ("sre2l", "tiny-imagenet", 50, "resnet18", "resnet18", "sre2l-tiny", 4000, 41.1, 0.4),
    ("sre2l", "tiny-imagenet", 50, "resnet18", "resnet18", "sre2l-tiny", 1000, 37.88, None),
    ("sre2l", "tiny-imagenet", 100, "resnet18", "resnet101", "sre2l-tiny", 4000, 51.5, 0.3),
    ("sre2l", "imagenet-1k", 50, "resnet18", "resnet18", "sre2l-in1k", 4000, 46.8, 0.2),
    ("sre2l", "cifar100", 50, "resnet18", "resnet18", "sre2l-c100-sgd", 1000, 51.35, 0.79),
    ("sre2l", "tiny-imagenet", 10, "resnet18", "resnet18", "rded", None, 16.1, 0.2),
    ("rded", "cifar10", 10, "convnet3-bn", "convnet3-bn", "rded", None, 50.2, 0.3),
    ("cda", "tiny-imagenet", 50, "resnet18", "resnet18", "sre2l-tiny", 4000, 48.7, None),
    ("random", "cifar10", 10, "convnet3", "convnet3", "dc", None, 26.0, 1.2),
    ("herding", "cifar10", 50, "convnet3", "convnet3", "dc", None, 40.4, 0.6),
    ("k-center", "cifar10", 10, "convnet3", "convnet3", "dc", None, 14.7, 0.9),
    ("random", "cifar10", 1, "convnet3", "convnet3", "hard", None, 15.4, 0.3),
    ("random", "cifar10", 50, "convnet3", "convnet3", "dsa", None, 50.6, 0.3),
    ("dm", "tiny-imagenet", 50, "convnet4", "convnet4", "hard", 20_000, 24.1, 0.3),
    ("dsa", "cifar10", 50, "convnet3", "convnet3", "hard", None, 60.6, 0.5),
    ("dsa", "cifar10", 50, "convnet3", "convnet3", "dsa", None, 60.6, 0.5),
    ("dm", "cifar10", 10, "convnet3", "convnet3", "dsa", 20_000, 48.9, 0.6),
    ("dc", "cifar10", 1, "convnet3", "convnet3", "dc", None, 28.3, 0.5),
    ("random", "cifar10", 10, "convnet3", "convnet3", "dsa", None, 31.0, 0.5),
    ("mtt", "cifar10", 10, "convnet3", "convnet3", "mtt", 5000, 65.3, 0.7),
    ("g-vbsm", "tiny-imagenet", 50, "resnet18", "resnet18", "g-vbsm", None, 47.6, 0.3),
    ("g-vbsm", "cifar10", 10, "resnet18", "convnet3-w128", "g-vbsm", None, 46.5, 0.7),
    ("edc", "cifar100", 10, "resnet18", "mobilenetv2", "edc", None, 44.3, 0.4),
    ("edc", "imagenet-1k", 10, "resnet18", "resnet18", "edc", None, 48.6, 0.3),
    ("sre2l-plus-plus", "cifar10", 1, "resnet18", "resnet18", "cv-dd", None, 24.4, None),
    ("fadrm", "tiny-imagenet", 10, "resnet18", "resnet18", "fadrm", None, 48.9, None),
    ("fadrm", "imagenet-1k", 50, "resnet18", "resnet18", "fadrm", None, 59.8, None),
    ("fadrm-plus", "imagenet-1k", 10, "resnet18", "resnet101", "fadrm", None, 58.1, None),
    ("delt", "tiny-imagenet", 50, "resnet18", "resnet18", "delt", None, 55.7, 0.5),
    ("delt", "imagenet-1k", 10, "resnet18", "resnet18", "delt", None, 45.8, 0.1),
]
CLASSES = {"tiny-imagenet": 200, "imagenet-1k": 1000, "cifar10": 10, "cifar100": 100}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(map(str, cell[:6])))
def test_cells_that_everybody_knows(
    claims: Claims, cell: tuple[str, str, int, str, str, str, int, float, float]
) -> None:
    method, dataset, ipc, backbone, eval_backbone, protocol, iterations, value, std = cell
    row = {"method": method, "known_as": dataset, "classes": CLASSES[dataset], "ipc": ipc, "iterations": iterations}
    nets = {"backbone": backbone, "eval_backbone": eval_backbone, "protocol_id": f"{protocol}@1", "budget": "paper"}
    found = claims.find({**row, **nets})
    assert found is not None
    assert (found["value"], found["std"]) == (value, std)


def test_dc_was_not_evaluated_by_our_hard_protocol(claims: Claims) -> None:
    row = {"method": "dc", "known_as": "cifar10", "classes": 10, "ipc": 10, "iterations": None, "budget": "paper"}
    nets = {"backbone": "convnet3", "eval_backbone": "convnet3"}
    assert claims.find({**row, **nets, "protocol_id": "hard@1"}) is None
    found = claims.find({**row, **nets, "protocol_id": "dc@1"})
    assert found is not None
    assert found["value"] == 44.9


def test_coresets_of_the_lineage_are_claimed_under_the_evaluation_that_made_them_or_none() -> None:
    """DC's evaluation made CIFAR-10's lines (VICO-UoE/DatasetCondensation issue 5), which no table restates."""
    made = {
        "random": {"14.4", "26.0", "43.4"},
        "herding": {"21.5", "31.6", "40.4"},
        "k-center": {"21.5", "14.7", "27.0"},
    }
    coresets = [line for line in LINES if line["method"] in made and line["backbone"].startswith("convnet")]
    under = defaultdict(set)
    for line in coresets:
        under[line["method"], line["dataset"], line["protocol"]].add(line["value"])
    assert {method: under[method, "cifar10", "dc"] for method in made} == made
    assert under["random", "cifar10", "hard dsa"] == {"15.4", "31.0", "50.6", "73.2", "78.4"}
    assert {name for _, dataset, name in under if dataset in ("cifar100", "tiny-imagenet")} <= {"", "rded"}


@pytest.mark.parametrize(
    ("method", "backbone", "milliseconds", "gigabytes"),
    [
        ("sre2l", "convnet4-bn", [0.24], [4.2]),
        ("sre2l", "resnet18", [0.75, 0.83], [7.6]),
        ("sre2l", "resnet50", [2.75, 2.62], [33.8]),
        ("dm", "convnet4", [18.11], [10.7]),
        ("mtt", "convnet4", [12.64], [48.9]),
    ],
)
def test_costs_of_table_1(
    claims: Claims, method: str, backbone: str, milliseconds: list[float], gigabytes: list[float]
) -> None:
    found = claims.costs(method, backbone)
    assert [each.value for each in found if each.metric == COSTS[0]] == milliseconds
    assert [each.value for each in found if each.metric == COSTS[1]] == gigabytes
