"""Checkpoints of flax, packed here byte by byte as the page of msgpack has it, in the widths that it chooses."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import gray, known_by_gray, readers, write_manifest
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.interchange.importing import read_foreign
from bench.sets.flax_files import is_flax, read_flax
from bench.sets.tensor_files import named


def text(value: str) -> bytes:
    encoded = value.encode()
    return (bytes([0xA0 | len(encoded)]) if len(encoded) < 32 else b"\xd9" + bytes([len(encoded)])) + encoded


def table(**content: bytes) -> bytes:
    head = bytes([0x80 | len(content)]) if len(content) < 16 else b"\xde" + struct.pack(">H", len(content))
    return head + b"".join(text(name) + each for name, each in content.items())


def number(value: int) -> bytes:
    return bytes([value]) if value < 128 else b"\xcd" + struct.pack(">H", value)


def array(values: NDArray[Any] | np.generic, kind: int = 1) -> bytes:
    held = values.tobytes()
    shape = bytes([0x90 | values.ndim]) + b"".join(map(number, values.shape))
    inner = b"\x93" + shape + text(values.dtype.name) + b"\xc6" + struct.pack(">I", len(held)) + held
    return b"\xc9" + struct.pack(">I", len(inner)) + bytes([kind]) + inner


def checkpoint(images: NDArray[Any], labels: NDArray[Any]) -> bytes:
    """Of FRePo's `ProtoState`: what is learned stands under "params", beside the state of the optimiser."""
    return table(
        step=array(np.int64(500_000), kind=3),
        params=table(x_proto=array(images), y_proto=array(labels)),
        opt_state=table(**{"0": table(count=array(np.int32(7)), mu=table(x_proto=array(images))), "1": b"\x80"}),
        epoch=b"\xff",
        best_val_acc=b"\xcb" + struct.pack(">d", 0.5),
        ema_hidden=b"\xc0",
        ema_count=number(300),
        name_of_what_is_longer_than_thirty_one=text("x" * 40),
    )


def test_what_was_packed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_500000"
    images = np.arange(300 * 8 * 8 * 3, dtype=np.float32).reshape(300, 8, 8, 3)
    path.write_bytes(checkpoint(images, images[:, 0, :, 0]))
    found = read_flax(path)
    assert (found["epoch"], found["best_val_acc"], found["ema_hidden"], found["ema_count"]) == (-1, 0.5, None, 300)
    assert found["name_of_what_is_longer_than_thirty_one"] == "x" * 40
    assert int(found["step"]) == 500_000 and found["opt_state"]["1"] == {}
    one, other = named(path, "params.x_proto", "params.y_proto", fits=lambda shapes: "")
    assert np.array_equal(one.numpy(), images) and np.array_equal(other.numpy(), images[:, 0, :, 0])


def test_a_set_of_frepo_is_read_from_its_checkpoint(tmp_path: Path) -> None:
    dataset = known_by_gray("a", "b", "c")
    names = {"images": "params.x_proto", "labels": None, "regression": "params.y_proto"}
    folder = write_manifest(tmp_path / "set", source={"file": "checkpoint_500000", **names, "range": "0..1"})
    images = torch.stack([gray(2), gray(0), gray(1)]).permute(0, 2, 3, 1).numpy().astype(np.float32) / 255
    labels = np.eye(3, dtype=np.float32)[[2, 0, 1]] - 1 / 3
    (folder / "checkpoint_500000").write_bytes(checkpoint(images, labels))
    found = read_foreign(folder, dataset, readers).condensed
    assert found.labels.kind == "regression" and found.images.classes.tolist() == [2, 0, 1]
    levels = 255 * found.preprocessing.invert(found.images.pixels)
    assert levels[:, 0, 0, 0].round().tolist() == [120, 100, 110]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[:-3], "it ends before what it says that it holds"),
        (lambda whole: whole + b"\xc0", "it is not as flax writes checkpoints"),
        (lambda whole: whole.replace(b"\xc0", b"\xc1", 1), "the byte 0xc1, which msgpack does not know"),
        (lambda whole: b"\xdf\xff\xff\xff\xff" + whole[1:], "it ends before"),
        (lambda whole: b"\x81\xa1a" + b"\x91" * 100_000, "not a readable tensor file"),
    ],
)
def test_a_damaged_one_is_one_line(tmp_path: Path, damage: Any, said: str) -> None:  # noqa: ANN401 - of bytes
    path = tmp_path / "checkpoint_1"
    path.write_bytes(damage(checkpoint(np.zeros((1, 2, 2, 1), np.float32), np.ones((1, 3), np.float32))))
    with pytest.raises(UsageError, match=said) as caught:
        named(path, "params.x_proto", fits=lambda shapes: "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_are_none_of_flax(tmp_path: Path, zipped: bool) -> None:
    torch.save({"images": torch.ones(1)}, tmp_path / "a", _use_new_zipfile_serialization=zipped)
    assert not is_flax(tmp_path / "a")
    (found,) = named(tmp_path / "a", "images", fits=lambda shapes: "")
    assert found.tolist() == [1]
