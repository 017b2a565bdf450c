"""Multi-formation in IDC's synthesis: how images are cut into cells, which are matched, and what they start from."""

from pathlib import Path

import pytest
import torch
from matching import task_of

from bench_matching import formation
from bench_matching.formation import Formation, grids


def test_grids_decode_to_the_images_that_they_were_made_of() -> None:
    """Each of one colour: of six images a class the first two are the first cells, and so on."""
    colours = torch.linspace(0, 1, 16, dtype=torch.float64).view(16, 1, 1, 1).expand(-1, 3, 8, 8)
    found = grids(colours, 2, 2)
    assert found.shape == (2, 2, 3, 8, 8)
    decoded = Formation(2, 99).decode(found)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    torch.testing.assert_close(decoded[0], colours[:8][order], rtol=0, atol=1e-12)
    torch.testing.assert_close(decoded[1], colours[8:][order], rtol=0, atol=1e-12)


def test_images_are_shrunk_to_every_second_pixel() -> None:
    """By the nearest pixel, of two the first, as `interpolate` does by default and the release asks for no other."""
    ramp = torch.arange(16.0).view(1, 4, 4)
    (image,) = grids(torch.stack([ramp + 100 * number for number in range(4)]), 1, 2)[0]
    kept = torch.tensor([[0.0, 2.0], [8.0, 10.0]])
    expected = torch.cat([torch.cat([kept, kept + 100], 1), torch.cat([kept + 200, kept + 300], 1)])
    assert torch.equal(image[0], expected)


def test_of_sides_that_do_not_divide_the_first_cells_are_the_larger() -> None:
    """The release's "mix": of 7 pixels at factor 3, 7 // 3 + 1 for the first 7 % 3 cells, and 7 // 3 for the others."""
    numbered = torch.arange(9.0).view(9, 1, 1, 1).expand(-1, 1, 7, 7)
    (image,) = grids(numbered, 1, 3)[0]
    cell_of = torch.tensor([0.0, 0, 0, 1, 1, 2, 2])
    assert torch.equal(image[0], 3 * cell_of[:, None] + cell_of)


@pytest.mark.parametrize(
    ("ipc", "shares", "count"),
    [
        (20, [(3, 12), (2, 3), (1, 5)], 125),
        (50, [(3, 8), (2, 3), (1, 39)], 123),
        (10, [(3, 10)], 90),
        (200, [(1, 200)], 128),
    ],
)
def test_bounded_decoding_is_the_releases(ipc: int, shares: list[tuple[int, int]], count: int) -> None:
    """`decode_zoom_bound`, worked out by hand: as many by the whole factor as leave a place for each of the others."""
    form = Formation(3, 128, bounded=True)
    assert form.shares(ipc) == shares
    assert form.count(ipc) == count
    images = torch.rand(2, ipc, 1, 9, 9)
    assert form.decode(images).shape[1] == sum(factor**2 * each for factor, each in shares)


def test_of_more_images_than_are_matched_some_are_drawn_for_each_class_and_update() -> None:
    form = Formation(2, 10)
    assert Formation(2, 12).chosen(4, 3, seed=1, position=0) is None
    first, again, other = (form.chosen(4, 3, seed=1, position=position) for position in (0, 0, 1))
    assert first is not None and again is not None and other is not None
    assert first.shape == (4, 10) and all(len(set(row)) == 10 and max(row) < 12 for row in first.tolist())
    assert torch.equal(first, again) and not torch.equal(first, other) and first.tolist()[0] != first.tolist()[1]


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_starts_are_pixels(real: bool, factor: int, tmp_path: Path) -> None:
    task = task_of(tmp_path)
    started = formation.start(task, factor, real=real)
    assert started.shape == (3, 2, 3, 8, 8)
    assert 0 <= float(started.min()) < 0.2 and 0.8 < float(started.max()) <= 1


def test_noise_has_a_standard_deviation_of_a_quarter(tmp_path: Path) -> None:
    """A standard deviation below and above 0.5, where nothing is clamped; what is two away has become 0 or 1."""
    noise = formation.start(task_of(tmp_path, ipc=20), 2, real=False).flatten()
    below, middle, above = noise.quantile(torch.tensor([0.158655, 0.5, 0.841345])).tolist()
    assert (below, middle, above) == pytest.approx((0.25, 0.5, 0.75), abs=0.015)
    assert float((noise == 0).float().mean()) == pytest.approx(0.02275, abs=0.006)
    assert float((noise == 1).float().mean()) == pytest.approx(0.02275, abs=0.006)
