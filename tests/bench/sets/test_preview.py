"""The contact sheet: every pixel where it belongs, whole or absent."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from bench.sets import contact_sheet as preview
from bench.sets.contact_sheet import FOOTER, GAP, LABEL_WIDTH, visible, write_preview


def sheet(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_pixels_are_enlarged_without_smoothing(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    write_preview(tmp_path / "preview.png", pixels, torch.tensor([1, 0]), ["zero", "one"])
    found = sheet(tmp_path / "preview.png")
    side = 8 * 16
    assert found.shape == (2 * (side + GAP) + GAP + FOOTER, LABEL_WIDTH + side + GAP + GAP, 3)
    first = found[GAP : GAP + side, LABEL_WIDTH : LABEL_WIDTH + side]
    assert (first == np.kron(pixels[1].permute(1, 2, 0).numpy(), np.ones((16, 16, 1)))).all()
    assert (found[:, GAP : LABEL_WIDTH - GAP] != 255).any(), "class names are written"


def test_a_name_goes_over_lines_on_a_background_of_its_own(tmp_path: Path) -> None:
    pixels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    write_preview(tmp_path / "preview.png", pixels, torch.tensor([0, 1]), ["newt", "salamander, Salamandra salamandra"])
    found = sheet(tmp_path / "preview.png")
    assert (found[0] == preview.BACKGROUND).all() and max(preview.BACKGROUND) < 64, "no white block on a dark page"
    bright = found[:, :LABEL_WIDTH].max(axis=(1, 2)) > 200
    begins = np.flatnonzero(bright[1:] & ~bright[:-1])
    assert [int(((begins > top) & (begins < top + 128)).sum()) for top in (GAP, GAP + 128 + GAP)] == [1, 3]


def test_floats_are_brightness_and_grey_is_grey(tmp_path: Path) -> None:
    pixels = torch.tensor([-0.5, 0.0, 0.5, 1.5]).view(4, 1, 1, 1).expand(4, 1, 4, 4)
    write_preview(tmp_path / "preview.png", pixels, torch.zeros(4, dtype=torch.int64), ["only"])
    found = sheet(tmp_path / "preview.png")
    middle = GAP + 64
    levels = [found[middle, LABEL_WIDTH + column * (128 + GAP) + 64].tolist() for column in range(4)]
    assert levels == [[0] * 3, [0] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize(("classes", "per_class", "side"), [(200, 50, 64), (1000, 1, 224), (2, 1, 500)])
def test_large_sets_give_a_sheet_that_can_be_opened(tmp_path: Path, classes: int, per_class: int, side: int) -> None:
    labels = torch.arange(classes).repeat_interleave(per_class)
    pixels = torch.zeros(1, 3, side, side, dtype=torch.uint8).expand(len(labels), -1, -1, -1)
    write_preview(tmp_path / "preview.png", pixels, labels, [f"a very long name of class {n}" for n in range(classes)])
    height, width, _ = sheet(tmp_path / "preview.png").shape
    assert height <= preview.MOST_PIXELS[1] + GAP + FOOTER
    assert width <= preview.MOST_PIXELS[0] + LABEL_WIDTH + GAP


def test_a_class_without_images_has_no_row(tmp_path: Path) -> None:
    pixels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    write_preview(tmp_path / "preview.png", pixels, torch.tensor([0, 2]), ["zero", "none", "two"])
    assert sheet(tmp_path / "preview.png").shape[0] == 2 * (128 + GAP) + GAP + FOOTER


def test_classes_shown_are_spread_over_all(tmp_path: Path) -> None:
    assert preview._spread(range(200), 20)[::19] == [0, 199]
    assert len(set(preview._spread(range(21), 20))) == 20
    assert preview._spread([4, 5], 20) == [4, 5]
    assert preview._spread(range(9), 1) == [0]


def test_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match="no space"):
        write_preview(tmp_path / "preview.png", torch.zeros(1, 3, 8, 8), torch.zeros(1, dtype=torch.int64), ["only"])
    assert list(tmp_path.iterdir()) == []


def test_images_that_leave_the_range_keep_their_contrast_and_others_their_values() -> None:
    draws = torch.Generator().manual_seed(0)
    inside = torch.rand(2, 3, 8, 8, generator=draws)
    assert torch.equal(visible(inside), inside)
    far = 40 * inside[:1] - 10
    far[0, 0, 0, 0] = 5000.0  # one pixel must not make the rest one grey
    shown = visible(far)
    assert shown.min() >= 0 and shown.max() == 1
    assert shown.flatten()[1:].std() > 0.01
    steps = torch.linspace(-1, 2, 12).view(1, 3, 2, 2)
    assert torch.allclose(visible(steps), (steps + 1) / 3, atol=1e-6), "only as much as is needed"


def test_a_name_that_is_cut_keeps_what_tells_it_from_others() -> None:
    font = ImageFont.load_default(size=preview.CAPTION)
    shown = preview._fitted("dm-digits-ipc1-convnet3-bn-s0-492ed8", font, 200, tail=7)
    assert shown.startswith("dm-digits") and shown.endswith("…-492ed8") and font.getlength(shown) <= 200
