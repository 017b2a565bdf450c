"""Units that do not make the set that was asked for are a failure that says which class."""

import pytest
import torch

from bench.condensation import Images
from bench.errors import RunFailure
from bench.running.joining import check_counts

NAMES = ("cat", "dog", "hen")


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([0, 0, 1, 1, 2], r"made 1, 2 images a class, not 2 \(1 of class hen\)"),
        ([0, 0, 0, 1, 2, 2], r"made 1, 2, 3 images a class, not 2 \(3 of class cat and of 1 more\)"),
        ([0, 0], r"made 0, 2 images a class, not 2 \(0 of class dog and of 1 more\)"),
        ([0, 1, 2], "made 1 images a class, not 2$"),
    ],
)
def test_a_wrong_number_of_images_names_the_class(classes: list[int], said: str) -> None:
    images = Images(torch.zeros(len(classes), 1, 8, 8, dtype=torch.uint8), torch.tensor(classes))
    with pytest.raises(RunFailure, match=said):
        check_counts(images, [2, 2, 2], NAMES)


def test_as_many_as_are_asked_for_pass() -> None:
    images = Images(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 2, 1, 2]))
    check_counts(images, [1, 1, 2], NAMES)
