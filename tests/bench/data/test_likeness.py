"""A name on a card is no proof of what the dataset is: recipes and claims go by content, or by what the card says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ears import Ear

from bench.data.cards import DatasetCard, read_card
from bench.data.finding import load_card
from bench.data.identity import known_as
from bench.data.opening import open_dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.planner import Planner
from bench.planning.request import Request
from bench.progress import Silent
from bench.recipes import NOT_KNOWN
from bench.results import rows as table_rows
from bench.results.spec import Job, RunSpec
from bench_datasets import __file__ as plugin

DIGITS = Path(plugin).with_name("digits.toml")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def card(**changes: Any) -> DatasetCard:  # noqa: ANN401 - any field
    """The built-in card of digits with changes; None takes a field away."""
    fields = {**read_card(DIGITS).model_dump(), **changes}
    return DatasetCard.model_validate({name: value for name, value in fields.items() if value is not None})


def written(folder: Path, *changes: tuple[str, str]) -> str:
    """The path of digits.toml with changes in its text."""
    text = DIGITS.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "card.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_copy_of_a_card_from_before_it_listed_its_classes_is_that_card(registry: Registry) -> None:
    offered = load_card(registry, "imagenet-1k")
    copied = offered.model_copy(update={"class_ids": None, "class_names": {}, "later": ()})
    assert known_as(registry, copied, 1000) == "imagenet-1k"
    others = copied.model_copy(update={"class_ids": tuple(map(str, range(1000)))})
    assert known_as(registry, others, 1000) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "digits"),
        ({"title": "mine", "licence": "mine", "class_ids": tuple("9876543210")}, "digits"),
        ({"mean": (0.5,)}, None),
        ({"class_ids": tuple("abcdefghij")}, None),
        ({"images": {"train": 20, "test": 10}}, None),
        ({"images": {}}, None),
        ({"split": {"test": 0.2, "seed": 0}}, None),
        ({"resolution": 16}, None),
        ({"name": "flowers"}, "flowers"),
        ({"name": "flowers", "like": "digits"}, "digits"),
        ({"like": "digits", "mean": (0.5,), "images": {}}, "digits"),
    ],
    ids=str,
)
def test_a_name_counts_with_its_content_or_by_like(
    registry: Registry, changes: dict[str, Any], expected: str | None
) -> None:
    assert known_as(registry, card(**changes), 10) == expected


@pytest.mark.parametrize(
    ("changes", "classes", "said"),
    [
        ({"like": "digit"}, 10, r"is like 'digit', which is no dataset; did you mean 'digits'\?"),
        ({"like": "zzzzzz"}, 10, "which is no dataset; choose from cifar10, "),
        ({"like": "cifar10"}, 10, "is like 'cifar10', which has resolution 32, not 8"),
        ({"like": "digits", "channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}, 10, "has channels 1, not 3"),
        ({"like": "digits"}, 9, "which has classes 10, not 9"),
    ],
    ids=str,
)
def test_what_a_card_is_like_must_be_there_and_have_its_shape(
    registry: Registry, changes: dict[str, Any], classes: int, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        known_as(registry, card(**changes), classes)
    assert "\n" not in str(refused.value)


def test_a_card_without_like_has_the_hash_it_always_had() -> None:
    assert read_card(DIGITS).hash() == "5ba86eeabd3bd9b249181fdae3824281"
    assert card(like="digits").hash() != card().hash()


def test_an_opened_dataset_carries_it_through_its_restriction(registry: Registry, tmp_path: Path) -> None:
    changes: dict[tuple[tuple[str, str], ...], str | None] = {
        (): "digits",
        (("0.3058", "0.3"),): None,
        (('"digits"', '"mine"'), ("resolution", 'like = "digits"\nresolution')): "digits",
    }
    for change, expected in changes.items():
        dataset = open_dataset(registry, written(tmp_path, *change), tmp_path, tmp_path / "cache", Silent())
        assert dataset.known_as == dataset.only(["3", "5"]).known_as == expected


def planned(registry: Registry, dataset: str, folder: Path, method: str = "random") -> tuple[Job, list[str]]:
    """The job of a method on the dataset, and the warnings on the way."""
    asked: dict[str, Any] = {
        **{"methods": (method,), "datasets": (dataset,), "ipcs": (1,), "backbones": ("convnet3",)},
        **{"eval_backbones": (), "protocols": ("hard",), "seeds": (0,), "eval_seeds": 1, "classes": None},
        **{"changes": (), "budget": "paper", "device": "cpu", "precision": "fp32", "compile": "auto"},
        **{"control": False, "data_root": folder, "cache": folder / "cache"},
    }
    heard = Ear()
    (job,) = Planner(registry, Request(**asked), heard).jobs()
    return job, heard.heard


def test_a_name_that_is_anothers_warns_in_one_line_and_ties_no_claim(registry: Registry, tmp_path: Path) -> None:
    job, warnings = planned(registry, written(tmp_path, ("0.3058", "0.3")), tmp_path)
    assert job.spec.known_as is None
    (warning,) = warnings
    assert "'digits' is not the digits that is known here (its card differs in mean)" in warning
    assert 'like = "digits"' in warning
    same, silent = planned(registry, written(tmp_path), tmp_path)
    assert (same.spec.known_as, silent) == ("digits", [])


def test_its_recipes_go_by_its_size(registry: Registry, tmp_path: Path) -> None:
    """Of DM's recipes that of digits has 1,000 iterations, that of small datasets 20,000."""
    for change, expected in (("0.3058", ("digits", 1000)), ("0.3", ("small", 20000))):
        job, _ = planned(registry, written(tmp_path, ("0.3058", change)), tmp_path, "dm")
        assert (job.spec.method.recipe, job.spec.method.config["iterations"]) == expected
    assert " " in NOT_KNOWN, "no card's name has a space"


@pytest.mark.parametrize(("found_by", "expected"), [("digits", "digits"), ("my/digits.toml", None)])
def test_a_spec_from_before_is_known_by_its_name_only_where_it_was_named(
    registry: Registry, tmp_path: Path, found_by: str, expected: str | None
) -> None:
    job, _ = planned(registry, "digits", tmp_path)
    old = {**job.spec.to_json(), "card": found_by}
    del old["known_as"]
    spec = RunSpec.from_json(old)
    assert spec.known_as == expected
    assert spec.hash == job.spec.hash
    now = replace(job.spec, known_as="cifar10")
    assert RunSpec.from_json(now.to_json()) == now
    row = table_rows.blank_row(now, job.evaluations[0], "skipped", "")
    assert (row["dataset"], row["known_as"]) == ("digits", "cifar10")
