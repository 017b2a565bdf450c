"""The condensed set: stored as said, verified when read."""

from pathlib import Path

import pytest
import torch

from bench import condensed as sets
from bench.condensation import Images, PixelFormat
from bench.condensed import CondensedSet, to_stored
from bench.errors import CorruptArtefact, RunFailure
from bench.imagery import Normalisation
from bench.labels import HardLabels, Labels, OnlineLabels, StoredLabels, TeacherRef

GRAY = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
TEACHER = TeacherRef("ab" * 16, "convnet3-bn", 59.5, 12_345)


def pixels(count: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)


def a_set(labels: Labels, form: PixelFormat = "uint8") -> CondensedSet:
    images = Images(pixels(), torch.tensor([0, 0, 1, 1]))
    return CondensedSet(to_stored(images, form, GRAY), labels, ("n01", "n02"), GRAY)


STORED = StoredLabels(TEACHER, 20.0, 42, {"epochs": 2}, torch.randn(2, 4, 2, generator=torch.Generator()).half())


@pytest.mark.parametrize("labels", [HardLabels(), OnlineLabels(TEACHER, 20.0), STORED], ids=lambda each: each.kind)
def test_a_set_comes_back_as_it_was(tmp_path: Path, labels: Labels) -> None:
    made = a_set(labels)
    sets.save(tmp_path, made, "uint8", {"method": "x"})
    read = sets.load(tmp_path)
    assert torch.equal(read.images.pixels, made.images.pixels)
    assert torch.equal(read.images.classes, made.images.classes)
    assert (read.classes, read.preprocessing, read.labels.kind) == (made.classes, made.preprocessing, labels.kind)
    if isinstance(labels, StoredLabels):
        assert isinstance(read.labels, StoredLabels)
        assert torch.equal(read.labels.logits, labels.logits)
        assert read.labels.recipe == {"epochs": 2}
    elif isinstance(labels, OnlineLabels):
        assert read.labels == labels


@pytest.mark.parametrize("name", ["manifest.json", "images.safetensors", "labels.safetensors"])
def test_a_flipped_byte_anywhere_is_detected(tmp_path: Path, name: str) -> None:
    sets.save(tmp_path, a_set(HardLabels()), "uint8", {})
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptArtefact):
        sets.load(tmp_path)


def test_online_labels_cost_the_teacher_and_stored_ones_their_logits(tmp_path: Path) -> None:
    for name, labels in (("hard", HardLabels()), ("online", OnlineLabels(TEACHER, 20.0)), ("stored", STORED)):
        sets.save(tmp_path / name, a_set(labels), "uint8", {})
    hard, online, stored = (sets.sizes(tmp_path / name)[1] for name in ("hard", "online", "stored"))
    assert online - hard == TEACHER.bytes
    assert 16 * 2 <= stored - hard < 16 * 2 + 200  # 2 epochs x 4 images x 2 classes in fp16, and their header


def test_eight_bit_storage_rounds_to_the_nearest_level() -> None:
    levels = pixels()
    moved = GRAY.apply(levels) + 0.4 / 255 / torch.tensor(GRAY.std).view(3, 1, 1)
    inside = moved.minimum(GRAY.box(moved)[1])
    assert torch.equal(to_stored(Images(inside, torch.zeros(4)), "uint8", GRAY).pixels, levels)


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
    smooth = torch.linspace(0, 255, 64).view(1, 1, 8, 8).expand(4, 3, 8, 8).to(torch.uint8)
    stored = to_stored(Images(GRAY.apply(smooth), torch.zeros(4)), "jpeg", GRAY)
    assert not torch.equal(stored.pixels, smooth)
    assert (stored.pixels.float() - smooth.float()).abs().mean() < 8
    made = CondensedSet(Images(stored.pixels, torch.tensor([0, 0, 1, 1])), HardLabels(), ("a", "b"), GRAY)
    sets.save(tmp_path, made, "jpeg", {})
    assert torch.equal(sets.load(tmp_path).images.pixels, stored.pixels)


def test_a_set_of_another_schema_is_refused(tmp_path: Path) -> None:
    sets.save(tmp_path, a_set(HardLabels()), "uint8", {})
    from bench.files import read_json, write_json

    write_json(tmp_path / "manifest.json", {**read_json(tmp_path / "manifest.json"), "schema": 99})
    with pytest.raises(CorruptArtefact, match="schema 99"):
        sets.load(tmp_path)
