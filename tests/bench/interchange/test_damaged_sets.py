"""Sets that are damaged, of another form, or made to harm: one line that says so, or the right reading; no hang."""

import hashlib
import json
import os
import shutil
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from damage import altered, damaged
from foreign import gray, in_folders, in_parquet, in_tensors, known_by_gray, readers, told, write_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeping import keep
from safetensors.torch import save_file
from torch import Tensor

from bench.condensation import Images
from bench.errors import CorruptArtefact, RunFailure, UsageError
from bench.interchange.importing import read_foreign
from bench.labels import HardLabels
from bench.sets.condensed import CondensedSet, check_fits
from bench.sets.wellformed import malformed
from bench.storage.files import write_json

DATASET = known_by_gray("a", "b", "c")
PIXELS, LABELS = torch.stack([gray(0), gray(1), gray(2)]), torch.arange(3)
SIZE = 3 * 8 * 8
PATIENCE = 120  # seconds after which something hangs: a whole table takes a few


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A reader that waits for ever is an error here, and not the end of all tests."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError("a reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def outcome(folder: Path) -> Images | str:
    """The images of a set, or the line with which it is refused; anything else is what these tests look for."""
    try:
        found = read_foreign(folder, DATASET, readers).condensed
        check_fits(found, DATASET)
    except (UsageError, CorruptArtefact, RunFailure) as error:
        assert str(error) and "\n" not in str(error), repr(str(error))
        assert len(str(error)) < 1000, f"{len(str(error))} characters: {str(error)[:200]}"
        return str(error)
    return found.images


def refused(folder: Path) -> str:
    """The line with which a set is refused."""
    found = outcome(folder)
    assert isinstance(found, str), f"read as classes {found.classes.tolist()}"
    return found


def is_right(images: Images) -> bool:
    """Whether the pictures are those that were stored, with their classes."""
    return told(images.pixels) == images.classes.tolist() == [0, 1, 2]


def tensors(folder: Path) -> Path:
    return in_tensors(folder, PIXELS, LABELS)


def safetensors(folder: Path) -> Path:
    write_manifest(folder, source={"file": "set.safetensors", "range": "0..255"})
    save_file({"images": PIXELS, "labels": LABELS}, folder / "set.safetensors")
    return folder


def arrays(folder: Path) -> Path:
    write_manifest(folder, source={"file": "set.npz", "range": "0..255"})
    np.savez_compressed(folder / "set.npz", images=PIXELS.numpy(), labels=LABELS.numpy())
    return folder


def whitened(folder: Path) -> Path:
    in_tensors(folder, PIXELS, LABELS, zca={"file": "zca.pt"})
    torch.save({"mean": torch.zeros(SIZE), "matrix": torch.eye(SIZE)}, folder / "zca.pt")
    return folder


def folders(folder: Path) -> Path:
    return in_folders(folder, {"a": 0, "b": 1, "c": 2}, each=1)


def parquet(folder: Path) -> Path:
    return in_parquet(folder, [0, 1, 2], [0, 1, 2], ["a", "b", "c"])


def stored(folder: Path) -> Path:
    """With labels of every view, one batch an epoch."""
    in_tensors(folder, PIXELS, LABELS)
    source = {"file": "set.pt", "range": "0..255"}
    write_manifest(folder, source=source, labels={"fkd": "FKD", "temperature": 20})
    (folder / "FKD" / "epoch_0").mkdir(parents=True)
    crops = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(3, 1)
    parts = [crops, torch.zeros(3, dtype=torch.bool), torch.arange(3), 0.5, [0, 4, 0, 4], torch.eye(3).half()]
    torch.save(parts, folder / "FKD" / "epoch_0" / "batch_0.tar")
    return folder


def ours(folder: Path) -> Path:
    """As a run writes it."""
    made = CondensedSet(Images(PIXELS, LABELS), HardLabels(), DATASET.classes, DATASET.normalisation)
    keep(folder, made, "uint8", {"method": "random", "protocol": "hard"})
    return folder


MAKERS: tuple[Callable[[Path], Path], ...] = (
    *(tensors, safetensors, arrays, whitened, folders, parquet, stored, ours),
)
every_kind = pytest.mark.parametrize("make", MAKERS, ids=lambda make: str(make.__name__))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@every_kind
def test_a_whole_set_is_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = outcome(make(tmp_path / "set"))
    assert isinstance(found, Images) and is_right(found)


@every_kind
def test_damaged_files_are_refused_or_hold_what_they_held(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """A bit that flips among values which no checksum guards is another value; the set must still be a sound one."""
    folder = make(tmp_path / "set")
    for path in files_of(folder):
        content = path.read_bytes()
        for what, changed in damaged(content, flips=40):
            path.write_bytes(changed)
            found = outcome(folder)
            if not isinstance(found, str):
                assert is_right(found) or (what.startswith("a bit flipped") and make is not ours), (
                    f"{path.name}, {what}"
                )
                assert not malformed(found, (3, 8, 8), 3)
        path.write_bytes(content)
    restored = outcome(folder)
    assert isinstance(restored, Images) and is_right(restored)


@every_kind
def test_manifests_of_another_schema_are_refused_or_read_as_they_were(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "set")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.pop("checksum", None)  # of ours; without one it is taken as written by hand
    for what, changed in altered(manifest):
        path.write_text(json.dumps(changed))
        found = outcome(folder)
        assert isinstance(found, str) or is_right(found), what


@pytest.mark.parametrize("sealed", [True, False])
def test_sealed_manifests_of_another_schema_are_refused_or_read_as_they_were(tmp_path: Path, sealed: bool) -> None:
    """Another program may seal what it likes."""
    folder = ours(tmp_path / "set")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["checksum"]
    for what, changed in altered(manifest):
        if sealed:
            write_json(path, changed)
        else:
            path.write_text(json.dumps({**changed, "checksum": "0"}))
        found = outcome(folder)
        assert isinstance(found, str) or (sealed and is_right(found)), what


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's address is shorter than paths of tests may be
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_dead_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_folder(path: Path) -> None:
    path.mkdir()


STRANGE = (a_pipe, a_socket, a_device, a_dead_link, a_link_to_itself, a_folder)


@every_kind
@pytest.mark.parametrize("put", STRANGE, ids=lambda put: str(put.__name__))
def test_what_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], Path], put: Callable[[Path], None]) -> None:
    folder = make(tmp_path / "set")
    for path in files_of(folder):
        content = path.read_bytes()
        path.unlink()
        put(path)
        if not (make is folders and put is a_folder):  # a class may have folders; this one is called as an image is
            assert path.name in refused(folder)
        shutil.rmtree(path) if put is a_folder else path.unlink()
        path.write_bytes(content)


PLAIN = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32)
STRANGE_TYPES = (torch.bool, torch.complex64, torch.bits8, torch.float8_e4m3fn, torch.uint64, torch.float64)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(PLAIN + STRANGE_TYPES),
    label_kind=st.sampled_from(PLAIN + STRANGE_TYPES),
    shape=st.sampled_from([(3, 3, 8, 8), (3, 1, 8, 8), (3, 8, 8, 3), (3, 192), (0, 3, 8, 8), (3,), ()]),
    labels=st.lists(st.integers(-2, 4), min_size=0, max_size=4),
    column=st.booleans(),
    declared=st.sampled_from(["0..255", "0..1", "normalised", "whitened"]),
)
def test_tensors_of_any_type_and_shape_are_refused_or_read_as_they_are(
    tmp_path: Path,
    kind: torch.dtype,
    label_kind: torch.dtype,
    shape: tuple[int, ...],
    labels: list[int],
    column: bool,
    declared: str,
) -> None:
    pixels = (10 * (1 + torch.arange(3)).repeat_interleave(SIZE))[: max(1, int(np.prod(shape)))]
    given_pixels = as_type(pixels, kind)[: int(np.prod(shape))].reshape(shape)
    given_labels = as_type(torch.tensor(labels, dtype=torch.int64), label_kind)
    found = outcome(
        in_tensors(tmp_path / "set", given_pixels, given_labels[:, None] if column else given_labels, declared)
    )
    if not isinstance(found, str):
        assert found.classes.tolist() == labels and label_kind not in (torch.bool, torch.float32) and not column
        assert told(found.pixels) == [0, 1, 2]
        assert declared == "0..255" or (declared == "normalised" and kind.is_floating_point), "30 deviations may be"


def as_type(values: Tensor, kind: torch.dtype) -> Tensor:
    return values.to(torch.uint8).view(kind) if kind == torch.bits8 else values.to(kind)


def test_a_small_archive_of_many_values_is_looked_at_and_not_expanded(tmp_path: Path) -> None:
    folder, shape = arrays(tmp_path / "set"), (1 << 40, 3, 8, 8)
    with zipfile.ZipFile(folder / "set.npz", "a") as archive, archive.open("more.npy", "w") as file:
        np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    found = outcome(folder)
    assert isinstance(found, Images) and is_right(found)  # nobody asked for it
    manifest = {"file": "set.npz", "images": "more", "range": "0..255"}
    assert "more than the" in refused(write_manifest(folder, source=manifest))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"images": PIXELS, 3: LABELS}, "holds no 'labels'; it has images"),
        ({"images": PIXELS, "labels": [0, 1, 2]}, "'labels' is a list, not a tensor"),
        ({"images": PIXELS[:1].expand(1 << 50, 3, 8, 8), "labels": LABELS}, "more than the"),
        ({"images": PIXELS.to_sparse(), "labels": LABELS}, "'images' is a sparse tensor"),
        ("pixels", "holds a str; a dict of named tensors is expected"),
        ({"images": PIXELS, "labels": LABELS, "more": Path("x")}, "it holds more than tensors"),
    ],
)
def test_what_else_torch_saves_is_refused(tmp_path: Path, content: Any, said: str) -> None:  # noqa: ANN401
    folder = tensors(tmp_path / "set")
    torch.save(content, folder / "set.pt")
    assert said in refused(folder)
    assert "weights_only" not in refused(folder)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (torch.zeros(SIZE, SIZE), "the matrix is singular"),
        (torch.ones(SIZE, SIZE), "the matrix is singular"),
        (torch.diag(torch.cat([torch.ones(SIZE - 1), torch.zeros(1)])), "the matrix is singular"),
        (torch.eye(SIZE).bool(), "are float32 and bool; floats are expected"),
        (torch.eye(SIZE) * torch.nan, "NaN or infinity"),
        (torch.eye(SIZE - 1), "must have 192 and (192, 192) numbers"),
    ],
)
def test_a_matrix_that_whitens_nothing_is_refused(tmp_path: Path, matrix: Tensor, said: str) -> None:
    folder = whitened(tmp_path / "set")
    torch.save({"mean": torch.zeros(SIZE), "matrix": matrix}, folder / "zca.pt")
    assert said in refused(folder)


def test_arrays_of_another_byte_order_are_read_as_they_are(tmp_path: Path) -> None:
    folder = arrays(tmp_path / "set")
    np.savez(folder / "set.npz", images=PIXELS.numpy().astype(">i4"), labels=LABELS.numpy().astype(">i8"))
    found = outcome(folder)
    assert isinstance(found, Images) and is_right(found)


def test_an_image_file_that_is_longer_than_any_is_not_read(tmp_path: Path) -> None:
    folder = folders(tmp_path / "set")
    with (folder / "images" / "a" / "0.png").open("wb") as file:
        file.truncate(1 << 40)
    assert "it is longer than" in refused(folder)


def test_a_parquet_file_of_more_rows_than_any_has_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = parquet(tmp_path / "set")
    monkeypatch.setattr("bench_datasets.parquet.MOST_ROWS", 2)
    assert "has 3 rows, more than the 2 that are read" in refused(folder)


def test_labels_in_parquet_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    folder = in_parquet(tmp_path / "set", ["a", "b", "c"], [0, 1, 2], None)
    path = folder / "train-0.parquet"
    table = pq.read_table(path)
    broken = pa.array([b"\xff", b"b", b"c"]).view(pa.string())
    pq.write_table(table.set_column(1, "label", broken), path)
    assert "is not readable as Parquet" in refused(folder)


@pytest.mark.parametrize("name", ["..", "../images", "/images", "x/../../images", "images\0", "i" * 300])
def test_options_of_a_layout_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    folder = folders(tmp_path / "set")
    for options in ({"train": name}, {"train": ["images", name]}, {"path": name, "train": "images"}):
        write_manifest(folder, source={"layout": "image-folder", "options": options})
        assert "option" in refused(folder)


@pytest.mark.parametrize("whole", [True, False])
def test_checksums_beside_a_set_are_held_against_its_files(tmp_path: Path, whole: bool) -> None:
    folder = parquet(tmp_path / "set")
    found = hashlib.sha256((folder / "train-0.parquet").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{found if whole else 64 * '0'}  train-0.parquet\n")
    assert isinstance(outcome(folder), Images) if whole else f"has sha256 {found}, not 000" in refused(folder)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:,text", "ftp://here/set.zip", "no address"])
def test_addresses_of_a_set_are_of_the_web(tmp_path: Path, url: str) -> None:
    """A manifest may come from anybody, and its source is a card's."""
    fetch = {"url": url, "file": "x", "checksum": f"md5:{32 * '0'}"}
    source = {"layout": "image-folder", "options": {"train": "images"}, "fetch": fetch}
    assert "field 'fetch.url'" in refused(write_manifest(tmp_path / "set", source=source))
