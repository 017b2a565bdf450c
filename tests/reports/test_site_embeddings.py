"""Where a network sees images of a few classes, over sets."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from bench.data.datasets import Normalisation, Preprocessing
from bench.errors import UsageError
from bench.whitening import Whitening
from bench_reports.site import embeddings

NAMES = ["cat", "dog", "bird", "fish"]


AS_THEY_ARE = Normalisation((0.0,), (1.0,))


class Kept(SimpleNamespace):
    """A loaded set."""


def of_set(offset: float, each: int = 6, **changes: Any) -> Kept:  # noqa: ANN401 - any of a set's attributes
    """Images of four classes that are as bright as their class, 10 apart; its network sees their brightness."""
    labels = torch.arange(4).repeat_interleave(each)
    images = (10.0 * labels + offset + torch.linspace(0, 1, 4 * each)).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    teacher = nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(4, 4))
    own = {"label_kind": "online", "manifest": {"labels": {"teacher": {"backbone": "tiny"}}}, "teacher": teacher}
    return Kept(**{"labels": labels, "pixels": images, "preprocessing": AS_THEY_ARE, **own, **changes})


class Bare(Kept):
    """A set whose teacher's weights are gone."""

    @property
    def teacher(self) -> nn.Module:
        raise UsageError("no weights")


HARD: dict[str, Any] = {"label_kind": "hard", "manifest": {"labels": {"kind": "hard"}}, "teacher": None}


def embedded(monkeypatch: pytest.MonkeyPatch, *sets: Kept | None) -> "embeddings.Embedding | None":
    monkeypatch.setattr(embeddings, "_loaded", lambda path: sets[int(path.name)])
    return embeddings.embedding({f"set {place}": Path(str(place)) for place in range(len(sets))}, NAMES)


def test_classes_that_a_network_tells_apart_lie_apart_in_every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three classes of each set; all marks of one lie nearer to their own middle than to that of any other."""
    found = embedded(monkeypatch, of_set(0.0, **HARD), of_set(0.5))
    assert found is not None and found.network == "tiny"
    assert [figure.heading for figure in found.figures] == ["set 0", "set 1"]
    places = torch.tensor(
        [[(mark.x, mark.y) for mark in series.marks] for figure in found.figures for series in figure.series]
    )
    assert places.shape == (6, 6, 2)
    by_class = torch.stack([torch.cat([places[label], places[3 + label]]) for label in range(3)])
    nearest = torch.cdist(by_class.flatten(0, 1), by_class.mean(1)).argmin(1)
    assert nearest.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert [series.name for series in found.figures[0].series] == NAMES[:3]
    assert found.part == "3 of 4 classes"


def test_of_what_is_left_out_it_is_said_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """6 images a class of each of 8 sets are 144 of the 160 that there may be, and 7 would be 168."""
    found = embedded(monkeypatch, *[of_set(place / 10, each=9) for place in range(10)])
    assert found is not None and found.part == "8 of 10 sets, 3 of 4 classes, 6 of 9 images of each class"


def whitening(side: int, scale: float) -> Whitening:
    """Of images of one channel: a matrix that mixes all pixels, and that float32 inverts well."""
    size = side**2
    mixing = torch.randn(size, size, generator=torch.Generator().manual_seed(size))
    return Whitening(torch.full((1, side, side), 0.4), scale * (torch.eye(size) + 0.1 * mixing @ mixing.T / size))


def seen_by(teacher: nn.Module) -> list[torch.Tensor]:
    """What it will be given, in order."""
    seen: list[torch.Tensor] = []
    teacher.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


@pytest.mark.parametrize("theirs", [whitening(2, 3.0), whitening(2, 0.5), Normalisation((0.3,), (0.2,))])
def test_a_network_sees_all_sets_through_its_own_preprocessing(
    monkeypatch: pytest.MonkeyPatch, theirs: Preprocessing
) -> None:
    """The same levels in five sets: bytes and floats of the teacher's preprocessing, and of another, twice."""
    levels = torch.randint(256, (24, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    own, network = Normalisation((0.5,), (0.25,)), of_set(0.0).teacher
    seen = seen_by(network)
    kept = [(levels, theirs), (theirs.apply(levels), theirs), (levels, own), (own.apply(levels), own)]
    sets = [of_set(0.0, pixels=pixels, preprocessing=each, **HARD) for pixels, each in kept]
    beside = of_set(0.0, pixels=own.apply(levels), preprocessing=own, teacher=network)
    assert embedded(monkeypatch, *sets, beside) is not None
    assert len(seen) == 5
    for images in seen:
        torch.testing.assert_close(images, (levels[:18] / 255 - 0.5) / 0.25, rtol=0, atol=1e-4)


def test_a_set_whose_whitening_takes_minutes_to_invert_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a network that was trained on images of the same whitening nothing has to be inverted."""
    monkeypatch.setattr(embeddings, "INVERTED", 3)
    white = {"preprocessing": whitening(2, 3.0), **HARD}
    found = embedded(monkeypatch, of_set(0.0, **white), of_set(0.0), of_set(1.0, **HARD))
    assert found is not None and [figure.heading for figure in found.figures] == ["set 1", "set 2"]
    assert found.part == "2 of 3 sets, 3 of 4 classes, without set 0, whose whitening is too large to be undone here"
    assert embedded(monkeypatch, of_set(0.0, **white), of_set(0.0)) is None
    assert embedded(monkeypatch, of_set(0.0, **white), of_set(1.0, preprocessing=whitening(2, 3.0))) is not None


def test_without_a_network_or_with_too_few_images_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Bare(**{name: value for name, value in vars(of_set(0.0)).items() if name != "teacher"})
    assert embedded(monkeypatch, of_set(0.0, **HARD), of_set(1.0, **HARD)) is None
    assert embedded(monkeypatch, gone, of_set(1.0, **HARD)) is None
    assert embedded(monkeypatch, of_set(0.0, each=2), of_set(1.0)) is None
    assert embedded(monkeypatch, of_set(0.0), None) is None
    assert embedded(monkeypatch) is None
