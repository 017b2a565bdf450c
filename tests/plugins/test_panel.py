"""Which images experts choose for DATM to begin with, and what they are labelled with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.data.datasets import TensorSplit
from bench.loops.pace import FirstSteps
from bench.testing import tiny_dataset, tiny_task
from bench_matching import panel
from bench_matching.panel import Panel
from bench_matching.student import Student

PER_CLASS = 6


class Told(Panel):
    """Experts that recognise what they are told to; every image is as bright as its number."""

    table: list[set[int]]

    def logits(self, expert: int, images: Tensor) -> Tensor:
        numbers = images.mean((1, 2, 3)).round().long()
        right = torch.tensor([int(number) in self.table[expert] for number in numbers])
        classes = (numbers // PER_CLASS + (~right).long()) % 3
        draws = [torch.rand(3, generator=seeds.generator(expert, int(number))) for number in numbers]
        return torch.stack(draws) + 2.0 * F.one_hot(classes, 3)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Three classes of six images, the numbers of which are 0 to 5, 6 to 11, 12 to 17; two experts; two of a class."""
    monkeypatch.setattr(panel, "LOOKED_AT", 2)

    class AsBright:
        costly = False

        def apply(self, images: Tensor) -> Tensor:
            return images.float()

        def blank(self, like: Tensor) -> Tensor:
            return torch.zeros(3, 1, 1)

    numbers = torch.arange(3 * PER_CLASS)
    split = TensorSplit(
        numbers.view(-1, 1, 1, 1).expand(-1, 3, 8, 8).to(torch.uint8).contiguous(), numbers // PER_CLASS
    )
    dataset = replace(tiny_dataset(resolution=8), train=split, normalisation=AsBright())  # type: ignore[arg-type]
    task = tiny_task(tmp_path, dataset=dataset, ipc=3)

    class Two:
        def __len__(self) -> int:
            return 2

    return Told(task, Student(nn.Linear(1, 1)), Two(), 0)  # type: ignore[arg-type]


def chosen(told: Told) -> tuple[list[list[int]], int]:
    images, unknown = told.recognised()
    return images.mean((1, 2, 3)).long().view(3, 3).tolist(), unknown


def test_the_first_that_the_first_expert_recognises_then_those_of_the_next_then_any(told: Told) -> None:
    orders = [told._order(label).tolist() for label in range(3)]
    first, second, third = orders
    assert all(sorted(order) == list(range(6 * label, 6 * label + 6)) for label, order in enumerate(orders))
    seen_by_first = {*first[1:], second[4], third[5]}
    seen_by_second = {first[0], *second}
    told.__dict__["table"] = [seen_by_first, seen_by_second]
    found, unknown = chosen(told)
    assert found[0] == first[1:4], "in their order, as many as are wanted"
    assert found[1] == [second[4], second[0], second[1]], "what the first expert left, from its beginning"
    assert found[2] == [third[5], third[0], third[1]], "nobody recognises another"
    assert unknown == 2


def test_each_class_begins_with_the_first_expert(told: Told) -> None:
    everything = set(range(18))
    told.__dict__["table"] = [everything, set()]
    found, unknown = chosen(told)
    assert found == [told._order(label)[:3].tolist() for label in range(3)] and unknown == 0


def test_in_a_trial_that_looks_at_nothing_images_are_any(told: Told) -> None:
    told.__dict__["table"] = [set(), set()]
    idle = Told(replace(told.task, pace=FirstSteps(0)), told.student, told.experts, 0)
    idle.__dict__["table"] = told.table
    assert chosen(idle)[0] == [told._order(label)[:3].tolist() for label in range(3)]


def test_first_labels_are_the_mean_logits_of_those_that_recognise_or_of_all(told: Told) -> None:
    told.__dict__["table"] = [{0, 1}, {1, 2}]
    images = told.task.dataset.train.take(torch.tensor([0, 1, 2, 3])).float()
    given = torch.stack([told.logits(expert, images) for expert in (0, 1)]).double()
    expected = torch.stack([given[0, 0], given[:, 1].mean(0), given[1, 2], given[:, 3].mean(0)])
    torch.testing.assert_close(told.first_logits(images, torch.zeros(4).long()).double(), expected)
