"""What a method must not return is refused before it is kept, in a line that says what is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.condensation import Condenser, Images, PixelFormat, Task, Unit
from bench.errors import RunFailure
from bench.running.units import check_images, doubtful
from bench.testing import tiny_dataset, tiny_task


class Returning(Condenser[Any]):
    """Its images are given to the check by the tests."""

    form: PixelFormat = "uint8"

    @property
    def pixel_format(self) -> PixelFormat:
        return self.form

    def synthesize(self, task: Task, unit: Unit) -> Images:
        raise NotImplementedError


GOOD = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
CLASSES = torch.tensor([0, 1])
WRONG: list[tuple[Any, Any, Any, str]] = [
    (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), CLASSES, None, r"shape \(2, 3, 16, 16\), not \(N, 3, 8, 8\)"),
    (GOOD[:, :1], CLASSES, None, r"shape \(2, 1, 8, 8\)"),
    (GOOD[0], CLASSES, None, r"shape \(3, 8, 8\)"),
    (GOOD.long(), CLASSES, None, "pixels are int64; uint8 or floats are expected"),
    (GOOD.to(torch.int8), CLASSES, None, "pixels are int8"),
    (GOOD.bool(), CLASSES, None, "pixels are bool"),
    (GOOD + 0j, CLASSES, None, "pixels are a complex tensor"),
    (GOOD.float().to_sparse(), CLASSES, None, "pixels are a sparse tensor"),
    (GOOD.numpy(), CLASSES, None, "pixels are a ndarray, not a tensor"),
    (GOOD.float() / 0, CLASSES, None, "pixels hold NaN or infinity"),
    (GOOD.float() + 9, CLASSES, None, "pixels leave the valid range"),
    (GOOD.float() + 255, CLASSES, None, "values go up to 255: return uint8, or normalise them$"),
    (GOOD.float() - 255, CLASSES, None, "pixels leave the valid range"),
    (GOOD, torch.tensor([0, -1]), None, "classes are -1 to 0, not indices of 2 classes"),
    (GOOD, torch.tensor([0, 2]), None, "classes are 0 to 2"),
    (GOOD, CLASSES[:, None], None, r"classes have shape \(2, 1\), not \(2,\)"),
    (GOOD, CLASSES[:1], None, "2 images but 1 label$"),
    (GOOD, CLASSES.float(), None, "classes are float32; int64 is expected"),
    (GOOD, [0, 1], None, "classes are a list, not a tensor"),
    (GOOD[:0], CLASSES[:0], None, "there are no images"),
    (GOOD, CLASSES, torch.ones(2, 2), "soft labels are no distributions"),
    (GOOD, CLASSES, [[1.0, 0.0]] * 2, "soft labels are a list"),
]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=2, resolution=8))


@pytest.mark.parametrize(("pixels", "classes", "soft", "said"), WRONG)
def test_what_is_no_unit_is_refused(task: Task, pixels: Any, classes: Any, soft: Any, said: str) -> None:  # noqa: ANN401
    with pytest.raises(RunFailure, match=rf"^unit all: .*{said}") as caught:
        check_images(Images(pixels, classes, soft), task, Returning(Returning.Config()), "all")
    assert "\n" not in str(caught.value)


def test_learned_floats_pass_and_levels_declared_as_such_do_not(task: Task) -> None:
    method = Returning(Returning.Config())
    method.form = "float32"
    check_images(Images(GOOD.float() + 9, CLASSES), task, method, "all")
    with pytest.raises(RunFailure, match=r"reach 255 standard deviations; are they 0\.\.255"):
        check_images(Images(GOOD.float() + 255, CLASSES), task, method, "all")


@pytest.mark.parametrize(
    ("learned", "said"),
    [
        (0.0, "learned_lr is 0.0; a number above 0 is expected"),
        (-1.5, "learned_lr is -1.5"),
        (float("nan"), "learned_lr is nan"),
        (float("inf"), "learned_lr is inf"),
        (torch.tensor(0.5), "learned_lr is a Tensor; a float is expected"),
        (True, "learned_lr is a bool"),
    ],
)
def test_what_is_no_step_size_is_refused(task: Task, learned: Any, said: str) -> None:  # noqa: ANN401
    method = Returning(Returning.Config())
    check_images(Images(GOOD, CLASSES, learned_lr=0.5), task, method, "all")
    with pytest.raises(RunFailure, match=rf"^unit all: {said}"):
        check_images(Images(GOOD, CLASSES, learned_lr=learned), task, method, "all")


def test_a_whole_unit_passes(task: Task) -> None:
    check_images(Images(GOOD, CLASSES, torch.eye(2)), task, Returning(Returning.Config()), "all")


@pytest.mark.parametrize(
    ("pixels", "soft", "said"),
    [
        (
            torch.rand(2, 3, 8, 8),
            None,
            r"^pixels lie in 0\.\d+\.\.[01].*, hardly one darker than the mean: ",
        ),
        (
            GOOD,
            torch.full((2, 2), 0.5),
            r"^Returning gives its images labels of their own \(soft\) and has no ",
        ),
        (torch.rand(2, 3, 8, 8) * 4 - 2, None, "^$"),
        (GOOD, None, "^$"),
    ],
)
def test_what_is_hardly_meant_is_a_doubt(
    task: Task, pixels: torch.Tensor, soft: torch.Tensor | None, said: str
) -> None:
    assert re.search(said, doubtful(Images(pixels, CLASSES, soft), task, Returning(None)))
