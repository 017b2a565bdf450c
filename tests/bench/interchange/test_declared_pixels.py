"""A declared range is held against the pixels: what is a mistake of a unit is refused, what is learned passes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import in_tensors, known_by_gray, readers
from torch import Tensor

from bench.data.datasets import Normalisation
from bench.errors import UsageError
from bench.interchange.importing import read_foreign

DATASET = known_by_gray("n01", "n02")
LABELS = torch.tensor([0, 0, 1, 1])


def levels(seed: int = 0) -> Tensor:
    """uint8 (4, 3, 8, 8), of all levels."""
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (4, 3, 8, 8), generator=draws, dtype=torch.uint8)


def noise(deviation: float) -> Tensor:
    """float32 (4, 3, 8, 8), normal around 0."""
    return deviation * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


NORMALISED = DATASET.normalisation.apply(levels())
LEARNED_UNIT = (levels() / 255 + noise(0.02)).clamp(-0.2, 1.2)  # leaves 0..1 a little, as learned images do
SPOILT = torch.where(levels() == 7, torch.nan, levels().float())
WRONG = [
    (levels().float(), "0..1", r"lie in 0..255, declared as range '0..1': are they 0\.\.255"),
    (levels(), "0..1", "are uint8, which range '0..1' cannot be"),
    (levels().long(), "normalised", "are int64, which"),
    (levels() > 99, "0..255", "are bool"),
    (levels() / 255, "0..255", r"all of it black; are they 0\.\.1"),
    (levels() // 200, "0..255", "all of it black"),
    (levels() / 255**2, "0..1", "divided by 255 twice"),
    (NORMALISED, "0..1", "are they normalised"),
    (levels() / 127.5 - 1, "0..1", "of the values are outside; are they normalised"),
    (NORMALISED, "0..255", "they leave it; are they normalised"),
    (levels() / 255, "normalised", r"are they 0\.\.1"),
    (levels().float(), "normalised", r"are they 0\.\.255"),
    (LEARNED_UNIT, "0..255", r"all of it black; are they 0\.\.1"),
    (LEARNED_UNIT, "normalised", r"hardly a pixel is darker than the mean; are they 0\.\.1"),
    (levels() / 127.5 - 1, "normalised", "end at -1 and 1; by which constants are they normalised"),
    (SPOILT, "0..255", "hold NaN or infinity"),
    (SPOILT / 255, "0..1", "hold NaN or infinity"),
    (levels() / 0.0, "normalised", "hold NaN or infinity"),
]


@pytest.mark.parametrize(("pixels", "declared", "said"), WRONG)
def test_pixels_that_contradict_their_range_are_one_line(
    tmp_path: Path, pixels: Tensor, declared: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read_foreign(in_tensors(tmp_path / "set", pixels, LABELS, declared), DATASET, readers)
    assert "\n" not in str(caught.value)


LEARNED = [
    (levels().float() + 0.4 * noise(1).clamp(-1, 1), "0..255"),
    (levels().to(torch.int32), "0..255"),
    (levels().to(torch.uint16), "0..255"),
    ((levels() / 255 + noise(0.02)), "0..1"),
    ((levels() / 255).half(), "0..1"),
    ((levels() / 255 * (noise(1).abs() > 0.7) + noise(0.003)), "0..1"),  # half black, and a step further, as IDC saves
    (NORMALISED + noise(8), "normalised"),
    (NORMALISED.double(), "normalised"),
    (noise(0.05), "normalised"),
    (
        DATASET.normalisation.apply(levels() // 8 + 223),
        "normalised",
    ),  # bright, but its mean is not those of the dataset
]


@pytest.mark.parametrize(("pixels", "declared"), LEARNED)
def test_learned_pixels_may_leave_the_box(tmp_path: Path, pixels: Tensor, declared: str) -> None:
    found = read_foreign(in_tensors(tmp_path / "set", pixels, LABELS, declared), DATASET, readers).condensed
    assert found.normalised().shape == (4, 3, 8, 8)


def test_constants_under_which_black_is_zero_allow_values_of_0_to_1(tmp_path: Path) -> None:
    folder = in_tensors(tmp_path / "set", levels() / 255, LABELS, "normalised", mean=[0.0] * 3, std=[1.0] * 3)
    found = read_foreign(folder, DATASET, readers).condensed
    assert torch.allclose(found.normalised(), NORMALISED, atol=1e-5)


def test_constants_under_which_pixels_end_at_1_are_taken_at_their_word(tmp_path: Path) -> None:
    pixels, half = levels() / 127.5 - 1, {"mean": [0.5] * 3, "std": [0.5] * 3}
    folder = in_tensors(tmp_path / "set", pixels, LABELS, "normalised", **half)
    assert torch.allclose(read_foreign(folder, DATASET, readers).condensed.normalised(), NORMALISED, atol=1e-5)
    constants = DATASET.own_normalisation
    assert isinstance(constants, Normalisation)
    own = {"mean": list(constants.mean), "std": list(constants.std)}
    folder = in_tensors(tmp_path / "own", pixels, LABELS, "normalised", **own)
    assert torch.allclose(read_foreign(folder, DATASET, readers).condensed.normalised(), pixels, atol=1e-5)


@pytest.mark.parametrize(("scale", "dark"), [(16, True), (2, False)])
def test_levels_of_another_scale_are_said_to_be_dark(tmp_path: Path, scale: int, dark: bool) -> None:
    found = read_foreign(in_tensors(tmp_path / "set", levels() // scale, LABELS), DATASET, readers)
    said = f"its brightest pixel is {int(levels().max()) // scale} of 255; if all of its values are 0 to"
    assert [note.startswith(said) for note in found.notes] == [True] * dark


@pytest.mark.parametrize(("stated", "lacking"), [("mean", "std"), ("std", "mean")])
def test_one_constant_is_not_completed_by_that_of_the_dataset(tmp_path: Path, stated: str, lacking: str) -> None:
    folder = in_tensors(tmp_path / "set", NORMALISED, LABELS, "normalised", **{stated: [0.5] * 3})
    with pytest.raises(UsageError, match=f"states '{stated}' and no '{lacking}'"):
        read_foreign(folder, DATASET, readers)


@pytest.mark.parametrize(("labels", "said"), [(LABELS.float(), "float32"), (LABELS == 1, "bool")])
def test_labels_are_integers(tmp_path: Path, labels: Tensor, said: str) -> None:
    with pytest.raises(UsageError, match=f"are {said}; class indices are integers"):
        read_foreign(in_tensors(tmp_path / "set", levels(), labels), DATASET, readers)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"images": levels().float().to_sparse()}, "'images' is a sparse tensor"),
        ({"images": levels() * 1j}, "'images' is a complex tensor"),
        ({"labels": LABELS.to_sparse()}, "'labels' is a sparse tensor"),
        ({"labels": LABELS + 0j}, "'labels' is a complex tensor"),
    ],
)
def test_tensors_are_plain(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    folder = in_tensors(tmp_path / "set", levels(), LABELS)
    torch.save({"images": levels(), "labels": LABELS, **content}, folder / "set.pt")
    with pytest.raises(UsageError, match=said):
        read_foreign(folder, DATASET, readers)
