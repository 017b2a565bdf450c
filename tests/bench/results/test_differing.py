"""What differs from the paper stands in a row that a published number stands beside, and nowhere else."""

import json
from typing import Any

import pytest

from bench.extensions.registry import Registry
from bench.planning.configuring import configure
from bench.recipes import Setting
from bench.reporting import report
from bench.results.differences import BEST, differing

REGISTRY = Registry()
TINY = {"dataset": "tiny-imagenet", "known_as": "tiny-imagenet", "classes": 200, "all_classes": 200}
IN_1K = {"dataset": "imagenet-1k", "known_as": "imagenet-1k", "classes": 1000, "all_classes": 1000}
TURNS = "shifts, scales and turns of 15 degrees at most, one for a batch; in the release of 45, one for an image"
OURS = "the students' recipe is ours, which is Tiny-ImageNet's: SRe2L paper Table 7a and section A.4 (100 epochs)"


def row(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """RDED on CIFAR-10 at 10 images per class, for which 37.1 is published."""
    made = {
        **{"run": "a", "status": "done", "reason": None, "method": "rded", "dataset": "cifar10", "known_as": "cifar10"},
        **{"classes": 10, "all_classes": 10, "ipc": 10, "backbone": "resnet18", "eval_backbone": "resnet18"},
        **{"protocol": "paper", "protocol_id": "rded@2", "label_kind": "online", "labels_of": None, "budget": "paper"},
        **{"iterations": None, "precision": "fp32", "synthesis_precision": "fp32", "differs": ["an observer"]},
        **{"top1_mean": 37.0, "claim": None, "changed": {}},
    }
    return {**made, **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["an observer", BEST]),
        ({"differs": []}, [BEST]),
        ({"protocol_id": "dc@1"}, ["an observer"]),  # DC, DSA and DM report the last epoch
        ({"protocol_id": "dsa@1"}, ["an observer"]),
        ({**TINY, "protocol_id": "sre2l-tiny@1", "differs": []}, []),  # 41.1 is the released log's last epoch, 41.11
        ({"protocol_id": "sre2l-tiny@1", "differs": []}, [OURS]),
        ({"known_as": None, "protocol_id": "sre2l-tiny@1", "differs": []}, []),  # of which no number is published
        ({**IN_1K, "protocol_id": "sre2l-in1k@1", "differs": []}, [BEST]),
        ({"protocol_id": "mtt@1", "differs": []}, []),  # the releases test a student after its last epoch alone
        ({"protocol_id": "tesla@1", "differs": []}, []),
        ({"protocol_id": "datm@1", "differs": []}, []),
        ({"known_as": "mnist", "protocol_id": "dc@1", "differs": []}, [TURNS]),
        ({"protocol_id": "nobodys@1"}, ["an observer"]),  # its plugin is gone
        ({"precision": "bf16", "differs": []}, [BEST, "evaluation in bf16"]),
        ({"precision": "tf32", "differs": []}, [BEST]),
        ({"source_differs": "JPEG copies"}, ["an observer", "JPEG copies", BEST]),
        ({"source_differs": None}, ["an observer", BEST]),
        ({"precision": "bf16", "iterations": 9, "differs": []}, [BEST, "evaluation in bf16"]),
        ({"precision": "bf16", "synthesis_precision": "bf16", "differs": []}, [BEST, "evaluation in bf16"]),
        (
            {"precision": "bf16", "synthesis_precision": "bf16", "iterations": 9, "differs": []},
            [BEST, "synthesis and evaluation in bf16"],
        ),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], expected: list[str]) -> None:
    assert differing(REGISTRY, row(**changes)) == expected


@pytest.mark.parametrize(
    ("kind", "published", "said"),
    [
        ("hard", "online", ["hard labels, the paper's are online"]),
        ("hard", "ensemble", ["hard labels, the paper's are an ensemble's"]),
        ("teacher", "hard", ["soft labels, the paper's are hard"]),
        ("hard", "hard", []),
        ("stored", "online", []),  # one teacher's labels, kept in another way
        ("soft", "learned", []),
        ("hard", "", []),  # it is not stated
        (None, "online", []),
    ],
)
def test_hard_labels_in_place_of_others_are_named(kind: str | None, published: str, said: list[str]) -> None:
    assert differing(REGISTRY, row(label_kind=kind), published) == [*said, "an observer", BEST]


def test_a_set_that_brought_no_labels_is_beside_a_number_with_labels() -> None:
    (beside,) = json.loads(report(REGISTRY, [row(label_kind="hard")], "json", claims=True))
    assert (beside["claim"]["label_type"], beside["differs"][0]) == ("online", "hard labels, the paper's are online")


def test_it_stands_in_rows_beside_a_claim_alone() -> None:
    text = report(REGISTRY, [row(), row(run="b", ipc=11)], "json", claims=True)
    beside, alone = json.loads(text)
    assert (beside["claim"]["value"], beside["differs"]) == (37.1, ["an observer", BEST])
    assert (alone["claim"], alone["differs"]) == (None, [])
    (without, _) = json.loads(report(REGISTRY, [row(), row(run="b")], "json", claims=False))
    assert without["differs"] == []


@pytest.mark.parametrize(
    ("method", "dataset", "ipc", "said"),
    [
        ("rded", "cifar100", 10, "observer"),
        ("rded", "tiny-imagenet", 10, "observer"),
        ("tesla", "cifar10", 1, "whitened is open"),
        ("tesla", "cifar10", 1, "the release picks the images by their test accuracy"),
        ("mtt", "cifar10", 10, "the release picks the images by their test accuracy"),
        ("datm", "cifar100", 10, "the release picks the images by their test accuracy"),
        ("dc", "cifar100", 10, "CIFAR-10's constants"),
        ("dsa", "cifar100", 10, "CIFAR-10's constants"),
        ("dm", "tiny-imagenet", 10, "the release by ImageNet's"),
        ("mtt", "tiny-imagenet", 10, "the release by ImageNet's"),
        ("dc", "cifar10", 10, ""),
        ("dm", "another", 10, "the method's recipe is ours, which is"),
        ("tesla", "cifar10", 10, "the method's recipe is ours, which is MTT's: TESLA published no settings here"),
        ("delt", "cifar10", 10, "the method's recipe is ours, which is ImageNet-1K's"),
        ("delt", "cifar10", 10, "a teacher of our own squeezing"),
        ("k-center", "cifar10", 10, ""),  # the network that it looks through is ours, its rule is the paper's
        ("random", "cifar10", 10, ""),
    ],
)
def test_methods_say_what_differs_on_a_dataset(method: str, dataset: str, ipc: int, said: str) -> None:
    classes = {"cifar100": 100, "tiny-imagenet": 200}.get(dataset, 10)
    setting = Setting(dataset, 64 if dataset == "tiny-imagenet" else 32, 3, classes, ipc, "convnet3-bn")
    found = configure(REGISTRY, method, setting, []).differs
    assert said in " ".join(found) and bool(found) == bool(said)
