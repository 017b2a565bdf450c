"""The condensed set: stored as said, verified when read."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from keeping import keep
from PIL import Image
from pydantic import ValidationError

from bench.condensation import Images, PixelFormat
from bench.data.datasets import Normalisation
from bench.errors import CorruptArtefact, RunFailure
from bench.labels import (
    HardLabels,
    Labels,
    OnlineLabels,
    RegressionLabels,
    SoftLabels,
    StoredLabels,
    TeacherRef,
    not_distributions,
)
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet, check_fits
from bench.sets.own_manifest import OnlineFacts
from bench.sets.pixel_formats import StoredPixels, to_stored, valued
from bench.sets.wellformed import malformed
from bench.storage.files import read_json, write_json
from bench.testing import tiny_dataset
from bench.whitening import Whitening

GRAY = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
TEACHER = TeacherRef("ab" * 16, "convnet3-bn", 59.5, 12_345)


def pixels(count: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)


def a_set(labels: Labels, form: PixelFormat = "uint8") -> CondensedSet:
    images = Images(pixels(), torch.tensor([0, 0, 1, 1]))
    return CondensedSet(to_stored(images, form, GRAY), labels, ("n01", "n02"), GRAY)


STORED = StoredLabels(TEACHER, 20.0, 42, {"epochs": 2}, torch.randn(2, 4, 2, generator=torch.Generator()).half())

SOFT = SoftLabels(torch.rand(4, 2, generator=torch.Generator().manual_seed(1)).softmax(1))


AIMS = torch.tensor([[0.9, -0.1], [0.7, -0.4], [-0.3, 0.2], [-0.1, 0.9]])
TARGETS = RegressionLabels(AIMS)
OTHER = replace(TEACHER, stage="cd" * 16, backbone="resnet18")
KINDS = {
    "hard": HardLabels(),
    "soft": SOFT,
    "regression": TARGETS,
    "online": OnlineLabels(TEACHER, 20.0),
    "online, in training mode": OnlineLabels(TEACHER, 20.0, "train"),
    "online, of two": OnlineLabels(TEACHER, 20.0, others=(OTHER,)),
    "stored": STORED,
    "stored, of two": replace(STORED, others=(OTHER,)),
    "stored, of views written down": replace(STORED, views={"flips": torch.ones(2, 4)}),
}


@pytest.mark.parametrize("labels", KINDS.values(), ids=KINDS.keys())
def test_a_set_comes_back_as_it_was(tmp_path: Path, labels: Labels) -> None:
    made = a_set(labels)
    keep(tmp_path, made, "uint8", {"method": "x"})
    read = sets.load(tmp_path)
    assert torch.equal(read.images.pixels, made.images.pixels)
    assert torch.equal(read.images.classes, made.images.classes)
    assert (read.classes, read.preprocessing) == (made.classes, made.preprocessing)
    assert type(read.labels) is type(labels) and read.labels.facts == labels.facts
    assert read.labels.teachers == labels.teachers and read.labels.tensors.keys() == labels.tensors.keys()
    assert all(torch.equal(tensor, read.labels.tensors[name]) for name, tensor in labels.tensors.items())
    soft = read.images.soft
    assert soft is None if labels is not SOFT else soft is not None and torch.equal(soft, SOFT.probabilities)
    kept = read.images.targets
    assert kept is None if labels.kind != "regression" else kept is not None and torch.equal(kept, AIMS)


NAMED = {"stage": "ab" * 16, "backbone": "convnet3-bn", "top1": 59.5, "bytes": 12_345}
MANIFESTS = {  # as they were written before several teachers could label one set
    "hard": {"kind": "hard"},
    "soft": {"kind": "soft"},
    "online": {"kind": "online", "teacher": NAMED, "temperature": 20.0},
    "online, in training mode": {"kind": "online", "teacher": NAMED, "temperature": 20.0, "teacher_mode": "train"},
    "stored": {"kind": "stored", "teacher": NAMED, "temperature": 20.0, "view_seed": 42, "recipe": {"epochs": 2}},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_say_of_labels_what_they_always_said(tmp_path: Path, name: str) -> None:
    keep(tmp_path, a_set(KINDS[name]), "uint8", {})
    assert read_json(tmp_path / "manifest.json")["labels"] == MANIFESTS[name]


def test_labels_count_what_a_user_must_keep() -> None:
    found = {name: labels.bytes for name, labels in KINDS.items()}
    online, stored = 12_345, 2 * 4 * 2 * 2
    assert found == {
        **{"hard": 0, "soft": 4 * 2 * 4, "regression": 4 * 2 * 4, "online": online, "online, in training mode": online},
        **{"online, of two": 2 * online, "stored": stored, "stored, of two": stored},
        "stored, of views written down": stored + 2 * 4 * 4,
    }


def test_several_teachers_are_named_as_one() -> None:
    assert KINDS["online, of two"].teacher_backbone == "convnet3-bn + resnet18"
    assert (KINDS["online"].teacher_backbone, SOFT.teacher_backbone) == ("convnet3-bn", None)


def test_of_several_teachers_those_beside_the_set_are_found_whichever_they_are(tmp_path: Path) -> None:
    """A file belongs to its position: the second teacher's is never taken for the first's."""
    (tmp_path / "weights").write_bytes(b"weights")
    keep(tmp_path / "set", a_set(KINDS["online, of two"]), "uint8", {}, [tmp_path / "weights"] * 2)
    manifest = read_json(tmp_path / "set" / "manifest.json")
    del manifest["files"]["teacher.safetensors"]
    write_json(tmp_path / "set" / "manifest.json", manifest)
    files = [teacher.file for teacher in sets.load(tmp_path / "set").labels.teachers]
    assert files == [None, tmp_path / "set" / "teacher-2.safetensors"]
    labels = (tmp_path / "set" / "labels.safetensors").stat().st_size
    assert sets.sizes(tmp_path / "set")[1] == labels + TEACHER.bytes + len(b"weights")


@pytest.mark.parametrize("name", ["manifest.json", "images.safetensors", "labels.safetensors"])
def test_a_flipped_byte_anywhere_is_detected(tmp_path: Path, name: str) -> None:
    keep(tmp_path, a_set(HardLabels()), "uint8", {})
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptArtefact):
        sets.load(tmp_path)


def test_online_labels_cost_the_teacher_and_stored_ones_their_logits(tmp_path: Path) -> None:
    for name, labels in (("hard", HardLabels()), ("online", OnlineLabels(TEACHER, 20.0)), ("stored", STORED)):
        keep(tmp_path / name, a_set(labels), "uint8", {})
    hard, online, stored = (sets.sizes(tmp_path / name)[1] for name in ("hard", "online", "stored"))
    assert online - hard == TEACHER.bytes
    assert 16 * 2 <= stored - hard < 16 * 2 + 200  # 2 epochs x 4 images x 2 classes in fp16, and their header


LEVELS = torch.arange(1, 255)


def between_levels(beyond: float) -> Images:
    """One image, each channel of which has every level from 1 to 254, moved by a part of a level; normalised."""
    shown = ((LEVELS.double() + beyond) / 255).view(1, 1, 127, 2)
    mean, std = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (GRAY.mean, GRAY.std))
    return Images(((shown - mean) / std).float(), torch.zeros(1))


@pytest.mark.parametrize(
    ("form", "beyond", "expected"),
    [
        *(("uint8", beyond, 0) for beyond in (-0.4, 0.0, 0.4)),
        ("uint8", 0.9, 1),
        *(("jpeg", beyond, 0) for beyond in (0.1, 0.4, 0.9)),
        ("jpeg", -0.4, -1),
    ],
)
def test_uint8_is_the_nearest_level_and_jpeg_is_made_of_the_one_below(
    form: PixelFormat, beyond: float, expected: int
) -> None:
    """The releases that save JPEG convert by `astype(uint8)`, which truncates."""
    found = valued(between_levels(beyond), form, GRAY).pixels
    assert found.dtype == torch.uint8 and found.shape == (1, 3, 127, 2)
    assert (found - LEVELS.view(127, 2)).unique().tolist() == [expected]


@pytest.mark.parametrize("form", ["uint8", "jpeg"])
def test_what_is_stored_of_floats_is_what_is_stored_of_their_levels(form: PixelFormat) -> None:
    """At 0.3 above a level both forms take that level."""
    levels = LEVELS.to(torch.uint8).view(1, 1, 127, 2).expand(1, 3, -1, -1)
    expected = StoredPixels.of(levels, form).read()
    assert torch.equal(to_stored(between_levels(0.3), form, GRAY).pixels, expected)


def test_values_outside_the_valid_box_are_refused_by_eight_bit_storage_and_kept_as_floats() -> None:
    outside = Images(GRAY.apply(pixels()) + 0.5, torch.zeros(4))
    with pytest.raises(RunFailure, match="leave the valid range"):
        to_stored(outside, "uint8", GRAY)
    assert torch.equal(to_stored(outside, "float32", GRAY).pixels, outside.pixels)


def test_nan_is_refused_by_every_format() -> None:
    broken = GRAY.apply(pixels())
    broken[0, 0, 0, 0] = float("nan")
    for form in ("uint8", "jpeg", "float32"):
        with pytest.raises(RunFailure, match="NaN"):
            to_stored(Images(broken, torch.zeros(4)), form, GRAY)


def test_jpeg_is_what_a_reader_of_the_files_sees_and_is_counted_as_files(tmp_path: Path) -> None:
    noise, classes = pixels(), torch.tensor([0, 0, 1, 1])
    stored = to_stored(Images(noise, classes), "jpeg", GRAY)
    files = [io.BytesIO() for _ in noise]
    for image, file in zip(noise, files, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=75)
    read = torch.stack([torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) for file in files])
    assert torch.equal(stored.pixels, read) and not torch.equal(read, noise)
    kept = StoredPixels.of(noise, "jpeg")
    sets.save(tmp_path, CondensedSet(stored, HardLabels(), ("a", "b"), GRAY), kept, {})
    assert torch.equal(sets.load(tmp_path).images.pixels, read)
    assert kept.tensors["lengths"].tolist() == [len(file.getvalue()) for file in files]


def test_a_set_of_another_schema_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, a_set(HardLabels()), "uint8", {})
    write_json(tmp_path / "manifest.json", {**read_json(tmp_path / "manifest.json"), "schema": 99})
    with pytest.raises(CorruptArtefact, match="schema 99"):
        sets.load(tmp_path)


def whitening() -> Whitening:
    draws = torch.Generator().manual_seed(2)
    mean, noise = torch.rand(3, 8, 8, generator=draws), torch.rand(192, 192, generator=draws)
    return Whitening(mean, torch.eye(192) + 0.01 * noise)


def test_the_mode_of_a_teacher_is_kept_with_the_set(tmp_path: Path) -> None:
    ref = TeacherRef("0" * 32, "resnet18", None, 0)
    for name, labels in (("plain", OnlineLabels(ref, 30.0)), ("train", OnlineLabels(ref, 30.0, "train"))):
        keep(tmp_path / name, a_set(labels), "uint8", {})
        assert sets.load(tmp_path / name).labels == labels
    assert "teacher_mode" not in (tmp_path / "plain" / "manifest.json").read_text()


def test_how_much_each_teacher_counts_is_kept_with_the_set(tmp_path: Path) -> None:
    first, second = (TeacherRef(digit * 32, "resnet18", None, 0) for digit in "01")
    labels = OnlineLabels(first, 20.0, "train-halves", others=(second,), shares=(0.75, 0.25))
    keep(tmp_path, a_set(labels), "uint8", {})
    assert sets.load(tmp_path).labels == labels
    said = read_json(tmp_path / "manifest.json")["labels"]
    with pytest.raises(ValidationError, match="as many as there are 'teachers'"):
        OnlineFacts.model_validate({**said, "shares": [1.0]})


@pytest.mark.parametrize("form", ["uint8", "float32"])
def test_a_whitened_set_brings_its_whitening(tmp_path: Path, form: PixelFormat) -> None:
    belongs = whitening()
    images = Images(pixels() if form == "uint8" else belongs.apply(pixels()), torch.tensor([0, 0, 1, 1]))
    made = CondensedSet(to_stored(images, form, belongs), HardLabels(), ("n01", "n02"), belongs)
    keep(tmp_path, made, form, {})
    read, manifest = sets.load(tmp_path), read_json(tmp_path / "manifest.json")
    assert read.preprocessing == belongs and read.preprocessing.kind == "zca"
    assert torch.equal(read.normalised(), belongs.apply(pixels()))
    assert manifest["value_range"] == ("0..255" if form == "uint8" else "whitened")
    assert manifest["zca"]["file"] in manifest["files"] and manifest["mean"] is manifest["std"] is None
    assert manifest["outside_box"] is (False if form == "uint8" else None)
    (tmp_path / "zca.safetensors").write_bytes(b"damaged")
    with pytest.raises(CorruptArtefact, match=r"zca\.safetensors is missing or altered"):
        sets.load(tmp_path)


def test_the_matrix_is_counted_with_the_images(tmp_path: Path) -> None:
    plain = a_set(HardLabels())
    keep(tmp_path / "plain", plain, "uint8", {})
    keep(tmp_path / "whitened", replace(plain, preprocessing=whitening()), "uint8", {})
    before, after = (sets.sizes(tmp_path / name) for name in ("plain", "whitened"))
    matrix = 4 * (192 * 192 + 192)
    assert matrix <= after[0] - before[0] < matrix + 500 and after[1] == before[1]


def test_soft_labels_cost_four_bytes_a_number(tmp_path: Path) -> None:
    for name, labels in (("hard", HardLabels()), ("soft", SOFT)):
        keep(tmp_path / name, a_set(labels), "uint8", {})
    assert 4 * 4 * 2 <= sets.sizes(tmp_path / "soft")[1] - sets.sizes(tmp_path / "hard")[1] < 4 * 4 * 2 + 100


@pytest.mark.parametrize(("shift", "outside"), [(0.0, False), (3.0, True)])
def test_floats_outside_the_box_are_stored_as_they_are_and_the_manifest_says_so(
    tmp_path: Path, shift: float, outside: bool
) -> None:
    values = GRAY.apply(pixels()) + shift
    images = to_stored(Images(values, torch.tensor([0, 0, 1, 1])), "float32", GRAY)
    keep(tmp_path, CondensedSet(images, HardLabels(), ("a", "b"), GRAY), "float32", {})
    manifest = read_json(tmp_path / "manifest.json")
    assert (manifest["pixels"], manifest["value_range"], manifest["outside_box"]) == ("float32", "normalised", outside)
    assert torch.equal(sets.load(tmp_path).normalised(), values)
    assert 4 * values.numel() <= sets.sizes(tmp_path)[0] < 4 * values.numel() + 500


def test_sets_of_before_there_was_whitening_are_read(tmp_path: Path) -> None:
    """The manifest as it was then, field by field."""
    made = a_set(HardLabels())
    keep(tmp_path, made, "uint8", {})
    files = read_json(tmp_path / "manifest.json")["files"]
    old = {
        **{"schema": 1, "run": "r", "method": "random", "images": 4, "resolution": 8, "channels": 3, "pixels": "uint8"},
        **{"value_range": "0..255", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "zca": None, "decoder": None},
        **{"classes": ["n01", "n02"], "labels": {"kind": "hard"}, "learned_lr": None, "files": files},
    }
    write_json(tmp_path / "manifest.json", old)
    read = sets.load(tmp_path)
    assert read.preprocessing == GRAY and torch.equal(read.images.pixels, made.images.pixels)
    assert sets.sizes(tmp_path)[0] == (tmp_path / "images.safetensors").stat().st_size


def test_soft_labels_stay_with_their_images_through_storage() -> None:
    images = Images(GRAY.apply(pixels()), torch.tensor([0, 0, 1, 1]), SOFT.probabilities)
    forms: tuple[PixelFormat, ...] = ("uint8", "jpeg", "float32")
    for form in forms:
        kept = to_stored(images, form, GRAY).soft
        assert kept is not None and torch.equal(kept, SOFT.probabilities)
    chosen = images.at(torch.tensor([3, 0])).soft
    assert chosen is not None and torch.equal(chosen, SOFT.probabilities[[3, 0]])
    with pytest.raises(RunFailure, match="1 of 2 units have soft labels"):
        Images.joined([images, Images(images.pixels, images.classes)])


def test_regression_targets_stay_with_their_images_and_are_never_soft_labels() -> None:
    images = Images(GRAY.apply(pixels()), torch.tensor([0, 0, 1, 1]), targets=AIMS)
    chosen = to_stored(images, "float32", GRAY).at(torch.tensor([3, 0]))
    assert chosen.soft is None and chosen.targets is not None
    assert torch.equal(chosen.targets, AIMS[[3, 0]])
    whole = Images.joined([images, images]).targets
    assert whole is not None and torch.equal(whole, AIMS.repeat(2, 1))
    with pytest.raises(RunFailure, match="1 of 2 units have regression targets"):
        Images.joined([images, Images(images.pixels, images.classes)])
    _, *sides = images.pixels.shape
    shape = (sides[0], sides[1], sides[2])
    assert malformed(images, shape, 2) == ""
    for soft, targets, said in (
        (AIMS, None, "are no distributions"),
        (SOFT.probabilities, AIMS, "labelled in one way"),
        (None, AIMS[:3], "have shape (3, 2), not (4, 2)"),
        (None, AIMS / 0, "are not finite floats"),
    ):
        assert said in malformed(
            replace(images, soft=soft, targets=targets),
            shape,
            2,
        )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.ones(4, 2), "does not sum to 1"),
        (torch.tensor([[1.5, -0.5]] * 4), "negative"),
        (torch.full((4, 2), float("nan")), "not finite"),
        (torch.full((4, 3), 1 / 3), r"shape \(4, 3\), not \(4, 2\)"),
        (torch.tensor([[1, 0]] * 4), "not finite floats"),
    ],
)
def test_what_is_no_distribution_is_said(wrong: torch.Tensor, said: str) -> None:
    assert re.search(said, not_distributions(wrong, 4, 2))
    assert not_distributions(SOFT.probabilities.half(), 4, 2) == ""


@pytest.mark.parametrize(("resolution", "channels"), [(16, 3), (8, 1)])
def test_a_set_of_images_of_another_shape_does_not_fit(resolution: int, channels: int) -> None:
    dataset = replace(tiny_dataset(classes=2, resolution=resolution, channels=channels), classes=("n01", "n02"))
    with pytest.raises(RunFailure, match=rf"not fit tiny: pixels have shape \(4, 3, 8, 8\), not \(N, {channels}, "):
        check_fits(a_set(HardLabels()), dataset)


def test_a_set_of_some_classes_is_told_from_one_in_another_order() -> None:
    whole = replace(tiny_dataset(classes=3, resolution=8), classes=("n01", "n02", "n03"))
    with pytest.raises(RunFailure, match=r"^the set is of some classes of tiny alone; add --classes n01,n02$"):
        check_fits(a_set(HardLabels()), whole)
    with pytest.raises(RunFailure, match="class order is not the dataset's"):
        check_fits(a_set(HardLabels()), replace(whole, classes=("n02", "n01")))
