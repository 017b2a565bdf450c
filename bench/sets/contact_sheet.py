"""A contact sheet of a condensed set: one row a class, so that a person can see what was made."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bench.storage.files import whole

TILE = 128  # pixels a side that small images are brought up to
MOST_PIXELS = (1320, 2640)  # width and height that the tiles may take
MOST_IMAGES, MOST_CLASSES = 10, 20
SPREAD = 2.5
GAP = 4
LABEL_WIDTH = 150
HASH = 7  # letters at the end of a run's name, which tell it from others
FOOTER = 24
LABEL, CAPTION = 22, 18  # pixels of type: pages show a sheet at about 60 %
BACKGROUND, INK, PALE = (30, 33, 37), (236, 238, 240), (165, 170, 176)  # its own, right on light pages and dark ones


def write_preview(
    path: Path,
    pixels: Tensor,
    classes: Tensor,
    class_names: Sequence[str],
    invert: Callable[[Tensor], Tensor] = lambda pixels: pixels,
) -> None:
    """Writes a PNG with one row a class, small images enlarged without smoothing, class names beside them.

    At most `MOST_CLASSES` classes, evenly spaced, and `MOST_IMAGES` images of each (fewer when images are large); a
    line at the bottom says what part of the set is shown.

    Args:
        path: where to write it; the file is whole or absent.
        pixels: uint8 (N, C, H, W), or float; images that leave [0, 1] are shown as `visible` makes them. One channel
            is shown as grey, of more than three the first three.
        classes: int64 (N,), the class index of each image.
        class_names: what each index means.
        invert: what turns some of the pixels into what is to be seen; only those that are shown go through it.
    """
    present = sorted(set(classes.tolist()))
    scale = max(1, TILE // max(pixels.shape[-2:]))
    height, width = (side * scale + GAP for side in pixels.shape[-2:])
    shown = _spread(present, _most_rows(height))
    per_class = max(1, min(MOST_IMAGES, MOST_PIXELS[0] // width))
    members = [torch.nonzero(classes == index).flatten()[:per_class] for index in shown]
    columns = max((len(each) for each in members), default=1)
    sheet = Image.new("RGB", (LABEL_WIDTH + columns * width + GAP, len(shown) * height + GAP + FOOTER), BACKGROUND)
    for line, (index, each) in enumerate(zip(shown, members, strict=True)):
        top = GAP + line * height
        _label(sheet, top + (height - GAP) // 2, class_names[index], (height - GAP) // (LABEL + GAP))
        for column, picture in enumerate(_pictures(invert(pixels[each]), scale)):
            sheet.paste(picture, (LABEL_WIDTH + column * width, top))
    _write(sheet, sheet.height - FOOTER // 2, _caption(len(classes), present, members), PALE, sheet.width)
    with whole(path) as part:
        sheet.save(part, format="PNG")


def write_beside(path: Path, sheets: Sequence[tuple[str, Path]]) -> None:
    """Writes a PNG of sheets beside each other, each below its name; the file is whole or absent.

    Raises:
        OSError: a sheet cannot be read, or the picture not be written.
    """
    pictures = [Image.open(sheet).convert("RGB") for _, sheet in sheets]
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    beside = Image.new("RGB", (width, FOOTER + max(picture.height for picture in pictures)), BACKGROUND)
    left = 0
    for (name, _), picture in zip(sheets, pictures, strict=True):
        beside.paste(picture, (left, FOOTER))
        _write(beside, FOOTER // 2, name, INK, picture.width, left, tail=HASH)
        left += picture.width + GAP
    with whole(path) as part:
        beside.save(part, format="PNG")


def _write(
    sheet: Image.Image,
    middle: int,
    text: str,
    colour: tuple[int, int, int],
    room: int,
    left: int = 0,
    tail: int = 0,
) -> None:
    """One line of text from the left, cut to its room in pixels before its last `tail` letters."""
    font = ImageFont.load_default(size=CAPTION)
    shown = _fitted(text, font, room - 4 * GAP, tail=tail)
    ImageDraw.Draw(sheet).text((left + 2 * GAP, middle), shown, colour, font, anchor="lm")


def _label(sheet: Image.Image, middle: int, text: str, most: int) -> None:
    """The name of a class beside its row, over at most so many lines."""
    font, room = ImageFont.load_default(size=LABEL), LABEL_WIDTH - 3 * GAP
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room or not lines[-1] or len(lines) == max(1, most):
            lines[-1] = longer
        else:
            lines.append(word)
    shown = "\n".join(_fitted(line, font, room) for line in lines)
    ImageDraw.Draw(sheet).multiline_text((2 * GAP, middle), shown, INK, font, anchor="lm", spacing=GAP)


def _spread(values: Sequence[int], most: int) -> list[int]:
    """At most so many of the values, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / max(1, most - 1))] for place in range(most)]


def rows_of(width: int, height: int, classes: int) -> tuple[list[int], int] | None:
    """Which of so many classes a sheet of that size shows, from the top, and how far apart; None where it is none.

    Images are square, so that rows are as far apart as columns.
    """
    for lines in range(min(MOST_CLASSES, classes), 0, -1):
        step, rest = divmod(height - GAP - FOOTER, lines)
        fits = rest == 0 and step > GAP and (width - LABEL_WIDTH - GAP) % step == 0
        if fits and lines == min(classes, _most_rows(step)):
            return _spread(range(classes), lines), step
    return None


def _most_rows(step: int) -> int:
    return max(1, min(MOST_CLASSES, MOST_PIXELS[1] // step))


def visible(pixels: Tensor) -> Tensor:
    """Float images (n, C, H, W) in [0, 1].

    An image that leaves [0, 1] (whitened ones do, and those that no method clamped) is cut off `SPREAD` standard
    deviations from its mean, as MTT's release shows them, and scaled by as little as brings it inside. Others stay.
    """
    flat = pixels.float().nan_to_num(0.0).flatten(1)
    mean, reach = flat.mean(1, keepdim=True), SPREAD * flat.std(1, keepdim=True, correction=0)
    lowest = flat.amin(1, keepdim=True).maximum(mean - reach).clamp(max=0)
    highest = flat.amax(1, keepdim=True).minimum(mean + reach).clamp(min=1)
    return ((flat - lowest) / (highest - lowest)).clamp(0, 1).view_as(pixels)


def _pictures(pixels: Tensor, scale: int) -> list[Image.Image]:
    """Enlarged RGB images of pixels (n, C, H, W)."""
    if pixels.is_floating_point():
        pixels = (visible(pixels) * 255).round().to(torch.uint8)
    colours = pixels[:, :3] if pixels.shape[1] >= 3 else pixels[:, :1].expand(-1, 3, -1, -1)
    arrays = colours.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    size = (arrays.shape[2] * scale, arrays.shape[1] * scale)
    return [Image.fromarray(array).resize(size, Image.Resampling.NEAREST) for array in arrays]


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int, *, tail: int = 0) -> str:
    """The text, with an ellipsis where it is cut: before its last `tail` letters."""
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    head, end = (text[:-tail], text[-tail:]) if tail else (text, "")
    while head and font.getlength(f"{head}…{end}") > room:
        head = head[:-1]
    return f"{head.rstrip()}…{end}"


def _caption(images: int, present: Sequence[int], rows: Sequence[Tensor]) -> str:
    shown = sum(len(row) for row in rows)
    if shown == images:
        return f"all {images} images, {len(present)} classes"
    return f"{shown} of {images} images, {len(rows)} of {len(present)} classes"
