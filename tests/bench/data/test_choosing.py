"""`--classes` by ids and by words, held against Tiny-ImageNet's card."""

import pytest
import torch

from bench.data.cards import DatasetCard
from bench.data.class_selection import select_classes
from bench.data.datasets import Dataset, Normalisation, TensorSplit
from bench.data.finding import load_card
from bench.errors import UsageError
from bench.extensions.registry import Registry

FROG = "tailed frog, bell toad, ribbed toad, tailed toad, Ascaphus trui"


def nothing() -> TensorSplit:
    return TensorSplit(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))


def dataset(classes: tuple[str, ...], names: tuple[str, ...] | None = None) -> Dataset:
    return Dataset(
        "d", "h", 8, 3, classes, names or classes, Normalisation((0.5,) * 3, (0.5,) * 3), nothing(), nothing()
    )


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    """Tiny-ImageNet without its images."""
    card: DatasetCard = load_card(Registry(), "tiny-imagenet")
    assert card.order is not None
    return dataset(card.order, tuple(card.class_names[each] for each in card.order))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("goldfish,banana", ("n01443537", "n07753592")),
        ("n07753592, n01443537", ("n01443537", "n07753592")),
        ("n07753592,GoldFish", ("n01443537", "n07753592")),
        ("N07753592,goldfish", ("n01443537", "n07753592")),
        ("Carassius auratus,banana", ("n01443537", "n07753592")),
        ("goldfish, Carassius auratus", None),
        ("goldfish, Carassius auratus, banana", ("n01443537", "n07753592")),
        (f"banana,{FROG},trilobite", ("n01644900", "n01768244", "n07753592")),
        ("police van, police wagon, paddy wagon, patrol wagon, wagon, black Maria,acorn", ("n03977966", "n12267677")),
    ],
)
def test_ids_names_and_words(tiny: Dataset, spec: str, expected: tuple[str, ...] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="two or more different"):
            select_classes(tiny, spec)
    else:
        assert select_classes(tiny, spec).classes == expected


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("goldfsh,banana", "unknown class of d 'goldfsh'; did you mean 'goldfish' (n01443537), one of 200?"),
        ("banana,german sheperd", "did you mean 'German shepherd' (n02106662), one of 200?"),
        ("n01443538,banana", "unknown class of d 'n01443538'; did you mean 'n01443537', one of 200?"),
        ("qqqqqq,banana", "it has 200, by their ids from 'n01443537' to 'n12267677'"),
        ("wagon,banana", "'wagon' names 2 classes of d: n02814533, n03977966; name one by its id"),
        ("goldfish,n01443537", "two or more different class ids"),
    ],
)
def test_what_cannot_be_found_is_one_short_line(tiny: Dataset, spec: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        select_classes(tiny, spec)
    message = str(refused.value)
    assert said in message
    assert "\n" not in message and len(message) < 150


def test_without_names_the_nearest_id_and_how_many_there_are() -> None:
    plain = dataset(tuple(f"class-{number:03}" for number in range(300)))
    with pytest.raises(UsageError, match=r"unknown class of d 'clas-299'; did you mean 'class-299', one of 300\?$"):
        select_classes(plain, "clas-299,class-001")
    with pytest.raises(UsageError, match=r"it has 300, by their ids from 'class-000' to 'class-299'$"):
        select_classes(plain, "goldfish,banana")


def test_an_id_counts_before_a_word() -> None:
    crossed = dataset(("one", "three", "two"), ("two", "three", "one"))
    assert select_classes(crossed, "one,three").classes == ("one", "three")


def test_many_classes_of_one_word_are_not_all_listed() -> None:
    alike = dataset(tuple("abcde"), ("x, crane",) * 5)
    with pytest.raises(UsageError, match=r"'crane' names 5 classes of d: a, b, c, \.\.\.; name one by its id"):
        select_classes(alike, "crane,a")
