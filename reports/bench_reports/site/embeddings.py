"""Where one network sees the images of a few classes, over methods: SRe2L's Figure 7, with real images beside.

The features are those before the classification layer, brought to two dimensions by t-SNE together for all sets, as in
SRe2L (appendix). The network is a teacher whose weights lie beside one of the sets; where there is none, nothing is
shown. It is given the images of all sets as it was trained to see images, by the preprocessing of its own set: images
of another, as whitened ones (MTT, FRePo), go there by way of pixels.

It is made of few images, so that a site of thousands of runs waits for it no longer than a few seconds. On one core the
inverse of a whitening of 32 x 32 x 3 numbers takes seconds, and of 64 x 64 x 3 minutes: those are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import CorruptArtefact, RunFailure, UnreadableArtefact, UsageError
from bench.storage.streams import one_line
from bench_reports.site.axes import Axis
from bench_reports.site.figures import BOTTOM, LEFT, RIGHT, TOP, Figure, Mark, Series

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench import LoadedSet
    from bench.data.datasets import Preprocessing

CLASSES, SETS, IMAGES = 3, 8, 160  # at most
INVERTED = 32 * 32 * 3  # numbers of an image whose whitening is inverted, at most
FEWEST = 3  # images a class, of fewer a picture says nothing

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Embedding:
    """The network whose features they are, and a figure a set; all have the same axes.

    Attributes:
        part: how many of how many are shown, in words; "" where all are.
    """

    network: str
    figures: Sequence[Figure]
    part: str


def embedding(sets: Mapping[str, Path], classes: Sequence[str]) -> Embedding | None:
    """Of the first classes of some sets; None without a network, or with too few images.

    Args:
        sets: by what they are called, the folders of runs.
        classes: what the classes are called.
    """
    loaded = {name: found for name, path in list(sets.items())[:SETS] if (found := _loaded(path)) is not None}
    shown = classes[:CLASSES]
    each = min([IMAGES // (CLASSES * SETS), *(_fewest(one, len(shown)) for one in loaded.values())])
    if each < FEWEST or (teacher := _teacher(list(loaded.values()))) is None:
        return None
    network, name, preprocessing = teacher
    images = _brought({called: _pixels(one, len(shown), each) for called, one in loaded.items()}, preprocessing)
    if len(images) < 2:
        return None
    places = _placed(network, list(images.values()))
    figures = [
        _figure(called, shown, places[start : start + each * len(shown)], _axes(places))
        for called, start in zip(images, range(0, len(places), each * len(shown)), strict=True)
    ]
    lost = [called for called in loaded if called not in images]
    part = _part([loaded[called] for called in images], len(sets), len(shown), each, lost)
    return Embedding(one_line(name), figures, part)


def _part(loaded: "Sequence[LoadedSet]", sets: int, classes: int, each: int, lost: Sequence[str]) -> str:
    counts = [one.labels.bincount() for one in loaded]
    most = max(int(count.max()) for count in counts)
    shown = [
        (len(loaded), sets, "sets"),
        (classes, max(map(len, counts)), "classes"),
        (each, most, "images of each class"),
    ]
    said = [f"{some} of {every} {what}" for some, every, what in shown if some < every]
    if lost:
        said.append(f"without {', '.join(lost)}, whose whitening is too large to be undone here")
    return ", ".join(said)


def _loaded(run: Path) -> "LoadedSet | None":
    """None of what cannot be read, which the run's own page and `bench` itself say."""
    from bench import load_set

    try:
        return load_set(run)
    except (UsageError, RunFailure, CorruptArtefact, UnreadableArtefact, OSError):
        return None


def _fewest(found: "LoadedSet", classes: int) -> int:
    return min(int((found.labels == label).sum()) for label in range(classes))


def _teacher(loaded: "Sequence[LoadedSet]") -> "tuple[nn.Module, str, Preprocessing] | None":
    """The first network that lies beside a set and has features, with its name and how it sees pixels."""
    for found in loaded:
        named = found.manifest["labels"].get("teacher") or {}
        if found.label_kind == "online" and named:
            try:
                return _penultimate(found), named["backbone"], found.preprocessing
            except (UsageError, RunFailure):
                continue
    return None


def _penultimate(found: "LoadedSet") -> "nn.Module":
    from bench.training.features import Penultimate

    return Penultimate(found.teacher)


def _pixels(found: "LoadedSet", classes: int, each: int) -> "tuple[Tensor, Preprocessing]":
    """(classes * each, C, H, W), class by class, as the set keeps them; and how networks see them."""
    import torch

    chosen = [torch.nonzero(found.labels == label).flatten()[:each] for label in range(classes)]
    return found.pixels[torch.cat(chosen)], found.preprocessing


def _brought(pixels: "Mapping[str, tuple[Tensor, Preprocessing]]", there: "Preprocessing") -> "dict[str, Tensor]":
    """Pixels of sets as networks see them by one preprocessing, float32, without those that cannot be brought there.

    What leaves the range of valid pixels stays outside.
    """
    known: dict[Preprocessing, Preprocessing] = {}  # equal ones are one here, so that a whitening is inverted once
    found = {name: _seen(some, known.setdefault(own, own), there) for name, (some, own) in pixels.items()}
    return {name: images for name, images in found.items() if images is not None}


def _seen(pixels: "Tensor", own: "Preprocessing", there: "Preprocessing") -> "Tensor | None":
    if not pixels.is_floating_point():
        return there.apply(pixels)
    if own == there:
        return pixels.float()
    if own.costly and pixels[0].numel() > INVERTED:
        return None
    return there.apply(255 * own.invert(pixels.float()))


def _placed(network: "nn.Module", images: "Sequence[Tensor]") -> Points:
    """A point for each image of each set."""
    import torch
    from sklearn.manifold import TSNE

    with torch.inference_mode():
        features = torch.cat([network(some) for some in images]).numpy()
    perplexity = min(30.0, (len(features) - 1) / 3)
    found = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    return [(float(x), float(y)) for x, y in found]


def _axes(places: Points) -> tuple[Axis, Axis]:
    """Without numbers, which mean nothing."""
    edges = [(min(line), max(line)) for line in zip(*places, strict=True)]
    (left, right), (low, high) = [(low - (high - low) / 20, high + (high - low) / 20) for low, high in edges]
    return Axis(left, right, LEFT, RIGHT, False, ()), Axis(low, high, BOTTOM, TOP, False, ())


def _figure(name: str, classes: Sequence[str], places: Points, axes: tuple[Axis, Axis]) -> Figure:
    (x, y), each = axes, len(places) // len(classes)
    series = []
    for place, called in enumerate(classes):
        own = places[place * each : (place + 1) * each]
        marks = [Mark(x.place(across), y.place(up), None, called, "") for across, up in own]
        series.append(Series(called, f"c{place}", place, marks))
    return Figure(name, f"Features of {', '.join(classes)}", x, y, "t-SNE 1", "t-SNE 2", series)
