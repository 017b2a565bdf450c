"""A test split cut out of train: how many of each class, which ones, and that nothing else decides them."""

import pytest
import torch

from bench import seeds
from bench.data.cards import SplitCard
from bench.data.held_out import cut
from bench.errors import UsageError

CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 1, 2, 1, 0, 1, 0, 1, 2, 1] * 3)  # 9 of a, 15 of b, 6 of c


def _tests(labels: torch.Tensor, **fields: float) -> list[int]:
    return cut(SplitCard.model_validate(fields), labels, CLASSES)["test"].tolist()


@pytest.mark.parametrize(
    ("share", "counts"), [(0.2, [2, 3, 1]), (0.5, [4, 8, 3]), (0.01, [1, 1, 1]), (0.99, [8, 14, 5])]
)
def test_a_share_of_each_class_and_one_at_least_on_either_side(share: float, counts: list[int]) -> None:
    found = cut(SplitCard(test=share), LABELS, CLASSES)
    assert torch.bincount(LABELS[found["test"]]).tolist() == counts
    assert sorted([*found["train"].tolist(), *found["test"].tolist()]) == list(range(30))
    assert all(bool((each.diff() > 0).all()) for each in found.values())


def test_the_draw_is_of_names_alone() -> None:
    of_b = torch.nonzero(LABELS == 1).flatten()
    drawn = of_b[torch.randperm(15, generator=seeds.generator("split", 7, "b"))[:3]]
    tested = _tests(LABELS, test=0.2, seed=7)
    assert sorted(drawn.tolist()) == [index for index in tested if LABELS[index] == 1]
    assert tested != _tests(LABELS, test=0.2, seed=8)


def test_other_classes_do_not_change_a_class() -> None:
    without_c = torch.where(LABELS == 2, 0, LABELS)
    of_b = [index for index in _tests(LABELS, test=0.2) if LABELS[index] == 1]
    assert of_b == [index for index in _tests(without_c, test=0.2) if LABELS[index] == 1]


def test_a_class_of_one_image_cannot_be_cut() -> None:
    with pytest.raises(UsageError, match="class c: it has one image"):
        cut(SplitCard(test=0.2), torch.tensor([0, 0, 1, 1, 2]), CLASSES)
