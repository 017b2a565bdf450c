"""Decoding: exact where sizes agree, torchvision's test view where they do not, and damaged images named."""

import io
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from bench.data.decoding import DecodedForm, decoded, in_threads
from bench.errors import RunFailure
from bench.hardware.cores import cores


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _picture(width: int, height: int, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    image = _picture(8, 8)
    found = decoded("x", _png(image), DecodedForm(3, 8, 8))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(40, 31), (31, 40), (9, 64), (12, 12)])
def test_other_sizes_get_the_test_view_of_torchvision(size: tuple[int, int]) -> None:
    image = _picture(*size)
    reference = v2.Compose([v2.Resize(20), v2.CenterCrop(16)])(image)
    found = decoded("x", _png(image), DecodedForm(3, 16, 20))
    np.testing.assert_array_equal(found, np.asarray(reference).transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_8_bit_mode_becomes_the_channels_asked_for(mode: str) -> None:
    image = _picture(8, 8).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    for channels, rgb in ((3, "RGB"), (1, "L")):
        found = decoded("x", stream.getvalue(), DecodedForm(channels, 8, 8))
        reference = np.asarray(image.convert(rgb)).reshape(8, 8, channels).transpose(2, 0, 1)
        np.testing.assert_array_equal(found, reference)


def test_arrays_are_fitted_like_images() -> None:
    gray = np.asarray(_picture(8, 8, 1))[None]
    np.testing.assert_array_equal(decoded("x", gray, DecodedForm(1, 8, 8)), gray)
    np.testing.assert_array_equal(decoded("x", gray, DecodedForm(3, 8, 8)), gray.repeat(3, 0))
    assert decoded("x", gray, DecodedForm(1, 4, 4)).shape == (1, 4, 4)


def test_damaged_and_unfit_images_are_named() -> None:
    noise = io.BytesIO()
    _picture(64, 64).save(noise, "JPEG")
    sixteen = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(sixteen, "PNG")
    for data, reason in (
        (b"no image", "is in no known image format"),
        (b"", "is in no known image format"),
        (noise.getvalue()[:-400], "cannot be decoded"),
        (sixteen.getvalue(), "mode I;16"),
    ):
        with pytest.raises(RunFailure, match=f"corrupt image: shard row 7.*{reason}"):
            decoded("shard row 7", data, DecodedForm(3, 64, 64))


def test_a_picture_of_more_pixels_than_any_has_is_not_decoded() -> None:
    """12,000 × 12,000 black pixels in 144 kB: PIL itself only warns of less than twice its limit."""
    huge = _png(Image.new("1", (12_000, 12_000)))
    with pytest.raises(RunFailure, match=r"corrupt image: bomb\.png cannot be decoded: 12000 × 12000 pixels are more"):
        decoded("bomb.png", huge, DecodedForm(3, 64, 64))


def test_threads_stop_at_the_first_failure() -> None:
    begun = []

    def work(start: int) -> int:
        begun.append(start)
        if start == 3:
            raise RunFailure("three")
        return start

    with pytest.raises(RunFailure, match="three"):
        list(in_threads(work, range(10_000)))
    assert len(begun) < 10_000


def test_threads_hold_only_a_few_results() -> None:
    lock, unread, most = threading.Lock(), 0, 0

    def work(start: int) -> int:
        nonlocal unread, most
        with lock:
            unread += 1
            most = max(most, unread)
        return start

    found = []
    for start, _ in in_threads(work, range(200)):
        with lock:
            unread -= 1
        found.append(start)
        time.sleep(0.001)
    assert sorted(found) == list(range(200))
    assert most <= 4 * cores() + 1


def _gray(values: list[int], form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.array(values, np.uint16).reshape(2, 2)).save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("depth", "values", "expected"),
    [
        (16, [0, 128, 257, 65535], [0, 0, 1, 255]),
        (12, [0, 8, 9, 4095], [0, 0, 1, 255]),
        (10, [0, 2, 3, 1023], [0, 0, 1, 255]),
    ],
)
def test_gray_of_more_than_8_bits_is_scaled_to_the_nearest_level(
    form: str, depth: int, values: list[int], expected: list[int]
) -> None:
    found = decoded("x", _gray(values, form), DecodedForm(1, 2, 2, depth))
    assert found.flatten().tolist() == expected
    assert decoded("x", _gray(values, form), DecodedForm(3, 2, 2, depth))[2].flatten().tolist() == expected


def test_gray_of_8_bits_stays_whatever_the_depth() -> None:
    image = _picture(8, 8, 1)
    np.testing.assert_array_equal(decoded("x", _png(image), DecodedForm(1, 8, 8, 16))[0], np.asarray(image))


def test_a_depth_that_the_pixels_contradict_is_refused_and_a_missing_one_named() -> None:
    with pytest.raises(RunFailure, match=r"its pixels are 0 to 4096; depth = 12 means 0 to 4095"):
        decoded("x", _gray([0, 1, 2, 4096]), DecodedForm(1, 2, 2, 12))
    with pytest.raises(RunFailure, match=r"mode I;16; 8 bits .* a card that says depth = 16 scales them"):
        decoded("x", _gray([0, 1, 2, 3]), DecodedForm(1, 2, 2))


_COLOURS = {2: 3, 4: 2, 6: 4}  # PNG's colour types: RGB, gray with alpha, RGB with alpha; and their channels


def _deep_png(colour: int) -> bytes:
    """2 × 2 pixels of 16 bits a channel, which PIL reads and does not write."""
    row = b"\0" + struct.pack(f">{2 * _COLOURS[colour]}H", *range(257, 257 * 2 * _COLOURS[colour] + 1, 257))
    parts = {b"IHDR": struct.pack(">IIBBBBB", 2, 2, 16, colour, 0, 0, 0), b"IDAT": zlib.compress(2 * row), b"IEND": b""}
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _deep_tiff() -> bytes:
    """2 × 2 pixels of 16 bits a channel in RGB."""
    bits, pixels = 8 + 2 + 10 * 12 + 4, 8 + 2 + 10 * 12 + 4 + 6
    width, height, sizes, plain, rgb = (256, 4, 1, 2), (257, 4, 1, 2), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)
    rest = [(273, 4, 1, pixels), (277, 3, 1, 3), (278, 4, 1, 2), (279, 4, 1, 24), (284, 3, 1, 1)]
    tags = b"".join(struct.pack("<HHII", *tag) for tag in (width, height, sizes, plain, rgb, *rest))
    ends = struct.pack("<I3H12H", 0, 16, 16, 16, *range(0, 12 * 257, 257))
    return struct.pack("<2sHIH", b"II", 42, 8, 10) + tags + ends


def _bitmap_of_565() -> bytes:
    """2 × 2 pixels of 5, 6 and 5 bits in 16: no channel has more than 8."""
    header = struct.pack("<IiiHHIIiiII3I", 40, 2, 2, 1, 16, 3, 8, 0, 0, 0, 0, 0xF800, 0x07E0, 0x001F)
    pixels = struct.pack("<4H", 0xF800, 0x07E0, 0x001F, 0xFFFF)
    return struct.pack("<2sIHHI", b"BM", 14 + len(header) + 8, 0, 0, 14 + len(header)) + header + pixels


@pytest.mark.parametrize("depth", [None, 12, 16])
@pytest.mark.parametrize("content", [*map(_deep_png, _COLOURS), _deep_tiff()])
def test_colours_and_alpha_of_more_than_8_bits_are_refused(content: bytes, depth: int | None) -> None:
    """PIL would keep the high 8 of 16 bits: 12-bit images would be nearly black."""
    assert Image.open(io.BytesIO(content)).mode in ("RGB", "RGBA", "LA")
    with pytest.raises(RunFailure, match=r"its pixels have mode \w+;16\w; 8 bits a channel are expected"):
        decoded("x", content, DecodedForm(3, 2, 2, depth))


def test_colours_that_share_16_bits_are_read() -> None:
    found = decoded("x", _bitmap_of_565(), DecodedForm(3, 2, 2))
    assert found[:, 1].T.tolist() == [[255, 0, 0], [0, 255, 0]] and found[:, 0].T.tolist() == [[0, 0, 255], [255] * 3]


@pytest.mark.parametrize("depth", [None, 12, 16])
@pytest.mark.parametrize(("magic", "white"), [("P5", 4095), ("P6", 4095), ("P6", 65535), ("P2", 1023), ("P3", 65535)])
def test_portable_maps_that_pil_would_stretch_are_refused(magic: str, white: int, depth: int | None) -> None:
    content = f"{magic} 2 2 {white}\n".encode() + (b"0 9 " * 6 if magic in ("P2", "P3") else bytes(24))
    with pytest.raises(RunFailure, match=f"its white is {white}; 255 is expected, or 65535 and gray with a depth"):
        decoded("x", content, DecodedForm(3, 2, 2, depth))


@pytest.mark.parametrize("plain", [True, False])
def test_portable_graymaps_of_16_bits_have_the_depth_of_the_card(plain: bool) -> None:
    values = [100, 200, 250, 4095]
    ends = " ".join(map(str, values)).encode() if plain else struct.pack(">4H", *values)
    found = decoded("x", (b"P2" if plain else b"P5") + b" 2 2 65535\n" + ends, DecodedForm(1, 2, 2, 12))
    assert found.flatten().tolist() == [6, 12, 16, 255]
    assert decoded("x", b"P5 2 2 255\n\0\x01\x02\xff", DecodedForm(1, 2, 2)).flatten().tolist() == [0, 1, 2, 255]


def _palette() -> bytes:
    """A palette image with a transparency a colour."""
    stream = io.BytesIO()
    _picture(8, 8).convert("P").save(stream, "PNG", transparency=bytes(range(0, 250, 10)))
    return stream.getvalue()


def test_a_transparent_palette_gives_its_colours_without_a_word_on_the_terminal() -> None:
    for channels, mode in ((3, "RGB"), (1, "L")):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = decoded("x", _palette(), DecodedForm(channels, 8, 8))
        assert said == []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = np.asarray(Image.open(io.BytesIO(_palette())).convert(mode)).reshape(8, 8, channels)
        np.testing.assert_array_equal(found, reference.transpose(2, 0, 1))


def test_what_pil_says_of_metadata_does_not_reach_the_terminal(tmp_path: Path) -> None:
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12"  # says five tags, ends in the first
    _picture(8, 8).save(tmp_path / "x.jpg", exif=exif)
    code = (
        "import pathlib, sys, PIL.Image\n"
        "data = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "if sys.argv[2] == 'ours':\n"
        "    from bench.data.decoding import DecodedForm, decoded\n"
        "    decoded('x', data, DecodedForm(3, 8, 8))\n"
        "PIL.Image.open(sys.argv[1]).getexif().get(0x0112)\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", code, tmp_path / "x.jpg", who], capture_output=True, check=True).stderr
        for who in ("theirs", "ours")
    ]
    assert b"EXIF" in said[0], "the file must be one that PIL warns of"
    assert said[1] == b""
